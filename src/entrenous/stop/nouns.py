"""Record classes and errors that several rules of the gate share (docs/spec/gate.md, 5, 10).

Banks and their policies, a gate's figures and limits, alerts, and errors.
Nothing here identifies a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from entrenous.base.errors import Malformed, NotFound, Refused, Unreachable
from entrenous.base.identifiers import BankName
from entrenous.base.limits import PDQ_RADIUS_BITS
from entrenous.stop.upload_record import DueCounts, Outcome

PEOPLE_BANK: Final = BankName("people")  # the bank of what people register themselves
RELEASED_BANK: Final = BankName("released")  # the bank of uploads that a reviewer let through
BUILT_IN_BANKS: Final = frozenset({PEOPLE_BANK, RELEASED_BANK})
# The radius of the bank "released", in bits. It is smaller than the usual radius, since this bank
# has to find only re-encoded copies of an upload.
RELEASED_RADIUS_BITS: Final = 16
# In bits. Two pictures at this distance or less are the same picture, re-encoded, with almost
# nothing covered.
SAME_PICTURE_BITS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Bank:
    """A set of protected fingerprints and the platform's policy for it.

    ``radius`` is the largest distance that counts, in bits. ``on_claimed`` is the outcome for an
    upload that matches an unconfirmed claim, ``on_confirmed`` for one that matches a confirmed
    claim. In ``shadow`` mode the outcome is only recorded.
    """

    name: BankName
    radius: int = PDQ_RADIUS_BITS
    on_claimed: Outcome = Outcome.HOLD
    on_confirmed: Outcome = Outcome.REFUSE
    shadow: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= PDQ_RADIUS_BITS:
            raise ValueError("a radius must be from 0 to 31 bits")
        if self.on_claimed is Outcome.REFUSE:
            raise ValueError("a registration that nobody has confirmed cannot refuse an upload")


@dataclass(frozen=True, slots=True)
class HashEntry:
    """One distinct registered hash. Numbers increase and are never reused."""

    number: int
    bits: bytes
    part: bool


@dataclass(frozen=True, slots=True)
class BankCounts:
    """Counts of a store: matching claims, and distinct hashes."""

    claims: int
    hashes: int


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of importing a list of hashes.

    ``accepted`` counts the hashes that were added. ``refused`` has line numbers and reasons.
    ``already`` counts the lines whose hash the bank had before, or whose hash is on an earlier
    line. ``looked_back`` counts accepted uploads that match the list and now wait for a reviewer.
    """

    accepted: int
    refused: tuple[tuple[int, str], ...]
    looked_back: int = 0
    already: int = 0


class NoSuchBank(NotFound):
    """
    There is no bank called {bank} here. Nothing was changed. To list the banks: entrenous gate bank
    list
    """


class BankTakesNoLists(Refused):
    """
    Lists cannot be imported into the bank {bank}. Nothing was imported. Two banks accept no lists:
    "people" contains what people registered themselves, and "released" contains uploads that a
    reviewer released, so that they are accepted when they are sent again. Choose another name for
    your list's bank.
    """


class BadBankName(Refused):
    """
    A bank's name has 2 to 40 characters: a-z, 0-9 and -. It does not begin or end with -. Nothing
    was imported. Choose another name.
    """


class NoHashes(Malformed):
    """
    This list contains no hash (lines that are neither hashes nor comments: {lines}). Nothing was
    imported. Each line needs 64 hexadecimal digits in its first column, and the file must be UTF-8
    text.
    """


class BankAlreadyActive(Refused):
    """
    The bank {bank} already exists and is not in shadow mode. Nothing was added. Leave out --shadow,
    or set the bank to shadow mode first: entrenous gate bank policy {bank} --shadow
    """


class BadPolicy(Refused):
    """That policy is not possible: {why}. Nothing was changed. Choose a different policy."""


class UnusableBank(Malformed):
    """
    The gate's database {path} cannot be used: {why}. Nothing was accepted or changed. If the
    database is damaged, restore a backup. If permissions are the problem, the file has to belong to
    the account that runs the gate.
    """


class NewerBank(Refused):
    """
    A newer version of Entrenous wrote the gate's database, so it was not used. Nothing was changed.
    Update Entrenous: {update}
    """


