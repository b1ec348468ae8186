"""Deferred scans and look-backs that are due, on SQLite or PostgreSQL.

Each row has the end of its lease: the time until which one process works on it alone.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from entrenous.base.environment import Clock, SystemClock
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.serving.host_checks import ClockMark
from entrenous.stop.registration import MATCHING_STATES
from entrenous.stop.store.engine import (
    concurrent_write,
    exclusive_write,
    single_read,
    snapshot_read,
)
from entrenous.stop.store.registrations import statement_batches
from entrenous.stop.store.schema import (
    CLAIM_TABLE,
    CLOCK_TABLE,
    IS_WAITING,
    UPLOAD_TABLE,
    read_optional_time,
    read_time,
    stored_time,
)
from entrenous.stop.store.upload_encryption import UploadCipher
from entrenous.stop.upload_record import DueCounts, FoundBy, UploadForDeferredScan, UploadKeyMissing

DEFERRED_SCANS_TOTAL_BYTES_MAX: Final = (
    256 * 1024 * 1024
)  # bytes of all uploads stored for deferred scans together
SCAN_ATTEMPTS_MAX: Final = (
    3  # an upload whose scan was started this many times and never ended is skipped
)
_CLAIMS_PER_TRANSACTION: Final = 10_000  # claims per transaction
ONE_DAY: Final = timedelta(days=1)
_SCAN_DUE: Final = UPLOAD_TABLE.c.slow_look == "due"
_SCAN_HAS_BYTES: Final = UPLOAD_TABLE.c.slow_look == "kept"
_SCAN_SKIPPED: Final = UPLOAD_TABLE.c.slow_look == "skipped"
# Without a hash there are no look-backs, so the reference was needed only for the deferred scan,
# and is cleared after it.
_REFERENCE_AFTER_SCAN: Final = sa.case(
    (UPLOAD_TABLE.c.bits.is_(None), ""), else_=UPLOAD_TABLE.c.reference
)
# The reviewer needs the bytes of a published upload that waits; of a flood, only the bytes of its
# lead (the upload that represents it).
_REVIEWER_NEEDS_BYTES: Final = sa.and_(
    IS_WAITING, UPLOAD_TABLE.c.found == FoundBy.PUBLISHED, UPLOAD_TABLE.c.lead.is_(None)
)
_COLUMNS_AFTER_SCAN: Final[dict[str, Any]] = {
    "slow_look": None,
    "untrusted_upload": sa.case((_REVIEWER_NEEDS_BYTES, UPLOAD_TABLE.c.untrusted_upload)),
    "reference": _REFERENCE_AFTER_SCAN,
}
_COLUMNS_AFTER_SKIPPING: Final = _COLUMNS_AFTER_SCAN | {"slow_look": "skipped"}


@dataclass(frozen=True, slots=True)
class DueWorkStore:
    """Stores due deferred scans and look-backs in the tables of ``engine``.

    In PostgreSQL, taking a row skips those locked by other transactions, so that processes do not
    wait for each other. Bytes are stored only if ``has_disk_space()``.
    """

    engine: sa.Engine
    clock: Clock = field(default_factory=SystemClock)
    deferred_scans_bytes_max: int = DEFERRED_SCANS_TOTAL_BYTES_MAX
    cipher: UploadCipher = field(default_factory=UploadCipher)
    has_disk_space: Callable[[], bool] = lambda: True

    def record_clock(self, interval: timedelta) -> None:
        """Record the clock's time for all processes on this database; call this at the interval
        ``interval``.

        The stored time is read first, since usually there is nothing to write.
        """
        now = self.clock.now()
        before = self.clock_mark()
        if before is not None and before.after_check(now, interval) == before:
            return
        with exclusive_write(self.engine) as db:
            before = _clock_mark(db)
            mark = before.after_check(now, interval) if before else ClockMark(now)
            db.execute(CLOCK_TABLE.delete())
            odd_at = None if mark.odd_at is None else stored_time(mark.odd_at)
            row = {"id": 1, "at": stored_time(mark.at), "odd_at": odd_at, "odd_s": mark.odd_s}
            db.execute(CLOCK_TABLE.insert().values(row))

    def clock_mark(self) -> ClockMark | None:
        """Return the recorded time; None before the first record."""
        with single_read(self.engine) as db:
            return _clock_mark(db)

    def has_room_for_bytes(self) -> bool:
        """Return whether the disk has room for bytes of uploads; without it, no bytes are kept."""
        return self.has_disk_space()

    def store_for_deferred_scan(self, case: str, untrusted_upload: bytes, most: int) -> bool:
        """Keep an upload's bytes until its deferred scan.

        At most ``most`` uploads are kept, and there is a limit on their bytes together. Returns
        False if there is no room, or no scan of this upload is due.

        Concurrent calls may exceed the limits by one upload each.
        """
        if not self.has_disk_space():
            return False
        size = sa.func.coalesce(sa.func.sum(sa.func.length(UPLOAD_TABLE.c.untrusted_upload)), 0)
        kept = {
            "slow_look": "kept",
            "slow_look_at": 0,
            "slow_looks_taken": 0,
            "untrusted_upload": self.cipher.encrypt(case, untrusted_upload),
        }
        with concurrent_write(self.engine) as db:
            count, held = db.execute(sa.select(sa.func.count(), size).where(_SCAN_HAS_BYTES)).one()
            if count >= most or held + len(untrusted_upload) > self.deferred_scans_bytes_max:
                return False
            is_it = UPLOAD_TABLE.update().where(UPLOAD_TABLE.c.case_number == case, _SCAN_DUE)
            return db.execute(is_it.values(kept)).rowcount > 0

    def lease_deferred_scan(self, lease: timedelta) -> UploadForDeferredScan | None:
        """Lease the oldest upload whose deferred scan no other process has leased, or return None.

        Whether there is one is read first, since usually there is none.
        """
        now = self.clock.now()
        is_over = UPLOAD_TABLE.c.slow_look_at <= stored_time(now)
        has_nobody = sa.or_(
            is_over, _is_leased_too_far_ahead(UPLOAD_TABLE.c.slow_look_at, now, lease)
        )
        is_free = sa.and_(
            _SCAN_HAS_BYTES, has_nobody, UPLOAD_TABLE.c.slow_looks_taken < SCAN_ATTEMPTS_MAX
        )
        with single_read(self.engine) as db:
            if db.execute(sa.select(UPLOAD_TABLE.c.number).where(is_free).limit(1)).first() is None:
                return None
        free = sa.select(UPLOAD_TABLE.c.case_number, UPLOAD_TABLE.c.untrusted_upload).where(is_free)
        free = free.order_by(UPLOAD_TABLE.c.at).limit(1).with_for_update(skip_locked=True)
        taken = {
            "slow_look_at": stored_time(now + lease),
            "slow_looks_taken": UPLOAD_TABLE.c.slow_looks_taken + 1,
        }
        while True:
            with concurrent_write(self.engine) as db:
                row = db.execute(free).one_or_none()
                if row is None:
                    return None
                is_it = UPLOAD_TABLE.update().where(UPLOAD_TABLE.c.case_number == row.case_number)
                db.execute(is_it.values(taken))
            # Another gate may have the key; after SCAN_ATTEMPTS_MAX attempts the scan is skipped.
            with suppress(UploadKeyMissing):
                data = self.cipher.decrypt(row.case_number, bytes(row.untrusted_upload))
                return UploadForDeferredScan(row.case_number, data)

    def finish_deferred_scan(self, case: str) -> None:
        """Record that a scan is done; delete the upload's bytes unless a reviewer needs them."""
        with concurrent_write(self.engine) as db:
            is_it = UPLOAD_TABLE.update().where(UPLOAD_TABLE.c.case_number == case, _SCAN_HAS_BYTES)
            db.execute(is_it.values(_COLUMNS_AFTER_SCAN))

    def skip_overdue_deferred_scans(self, before: datetime) -> int:
        """Give up deferred scans that cannot be made; return how many.

        These are scans of uploads older than ``before`` whose bytes never arrived, scans that were
        started three times and never ended, and scans that waited for a day.

        Whether there are any is read first, since usually there are none. One statement then skips
        them all.
        """
        late = sa.and_(_SCAN_DUE, UPLOAD_TABLE.c.at < stored_time(before))
        deadly = UPLOAD_TABLE.c.slow_looks_taken >= SCAN_ATTEMPTS_MAX
        over = sa.and_(
            _SCAN_HAS_BYTES, deadly, UPLOAD_TABLE.c.slow_look_at <= stored_time(self.clock.now())
        )
        stale = sa.and_(_SCAN_HAS_BYTES, UPLOAD_TABLE.c.at < stored_time(before - ONE_DAY))
        each = (sa.select(UPLOAD_TABLE.c.number).where(one) for one in (late, over, stale))
        numbers = sa.union(*each)
        with single_read(self.engine) as db:
            if db.execute(numbers.limit(1)).scalar() is None:
                return 0
        with concurrent_write(self.engine) as db:
            gone = UPLOAD_TABLE.update().where(UPLOAD_TABLE.c.number.in_(numbers))
            return db.execute(gone.values(_COLUMNS_AFTER_SKIPPING)).rowcount

    def lease_look_backs(self, until: datetime, limit: int) -> dict[ClaimId, int]:
        """Lease claims whose look-back is due; the lease ends at ``until``.

        The newest come first, so that a person need not wait for an imported list of a million.

        Returns:
            For each claim, the number of its newest change.

            Claims leased by a process whose clock was ahead are returned only if no others are due.
        """
        now = self.clock.now()
        at = CLAIM_TABLE.c.look_back_at
        ranges = (at <= stored_time(now), _is_leased_too_far_ahead(at, now, until - now))
        each = (self._lease_look_backs_where(due, until, limit) for due in ranges)
        return next((taken for taken in each if taken), {})

    def _lease_look_backs_where(
        self, due: sa.ColumnElement[bool], until: datetime, limit: int
    ) -> dict[ClaimId, int]:
        """Lease rows in one range of the index, after reading whether there are any."""
        free = sa.select(CLAIM_TABLE.c.id, CLAIM_TABLE.c.changed).where(due)
        free = free.order_by(CLAIM_TABLE.c.look_back_at.desc(), CLAIM_TABLE.c.id).limit(limit)
        with single_read(self.engine) as db:
            if db.execute(free).first() is None:
                return {}
        with concurrent_write(self.engine) as db:
            rows = db.execute(free.with_for_update(skip_locked=True)).all()
            _set_look_back_time(db, (row.id for row in rows), stored_time(until))
            return {ClaimId(row.id): row.changed for row in rows}

    def schedule_look_backs(self, bank: BankName) -> int:
        """Make a look-back due for every matching claim of this bank; return how many.

        Several transactions are used, so that uploads do not wait for a bank of a million claims.
        """
        mine = sa.select(CLAIM_TABLE.c.id).where(
            CLAIM_TABLE.c.bank == bank, CLAIM_TABLE.c.state.in_(MATCHING_STATES)
        )
        mine = mine.order_by(CLAIM_TABLE.c.id).limit(_CLAIMS_PER_TRANSACTION)
        count, after = 0, ""
        while True:
            # This takes the lock for changes of banks and claims, so it takes turns with other
            # large changes.
            with exclusive_write(self.engine) as db:
                claims = db.execute(mine.where(CLAIM_TABLE.c.id > after)).scalars().all()
                _set_look_back_time(db, claims, stored_time(self.clock.now()))
            if not claims:
                return count
            count, after = count + len(claims), claims[-1]

    def finish_look_backs(self, until: datetime, leased: Mapping[ClaimId, int]) -> None:
        """Record that the look-back for these claims, which were leased until ``until``, is done.

        A claim that changed meanwhile stays due, since the look-back did not cover its new state.

        A claim that became due again in the meantime also stays due; its due time is then earlier
        than ``until``.
        """
        same = CLAIM_TABLE.c.id == sa.bindparam("of"), CLAIM_TABLE.c.changed == sa.bindparam("as")
        done = CLAIM_TABLE.update().where(*same, CLAIM_TABLE.c.look_back_at >= stored_time(until))
        rows = [{"of": claim, "as": changed} for claim, changed in leased.items()]
        with exclusive_write(self.engine) as db:
            if rows:
                db.execute(done.values(look_back_at=None), rows)

    def count_due_work(self) -> DueCounts:
        """Count the work that is due, and the scans that were skipped for uploads of the last 24
        hours.
        """
        one = sa.select(sa.func.count()).select_from(UPLOAD_TABLE)
        lately = UPLOAD_TABLE.c.at >= stored_time(self.clock.now() - ONE_DAY)
        backs = sa.select(sa.func.count()).select_from(CLAIM_TABLE)
        queries = (
            one.where(_SCAN_HAS_BYTES),
            one.where(_SCAN_SKIPPED, lately),
            backs.where(CLAIM_TABLE.c.look_back_at.is_not(None)),
        )
        with snapshot_read(self.engine) as db:
            return DueCounts(*(db.execute(count).scalar_one() for count in queries))


def _clock_mark(db: sa.Connection) -> ClockMark | None:
    row = db.execute(sa.select(CLOCK_TABLE.c.at, CLOCK_TABLE.c.odd_at, CLOCK_TABLE.c.odd_s)).first()
    if row is None:
        return None
    odd_at = read_optional_time(row.odd_at)
    return ClockMark(read_time(row.at), odd_at, row.odd_s)


def _is_leased_too_far_ahead(
    until: sa.ColumnElement[int], now: datetime, lease: timedelta
) -> sa.ColumnElement[bool]:
    """Return whether a row's lease ends later than any lease can.

    Such a lease was taken by a process whose clock was ahead.

    The tolerance is twice the lease, since the clocks of several gates differ.
    """
    return until > stored_time(now + 2 * lease)


def _set_look_back_time(db: sa.Connection, claims: Iterable[str], at: int) -> None:
    """Set when a look-back for these claims becomes due."""
    due = CLAIM_TABLE.update().values(look_back_at=at)
    for batch in statement_batches(claims):
        db.execute(due.where(CLAIM_TABLE.c.id.in_(batch)))
