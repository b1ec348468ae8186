"""What can go wrong between a device and a platform's gate, and how much a gate takes."""

from dataclasses import dataclass

from entrenous.model.errors import Malformed, NotFound, Refused, Unreachable


@dataclass(frozen=True, slots=True)
class GateLimits:
    """How much a gate takes and keeps (docs/spec/gate.md sections 4 and 5).

    ``claims_per_hour`` of one address, ``claims_of_all`` of everybody; more than
    ``held_per_hash`` uploads held within an hour for one registered hash are one item for the
    reviewer; the hash of an accepted upload is kept for ``look_back_days``, 0 keeps none;
    at most ``slow_looks`` uploads wait for the slow look, 0 makes none; above
    ``second_look_hashes`` of parts the second look is left to the slow one. So many
    ``confirmers``, persons, confirm a case; somebody is told when one has waited for more than
    ``page_after_hours``. While less than ``free_mb_min`` MiB are free beside the database, no
    upload's bytes are kept; 0 never looks. In ``shadow`` every upload is let through, and what
    would have been held or refused is listed as published.
    """

    claims_per_hour: int = 20
    claims_of_all: int = 2000
    held_per_hash: int = 20
    look_back_days: int = 30
    slow_looks: int = 200
    second_look_hashes: int = 100_000  # 27 ms of a core for 2,504 look-ups; 47 ms at twice as many
    confirmers: int = 1
    page_after_hours: int = 24
    free_mb_min: int = 1000
    shadow: bool = False

    def __post_init__(self) -> None:
        if min(self.claims_per_hour, self.claims_of_all, self.held_per_hash) < 1:
            raise ValueError("claims_per_hour, claims_of_all and held_per_hash should be 1 or more")
        if not 0 <= self.look_back_days <= 365:
            raise ValueError("look_back_days should be 0 to 365")
        if not 0 <= self.slow_looks <= 10_000:
            raise ValueError("slow_looks should be 0 to 10,000")
        if self.second_look_hashes < 1:
            raise ValueError("second_look_hashes should be 1 or more")
        if self.confirmers not in (1, 2):
            raise ValueError("confirmers should be 1 or 2")
        if not 1 <= self.page_after_hours <= 24 * 365:
            raise ValueError("page_after_hours should be 1 to 8,760")
        if self.free_mb_min < 0:
            raise ValueError("free_mb_min should be 0, which never looks, or more")


class BadAnswer(Malformed):
    """
    The platform at {url} answered with something that is not in the form that Entrenous knows, so
    nothing was changed here. Check the address; it may not be an Entrenous gate.
    """


class GateBusy(Unreachable):
    """
    The platform has too much to do right now. Nothing was lost or published; try again in a
    moment.
    """


class NoGateHere(NotFound):
    """
    There is no gate in {path}, so nothing was done. Check the spelling of --data. A gate is made by
    entrenous gate run, or by entrenous gate bank import.
    """


class GateUnreachable(Unreachable):
    """
    The platform at {url} does not answer. Check the address and your connection, then try again.
    """


class NoConnection(GateUnreachable):
    """
    No connection to the platform at {url} could be made: nothing answers there, or its certificate
    is not one that this device trusts. Nothing was sent, so nothing was registered or changed.
    Check the address and your connection, then try again.
    """


class GateRefused(Refused):
    """The platform at {url} did not accept this: {detail}"""


class NotAGate(Refused):
    """
    {url} is not the address of a platform, so nothing was sent. It looks like
    https://gate.example. Check the spelling.
    """


class NotPrivate(Refused):
    """
    The address {url} would send this over the network in the clear, so nothing was sent. Use the
    platform's https:// address.
    """


class BadGateSettings(Malformed):
    """
    In {file}, {why}. Nothing was started or changed. Correct it, or put a # in front of that line
    to have the default.
    """


class UnreadableGateSettings(BadGateSettings):
    """
    The gate's settings in {file} cannot be read: {why}. Nothing was started or changed. Correct
    that place; what this account may not read, give to the account that the gate runs as.
    """


class UnknownGateSetting(BadGateSettings):
    """
    In {file}, {name} is no setting of a gate. Nothing was started or changed, since a setting that
    is spelled wrongly would do nothing. Known are
    database, claims_per_hour, claims_of_all, held_per_hash, look_back_days,
    slow_looks, second_look_hashes, index_shards, fetch_minutes,
    tls_cert, tls_key, trusted_proxies, appeal_url, uploads_per_account,
    refused_per_account, confirmers, page, page_after_hours,
    slow_look_processes, free_mb_min, held_key and shadow.
    """


class BadHeldKeys(Refused):
    """
    The keys in {file}, which seal the pictures that wait for a person, cannot be used: {why}.
    Nothing was started or changed. A key is made by: openssl rand -base64 32
    """


class BadKeptToken(Refused):
    """
    {file} does not hold a token, which is 43 letters, digits, - and _. Nothing was started or
    changed. Put the right one back, or delete the file: then a new token is made, and whoever shows
    the old one has to be given it.
    """


class LacksPsycopg(Refused):
    """
    The gate's settings name a PostgreSQL, and its library is not installed, so nothing was started.
    Install it, in the folder of Entrenous: .venv/bin/pip install -e '.[postgresql]'
    """
