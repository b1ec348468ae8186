"""The stores of an exchange as its rules see them, and all that an exchange may touch."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from entrenous.base.environment import Clock, Dice
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.exchange_nouns import (
    Checkpoint,
    ExchangePartner,
    Known,
    Mark,
    Page,
    Said,
    Served,
    Source,
)
from entrenous.stop.registration import Change, Stance
from entrenous.stop.stores import BankStore


class Feed(Protocol):
    """What happened to claims, in order. A bank store is one."""

    def changes(self, after: int, limit: int) -> tuple[Change, ...]:
        """Changes with a higher number, in order. Numbers become visible in their order.

        A claim may stand only at its newest number; a withdrawn one has no hashes.
        """
        ...


class Opinions(Protocol):
    """Where partners' opinions go."""

    def give(self, partner: ExchangePartner, said: Mapping[ClaimId, Stance]) -> None:
        """Count them, all in one transaction; raises NoSuchClaim, and counts none, when no bank of
        that partner has one of the claims.
        """
        ...


class Submissions(Protocol):
    """Where hashes go that partners bring."""

    def submit(self, partner: ExchangePartner, hashes: Collection[bytes]) -> None:
        """Make waiting claims of them in the partner's own bank, once for each hash."""
        ...


class PartnerStore(Protocol):
    """Partners, the hashes of their keys, and what they said. Durable when it returns."""

    def add(self, name: str, banks: Collection[BankName], *, submits: bool, key: bytes) -> None:
        """Know a partner; ``key`` is its key's SHA-256. Raises PartnerKnown, BadPartnerName."""
        ...

    def remove(self, name: str) -> None:
        """Know it no more, and forget what it was served; raises NoSuchExchangePartner."""
        ...

    def partners(self) -> tuple[ExchangePartner, ...]:
        """All, by name."""
        ...

    def with_key(self, key: bytes) -> ExchangePartner | None:
        """The partner whose key has this SHA-256."""
        ...

    def asked(self, name: str, at: datetime) -> None:
        """It asked just now."""
        ...

    def say(
        self,
        partner: ExchangePartner,
        said: Mapping[ClaimId, Stance],
        at: datetime,
        also: Callable[[tuple[Said, ...], tuple[Said, ...], BankStore], None] | None = None,
    ) -> None:
        """Keep its opinions of claims, each in the place of the one before; all or none.

        What they mean for the claims is ``also``'s part, which is given what was kept of these
        claims before, what is kept now, and the bank, and is done in the same transaction: both or
        neither. Raises what ``also`` raises.
        """
        ...

    def said(self, claims: Collection[ClaimId]) -> tuple[Said, ...]:
        """All opinions of these claims, in the order of partners' numbers."""
        ...


class ServedStore(Protocol):
    """Marks, and what was served by hash to whom (sections 2.1 and 5.2). Durable on return."""

    def newest_mark(self) -> Mark | None:
        """The last one that was made."""
        ...

    def number_before(self, at_s: int) -> int:
        """The number of the last mark before that second; 0 when there is none."""
        ...

    def marks_over(self, after: int, upto: int) -> tuple[Mark, ...]:
        """Those that tell when changes above ``after``, up to ``upto``, were first seen; in order.
        Seconds and numbers grow strictly.
        """
        ...

    def add_mark(self, mark: Mark, drop_before_s: int) -> None:
        """One more, dated where time was settled at the earliest; of those before
        ``drop_before_s`` only the newest stays. A mark that does not grow is passed over: another
        process was quicker.
        """
        ...

    def settle(self, before_s: int) -> None:
        """From now on no mark is dated before that second, whoever's clock is behind: a partner is
        about to be told all before it.
        """
        ...

    def remember(self, partner: ExchangePartner, changes: Iterable[Change], seen: int) -> None:
        """These, which have hashes, are about to be served to that partner. They were read when
        all up to number ``seen`` was known: what ended them since is followed from there.
        """
        ...

    def told_of(
        self, partner: ExchangePartner, claims: Collection[ClaimId]
    ) -> Mapping[ClaimId, Served]:
        """Those of the claims that were served to this partner, and are remembered."""
        ...

    def on_hashes(
        self, banks: Collection[BankName], hashes: Collection[bytes]
    ) -> tuple[tuple[bytes, Served], ...]:
        """Claims of these banks, served to anybody, on these hashes."""
        ...

    def follow(self, feed: Feed, upto: int) -> None:
        """Learn how served claims stand now, up to that change; tombstones that nobody is waiting
        for are deleted and overwritten.
        """
        ...

    def has_read(self, partner: ExchangePartner, upto: int) -> None:
        """That partner knows all changes up to this number: it is struck off older tombstones."""
        ...

    def forget_tombstones(self, before: datetime) -> int:
        """Forget what was withdrawn before then, told or not; how many claims."""
        ...


class SourceStore(Protocol):
    """Sources, how far they were read, and what is known of their records. Durable on return."""

    def add(self, source: Source) -> None:
        """Know a source; raises SourceKnown."""
        ...

    def remove(self, name: str) -> None:
        """Forget it, how far it was read, and its records; claims stay. Raises NoSuchSource."""
        ...

    def sources(self) -> tuple[Source, ...]:
        """All, by name."""
        ...

    def source(self, name: str) -> Source:
        """By name; raises NoSuchSource."""
        ...

    def checkpoint(self, name: str) -> Checkpoint:
        """How far it was read; a fresh one if it never was."""
        ...

    def known(self, name: str, keys: Collection[bytes]) -> Mapping[bytes, Known]:
        """What is known of records, by the SHA-256 of their keys."""
        ...

    def keep(self, name: str, known: Collection[Known], checkpoint: Checkpoint) -> None:
        """A page and where it ends, both or neither."""
        ...

    def unseen(self, name: str, generation: int) -> tuple[Known, ...]:
        """Records with a claim that were not seen in this generation."""
        ...

    def live(self, name: str) -> int:
        """How many of its records have a claim."""
        ...


class Fetcher(Protocol):
    """One source, as it speaks (section 6).

    ``stale_after``: None when a checkpoint never goes stale; zero when every fetch reads all.
    """

    @property
    def stale_after(self) -> timedelta | None:
        """How old a whole fetch may be for its checkpoint to hold."""
        ...

    def pages(self, token: str) -> Iterator[Page]:
        """Pages from that checkpoint on ("" is the beginning), to the end.

        Raises SourceUnreachable, SourceRefused, BadPage.
        """
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """All that exchanges may touch. ``name`` is what partners see us as."""

    name: str
    clock: Clock
    dice: Dice
    feed: Feed
    partners: PartnerStore
    served: ServedStore
    sources: SourceStore
    opinions: Opinions
    submissions: Submissions
