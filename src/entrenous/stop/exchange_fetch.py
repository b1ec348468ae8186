"""Fetch a source into its bank, merge each page, and remove a source (docs/spec/exchange.md, 6).

Merging is pure (6.4, 6.5); a schedule says which source is due.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.identifiers import ClaimId
from entrenous.stop.exchange_nouns import (
    Checkpoint,
    Fetched,
    Known,
    Page,
    Record,
    Source,
    SourceBrought,
)
from entrenous.stop.exchange_serving import claim_name, ensure_bank, register_missing
from entrenous.stop.exchange_stores import Exchange, Fetcher
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimState

NOTE: Final = b"generation"
_INCOMPLETE: Final = b"incomplete"


def begun_note(generation: int, live: int) -> Known:
    """A generation begins, when so many records had a claim."""
    return Known(NOTE, generation, live, b"", None)


def incomplete_note(note: Known) -> Known:
    """Some record of this generation could not be read."""
    return replace(note, hashes_sha256=_INCOMPLETE)


def is_incomplete(note: Known) -> bool:
    """Whether some record could not be read."""
    return note.hashes_sha256 == _INCOMPLETE


_PROMISED: Final = b""
Rank = tuple[int, int, bool, bytes]


@dataclass(frozen=True, slots=True)
class Merged:
    """What is to be done: claims to make, with their hashes; claims to withdraw; what to keep."""

    make: Mapping[ClaimId, tuple[bytes, ...]]
    withdraw: tuple[ClaimId, ...]
    known: tuple[Known, ...]


def key_sha256(key: str) -> bytes:
    """What is kept of a record's key, which may be the hash itself: its SHA-256, 32 bytes."""
    return hashlib.sha256(key.encode()).digest()


def merge(
    source: str, generation: int, records: Iterable[Record], known: Mapping[bytes, Known]
) -> Merged:
    """What these records change, given what is known of their keys (by :func:`key_sha256`)."""
    now = dict(known)
    make = dict[ClaimId, tuple[bytes, ...]]()
    withdraw = dict[ClaimId, None]()
    for record in records:
        key = key_sha256(record.key)
        before, after = now.get(key), _known(source, generation, record)
        if before is not None and _rank(after) <= _rank(before):
            continue
        now[key] = after = _kept(before, after)
        _change(before, after, record, make, withdraw)
    return Merged(
        make, tuple(withdraw), tuple(now[key] for key in now if now[key] != known.get(key))
    )


def promised(known: Known) -> Known:
    """What is kept of a record while its claim is being registered. It ranks below the record, so
    that a page that comes again after a kill registers what is missing.
    """
    return replace(known, hashes_sha256=_PROMISED)


def _change(
    before: Known | None,
    after: Known,
    record: Record,
    make: dict[ClaimId, tuple[bytes, ...]],
    withdraw: dict[ClaimId, None],
) -> None:
    old = before.claim if before else None
    if old == after.claim and not (before and before.hashes_sha256 == _PROMISED):
        return
    if old not in (None, after.claim) and make.pop(old, None) is None:
        withdraw[old] = None
    if after.claim is not None:
        make[after.claim] = record.hashes


def _kept(before: Known | None, after: Known) -> Known:
    """The same hashes stay the same claim."""
    same = before is not None and before.hashes_sha256 == after.hashes_sha256
    if before is not None and before.claim is not None and same:
        return replace(after, claim=before.claim)
    return after


def _known(source: str, generation: int, record: Record) -> Known:
    key, hashes = key_sha256(record.key), tuple(sorted(set(record.hashes)))
    of_hashes = hashlib.sha256(b"".join(hashes)).digest()
    said = f"{generation} {record.version}".encode()
    claim = None if record.gone else claim_name(source.encode(), key, said, of_hashes)
    return Known(key, generation, record.version, of_hashes, claim)


def _rank(known: Known) -> Rank:
    return (known.generation, known.version, known.claim is None, known.hashes_sha256)


_REASONS_MAX: Final = 10  # of those that are told; all are counted
_GUARDED: Final = 20  # a list this short may end by itself
_BATCH: Final = 1000


def fetch_source(
    source: Source,
    fetcher: Fetcher,
    exchange: Exchange,
    platform: Platform,
    *,
    accept_shrinking: bool = False,
) -> Fetched:
    """Read on where the last fetch ended; what the source withdrew is withdrawn.

    ``accept_shrinking``: also withdraw when more than half of the source's claims are gone, or
    when records could not be read.

    Raises:
        SourceUnreachable, SourceRefused, BadPage: pages that came before stay; ask again later.
    """
    ensure_bank(source.bank, platform.bank)
    run = _Run(source, exchange, platform)
    before = exchange.sources.checkpoint(source.name)
    at = begin(before, fetcher.stale_after, exchange.clock.now())
    if at.generation != before.generation:
        note = begun_note(at.generation, exchange.sources.live(source.name))
        exchange.sources.keep(source.name, [note], at)
    for page in fetcher.pages(at.token):
        at = run.take(page, at)
    whole = replace(at, whole_at=exchange.clock.now())
    done = not at.anew or run.sweep(at, accept=accept_shrinking)
    exchange.sources.keep(source.name, (), replace(whole, anew=not done))
    return run.told()


def begin(at: Checkpoint, stale_after: timedelta | None, now: datetime) -> Checkpoint:
    """Where a fetch begins: at the checkpoint, or anew in a new generation when it is stale."""
    if at.begun_at is not None and not _stale(at, at.begun_at, stale_after, now):
        return at
    return Checkpoint(at.generation + 1, anew=True, begun_at=now, whole_at=at.whole_at)


