"""Fetch a source into its bank, merge each page, and remove a source (docs/spec/exchange.md, 6).

Merging is a pure function (6.4, 6.5). A schedule determines which source is due.
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
    ExchangeServices,
    Fetcher,
    FetchResult,
    KnownRecord,
    Source,
    SourceHasClaims,
    SourcePage,
    SourceRecord,
)
from entrenous.stop.exchange_serving import (
    create_bank_if_missing,
    derive_claim_id,
    register_missing_claims,
)
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimState

GENERATION_RECORD_KEY: Final = b"generation"
_INCOMPLETE_HASHES_SHA256: Final = b"incomplete"


def _make_generation_record(generation: int, live: int) -> KnownRecord:
    """Return the pseudo-record that marks a new generation (one complete reading of the source).

    ``live``, which is stored as its version, is the number of records that had a claim when the
    generation began.

    The pseudo-record's ``hashes_sha256`` becomes ``_INCOMPLETE_HASHES_SHA256`` when a record of the
    generation is unreadable.
    """
    return KnownRecord(GENERATION_RECORD_KEY, generation, live, b"", None)


_PENDING_HASHES_SHA256: Final = b""
RecordRank = tuple[int, int, bool, bytes]


@dataclass(frozen=True, slots=True)
class MergeResult:
    """The result of a merge: the claims to make (with their hashes), the claims to withdraw, and
    the record states to store.
    """

    to_make: Mapping[ClaimId, tuple[bytes, ...]]
    to_withdraw: tuple[ClaimId, ...]
    known: tuple[KnownRecord, ...]


def record_key_sha256(key: str) -> bytes:
    """Return the SHA-256 (32 bytes) of a record's key, which may be a protected hash itself."""
    return hashlib.sha256(key.encode()).digest()


def merge_records(
    source: str,
    generation: int,
    records: Iterable[SourceRecord],
    known: Mapping[bytes, KnownRecord],
) -> MergeResult:
    """Compute what these records change; ``known`` is indexed by :func:`record_key_sha256`."""
    now = dict(known)
    make = dict[ClaimId, tuple[bytes, ...]]()
    withdraw = dict[ClaimId, None]()
    for record in records:
        key = record_key_sha256(record.key)
        before, after = now.get(key), _make_known_record(source, generation, record)
        if before is not None and _record_rank(after) <= _record_rank(before):
            continue
        now[key] = after = _keep_claim_if_unchanged(before, after)
        _merge_record(before, after, record, make, withdraw)
    return MergeResult(
        make, tuple(withdraw), tuple(now[key] for key in now if now[key] != known.get(key))
    )


def pending_record(known: KnownRecord) -> KnownRecord:
    """Return the state to store while the record's claim is being registered.

    This state ranks below that of ``known``. So when the page is fetched again after a crash, the
    record is merged again, and missing claims are registered.
    """
    return replace(known, hashes_sha256=_PENDING_HASHES_SHA256)


def _merge_record(
    before: KnownRecord | None,
    after: KnownRecord,
    record: SourceRecord,
    make: dict[ClaimId, tuple[bytes, ...]],
    withdraw: dict[ClaimId, None],
) -> None:
    old = before.claim if before else None
    if old == after.claim and not (before and before.hashes_sha256 == _PENDING_HASHES_SHA256):
        return
    if old not in (None, after.claim) and make.pop(old, None) is None:
        withdraw[old] = None
    if after.claim is not None:
        make[after.claim] = record.hashes


def _keep_claim_if_unchanged(before: KnownRecord | None, after: KnownRecord) -> KnownRecord:
    """Return ``after``, with the claim of ``before`` if the record's hashes have not changed."""
    if before is None or before.claim is None or before.hashes_sha256 != after.hashes_sha256:
        return after
    return replace(after, claim=before.claim)


def _make_known_record(source: str, generation: int, record: SourceRecord) -> KnownRecord:
    key, hashes = record_key_sha256(record.key), tuple(sorted(set(record.hashes)))
    hashes_sha256 = hashlib.sha256(b"".join(hashes)).digest()
    version = f"{generation} {record.version}".encode()
    claim = (
        None
        if record.is_withdrawal
        else derive_claim_id(source.encode(), key, version, hashes_sha256)
    )
    return KnownRecord(key, generation, record.version, hashes_sha256, claim)


def _record_rank(known: KnownRecord) -> RecordRank:
    return (known.generation, known.version, known.claim is None, known.hashes_sha256)


_REPORTED_REASONS_MAX: Final = (
    10  # the most reasons that are reported; all refused records are counted
)
# a source with fewer claims than this may lose any number of them
_SHRINKING_CHECK_CLAIMS_MIN: Final = 20
_CLAIMS_PER_TRANSACTION: Final = 1000