class OlderBank(Refused):
    """
    An earlier version of Entrenous wrote the gate's database, and this version cannot read it.
    Nothing was changed. Use the version that wrote it, or start with an empty database: choose
    another "--data" folder or another PostgreSQL database.
    """


class BankUnreachable(Unreachable):
    """
    The platform's database does not answer, or reports an error: {why}. What you asked for may not
    have been done. Try again shortly. If this goes on, the people who run the platform have to
    check the database.
    """


CONTENT_ID_CHARS_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class ClaimListing:
    """The platform's own data about a claim.

    ``content_id`` is the platform's name for the content, "" if it has none. ``on_at`` is the time
    at which a suspended claim matches again; None means that it stays suspended until somebody
    lists it again.
    """

    content_id: str = ""
    on_at: datetime | None = None

    def __post_init__(self) -> None:
        if len(self.content_id) > CONTENT_ID_CHARS_MAX or not self.content_id.isprintable():
            raise ValueError(f"a content_id is at most {CONTENT_ID_CHARS_MAX} printable characters")


REVIEW_OVERDUE_AFTER: Final = timedelta(
    hours=24
)  # half of the 48 hours that some notices give a platform


class ShadowOutcome(NamedTuple):
    """An outcome that a bank in shadow mode would have had. ``distance`` is in bits, rounded down
    to an even number.
    """

    bank: BankName
    would: Outcome
    distance: int


@dataclass(frozen=True, slots=True)
class IndexSize:
    """The number of hashes in an index file and of hashes added later, the file's size, and when it
    was written.
    """

    in_file: int
    later: int
    size_bytes: int
    written_at: datetime


@dataclass(frozen=True, slots=True)
class GateFigures:
    """Figures of all processes on one database, at one time.

    ``claims`` counts claims by kind and state. ``oldest`` is the time at which the longest waiting
    item began to wait. ``review_s`` is the median time to review, in seconds, over the newest
    decisions. ``due`` counts the background work that is due.
    """

    at: datetime
    claims: Mapping[tuple[str, str], int]
    hashes: int
    waiting: int
    oldest: datetime | None = None
    review_s: float | None = None
    due: DueCounts = field(default_factory=DueCounts)
    shadow: Mapping[ShadowOutcome, int] = field(default_factory=dict)

    @property
    def oldest_wait(self) -> timedelta:
        """Return how long the oldest item has waited; 0 if none waits."""
        return timedelta() if self.oldest is None else max(timedelta(), self.at - self.oldest)

    @property
    def is_overdue(self) -> bool:
        """Return whether an item has waited for more than a day."""
        return self.oldest_wait > REVIEW_OVERDUE_AFTER


def round_down_to_even(distance: int) -> int:
    """Round down to an even number, since any two hashes that PDQ makes differ in an even number of
    bits.
    """
    return distance // 2 * 2


@dataclass(frozen=True, slots=True)
class GateLimits:
    """The limits of a gate (docs/spec/gate.md sections 4 and 5).

    ``claims_per_hour``: claims per hour from one IPv4 address or one /64 network of IPv6;
    ``claims_of_all``: claims per hour from everybody together. ``held_per_hash``: if more uploads
    than this are held within an hour for one registered hash, they become one item for the
    reviewer. ``look_back_days``: for how many days the hash of an accepted upload is kept; 0 keeps
    none. ``slow_looks``: how many uploads may wait for the deferred scan; 0 turns it off.
    ``second_look_hashes``: with more hashes of parts than this, the second scan (for parts, before
    the answer) is left to the deferred scan. ``confirmers``: how many people have to confirm a
    case. ``page_after_hours``: the wait of a case after which somebody is alerted. ``free_mb_min``:
    with less free disk space (MiB) for the database, no upload's bytes are kept; 0 never checks.
    ``shadow``: every upload is let through, and those that would have been held or refused are
    listed as published.
    """

    claims_per_hour: int = 20
    claims_of_all: int = 2000
    held_per_hash: int = 20
    look_back_days: int = 30
    slow_looks: int = 200
    # With this many hashes, the 2,504 look-ups of an upload take 27 ms of a core; with twice as
    # many, 47 ms.
    second_look_hashes: int = 100_000
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
            raise ValueError("free_mb_min should be 0 or more (0: free space is not checked)")


