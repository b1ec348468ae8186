"""Partners, sources and records of exchanges between platforms, and their errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from entrenous.base.errors import Malformed, NotFound, Refused, Unproven, Unreachable
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import PDQ_BYTES
from entrenous.stop.registration import ClaimState, Stance

if TYPE_CHECKING:
    from entrenous.base.environment import Clock, RandomSource
    from entrenous.stop.exchange_serving import PartnerHashRegistrar, PartnerOpinionRecorder
    from entrenous.stop.store.bank_store import BankStore
    from entrenous.stop.store.exchange_partners import ExchangePartnerStore, SourceStore
    from entrenous.stop.store.exchange_served import ServedClaimStore

PAGE_RECORDS_MAX: Final = 1000  # records per page in both protocols; section 1.3
OWN_MEMBER_NUMBER: Final = 1  # this platform's number among NCMEC's members
EXCHANGE_NAME_PATTERN: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])")


@dataclass(frozen=True, slots=True)
class ExchangePartner:
    """A platform that may fetch the claims of some banks and give opinions on them.

    ``number`` identifies the platform in NCMEC's protocol. ``submits`` says whether it may submit
    hashes, and ``asked_at`` is the time of its last request.
    """

    name: str
    number: int
    banks: tuple[BankName, ...]
    submits: bool = False
    asked_at: datetime | None = None

    def __post_init__(self) -> None:
        if not EXCHANGE_NAME_PATTERN.fullmatch(self.name):
            raise ValueError("a partner's name has 2 to 40 of the characters a-z, 0-9 and -")
        if self.number <= OWN_MEMBER_NUMBER:
            raise ValueError("partners are numbered from 2")

    @property
    def submission_bank(self) -> BankName:
        """Return the name of the bank for hashes that this partner submits."""
        return BankName(f"from-{self.name}")


@dataclass(frozen=True, slots=True)
class ChangeTime:
    """The number of a change, and the time at which that change was the newest one.

    ``at_s`` is in whole seconds since 1970 (docs/spec/exchange.md, section 2.1).
    """

    at_s: int
    number: int


@dataclass(frozen=True, slots=True)
class ServedClaim:
    """The present state of a claim that is served in a protocol that lists hashes instead of claims
    (section 5.2); each hash has 32 bytes.
    """

    claim: ClaimId
    bank: BankName
    state: ClaimState
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PartnerOpinion:
    """A partner's newest opinion on a claim."""

    partner: str
    number: int
    claim: ClaimId
    stance: Stance


