"""Uploads that were let through and wait after all, each function inside of an open transaction."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

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
from entrenous.adapters.bank.upload_tables import (
    ACCEPTED,
    IS_COMPARED,
    LET_THROUGH,
    PUBLISHED,
    RELEASED,
    RELEASED_KEPT,
    TO_REMOVE,
    UPLOAD,
    UPLOAD_FRAMES,
    WAITS,
)
from entrenous.model.decision import Outcome
from entrenous.model.fingerprint import Match
from entrenous.model.ids import ClaimId
from entrenous.model.print import SoundPrint
from entrenous.model.review import (
    Found,
    KeptClip,
    KeptPicture,
    KeptSound,
    LateFind,
    Review,
    ReviewState,
)
from entrenous.ports import Clock
from entrenous.spec import PDQ_BYTES


def keep_clip(db: sa.Connection, review: Review) -> None:
    """Of a clip or a sound that was just recorded."""
    mine = sa.select(UPLOAD.c.number, UPLOAD.c.at).where(UPLOAD.c.case_number == review.case)
    kept = mine.add_columns(
        sa.literal(b"".join(review.frames), sa.LargeBinary),
        sa.literal(review.sound and review.sound.words, sa.LargeBinary),
    )
    db.execute(UPLOAD_FRAMES.insert().from_select(["number", "at", "frames", "words"], kept))


def kept_pictures(db: sa.Connection, after: int, limit: int) -> tuple[KeptPicture, ...]:
    """A page, by indexes of those that were let through, that wait, and that a person released:
    from one moment, so that one which goes from here to there is in it.
    """
    columns = sa.select(UPLOAD.c.number, UPLOAD.c.case_number, UPLOAD.c.bits)
    later = UPLOAD.c.number > after
    every = sa.union_all(
        columns.where(*ACCEPTED, later),
        columns.where(WAITS, UPLOAD.c.bits.is_not(None), later),
        columns.where(*RELEASED_KEPT, later),
    )
    rows = db.execute(every.order_by("number").limit(limit))
    return tuple(KeptPicture(row[0], row[1], bytes(row[2])) for row in rows)


def kept_clips(db: sa.Connection, after: int, limit: int) -> tuple[KeptClip, ...]:
    """A page, by number."""
    there = UPLOAD_FRAMES.c.frames != sa.literal(b"", sa.LargeBinary)
    rows = _kept_of_clips(db, UPLOAD_FRAMES.c.frames, there, after, limit)
    return tuple(KeptClip(number, case, _each(frames)) for number, case, frames in rows)


def kept_sounds(db: sa.Connection, after: int, limit: int) -> tuple[KeptSound, ...]:
    """A page, by number."""
    there = UPLOAD_FRAMES.c.words.is_not(None)
    rows = _kept_of_clips(db, UPLOAD_FRAMES.c.words, there, after, limit)
    return tuple(KeptSound(number, case, SoundPrint(words)) for number, case, words in rows)


def _kept_of_clips(
    db: sa.Connection,
    column: sa.ColumnElement[bytes],
    there: sa.ColumnElement[bool],
    after: int,
    limit: int,
) -> list[tuple[int, str, bytes]]:
    """Number, case and this column, where it is there, but of those that were refused."""
    wanted = sa.select(UPLOAD_FRAMES.c.number, column).where(there)
    wanted = wanted.order_by(UPLOAD_FRAMES.c.number).limit(limit)
    while rows := db.execute(wanted.where(UPLOAD_FRAMES.c.number > after)).all():
        cases = _comparable(db, [row[0] for row in rows])
        if cases:
            return [(row[0], cases[row[0]], bytes(row[1])) for row in rows if row[0] in cases]
        after = rows[-1][0]
    return []


def forget_clips(db: sa.Connection, before: datetime) -> int:
    """What is kept to look back at clips that were let through before then; how many."""
    old = sa.select(UPLOAD_FRAMES.c.number).where(UPLOAD_FRAMES.c.at < stored_time(before))
    gone = list(_comparable(db, db.execute(old).scalars().all(), waiting=False))
    for batch in batches(gone):
        these = UPLOAD.update().where(UPLOAD.c.number.in_(batch))
        db.execute(these.values(upload_sha256=None, reference=""))
        db.execute(UPLOAD_FRAMES.delete().where(UPLOAD_FRAMES.c.number.in_(batch)))
    return len(gone)


def _comparable(
    db: sa.Connection, numbers: Sequence[int], *, waiting: bool = True
) -> dict[int, str]:
    """Which of these were let through, by a person too, or wait, and their cases. Asked by their
    numbers alone: SQLite takes the index of states instead, and with it every upload, where it is
    asked for a state too.
    """
    let_through = ReviewState.CLOSED, Outcome.LET_THROUGH
    states = {ReviewState.RELEASED, *([ReviewState.WAITING] if waiting else [])}
    columns = UPLOAD.c.number, UPLOAD.c.case_number, UPLOAD.c.state, UPLOAD.c.outcome
    return {
        row.number: row.case_number
        for batch in batches(numbers)
        for row in db.execute(sa.select(*columns).where(UPLOAD.c.number.in_(batch)))
        if (row.state, row.outcome) == let_through or row.state in states
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
    is_it: tuple[sa.ColumnElement[bool], ...]
    is_it = (sa.or_(sa.and_(*LET_THROUGH), RELEASED), IS_COMPARED)
    if find.found is Found.SLOW_LOOK:
        now |= {"bits": find.bits, "upload_sha256": find.upload_sha256, "slow_look": None}
        is_it = LET_THROUGH
    waits = UPLOAD.update().where(UPLOAD.c.case_number == find.case, *is_it).values(now)
    return db.execute(waits).rowcount > 0


def fits_more(db: sa.Connection, find: LateFind, left: Sequence[Match]) -> bool:
    """Add those of these claims that a waiting upload was not known to fit; False if none. Whoever
    confirmed it first had not seen them.
    """
    mine = sa.select(UPLOAD.c.matches).where(UPLOAD.c.case_number == find.case, WAITS)
    row = db.execute(mine).one_or_none()
    known = {match["claim"] for match in row.matches} if row else set()
    more = [one for one in left if one.claim not in known]
    if row and more:
        more_matches = [*row.matches, *from_matches(more)]
        change(db, find.case, matches=more_matches, first_confirmer=None)
    return bool(row and more)


def published(db: sa.Connection, after: str, limit: int) -> tuple[Review, ...]:
    """Those that were published and wait now, or are to be removed, after that case."""
    later = sa.select(UPLOAD.c.number).where(is_after(after))
    every = sa.union_all(later.where(*PUBLISHED), later.where(TO_REMOVE))
    numbers = db.execute(every.order_by("number").limit(limit)).scalars().all()
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
    """What was published is let through again. Bytes that are kept for a slow look stay: it is
    still due.
    """
    is_due = UPLOAD.c.slow_look == "kept"
    change(
        db, review.case, state=ReviewState.CLOSED, outcome=Outcome.LET_THROUGH,
        found=Found.UPLOAD, entry=None, lead=None, waits_since=None, first_confirmer=None,
        untrusted_upload=sa.case((is_due, UPLOAD.c.untrusted_upload)),
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
