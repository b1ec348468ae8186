"""The nouns and errors that several rules of the gate share (docs/spec/gate.md, 5, 10).

Banks and the policy of each, a gate's figures and limits, rows of its audit log, alerts, and what
can go wrong between a gate and a device or its operator. Nothing here says who somebody is.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, Self

from entrenous.base.errors import Malformed, NotFound, Refused, Unreachable
from entrenous.base.identifiers import BankName
from entrenous.base.limits import PDQ_RADIUS
from entrenous.stop.upload_record import Due, Outcome

HASH_BYTES: Final = 32
NOTHING: Final = bytes(HASH_BYTES)  # what the first row comes after
_CONTEXT: Final = b"entrenous/1 audit\x00"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Details = Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row's number and hash: 0 and zeros while there is none."""

    number: int = 0
    hash: bytes = NOTHING

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"

    @classmethod
    def read(cls, untrusted_text: str) -> Self:
        """From its text, "12:ab34..."; raises BadHead."""
        number, _, digits = untrusted_text.strip().partition(":")
        try:
            head = cls(int(number), bytes.fromhex(digits))
        except ValueError:
            raise BadHead from None
        well_formed = head.number >= 0 and len(head.hash) == HASH_BYTES
        if not well_formed or str(head) != untrusted_text.strip():
            raise BadHead
        return head


@dataclass(frozen=True, slots=True)
class AuditRow:
    """``what`` happened to ``of``, e.g. "claim confirmed" to a claim's id."""

    number: int
    at: datetime
    what: str
    of: str
    details: Details
    before: bytes
    hash: bytes = b""

    @classmethod
    def after(cls, head: Head, at: datetime, what: str, of: str, details: Details) -> Self:
        """The row that comes after ``head``, sealed."""
        row = cls(head.number + 1, at, what, of, dict(details), head.hash)
        return cls(row.number, at, what, of, row.details, row.before, row.seal())

    @property
    def head(self) -> Head:
        """The log's head when this row was its last."""
        return Head(self.number, self.hash)

    def seal(self) -> bytes:
        """SHA-256, 32 bytes, over the canonical JSON (RFC 8785) of all but ``hash``.

        Keys are ASCII and numbers whole, where sorted JSON without blanks is canonical.
        """
        said = {
            "at": (self.at - _EPOCH) // timedelta(microseconds=1),
            "before": self.before.hex(),
            "details": dict(self.details),
            "number": self.number,
            "of": self.of,
            "what": self.what,
        }
        text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(_CONTEXT + text.encode()).digest()


class BadHead(Malformed):
    """
    The head of a log looks like 12:ab34..., a number and 64 hexadecimal digits, as
    gate audit verify prints it.
    """


PEOPLE: Final = BankName("people")  # what people register themselves
RELEASED: Final = BankName("released")  # uploads that a reviewer let through
FOR_NO_LIST: Final = frozenset({PEOPLE, RELEASED})
RELEASED_RADIUS: Final = 16  # closer than a match: the same upload again, saved anew
SAME_BITS: Final = 4  # at most so far apart it is the same, saved anew, and hardly anything covered


@dataclass(frozen=True, slots=True)
class Bank:
    """A set of protected fingerprints and the platform's policy for it.

    ``radius`` is the largest distance that counts, in bits. ``on_claimed`` is what happens to an
    upload that fits an unconfirmed claim, ``on_confirmed`` to one that fits a confirmed claim.
    In ``shadow`` that is only written down, and nothing is done.
    """

    name: BankName
    radius: int = PDQ_RADIUS
    on_claimed: Outcome = Outcome.HOLD
    on_confirmed: Outcome = Outcome.REFUSE
    shadow: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= PDQ_RADIUS:
            raise ValueError("a radius lies between 0 and 31 bits")
        if self.on_claimed is Outcome.REFUSE:
            raise ValueError("a claim alone never blocks")