class SourceKind(StrEnum):
    """The protocol of a source (section 6)."""

    STOPNCII = "stopncii"
    NCMEC = "ncmec"
    THREATEXCHANGE = "threatexchange"
    HMA = "hma"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Source:
    """A source of claims, and the bank that they are fetched into.

    ``place`` is an address or a file's path. ``part`` names the part to fetch, for kinds that have
    parts: a privacy group of ThreatExchange, a bank of HMA. ``confirmed``: the platform trusts this
    source, so its claims count as confirmed. ``credentials`` is the path of a file, "" if they are
    in the environment.
    """

    name: str
    kind: SourceKind
    place: str
    bank: BankName
    part: str = ""
    confirmed: bool = False
    credentials: str = ""

    def __post_init__(self) -> None:
        if not EXCHANGE_NAME_PATTERN.fullmatch(self.name):
            raise BadSource(why="its name must have 2 to 40 of the characters a-z, 0-9 and -")
        if self.kind is SourceKind.THREATEXCHANGE and not self.part.isdecimal():
            raise BadSource(why="ThreatExchange needs the number of a privacy group")
        if self.kind is SourceKind.HMA and not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,99}", self.part):
            raise BadSource(why="an HMA source needs the name of a bank there, in capitals")


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One record of a source: PDQ hashes of what is to be stopped. A record without hashes was
    withdrawn.

    ``key`` is the source's own id for the record. A record of a higher ``version`` is newer;
    sources without versions have 0.
    """

    key: str
    version: int
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if any(len(one) != PDQ_BYTES for one in self.hashes):
            raise ValueError(f"a PDQ hash has {PDQ_BYTES} bytes")

    @property
    def is_withdrawal(self) -> bool:
        return not self.hashes


@dataclass(frozen=True, slots=True)
class SourcePage:
    """Some records of a source. The next page continues at ``checkpoint``.

    ``refused`` has one reason for each record that could not be read.
    """

    records: tuple[SourceRecord, ...]
    checkpoint: str
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownRecord:
    """The stored state of a record, without its hashes; ``claim`` is None once it is withdrawn."""

    key_sha256: bytes
    generation: int
    version: int
    hashes_sha256: bytes
    claim: ClaimId | None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The position up to which a source was read.

    A generation begins with a complete reading of the source; later fetches continue it.
    ``begun_at`` is the time at which this generation began, ``whole_at`` the time at which the
    source was last read to its end. ``anew`` is True until the complete reading has ended and the
    claims that it did not contain have been withdrawn.
    """

    generation: int = 0
    anew: bool = True
    token: str = ""
    begun_at: datetime | None = None
    whole_at: datetime | None = None

    @property
    def was_read_to_end(self) -> bool:
        """Return whether the source was read to its end since this generation began."""
        begun_at, whole_at = self.begun_at, self.whole_at
        return begun_at is not None and whole_at is not None and whole_at >= begun_at


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The result of a fetch: records seen, claims made and withdrawn, records refused and why.

    ``kept`` counts claims that the source no longer has and that were not withdrawn, because they
    are too many, or because records could not be read (section 6.5).
    """

    records: int = 0
    made: int = 0
    withdrawn: int = 0
    refused: int = 0
    reasons: tuple[str, ...] = ()
    kept: int = 0


class WrongKey(Unproven):
    """
    No partner has this name and key. Nothing was changed. Ask the platform's operator for your name
    and key.
    """


class MayNotSubmit(Refused):
    """
    You may fetch hashes here but not submit them, so nothing was stored. Ask the platform's
    operator to let you submit them.
    """


class BadQuery(Malformed):
    """
    This request was not accepted: {why}. Nothing was returned or changed. Correct the request if
    necessary, and send it again; docs/spec/exchange.md describes its form.
    """


class TimeTooFarAhead(Malformed):
    """
    Your request asks for a time {minutes} minutes in the future. Your client probably sends local
    time as if it were UTC, which would make it miss deletions permanently. Nothing was changed. Set
    TZ=UTC on the client's machine, and ask again.
    """


class TimeNotReached(Unreachable):
    """
    The time that you asked for is still in the future by the clock of this gate: your clock is
    slightly ahead. Nothing was lost. Ask again in {seconds} s.
    """


class TooManyRequests(Unreachable):
    """
    You sent too many requests, so this one was not processed. Nothing was changed. Send it again in
    {seconds} s.
    """


class TooLong(Malformed):
    """
    This request is longer than the limit of {limit_bytes} bytes. Nothing was changed. Send less at
    a time.
    """


class BadXml(Malformed):
    """
    This is not XML in the expected form: {why}. Nothing was changed. Correct the request and send
    it again.
    """


class BadPartnerName(Refused):
    """
    A partner's name has 2 to 40 characters: a-z, 0-9 and -. Nothing was changed. Choose another
    name.
    """


class PartnerKnown(Refused):
    """
    There is already a partner called {name}. Nothing was changed. To replace the partner's key,
    first remove the partner, which also makes the old key invalid: entrenous gate exchange partner
    remove {name}
    """


class ReleasedBankNotShared(Refused):
    """
    The bank {bank} cannot be shared, so the partner was not added. It contains uploads that a
    reviewer here allowed, and partners would take them for uploads to refuse. Name other banks.
    """


class NoSuchExchangePartner(NotFound):
    """
    There is no partner called {name}. Nothing was changed. To list the partners: entrenous gate
    exchange partner list
    """


class SourceKnown(Refused):
    """
    There is already a source called {name}. Nothing was changed. Choose another name, or remove the
    existing source first: entrenous gate exchange remove {name}
    """


class BadSource(Refused):
    """This source cannot be added: {why}. Nothing was changed. Correct it, then add it again."""


class SourceHasClaims(Refused):
    """
    Registrations from {name} are stored here ({claims}), so the source was not removed. Nothing was
    changed. Run the command again with one of these options: --withdraw withdraws the
    registrations; --keep leaves them here, even if {name} withdraws them later.
    """


class NoSuchSource(NotFound):
    """
    There is no source called {name}. Nothing was changed. To list the sources: entrenous gate
    exchange list
    """


class FetchAlreadyRunning(Refused):
    """
    Another fetch from {name} is still running, so this one did nothing. Try again when the other
    one has finished.
    """


class NoCredentials(Refused):
    """
    There are no credentials for {name}, so nothing was fetched. Set the environment variable
    {variable}, or name a file that this account can read: --credentials FILE. The credentials have
    this form: {form}.
    """


class MalformedCredentials(Refused):
    """
    The credentials for {name} are not in the right form. They were not used, and nothing was
    fetched. Provide one line in this form: {form}
    """


class CredentialsReadableByOthers(Refused):
    """
    Other accounts can read {path}, so it was not used. Nothing was fetched. Make the file private:
    chmod 600 {path}
    """


class SourceUnreachable(Unreachable):
    """
    The source {name} could not be read: {why}. What was fetched earlier is still here. Try again
    later. If the source is a file, check that this account can read it.
    """


class SourceRefused(Refused):
    """
    The source {name} refused the request with status {status}. What was fetched earlier is still
    here. Check the source's credentials and address.
    """


class BadPage(Malformed):
    """
    The source {name} sent a page that is not in the expected form ({why}). Earlier pages are
    stored, and the next fetch continues after them. If this happens again, tell those who run the
    source.
    """


class Fetcher(Protocol):
    """A client that reads one source; there is one class for each of five protocols
    (docs/spec/exchange.md, section 6).
    """

    @property
    def stale_after(self) -> timedelta | None:
        """The age at which the checkpoint of a complete fetch becomes stale.

        None means that it never becomes stale, and zero that every fetch reads everything.
        """

    def pages(self, token: str) -> Iterator[SourcePage]:
        """Yield pages from that checkpoint ("" is the beginning) to the end.

        Raises SourceUnreachable, SourceRefused, BadPage.
        """


@dataclass(frozen=True, slots=True)
class ExchangeServices:
    """Everything that exchanges use. ``name`` is this platform's name, as partners see it."""

    name: str
    clock: Clock
    random_source: RandomSource
    feed: BankStore
    partners: ExchangePartnerStore
    served: ServedClaimStore
    sources: SourceStore
    opinions: PartnerOpinionRecorder
    submissions: PartnerHashRegistrar
