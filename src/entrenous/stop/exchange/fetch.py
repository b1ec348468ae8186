"""Fetch a source into its bank (docs/spec/exchange.md section 6)."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from entrenous.model.claim import ClaimState
from entrenous.model.exchange import Checkpoint, Fetched, Known, Page, Source
from entrenous.ports import Platform
from entrenous.ports.exchange import Exchange, Fetcher
from entrenous.stop.exchange.brought import ensure_bank, register_missing
from entrenous.stop.exchange.merge import key_sha256, merge, promised
from entrenous.stop.exchange.note import NOTE, begun, incomplete, is_incomplete

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
        note = begun(at.generation, exchange.sources.live(source.name))
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
        return [incomplete(self._note(at))] if page.refused else []

    def _note(self, at: Checkpoint) -> Known:
        name, sources = self.source.name, self.exchange.sources
        return sources.known(name, [NOTE]).get(NOTE) or begun(at.generation, sources.live(name))

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