class BadAnswer(Malformed):
    """
    The platform at {url} sent an answer that Entrenous does not understand, so it is not known
    whether it did what you asked. Check the address, which may be that of a different service, then
    try again.
    """


class GateBusy(Unreachable):
    """
    The platform accepts no more requests at the moment: it is too busy, or a limit per hour is
    reached. It may not have done what you asked. Nothing was lost or published. Try again in a few
    minutes; if that does not help, try again in an hour.
    """


class GateNotFound(NotFound):
    """
    There is no gate in {path}. Nothing was changed. Check the path that you gave with --data. To
    create a gate there, start it (entrenous gate run) or import a list (entrenous gate bank
    import).
    """


class GateUnreachable(Unreachable):
    """
    The platform at {url} does not answer, or answers with an error, so it is not known whether it
    did what you asked. Check the address and your connection, then try again: repeating the request
    does no harm.
    """


class NoConnection(GateUnreachable):
    """
    No connection to the platform at {url} could be made: it does not answer, or this device does
    not trust its certificate. Nothing was sent, so nothing was registered or changed. Check the
    address and your connection, then try again.
    """


class GateRefused(Refused):
    """The platform at {url} did not accept the request: {detail}"""


class NotAGate(Refused):
    """
    {url} is not the address of a platform. Nothing was sent. An address looks like
    https://gate.example. Check the spelling.
    """


class NotHttps(Refused):
    """
    {url} is not an https:// address, so others on the network could read what you send there.
    Nothing was sent. Use the platform's https:// address.
    """


class BadGateSettings(Malformed):
    """
    There is a mistake in {file}: {why}. Nothing was started or changed. Correct the setting, or put
    a # in front of its line to use the default.
    """


class UnreadableGateSettings(BadGateSettings):
    """
    The gate's settings in {file} cannot be read: {why}. Nothing was started or changed. Correct the
    file. If the account that runs the gate is not allowed to read it, make that account its owner.
    """


class UnknownGateSetting(BadGateSettings):
    """
    In {file}, {name} is not a gate setting. Nothing was started or changed, because the gate would
    otherwise ignore a misspelled setting. Correct the name, or delete the line. The settings are:
    database, claims_per_hour, claims_of_all, held_per_hash, look_back_days, slow_looks,
    second_look_hashes, index_shards, fetch_minutes, tls_cert, tls_key, trusted_proxies, appeal_url,
    uploads_per_account, refused_per_account, confirmers, page, page_after_hours,
    slow_look_processes, free_mb_min, held_key and shadow.
    """


class BadUploadKeys(Refused):
    """
    {file} should contain the keys that encrypt uploads waiting for review, but the file cannot be
    used: {why}. Nothing was started or changed. If the gate had keys before, restore the earlier
    file, or mount the disk that it is on: a new key cannot decrypt older uploads. To make a key for
    a new gate: openssl rand -base64 32
    """


class BadTokenFile(Refused):
    """
    {file} does not contain a token, which has 43 characters (letters, digits, - and _). Nothing was
    started or changed. Put the right token back. Or delete the file: the gate then makes a new
    token, and everybody who used the old one needs the new one.
    """


class PsycopgMissing(Refused):
    """
    The gate's settings name a PostgreSQL database, but the library that connects to it is not
    installed. Nothing was started. To install the library, run this in the folder of Entrenous:
    .venv/bin/pip install -e '.[postgresql]'
    """


ALERT_INTERVAL: Final = timedelta(hours=1)  # between two alerts of one kind, across all processes


class AlertKind(StrEnum):
    """What an alert is about. An alert never describes a case."""

    FLOOD = "flood"  # many uploads that match one registered hash became one item
    WAITING = "reviews-waiting"  # items have waited for a long time


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert about ``count`` items.

    ``reported_floods`` counts the new floods that this alert reports, even if they no longer wait.
    """

    kind: AlertKind
    count: int
    reported_floods: int = 0


class AlertProgramFailed(Unreachable):
    """
    The program that should alert somebody (about "{kind}") {why}. Nothing else is affected, and the
    gate will try again in an hour. Check the program that the setting "page" in gate.toml names.
    """
