"""Partners, sources and records of exchanges between platforms, and their errors."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.base.errors import Malformed, NotFound, Refused, Unproven, Unreachable
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import PDQ_BYTES
from entrenous.stop.registration import ClaimState, Stance

SHA256_BYTES: Final = 32
PAGE_MAX: Final = 1000  # records, both protocols; section 1.3
OURSELVES: Final = 1  # our number among NCMEC's members
NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])")


@dataclass(frozen=True, slots=True)
class ExchangePartner:
    """A platform that may fetch the claims of some banks, and say what it thinks of them.

    ``number`` is what NCMEC's form calls it; ``submits`` says whether it may bring hashes;
    ``asked_at`` is when it last asked.
    """

    name: str
    number: int
    banks: tuple[BankName, ...]
    submits: bool = False
    asked_at: datetime | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError("a partner's name has 2 to 40 of the characters a-z, 0-9 and -")
        if self.number <= OURSELVES:
            raise ValueError("partners are numbered from 2")

    @property
    def own_bank(self) -> BankName:
        """Where hashes go that it submits."""
        return BankName(f"from-{self.name}")


@dataclass(frozen=True, slots=True)
class Mark:
    """At ``at_s``, in whole seconds since 1970, the newest change had this number (section 2.1)."""

    at_s: int
    number: int


@dataclass(frozen=True, slots=True)
class Served:
    """A claim that some partner fetched by hash, as it is now; ``hashes`` are 32 bytes each."""

    claim: ClaimId
    bank: BankName
    state: ClaimState
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What a partner thinks of a claim: one, the newest."""

    partner: str
    number: int
    claim: ClaimId
    stance: Stance


class SourceKind(StrEnum):
    """How a source speaks (section 6)."""

    STOPNCII = "stopncii"
    NCMEC = "ncmec"
    THREATEXCHANGE = "threatexchange"
    HMA = "hma"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Source:
    """Where claims are fetched from, and into which bank.

    ``place`` is an address, or a file's path. ``part`` names what is fetched there, if the kind
    has such parts: ThreatExchange's privacy group, HMA's bank. ``confirmed``: the platform stands
    behind this source. ``credentials`` is the path of a file, "" when they are in the environment.
    """

    name: str
    kind: SourceKind
    place: str
    bank: BankName
    part: str = ""
    confirmed: bool = False
    credentials: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise BadSource(why="a name has 2 to 40 of the characters a-z, 0-9 and -")
        if self.kind is SourceKind.THREATEXCHANGE and not self.part.isdecimal():
            raise BadSource(why="ThreatExchange needs the number of a privacy group")
        if self.kind is SourceKind.HMA and not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,99}", self.part):
            raise BadSource(why="an HMA source needs the name of a bank there, in capitals")


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that a source says: these hashes are protected, or, without any, are not.

    ``key`` is the source's own name for it; ``version`` grows when it says something new.
    """

    key: str
    version: int
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if any(len(one) != PDQ_BYTES for one in self.hashes):
            raise ValueError(f"a PDQ hash has {PDQ_BYTES} bytes")

    @property
    def gone(self) -> bool:
        """Whether it is withdrawn."""
        return not self.hashes


@dataclass(frozen=True, slots=True)
class Page:
    """What one request brought. ``checkpoint`` is where the next one goes on, after this page.

    ``refused`` are reasons, one for each record that could not be read.
    """

    records: tuple[Record, ...]
    checkpoint: str
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of a record: no hash in the clear, and ``claim`` None once it is gone."""

    key_sha256: bytes
    generation: int
    version: int
    hashes_sha256: bytes
    claim: ClaimId | None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a source was read. ``whole_at`` is when it last was read to its end, ``begun_at``
    when its generation began.

    While ``anew``, everything is being read, and what is not seen is withdrawn at the end.
    """

    generation: int = 0
    anew: bool = True
    token: str = ""
    begun_at: datetime | None = None
    whole_at: datetime | None = None

    @property
    def at_end(self) -> bool:
        """Whether this generation was read to its end at least once."""
        begun_at, whole_at = self.begun_at, self.whole_at
        return begun_at is not None and whole_at is not None and whole_at >= begun_at


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one fetch did: claims made and withdrawn, records seen, those refused and why.

    ``kept`` counts claims that are no longer at the source, and were not withdrawn because they
    are too many (section 6.5).
    """

    records: int = 0
    made: int = 0
    withdrawn: int = 0
    refused: int = 0
    reasons: tuple[str, ...] = ()
    kept: int = 0


class WrongKey(Unproven):
    """
    This name and key are not a partner's. Ask the platform's operator for them.
    """


class MayNotSubmit(Refused):
    """
    You may fetch here, but not submit hashes, so nothing was stored. The platform's operator can
    allow it.
    """


class BadQuery(Malformed):
    """
    This request is not in the form that docs/spec/exchange.md describes ({why}), so nothing was
    given or changed.
    """


class AheadOfTime(Malformed):
    """
    You ask up to {minutes} minutes into the future. This client sends local time as if it were
    UTC, and would miss deletions for good: set TZ=UTC where it runs, and ask again.
    """


class NotYet(Unreachable):
    """
    You ask about a time that has not come here yet: your clock is a little ahead of ours. Nothing
    was lost; ask again in {seconds} s.
    """


class TooManyRequests(Unreachable):
    """
    That were too many requests. Nothing was lost; ask again in {seconds} s.
    """


class TooLong(Malformed):
    """This is longer than the {limit_bytes} bytes that are read here, so nothing was changed."""


class BadXml(Malformed):
    """This is not XML in the form that we read ({why})."""


class BadPartnerName(Refused):
    """
    A partner's name has 2 to 40 of the characters a-z, 0-9 and -. Nothing was changed.
    """


class PartnerKnown(Refused):
    """
    There is a partner called {name} already. Remove it first, and its key ends:
    entrenous gate exchange partner remove {name}
    """


class NoSuchExchangePartner(NotFound):
    """
    There is no partner called {name}. Those there are: entrenous gate exchange partner list
    """


class SourceKnown(Refused):
    """
    There is a source called {name} already; nothing was changed. Take another name, or
    remove it first: entrenous gate exchange remove {name}
    """


class BadSource(Refused):
    """That source is not possible, so nothing was added: {why}."""


class SourceBrought(Refused):
    """
    {claims} claims that {name} brought are here, so nothing was changed. Say what becomes of them:
    --withdraw ends them, --keep leaves them, and then nothing withdraws them when they are
    withdrawn there.
    """


class NoSuchSource(NotFound):
    """There is no source called {name}. Those there are: entrenous gate exchange list"""


class FetchRuns(Refused):
    """
    Another fetch of {name} has not ended yet, so this one did nothing. It goes on by itself; ask
    again when it is done.
    """


class NoCredentials(Refused):
    """
    There are no credentials for {name}: set {variable}, or name a file that you can read with
    --credentials. Their form is: {form}.
    """


class OddCredentials(Refused):
    """
    The credentials for {name} are not in the form of its kind, so they were not used. One line, in
    this form: {form}
    """


class OpenCredentials(Refused):
    """
    Others can read {path}, so it was not used. Make it yours alone: chmod 600 {path}
    """


class SourceUnreachable(Unreachable):
    """
    The source {name} does not answer ({why}). What was fetched before is kept; try again later.
    """


class SourceRefused(Refused):
    """
    The source {name} refused: status {status}. Check its credentials and address; what was fetched
    before is kept.
    """


class BadPage(Malformed):
    """
    The source {name} answered with something that is not a page in its form ({why}). What was
    fetched before is kept; the next fetch asks again from there.
    """
