"""The stores of an exchange as its rules see them, and everything that an exchange uses."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from entrenous.base.environment import Clock, RandomSource
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.exchange_nouns import (
    Checkpoint,
    ExchangePartner,
    KnownRecord,
    Mark,
    PartnerOpinion,
    ServedClaim,
    Source,
    SourcePage,
)
from entrenous.stop.registration import Change, Stance
from entrenous.stop.stores import BankStore


class Feed(Protocol):
    """Changes of claims, in order. A bank store is one."""

    def changes(self, after: int, limit: int) -> tuple[Change, ...]:
        """Return changes with a higher number, in order. Numbers become visible in their order.

        A claim may appear only at its newest number; a withdrawn one has no hashes.
        """


class Opinions(Protocol):
    """Counts partners' opinions."""

    def give(self, partner: ExchangePartner, said: Mapping[ClaimId, Stance]) -> None:
        """Count these opinions in one transaction.

        Raises NoSuchClaim, and counts none, when a claim is in no bank of that partner.
        """


class Submissions(Protocol):
    """Accepts hashes that partners submit."""

    def submit(self, partner: ExchangePartner, hashes: Collection[bytes]) -> None:
        """Make one waiting claim for each hash in the partner's own bank."""


class PartnerStore(Protocol):
    """Partners, the hashes of their keys, and their opinions. Changes are durable on return."""

    def add(self, name: str, banks: Collection[BankName], *, submits: bool, key: bytes) -> None:
        """Add a partner; ``key`` is its key's SHA-256. Raises PartnerKnown, BadPartnerName."""

    def remove(self, name: str) -> None:
        """Remove a partner and the record of what it was served; raises NoSuchExchangePartner."""

    def partners(self) -> tuple[ExchangePartner, ...]:
        """Return all partners, by name."""

    def with_key(self, key: bytes) -> ExchangePartner | None:
        """Return the partner whose key has this SHA-256."""

    def asked(self, name: str, at: datetime) -> None:
        """Record when this partner last sent a request."""

    def say(
        self,
        partner: ExchangePartner,
        said: Mapping[ClaimId, Stance],
        at: datetime,
        also: Callable[[tuple[PartnerOpinion, ...], tuple[PartnerOpinion, ...], BankStore], None]
        | None = None,
    ) -> None:
        """Store a partner's opinions of claims, each replacing its previous one; all or none.

        ``also`` applies their consequences in the same transaction: both take effect or neither.
        It gets the opinions of these claims before and after, and the bank.
        Raises what ``also`` raises.
        """

    def said(self, claims: Collection[ClaimId]) -> tuple[PartnerOpinion, ...]:
        """Return all opinions of these claims, in the order of partners' numbers."""


class ServedStore(Protocol):
    """Marks, and the claims that were served by hash to each partner (sections 2.1 and 5.2).

    Changes are durable on return.
    """

    def newest_mark(self) -> Mark | None:
        """Return the newest mark."""

    def number_before(self, at_s: int) -> int:
        """Return the number of the last mark before that second; 0 when there is none."""

    def marks_over(self, after: int, upto: int) -> tuple[Mark, ...]:
        """Return, in order, the marks that date the changes above ``after``, up to ``upto``.

        Their seconds and numbers are strictly increasing.
        """

    def add_mark(self, mark: Mark, drop_before_s: int) -> None:
        """Add a mark, dated no earlier than the settled time.

        Of marks before ``drop_before_s`` only the newest is kept. A mark that is not above the
        newest is ignored: another process was quicker.
        """

    def settle(self, before_s: int) -> None:
        """From now on date no mark before that second, even by a clock that is behind.

        Call it before answering a partner for the time up to that second.
        """

    def remember(self, partner: ExchangePartner, changes: Iterable[Change], seen: int) -> None:
        """Record these changes, which have hashes, before they are served to that partner.

        ``seen`` is the number of the newest change known when they were read; later changes are
        followed from there.
        """

    def told_of(
        self, partner: ExchangePartner, claims: Collection[ClaimId]
    ) -> Mapping[ClaimId, ServedClaim]:
        """Return those of the claims that are recorded as served to this partner."""

    def on_hashes(
        self, banks: Collection[BankName], hashes: Collection[bytes]
    ) -> tuple[tuple[bytes, ServedClaim], ...]:
        """Return claims of these banks on these hashes that were served to any partner."""

    def follow(self, feed: Feed, upto: int) -> None:
        """Update served claims to their state at that change.

        Tombstones that no partner still has to read are deleted and overwritten.
        """

    def has_read(self, partner: ExchangePartner, upto: int) -> None:
        """Record that a partner has read all changes up to this number.

        Tombstones up to there need not be kept for it.
        """

    def forget_tombstones(self, before: datetime) -> int:
        """Delete claims withdrawn before then, read by partners or not; return how many."""


class SourceStore(Protocol):
    """Sources, their checkpoints, and the states of their records. Durable on return."""

    def add(self, source: Source) -> None:
        """Add a source; raises SourceKnown."""

    def remove(self, name: str) -> None:
        """Delete a source, its checkpoint and its records; keep claims. Raises NoSuchSource."""

    def sources(self) -> tuple[Source, ...]:
        """Return all sources, by name."""

    def source(self, name: str) -> Source:
        """Return the source of that name; raises NoSuchSource."""

    def checkpoint(self, name: str) -> Checkpoint:
        """Return the source's checkpoint; a fresh one if it was never read."""

    def known(self, name: str, keys: Collection[bytes]) -> Mapping[bytes, KnownRecord]:
        """Return the stored states of records, by the SHA-256 of their keys."""

    def keep(self, name: str, known: Collection[KnownRecord], checkpoint: Checkpoint) -> None:
        """Store a page's records and the checkpoint after it, both or neither."""

    def unseen(self, name: str, generation: int) -> tuple[KnownRecord, ...]:
        """Return records with a claim that were not seen in this generation."""

    def live(self, name: str) -> int:
        """Count the source's records that have a claim."""


class Fetcher(Protocol):
    """A client of one source, in its protocol (section 6)."""

    @property
    def stale_after(self) -> timedelta | None:
        """The age at which the checkpoint of a complete fetch becomes stale.

        None: never. Zero: every fetch reads everything.
        """

    def pages(self, token: str) -> Iterator[SourcePage]:
        """Yield pages from that checkpoint ("" is the beginning) to the end.

        Raises SourceUnreachable, SourceRefused, BadPage.
        """


@dataclass(frozen=True, slots=True)
class Exchange:
    """Everything that exchanges use. ``name`` is this platform's name, as partners see it."""

    name: str
    clock: Clock
    dice: RandomSource
    feed: Feed
    partners: PartnerStore
    served: ServedStore
    sources: SourceStore
    opinions: Opinions
    submissions: Submissions