def fetch_source(
    source: Source,
    fetcher: Fetcher,
    exchange: ExchangeServices,
    platform: Platform,
    *,
    accept_shrinking: bool = False,
) -> FetchResult:
    """Continue where the last fetch ended, and withdraw what the source withdrew.

    ``accept_shrinking``: claims are withdrawn even if more than half of the source's claims are
    gone, or if records could not be read.

    Raises:
        SourceUnreachable, SourceRefused, BadPage: earlier pages are kept; try again later.
    """
    create_bank_if_missing(source.bank, platform.bank)
    run = _FetchInProgress(source, exchange, platform)
    before = exchange.sources.checkpoint(source.name)
    checkpoint = checkpoint_to_fetch_from(before, fetcher.stale_after, exchange.clock.now())
    if checkpoint.generation != before.generation:
        note = _make_generation_record(
            checkpoint.generation, exchange.sources.count_records_with_claim(source.name)
        )
        exchange.sources.store_page(source.name, [note], checkpoint)
    for page in fetcher.pages(checkpoint.token):
        checkpoint = run.store_page(page, checkpoint)
    whole = replace(checkpoint, whole_at=exchange.clock.now())
    done = not checkpoint.anew or run.withdraw_missing_if_plausible(
        checkpoint, accept=accept_shrinking
    )
    exchange.sources.store_page(source.name, (), replace(whole, anew=not done))
    return FetchResult(**run.count, reasons=tuple(run.reasons))


def checkpoint_to_fetch_from(
    checkpoint: Checkpoint, stale_after: timedelta | None, now: datetime
) -> Checkpoint:
    """Return the checkpoint to fetch from.

    If ``checkpoint`` is stale, or the source was never read, this is the start of a new generation.
    """
    if checkpoint.begun_at is not None and not _is_stale(
        checkpoint, checkpoint.begun_at, stale_after, now
    ):
        return checkpoint
    whole_at = checkpoint.whole_at
    if whole_at is not None and whole_at > now:  # it would count as the end of this generation
        whole_at = None
    return Checkpoint(checkpoint.generation + 1, anew=True, begun_at=now, whole_at=whole_at)


def _is_stale(
    checkpoint: Checkpoint, begun_at: datetime, stale_after: timedelta | None, now: datetime
) -> bool:
    """Return whether the checkpoint is stale.

    The checkpoint of an interrupted fetch can be used for at least a day after the generation
    began. A time in the future, from a clock that was ahead, is as stale as one in the past.
    """
    if stale_after is None:
        return False
    if checkpoint.was_read_to_end and checkpoint.whole_at is not None:
        return abs(now - checkpoint.whole_at) >= stale_after
    return abs(now - begun_at) >= max(stale_after, timedelta(days=1))


@dataclass(slots=True)
class _FetchInProgress:
    """A fetch in progress, with its counts."""

    source: Source
    exchange: ExchangeServices
    platform: Platform
    count: Counter[str] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)

    def store_page(self, page: SourcePage, checkpoint: Checkpoint) -> Checkpoint:
        """Store a page and return the checkpoint after it.

        After a crash at any point, each claim that can match an upload has a record by which it can
        be withdrawn, and the page is fetched again.
        """
        name, sources = self.source.name, self.exchange.sources
        known = sources.known_records(
            name, {record_key_sha256(record.key) for record in page.records}
        )
        merged = merge_records(name, checkpoint.generation, page.records, known)
        withdrawn = self.platform.bank.withdraw(*merged.to_withdraw)
        if merged.to_make:
            sources.store_page(
                name,
                [pending_record(one) for one in merged.known if one.claim in merged.to_make],
                checkpoint,
            )
        state = ClaimState.CONFIRMED if self.source.confirmed else ClaimState.WAITING
        made = register_missing_claims(merged.to_make, self.source.bank, state, self.platform)
        checkpoint = replace(checkpoint, token=page.checkpoint)
        # The pseudo-record is stored with the page, so that a fetch that continues later knows that
        # records were unreadable.
        incomplete = (
            replace(
                self._load_generation_record(checkpoint), hashes_sha256=_INCOMPLETE_HASHES_SHA256
            )
            if page.refused
            else None
        )
        sources.store_page(name, [*merged.known, *([incomplete] if incomplete else ())], checkpoint)
        self.count.update(records=len(page.records), made=made, withdrawn=withdrawn)
        self.count["refused"] += len(page.refused)
        self.reasons = [*self.reasons, *page.refused][:_REPORTED_REASONS_MAX]
        return checkpoint

    def _load_generation_record(self, checkpoint: Checkpoint) -> KnownRecord:
        name, sources = self.source.name, self.exchange.sources
        stored = sources.known_records(name, [GENERATION_RECORD_KEY]).get(GENERATION_RECORD_KEY)
        return stored or _make_generation_record(
            checkpoint.generation, sources.count_records_with_claim(name)
        )

    def withdraw_missing_if_plausible(self, checkpoint: Checkpoint, *, accept: bool) -> bool:
        """Withdraw the claims that this generation did not contain.

        Return False, and withdraw none, if they are implausibly many, or if unreadable records may
        be among them.
        """
        name, sources = self.source.name, self.exchange.sources
        unseen, note = (
            sources.unseen_records_with_claim(name, checkpoint.generation),
            self._load_generation_record(checkpoint),
        )
        shrunk = note.version >= _SHRINKING_CHECK_CLAIMS_MIN and 2 * len(unseen) > note.version
        incomplete = note.hashes_sha256 == _INCOMPLETE_HASHES_SHA256
        if unseen and (shrunk or incomplete) and not accept:
            self.count["kept"] = len(unseen)
            return False
        for batch in (
            unseen[start : start + _CLAIMS_PER_TRANSACTION]
            for start in range(0, len(unseen), _CLAIMS_PER_TRANSACTION)
        ):
            claims = [one.claim for one in batch if one.claim is not None]
            self.count["withdrawn"] += self.platform.bank.withdraw(*claims)
            ended = [replace(one, generation=checkpoint.generation, claim=None) for one in batch]
            sources.store_page(name, ended, checkpoint)
        return True


