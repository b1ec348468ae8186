"""The figures of a gate, counted in its tables and its index (docs/spec/gate.md, 10)."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final

import sqlalchemy as sa

from entrenous.base.identifiers import BankName
from entrenous.stop.index.maintenance import LazyIndex
from entrenous.stop.nouns import GateFigures, IndexSize, ShadowOutcome, round_down_to_even
from entrenous.stop.platform import Platform
from entrenous.stop.store.engine import snapshot_read
from entrenous.stop.store.schema import (
    AUDIT_HEAD_TABLE,
    AUDIT_TABLE,
    BANK_TABLE,
    CLAIM_TABLE,
    HASH_TABLE,
    QUEUE_ITEM_CONDITIONS,
    UPLOAD_TABLE,
    WAITS_SINCE,
    read_time,
    stored_time,
)
from entrenous.stop.store.upload_encryption import ENCRYPTION_PREFIX_BYTES, UploadCipher
from entrenous.stop.upload_record import DueCounts, Outcome, ReviewState

SHADOW_OUTCOMES_PERIOD: Final = timedelta(days=30)
_DECISIONS_FOR_MEDIAN_MAX: Final = 1_000
# At most this many rows of the audit log, the newest ones, are searched for decisions.
_AUDIT_ROWS_SEARCHED_MAX: Final = 100_000
# At most this many uploads, the newest ones, are read for the outcomes in shadow mode.
_SHADOW_UPLOADS_READ_MAX: Final = 100_000
# For at most this many waiting uploads it is checked whether their key is there.
_UPLOADS_CHECKED_FOR_KEY_MAX: Final = 200
_DECISION_EVENTS: Final = [
    f"case {state}" for state in (ReviewState.CONFIRMED, ReviewState.RELEASED)
]


def count_figures(
    engine: sa.Engine,
    at: datetime,
    due: DueCounts,
    *,
    with_shadow: bool = False,
    all_in_shadow: bool = False,
) -> GateFigures:
    """Count all figures at the time ``at``, except ``due``, which the caller has counted.

    ``with_shadow`` adds what banks in shadow mode would have done. ``all_in_shadow`` counts every
    bank, for a gate that is in shadow mode itself.

    Raises:
        BankUnreachable.
    """
    with snapshot_read(engine) as db:
        waiting, oldest = _queue_length_and_start(db)
        return GateFigures(
            at=at,
            claims=_count_claims(db),
            hashes=db.execute(sa.select(sa.func.count()).select_from(HASH_TABLE)).scalar_one(),
            waiting=waiting,
            oldest=oldest,
            review_s=_median_review_s(db),
            due=due,
            shadow=_count_shadow_outcomes(db, at - SHADOW_OUTCOMES_PERIOD, every=all_in_shadow)
            if with_shadow
            else {},
        )


def count_oldest_undecryptable(engine: sa.Engine, cipher: UploadCipher) -> int:
    """Of the 200 oldest items of the review queue, count those that are encrypted with a missing
    key.

    No more are checked, since SQLite reads a whole upload for its first bytes.

    Raises:
        BankUnreachable.
    """
    oldest = (
        sa.select(UPLOAD_TABLE.c.number)
        .where(*QUEUE_ITEM_CONDITIONS)
        .order_by(UPLOAD_TABLE.c.number)
        .limit(_UPLOADS_CHECKED_FOR_KEY_MAX)
    )
    head = sa.func.substr(UPLOAD_TABLE.c.untrusted_upload, 1, ENCRYPTION_PREFIX_BYTES)
    query = sa.select(head).where(UPLOAD_TABLE.c.number.in_(oldest))
    query = query.where(UPLOAD_TABLE.c.untrusted_upload.is_not(None))
    with snapshot_read(engine) as db:
        return sum(not cipher.can_decrypt(bytes(one)) for one in db.execute(query).scalars())


def _count_claims(db: sa.Connection) -> dict[tuple[str, str], int]:
    query = sa.select(CLAIM_TABLE.c.kind, CLAIM_TABLE.c.state, sa.func.count())
    rows = db.execute(query.group_by(CLAIM_TABLE.c.kind, CLAIM_TABLE.c.state))
    return {(kind, state): count for kind, state, count in rows}


def _queue_length_and_start(db: sa.Connection) -> tuple[int, datetime | None]:
    """Return the number of waiting items, and when the oldest began to wait."""
    query = (
        sa.select(sa.func.count(), sa.func.min(WAITS_SINCE))
        .select_from(UPLOAD_TABLE)
        .where(*QUEUE_ITEM_CONDITIONS)
    )
    count, oldest = db.execute(query).one()
    return count, None if oldest is None else read_time(oldest)


def _median_review_s(db: sa.Connection) -> float | None:
    """Return the median time from the start of the wait to the decision, in seconds; None without
    decisions.

    A decision that was appealed later is left out, since its wait is no longer known.
    """
    head = db.execute(sa.select(AUDIT_HEAD_TABLE.c.number)).scalar() or 0
    decided = (
        AUDIT_TABLE.c.number > head - _AUDIT_ROWS_SEARCHED_MAX,
        AUDIT_TABLE.c.what.in_(_DECISION_EVENTS),
    )
    newest = sa.select(AUDIT_TABLE.c.at, AUDIT_TABLE.c.of).where(*decided)
    some = newest.order_by(AUDIT_TABLE.c.number.desc()).limit(_DECISIONS_FOR_MEDIAN_MAX).subquery()
    query = sa.select(some.c.at - WAITS_SINCE).join(
        UPLOAD_TABLE, UPLOAD_TABLE.c.case_number == some.c.of
    )
    took = [one for one in db.execute(query).scalars() if one >= 0]
    return median(took) / 1e6 if took else None


def _count_shadow_outcomes(
    db: sa.Connection, since: datetime, *, every: bool
) -> dict[ShadowOutcome, int]:
    """Count the outcomes of banks in shadow mode or, with ``every``, of all banks."""
    names = sa.select(BANK_TABLE.c.name)
    shadow_banks = set(db.execute(names if every else names.where(BANK_TABLE.c.shadow)).scalars())
    query = sa.select(UPLOAD_TABLE.c.would, UPLOAD_TABLE.c.matches)
    query = query.where(UPLOAD_TABLE.c.would.is_not(None), UPLOAD_TABLE.c.at >= stored_time(since))
    rows = db.execute(query.order_by(UPLOAD_TABLE.c.at.desc()).limit(_SHADOW_UPLOADS_READ_MAX))
    return dict(
        Counter(
            cell for row in rows for cell in _shadow_outcomes(row.would, row.matches, shadow_banks)
        )
    )


def _shadow_outcomes(
    would: str, matches: Iterable[Any], shadow_banks: set[str]
) -> Iterator[ShadowOutcome]:
    """Yield the nearest match of each bank in shadow mode."""
    nearest: dict[str, int] = {}
    for match in matches:
        if match["bank"] in shadow_banks:
            least = nearest.get(match["bank"], match["distance"])
            nearest[match["bank"]] = min(least, match["distance"])
    for bank, distance in nearest.items():
        yield ShadowOutcome(BankName(bank), Outcome(would), round_down_to_even(distance))


def count_platform_figures(platform: Platform, *, with_shadow: bool = False) -> GateFigures:
    """Count the figures of a platform; raises BankUnreachable."""
    due = platform.reviews.count_due_work()
    now, shadow = platform.clock.now(), platform.limits.shadow
    return count_figures(
        platform.reviews.engine, now, due, with_shadow=with_shadow, all_in_shadow=shadow
    )


def count_oldest_undecryptable_of_platform(platform: Platform) -> int:
    """Call :func:`count_oldest_undecryptable` with a platform's review queue and its keys."""
    return count_oldest_undecryptable(platform.reviews.engine, platform.reviews.cipher)


def make_figures_counter(platform: Platform) -> Callable[[], tuple[GateFigures, IndexSize | None]]:
    """Return a function that counts the figures of a serving gate.

    The function opens the index if it is not open yet.
    """

    def count_database_and_index() -> tuple[GateFigures, IndexSize | None]:
        index = platform.index
        opened = index.get_open_index().index if isinstance(index, LazyIndex) else None
        return count_platform_figures(platform), opened.size() if opened else None

    return count_database_and_index
