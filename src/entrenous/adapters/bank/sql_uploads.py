"""Judged uploads in their table, each function inside of an open transaction."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from entrenous.adapters.bank.flood import alike, is_unread, wait_together
from entrenous.adapters.bank.insert import insert_or
from entrenous.adapters.bank.sql_log import tell
from entrenous.adapters.bank.tables import BIG, PAGE, read_time, stored_time
from entrenous.adapters.bank.told import flood_told
from entrenous.adapters.bank.upload_tables import (
    IS_COMPARED,
    UPLOAD,
    UPLOAD_FRAMES,
    WAITS,
    WAS_PUBLISHED,
)
from entrenous.model.decision import Decision, Outcome
from entrenous.model.fingerprint import Match
from entrenous.model.page import PageKind
from entrenous.model.review import Found, NoSuchReview, Review, ReviewState
from entrenous.ports import Clock

_HAS_BYTES: Final = UPLOAD.c.untrusted_upload.is_not(None)
SEEN: Final = [
    *(column for column in UPLOAD.c if column.name != "untrusted_upload"),
    sa.and_(WAITS, _HAS_BYTES).label("has_bytes"),
]

WRITTEN: Final = (  # what :func:`from_review` gives
    *("case_number", "at", "outcome", "state", "matches", "bits", "would", "entry"),
    *("reference", "found", "secret_sha256", "upload_sha256", "slow_look"),
)


def review_of(db: sa.Connection, case: str) -> Review:
    """By case number; raises NoSuchReview."""
    return with_appeal(db, case)[0]


def with_appeal(db: sa.Connection, case: str) -> tuple[Review, bool]:
    """By case number, and whether it was appealed; raises NoSuchReview."""
    row = db.execute(sa.select(*SEEN).where(UPLOAD.c.case_number == case)).one_or_none()
    if row is None:
        raise NoSuchReview(case=case)
    return to_review(row), row.appealed_at is not None


def is_after(case: str) -> sa.ColumnElement[bool]:
    """Whether an upload came after that case, if there is one."""
    before = sa.select(UPLOAD.c.number).where(UPLOAD.c.case_number == case).scalar_subquery()
    return UPLOAD.c.number > sa.func.coalesce(before, 0)


def counted(db: sa.Connection, case: str) -> Review:
    """By case number, and how many wait with it; raises NoSuchReview."""
    mine = sa.select(sa.func.count()).select_from(UPLOAD).where(WAITS, UPLOAD.c.lead == case)
    return replace(review_of(db, case), gathered=db.execute(mine).scalar_one())


def named(review: Review, also: Sequence[Review]) -> Review:
    """The review with the cases that are decided with it."""
    return replace(review, also=tuple(one.case for one in also))


def waiting_with(db: sa.Connection, case: str) -> list[Review]:
    """Those that this case stands for, in the order of arrival."""
    wanted = sa.select(*SEEN).where(WAITS, UPLOAD.c.lead == case).order_by(UPLOAD.c.number)
    return [to_review(row) for row in db.execute(wanted)]


def change(db: sa.Connection, case: str, **values: Any) -> None:
    """Set columns of one case."""
    db.execute(UPLOAD.update().where(UPLOAD.c.case_number == case).values(values))


def forget(
    db: sa.Connection,
    cases: Collection[str],
    state: ReviewState,
    until: datetime,
    *,
    keeps: bool = False,
) -> None:
    """Decided: neither hash nor bytes nor reference are kept; of a refused one its SHA-256, for an
    appeal. With ``keeps``, what a released one that has a hash is looked back at by. What had been
    published and is confirmed is to be removed, and is listed ``until`` then, with its reference.
    """
    mine = UPLOAD.c.case_number == sa.bindparam("case")
    those = [{"case": case} for case in cases]
    decided = UPLOAD.update().where(mine).values(
        state=state, untrusted_upload=None, lead=None, slow_look=None, first_confirmer=None,
        listed_until=sa.case((WAS_PUBLISHED, sa.bindparam("until", type_=BIG))),
    )  # fmt: skip
    to_remove = stored_time(until) if state is ReviewState.CONFIRMED else None
    db.execute(decided, [one | {"until": to_remove} for one in those])
    named = sa.case((UPLOAD.c.listed_until.is_not(None), UPLOAD.c.reference), else_="")
    gone: dict[str, Any] = {"bits": None, "reference": named}
    if state is ReviewState.RELEASED:
        gone["upload_sha256"] = None
    forgotten = sa.and_(mine, ~IS_COMPARED) if keeps else mine
    db.execute(UPLOAD.update().where(forgotten).values(gone), those)
    if not keeps:
        numbers = sa.select(UPLOAD.c.number).where(mine)
        db.execute(UPLOAD_FRAMES.delete().where(UPLOAD_FRAMES.c.number.in_(numbers)), those)


def gather(db: sa.Connection, clock: Clock, review: Review, held_per_hash: int) -> str | None:
    """The case that this one waits with, after it has joined; None if it waits singly."""
    if review.entry is None and not (is_unread(review) and review.upload_sha256):
        return None
    lead = _lead_of(db, review)
    if lead is None:
        single = _single_like(db, review)
        if not single or not wait_together(review, single, held_per_hash):
            return None
        lead = single[0].case
        _join(db, lead, [one.case for one in single[1:]])
        tell(db, clock, flood_told(lead, len(single) + 1))
        if len(single) + 1 > held_per_hash:  # the same unreadable file once more is none
            _somebody_is_needed(db)
    _join(db, lead, [review.case])
    return lead


def has_room(db: sa.Connection, lead: str, review: Review, held_per_hash: int) -> bool:
    """Whether bytes of one more upload that waits with ``lead`` are kept."""
    if is_unread(review) or alike(review_of(db, lead).bits, review.bits):
        return False
    kept = sa.select(sa.func.count()).select_from(UPLOAD)
    others = UPLOAD.c.lead == lead, UPLOAD.c.case_number != review.case
    kept = kept.where(WAITS, *others, _HAS_BYTES)
    return db.execute(kept).scalar_one() < held_per_hash


def unread_bytes(db: sa.Connection) -> int:
    """How many bytes are kept of waiting uploads that have no hash. Asked in the order of the
    columns and by their length only, so that SQLite reads none of these bytes.
    """
    size = sa.func.coalesce(sa.func.sum(sa.func.length(UPLOAD.c.untrusted_upload)), 0)
    return int(db.execute(sa.select(size).where(WAITS, UPLOAD.c.bits.is_(None))).scalar_one())


def lead_again(db: sa.Connection, case: str) -> None:
    """Those that waited with a case that no longer waits are one item again."""
    left = sa.select(UPLOAD.c.case_number).where(WAITS, UPLOAD.c.lead == case)
    order = sa.case((_HAS_BYTES, 0), else_=1), UPLOAD.c.number
    first = db.execute(left.order_by(*order).limit(1)).scalar()
    if first is not None:
        db.execute(UPLOAD.update().where(WAITS, UPLOAD.c.lead == case).values(lead=first))
        change(db, first, lead=None)


def from_review(review: Review) -> dict[str, Any]:
    """The columns of a review, without its bytes."""
    decision = review.decision
    return {
        "case_number": review.case,
        "at": stored_time(review.at),
        "outcome": decision.outcome,
        "state": review.state,
        "matches": from_matches(decision.matches),
        "bits": review.bits,
        "would": decision.would,
        "entry": review.entry,
        "reference": review.reference,
        "found": review.found,
        "secret_sha256": review.secret_sha256,
        "upload_sha256": review.upload_sha256,
        "slow_look": "due" if review.slow_look_due else None,
    }


def from_matches(matches: Sequence[Match]) -> list[dict[str, Any]]:
    """As JSON."""
    return [asdict(match) for match in matches]


def to_review(row: Any) -> Review:
    """The review of a row."""
    matches = tuple(Match(**match) for match in row.matches)
    would = None if row.would is None else Outcome(row.would)
    return Review(
        decision=Decision(Outcome(row.outcome), row.case_number, matches, would),
        at=read_time(row.at),
        state=ReviewState(row.state),
        bits=row.bits,
        entry=row.entry,
        reference=row.reference,
        found=Found(row.found),
        secret_sha256=row.secret_sha256,
        upload_sha256=row.upload_sha256,
        first_confirmer=row.first_confirmer or "",
        has_bytes=bool(row.has_bytes),
    )


def _somebody_is_needed(db: sa.Connection) -> None:
    """One more flood that nobody was told of."""
    wanted = insert_or(db, PAGE).values(kind=PageKind.FLOOD, untold=1)
    more = {"untold": PAGE.c.untold + 1}
    db.execute(wanted.on_conflict_do_update(index_elements=["kind"], set_=more))


def _lead_of(db: sa.Connection, review: Review) -> str | None:
    """The case that stands for others of the same registered hash already."""
    wanted = sa.select(UPLOAD.c.lead).where(*_same_as(review), UPLOAD.c.lead.is_not(None))
    lead: str | None = db.execute(wanted.limit(1)).scalar()
    return lead


def _single_like(db: sa.Connection, review: Review) -> list[Review]:
    """Others of the same hash that wait singly, in the order of arrival."""
    wanted = sa.select(*SEEN).where(*_same_as(review), UPLOAD.c.lead.is_(None))
    wanted = wanted.where(UPLOAD.c.case_number != review.case).order_by(UPLOAD.c.number)
    return [to_review(row) for row in db.execute(wanted)]


def _same_as(review: Review) -> tuple[sa.ColumnElement[bool], ...]:
    if is_unread(review):
        same_file = UPLOAD.c.upload_sha256 == review.upload_sha256
        return WAITS, same_file, UPLOAD.c.bits.is_(None), UPLOAD.c.found == review.found
    return WAITS, UPLOAD.c.entry == review.entry, UPLOAD.c.found == review.found


def _join(db: sa.Connection, lead: str, cases: Sequence[str]) -> None:
    joins = UPLOAD.update().where(UPLOAD.c.case_number == sa.bindparam("case")).values(lead=lead)
    if cases:
        db.execute(joins, [{"case": case} for case in cases])
