"""Uploads that were let through and wait after all, each function inside of an open transaction."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from entrenous.adapters.bank.rows import batches
from entrenous.adapters.bank.sql_uploads import (
    SEEN,
    change,
    from_matches,
    is_after,
    lead_again,
    review_of,
    to_review,
)
from entrenous.adapters.bank.tables import stored_time
from entrenous.adapters.bank.upload_tables import LET_THROUGH, PUBLISHED, UPLOAD, UPLOAD_FRAMES
from entrenous.model.decision import Outcome
from entrenous.model.fingerprint import Match
from entrenous.model.ids import ClaimId
from entrenous.model.review import AcceptedClip, Found, LateFind, Review, ReviewState
from entrenous.ports import Clock
from entrenous.spec import PDQ_BYTES

_HAS_HASH: Final = UPLOAD.c.bits.is_not(None)
_HAS_FRAMES: Final = sa.exists().where(UPLOAD_FRAMES.c.number == UPLOAD.c.number)


def keep_frames(db: sa.Connection, review: Review) -> None:
    """Of a clip that was just recorded."""
    mine = sa.select(UPLOAD.c.number, UPLOAD.c.at).where(UPLOAD.c.case_number == review.case)
    kept = mine.add_columns(sa.literal(b"".join(review.frames), sa.LargeBinary))
    db.execute(UPLOAD_FRAMES.insert().from_select(["number", "at", "frames"], kept))


def accepted_clips(db: sa.Connection, after: int, limit: int) -> tuple[AcceptedClip, ...]:
    """A page, by number. Those that wait meanwhile are few."""
    wanted = sa.select(UPLOAD_FRAMES.c.number, UPLOAD_FRAMES.c.frames)
    wanted = wanted.order_by(UPLOAD_FRAMES.c.number).limit(limit)
    while rows := db.execute(wanted.where(UPLOAD_FRAMES.c.number > after)).all():
        cases = _let_through(db, [row.number for row in rows])
        frames = {row.number: bytes(row.frames) for row in rows if row.number in cases}
        if frames:
            return tuple(AcceptedClip(at, cases[at], _each(one)) for at, one in frames.items())
        after = rows[-1].number
    return ()


def forget_clips(db: sa.Connection, before: datetime) -> int:
    """Hashes of frames, and the reference, of clips that were let through before then; how many."""
    old = sa.select(UPLOAD_FRAMES.c.number).where(UPLOAD_FRAMES.c.at < stored_time(before))
    gone = list(_let_through(db, db.execute(old).scalars().all()))
    for batch in batches(gone):
        these = UPLOAD.update().where(UPLOAD.c.number.in_(batch))
        db.execute(these.values(upload_sha256=None, reference=""))
        db.execute(UPLOAD_FRAMES.delete().where(UPLOAD_FRAMES.c.number.in_(batch)))
    return len(gone)


def _let_through(db: sa.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """Which of these were let through, and their cases. Asked by their numbers alone: SQLite takes
    the index of states instead, and with it every upload, where it is asked for a state too.
    """
    columns = UPLOAD.c.number, UPLOAD.c.case_number, UPLOAD.c.state, UPLOAD.c.outcome
    return {
        row.number: row.case_number
        for batch in batches(numbers)
        for row in db.execute(sa.select(*columns).where(UPLOAD.c.number.in_(batch)))
        if (row.state, row.outcome) == (ReviewState.CLOSED, Outcome.LET_THROUGH)
    }


def _each(frames: bytes) -> tuple[bytes, ...]:
    return tuple(frames[at : at + PDQ_BYTES] for at in range(0, len(frames), PDQ_BYTES))


def hold_late(db: sa.Connection, clock: Clock, find: LateFind, left: Sequence[Match]) -> bool:
    """An accepted upload waits for a reviewer from now on; False if it is no more."""
    now: dict[str, Any] = {
        "state": ReviewState.WAITING,
        "outcome": Outcome.HOLD,
        "found": find.found,
        "matches": from_matches(left),
        "entry": find.entry,
        "waits_since": stored_time(clock.now()),
    }
    is_it: tuple[sa.ColumnElement[bool], ...] = (*LET_THROUGH, sa.or_(_HAS_HASH, _HAS_FRAMES))
    if find.found is Found.SLOW_LOOK:
        now |= {"bits": find.bits, "upload_sha256": find.upload_sha256, "slow_look": None}
        is_it = LET_THROUGH
    waits = UPLOAD.update().where(UPLOAD.c.case_number == find.case, *is_it).values(now)
    return db.execute(waits).rowcount > 0


def published(db: sa.Connection, after: str, limit: int) -> tuple[Review, ...]:
    """Those that were let through and wait now, after that case."""
    wanted = sa.select(UPLOAD.c.number).where(*PUBLISHED, is_after(after))
    numbers = db.execute(wanted.order_by(UPLOAD.c.number).limit(limit)).scalars().all()
    seen = sa.select(*SEEN).where(UPLOAD.c.number.in_(numbers)).order_by(UPLOAD.c.number)
    return tuple(to_review(row) for row in db.execute(seen))


def forget_claims(db: sa.Connection, claims: Collection[ClaimId]) -> int:
    """Take claims out of what was found late; uploads that fit no other one are accepted again."""
    fits = _found_late_for(db, claims)
    for review in fits:
        left = [one for one in review.decision.matches if one.claim not in claims]
        change(db, review.case, matches=from_matches(left))
        if not left:
            accept_again(db, review)
    return len(fits)


def accept_again(db: sa.Connection, review: Review) -> None:
    """What was found late was let through, and is so again. Bytes that are kept for a slow look
    stay: it is still due.
    """
    change(
        db, review.case, state=ReviewState.CLOSED, outcome=Outcome.LET_THROUGH,
        found=Found.UPLOAD, entry=None, lead=None, waits_since=None, first_confirmer=None,
        **({"untrusted_upload": None} if review.found is Found.SLOW_LOOK else {}),
    )  # fmt: skip
    lead_again(db, review.case)


def drop_bytes(db: sa.Connection, review: Review) -> None:
    """Of one that was found slowly: its lead will do. Those of others are due elsewhere."""
    if review.found is Found.SLOW_LOOK:
        change(db, review.case, untrusted_upload=None)


def _found_late_for(db: sa.Connection, claims: Collection[ClaimId]) -> list[Review]:
    """Waiting uploads that were found late and fit one of these claims. Their matches lie before
    their bytes, and an index has the rest: SQLite reads the bytes of those alone that fit.
    """
    late = sa.select(UPLOAD.c.number).where(*PUBLISHED, UPLOAD.c.number > 0)
    wanted = sa.select(UPLOAD.c.case_number, UPLOAD.c.matches).where(UPLOAD.c.number.in_(late))
    fits = [
        row.case_number
        for row in db.execute(wanted)
        if any(match["claim"] in claims for match in row.matches)
    ]
    return [review_of(db, case) for case in fits]