def _stale(
    at: Checkpoint, begun_at: datetime, stale_after: timedelta | None, now: datetime
) -> bool:
    """One that broke off goes on for a day at least, also where every fetch reads all."""
    if stale_after is None:
        return False
    if at.at_end and at.whole_at is not None:
        return now - at.whole_at >= stale_after
    return now - begun_at >= max(stale_after, timedelta(days=1))


@dataclass(slots=True)
class _Run:
    """One fetch, and what it did."""

    source: Source
    exchange: Exchange
    platform: Platform
    count: Counter[str] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)

    def take(self, page: Page, at: Checkpoint) -> Checkpoint:
        """Where it goes on. Whatever kill comes in between: a claim that matches has a record, so
        that it can be withdrawn, and the page is read again.
        """
        name, sources = self.source.name, self.exchange.sources
        known = sources.known(name, {key_sha256(record.key) for record in page.records})
        merged = merge(name, at.generation, page.records, known)
        withdrawn = self.platform.bank.withdraw(*merged.withdraw)
        if merged.make:
            sources.keep(
                name, [promised(one) for one in merged.known if one.claim in merged.make], at
            )
        state = ClaimState.CONFIRMED if self.source.confirmed else ClaimState.WAITING
        made = register_missing(merged.make, self.source.bank, state, self.platform)
        at = replace(at, token=page.checkpoint)
        sources.keep(name, [*merged.known, *self._noted(page, at)], at)
        self.count.update(records=len(page.records), made=made, withdrawn=withdrawn)
        self.count["refused"] += len(page.refused)
        self.reasons = [*self.reasons, *page.refused][:_REASONS_MAX]
        return at

    def _noted(self, page: Page, at: Checkpoint) -> list[Known]:
        """Kept with the page: a fetch that goes on later must know of it too."""
        return [incomplete_note(self._note(at))] if page.refused else []

    def _note(self, at: Checkpoint) -> Known:
        name, sources = self.source.name, self.exchange.sources
        return sources.known(name, [NOTE]).get(NOTE) or begun_note(
            at.generation, sources.live(name)
        )

    def sweep(self, at: Checkpoint, *, accept: bool) -> bool:
        """Withdraw what this generation did not bring; False if that is too much to believe, or if
        some of it may be what could not be read.
        """
        name, sources = self.source.name, self.exchange.sources
        unseen, note = sources.unseen(name, at.generation), self._note(at)
        shrunk = note.version >= _GUARDED and 2 * len(unseen) > note.version
        if unseen and (shrunk or is_incomplete(note)) and not accept:
            self.count["kept"] = len(unseen)
            return False
        for batch in (unseen[start : start + _BATCH] for start in range(0, len(unseen), _BATCH)):
            claims = [one.claim for one in batch if one.claim is not None]
            self.count["withdrawn"] += self.platform.bank.withdraw(*claims)
            ended = [replace(one, generation=at.generation, claim=None) for one in batch]
            sources.keep(name, ended, at)
        return True

    def told(self) -> Fetched:
        """The counts."""
        return Fetched(**self.count, reasons=tuple(self.reasons))


_LONGEST: Final = timedelta(hours=6)  # after failures, unless it is asked less often anyway
_ANOTHERS: Final = timedelta(minutes=1)  # until we look again at what another process fetches
_DOUBLED_MAX: Final = 16


@dataclass(slots=True)
class FetchSchedule:
    """Each source ``every`` so often; after failures in a row later, twice as long each time."""

    every: timedelta
    _failures: dict[str, int] = field(default_factory=dict)
    _not_before: dict[str, datetime] = field(default_factory=dict)

    def is_due(self, name: str, at: Checkpoint, now: datetime) -> bool:
        """Whether that source is to be fetched now; ``at`` is how far it was read."""
        if now < self._not_before.get(name, now):
            return False
        # A clock that was set back must not end it, nor one that is a little behind hurry it.
        return at.whole_at is None or abs(now - at.whole_at) >= self.every

    def fetched(self, name: str) -> None:
        """It was read to its end."""
        self._failures.pop(name, None)
        self._not_before.pop(name, None)

    def failed(self, name: str, now: datetime) -> timedelta:
        """How long we wait before we ask that source again."""
        count = self._failures.get(name, 0)
        self._failures[name] = count + 1
        longest = max(self.every, _LONGEST)
        doubled = timedelta(seconds=self.every.total_seconds() * 2.0 ** min(count, _DOUBLED_MAX))
        wait = min(doubled, longest)
        self._not_before[name] = now + wait
        return wait

    def left_to_another(self, name: str, now: datetime) -> None:
        """Another process fetches it just now."""
        self._not_before[name] = now + min(self.every, _ANOTHERS)


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of the claims of a source that is known no more: so many."""

    withdrawn: int = 0
    kept: int = 0


def remove_source_from_bank(
    name: str, exchange: Exchange, platform: Platform, *, withdraw: bool | None
) -> Removed:
    """End a source. Its claims are withdrawn, or kept; None says neither, and will do where there
    are none.

    Raises:
        NoSuchSource, SourceBrought: nothing is changed.
    """
    exchange.sources.source(name)
    newest = exchange.sources.checkpoint(name).generation
    brought = exchange.sources.unseen(name, newest + 1)
    claims = [one.claim for one in brought if one.claim is not None]
    if claims and withdraw is None:
        raise SourceBrought(name=name, claims=f"{len(claims):,}")
    withdrawn = 0
    if withdraw:  # before the source goes: who is killed in between can do it again
        for start in range(0, len(claims), _BATCH):
            withdrawn += platform.bank.withdraw(*claims[start : start + _BATCH])
    exchange.sources.remove(name)
    return Removed(withdrawn, 0 if withdraw else len(claims))