@dataclass(frozen=True, slots=True)
class Entry:
    """One distinct registered hash. Numbers grow and are never used again."""

    number: int
    bits: bytes
    part: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """How full a store is: claims that match, and distinct hashes."""

    claims: int
    hashes: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a list of hashes: lines by number, with the reason they were refused, how many
    hashes were there ``already``, and how many uploads that were let through fit it.
    """

    accepted: int
    refused: tuple[tuple[int, str], ...]
    looked_back: int = 0
    already: int = 0


class NoSuchBank(NotFound):
    """There is no bank called {bank} here."""


class NotForLists(Refused):
    """
    Nothing was imported: the bank {bank} is not for lists. In "people" is what people registered
    themselves, and what is in "released" is let through. Name a bank of your own.
    """


class BadBankName(Refused):
    """
    A bank's name has 2 to 40 of the characters a-z, 0-9 and -, at both ends no -. Nothing was
    imported.
    """


class NoHashes(Malformed):
    """
    In this list is no hash, so nothing was imported: {lines} lines were read. A line has 64
    hexadecimal digits in its first column, and the file is text in UTF-8.
    """


class BankActs(Refused):
    """
    The bank {bank} is there and acts on what fits it, so nothing was added. Put it into shadow
    first, or leave --shadow out: entrenous gate bank policy {bank} --shadow
    """


class BadPolicy(Refused):
    """
    That policy is not possible, so nothing was changed: {why}.
    """


class UnusableBank(Malformed):
    """
    The gate's database {path} cannot be used: {why}. Nothing was accepted or changed. What this
    account may not read or write, give to the account that the gate runs as; in the place of what
    is damaged, put a backup.
    """


class NewerBank(Refused):
    """
    The gate's database was written by a newer Entrenous, so it was not touched. Update Entrenous:
    {update}
    """


class OlderBank(Refused):
    """
    The gate's database was written by an earlier Entrenous, and this one cannot read it, so it was
    not touched. Run it with the Entrenous that wrote it, or start with an empty database: another
    "--data" folder or another PostgreSQL.
    """


class BankUnreachable(Unreachable):
    """
    The platform's database does not answer: {why}. Nothing was accepted; try again in a
    moment.
    """


CONTENT_ID_CHARS_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class Listing:
    """``content_id`` is the platform's own name for the content, "" for none. ``on_at`` is when a
    suspended claim matches again; None: not by itself.
    """

    content_id: str = ""
    on_at: datetime | None = None

    def __post_init__(self) -> None:
        if len(self.content_id) > CONTENT_ID_CHARS_MAX or not self.content_id.isprintable():
            raise ValueError(f"a content_id is at most {CONTENT_ID_CHARS_MAX} printable characters")


LATE: Final = timedelta(hours=24)  # half of the 48 hours that some notices give a platform


class ShadowCell(NamedTuple):
    """What a bank in shadow would have done, and at which distance: an even number of bits."""

    bank: BankName
    would: Outcome
    distance: int


@dataclass(frozen=True, slots=True)
class IndexStanding:
    """How many hashes an index has in its file and has learnt since; the file's bytes and time."""

    in_file: int
    later: int
    size_bytes: int
    written_at: datetime


@dataclass(frozen=True, slots=True)
class GateFigures:
    """As of one moment, of all processes on one database.

    ``claims`` counts by kind and state; ``oldest`` is since when the item waits that has waited
    longest; ``review_s`` is the median of the newest decisions, in seconds from the beginning of
    the wait; ``due`` is what is to be done after answers.
    """

    at: datetime
    claims: Mapping[tuple[str, str], int]
    hashes: int
    waiting: int
    oldest: datetime | None = None
    review_s: float | None = None
    due: Due = field(default_factory=Due)
    shadow: Mapping[ShadowCell, int] = field(default_factory=dict)

    @property
    def oldest_wait(self) -> timedelta:
        """How long the oldest item has waited; 0 when none waits."""
        return timedelta() if self.oldest is None else max(timedelta(), self.at - self.oldest)

    @property
    def is_late(self) -> bool:
        """Whether an item has waited for more than a day."""
        return self.oldest_wait > LATE


def even(distance: int) -> int:
    """The step of a histogram: PDQ's own hashes differ in an even number of bits."""
    return distance // 2 * 2


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


AGAIN_AFTER: Final = timedelta(hours=1)  # of one kind, whoever tells it


class AlertKind(StrEnum):
    """What it is about, and nothing of a case."""

    FLOOD = "flood"  # uploads of one registered hash became one item
    WAITING = "reviews-waiting"  # items have waited for long


@dataclass(frozen=True, slots=True)
class Alert:
    """``count`` items of a kind; ``told`` is how many floods are told of by it."""

    kind: AlertKind
    count: int
    told: int = 0


class PageFailed(Unreachable):
    """
    The program that tells somebody of {kind} {why}. Nothing else is changed by it; the gate tries
    again in an hour. See the setting page in gate.toml.
    """