# The longest pause after failures. If the usual interval is longer, the pause is that interval.
_BACKOFF_MAX: Final = timedelta(hours=6)
# The longest pause before another attempt at a source that another process is fetching.
_RECHECK_AFTER: Final = timedelta(minutes=1)
_BACKOFF_DOUBLINGS_MAX: Final = 16


@dataclass(slots=True)
class FetchSchedule:
    """Determines when each source is due: at the interval ``every``, and later after failures.

    The pause after a first failure is ``every``. Each further failure in a row doubles the pause,
    up to six hours.
    """

    every: timedelta
    _failures: dict[str, int] = field(default_factory=dict)
    _pauses: dict[str, tuple[datetime, timedelta]] = field(default_factory=dict)

    def is_due(self, name: str, checkpoint: Checkpoint, now: datetime) -> bool:
        """Return whether that source, which was read up to ``checkpoint``, is due now."""
        # With abs(), a clock that was set back far does not stop fetching, and one that is slightly
        # behind does not hasten it.
        begun_at, pause = self._pauses.get(name, (now, timedelta(0)))
        if abs(now - begun_at) < pause:
            return False
        return checkpoint.whole_at is None or abs(now - checkpoint.whole_at) >= self.every

    def record_success(self, name: str) -> None:
        """Record that a source was read to its end."""
        self._failures.pop(name, None)
        self._pauses.pop(name, None)

    def record_failure(self, name: str, now: datetime) -> timedelta:
        """Record a failure and return how long to wait before the next attempt."""
        count = self._failures.get(name, 0)
        self._failures[name] = count + 1
        doubled = timedelta(
            seconds=self.every.total_seconds() * 2.0 ** min(count, _BACKOFF_DOUBLINGS_MAX)
        )
        wait = min(doubled, max(self.every, _BACKOFF_MAX))
        self._pauses[name] = (now, wait)
        return wait

    def record_running_elsewhere(self, name: str, now: datetime) -> None:
        """Record that another process is fetching this source."""
        self._pauses[name] = (now, min(self.every, _RECHECK_AFTER))


@dataclass(frozen=True, slots=True)
class SourceRemovalResult:
    """The number of claims of a removed source that were withdrawn, and of those that were kept."""

    withdrawn: int = 0
    kept: int = 0


def remove_source_from_bank(
    name: str, exchange: ExchangeServices, platform: Platform, *, withdraw: bool | None
) -> SourceRemovalResult:
    """Remove a source, and withdraw or keep its claims.

    ``withdraw`` may be None only if the source has no claims.

    Raises:
        NoSuchSource, SourceHasClaims: nothing is changed.
    """
    exchange.sources.source(name)
    newest = exchange.sources.checkpoint(name).generation
    records = exchange.sources.unseen_records_with_claim(name, newest + 1)
    claims = [one.claim for one in records if one.claim is not None]
    if claims and withdraw is None:
        raise SourceHasClaims(name=name, claims=f"{len(claims):,}")
    withdrawn = 0
    # Withdraw before removing the source, so that the command can be repeated after a crash.
    if withdraw:
        for start in range(0, len(claims), _CLAIMS_PER_TRANSACTION):
            withdrawn += platform.bank.withdraw(*claims[start : start + _CLAIMS_PER_TRANSACTION])
    exchange.sources.remove(name)
    return SourceRemovalResult(withdrawn, 0 if withdraw else len(claims))
