"""The table of judged uploads (docs/spec/gate.md, 5.2).

Each function runs inside an open transaction. A flood is many waiting uploads that match one
registered hash; its lead is the upload that represents it in the queue.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from entrenous.base.environment import Clock
from entrenous.base.limits import PDQ_BYTES
from entrenous.fingerprint.nouns import Match, SoundPrint
from entrenous.stop.nouns import AlertKind
from entrenous.stop.review import are_similar_hashes, should_wait_together, was_undecodable
from entrenous.stop.store.audit_events import append_events, cases_gathered_event
from entrenous.stop.store.engine import insert_on_conflict_statement
from entrenous.stop.store.registrations import statement_batches
from entrenous.stop.store.schema import (
    ALERT_TABLE,
    BIG_INTEGER,
    HAS_FINGERPRINT,
    IS_WAITING,
    LET_THROUGH_WITH_HASH_CONDITIONS,
    RELEASED_WITH_HASH_CONDITIONS,
    UPLOAD_CLIP_PRINT_TABLE,
    UPLOAD_TABLE,
    WAS_QUARANTINED_AFTER_PUBLISHING,
    read_time,
    stored_time,
)
from entrenous.stop.upload_record import (
    Decision,
    FoundBy,
    NoSuchReview,
    Outcome,
    Review,
    ReviewState,
    StoredClipHashes,
    StoredPictureHash,
    StoredSoundPrint,
)

_HAS_BYTES: Final = UPLOAD_TABLE.c.untrusted_upload.is_not(None)
REVIEW_COLUMNS: Final = [
    *(column for column in UPLOAD_TABLE.c if column.name != "untrusted_upload"),
    sa.and_(IS_WAITING, _HAS_BYTES).label("has_bytes"),
]
INSERTED_COLUMN_NAMES: Final = (  # the columns that :func:`row_from_review` returns
    *("case_number", "at", "outcome", "state", "matches", "bits", "would", "entry"),
    *("reference", "found", "secret_sha256", "upload_sha256", "slow_look"),
)


def get_review(db: sa.Connection, case: str) -> Review:
    """Return the review; raises NoSuchReview."""
    return get_review_and_appealed(db, case)[0]


def get_review_and_appealed(db: sa.Connection, case: str) -> tuple[Review, bool]:
    """Return the review, and whether it was appealed; raises NoSuchReview."""
    row = db.execute(
        sa.select(*REVIEW_COLUMNS).where(UPLOAD_TABLE.c.case_number == case)
    ).one_or_none()
    if row is None:
        raise NoSuchReview(case=case)
    return review_from_row(row), row.appealed_at is not None


def is_newer_than_case(case: str) -> sa.ColumnElement[bool]:
    """Return the condition that an upload is newer than that case.

    If there is no such case, the condition is true for every upload.
    """
    before = (
        sa.select(UPLOAD_TABLE.c.number).where(UPLOAD_TABLE.c.case_number == case).scalar_subquery()
    )
    return UPLOAD_TABLE.c.number > sa.func.coalesce(before, 0)


def review_with_gathered_count(db: sa.Connection, case: str) -> Review:
    """Return the review with the number of uploads that wait with it; raises NoSuchReview."""
    mine = (
        sa.select(sa.func.count())
        .select_from(UPLOAD_TABLE)
        .where(IS_WAITING, UPLOAD_TABLE.c.lead == case)
    )
    return replace(get_review(db, case), gathered=db.execute(mine).scalar_one())


def with_cases_decided_together(review: Review, also: Sequence[Review]) -> Review:
    """Return the review with the cases that are decided together with it."""
    return replace(review, also=tuple(one.case for one in also))


def waiting_uploads_represented_by(db: sa.Connection, case: str) -> list[Review]:
    """Return waiting uploads that this case represents, oldest first."""
    query = (
        sa.select(*REVIEW_COLUMNS)
        .where(IS_WAITING, UPLOAD_TABLE.c.lead == case)
        .order_by(UPLOAD_TABLE.c.number)
    )
    return [review_from_row(row) for row in db.execute(query)]


def update_upload(db: sa.Connection, case: str, **values: Any) -> None:
    db.execute(UPLOAD_TABLE.update().where(UPLOAD_TABLE.c.case_number == case).values(values))


def record_decision_and_delete_data(
    db: sa.Connection,
    cases: Collection[str],
    state: ReviewState,
    until: datetime,
    *,
    keeps: bool = False,
) -> None:
    """Delete the data of decided uploads that is no longer needed: bytes, hash and reference.

    A refused upload keeps its SHA-256, for an appeal. With ``keeps``, the data that look-backs need
    stays. A confirmed upload that had been published keeps its reference and is listed for removal
    until ``until``.
    """
    mine = UPLOAD_TABLE.c.case_number == sa.bindparam("case")
    those = [{"case": case} for case in cases]
    decided = UPLOAD_TABLE.update().where(mine).values(
        state=state, untrusted_upload=None, lead=None, slow_look=None, first_confirmer=None,
        listed_until=sa.case(
            (WAS_QUARANTINED_AFTER_PUBLISHING, sa.bindparam("until", type_=BIG_INTEGER))
        ),
    )  # fmt: skip
    to_remove = stored_time(until) if state is ReviewState.CONFIRMED else None
    db.execute(decided, [one | {"until": to_remove} for one in those])
    reference = sa.case(
        (UPLOAD_TABLE.c.listed_until.is_not(None), UPLOAD_TABLE.c.reference), else_=""
    )
    gone: dict[str, Any] = {"bits": None, "reference": reference}
    if state is ReviewState.RELEASED:
        gone["upload_sha256"] = None
    forgotten = sa.and_(mine, ~HAS_FINGERPRINT) if keeps else mine
    db.execute(UPLOAD_TABLE.update().where(forgotten).values(gone), those)
    if not keeps:
        numbers = sa.select(UPLOAD_TABLE.c.number).where(mine)
        db.execute(
            UPLOAD_CLIP_PRINT_TABLE.delete().where(UPLOAD_CLIP_PRINT_TABLE.c.number.in_(numbers)),
            those,
        )


def join_flood(db: sa.Connection, clock: Clock, review: Review, held_per_hash: int) -> str | None:
    """Let the upload join its flood: the uploads that wait for the same registered hash.

    Returns:
        The case that represents the flood, or None if the upload waits alone.
    """
    if review.entry is None and not (was_undecodable(review) and review.upload_sha256):
        return None
    lead = _existing_lead(db, review)
    if lead is None:
        single = _uploads_without_lead_like(db, review)
        if not single or not should_wait_together(review, single, held_per_hash):
            return None
        lead = single[0].case
        _set_lead(db, lead, [one.case for one in single[1:]])
        append_events(db, clock, cases_gathered_event(lead, len(single) + 1))
        if len(single) + 1 > held_per_hash:  # does not apply to repetitions of one unreadable file
            _add_unreported_flood(db)
    _set_lead(db, lead, [review.case])
    return lead


def should_store_bytes_in_flood(
    db: sa.Connection, lead: str, review: Review, held_per_hash: int
) -> bool:
    """Return whether the bytes of one more upload that waits with ``lead`` should be stored."""
    if was_undecodable(review) or are_similar_hashes(get_review(db, lead).bits, review.bits):
        return False
    kept = sa.select(sa.func.count()).select_from(UPLOAD_TABLE)
    others = UPLOAD_TABLE.c.lead == lead, UPLOAD_TABLE.c.case_number != review.case
    kept = kept.where(IS_WAITING, *others, _HAS_BYTES)
    return db.execute(kept).scalar_one() < held_per_hash


def count_undecodable_bytes(db: sa.Connection) -> int:
    """Return the total size of waiting uploads without a hash.

    Columns are read in table order and only by length, so that SQLite reads no upload's bytes.
    """
    size = sa.func.coalesce(sa.func.sum(sa.func.length(UPLOAD_TABLE.c.untrusted_upload)), 0)
    return int(
        db.execute(sa.select(size).where(IS_WAITING, UPLOAD_TABLE.c.bits.is_(None))).scalar_one()
    )


def choose_new_lead(db: sa.Connection, case: str) -> None:
    """Choose a new lead for a flood whose lead no longer waits."""
    left = sa.select(UPLOAD_TABLE.c.case_number).where(IS_WAITING, UPLOAD_TABLE.c.lead == case)
    order = sa.case((_HAS_BYTES, 0), else_=1), UPLOAD_TABLE.c.number
    first = db.execute(left.order_by(*order).limit(1)).scalar()
    if first is not None:
        db.execute(
            UPLOAD_TABLE.update().where(IS_WAITING, UPLOAD_TABLE.c.lead == case).values(lead=first)
        )
        update_upload(db, first, lead=None)


def row_from_review(review: Review) -> dict[str, Any]:
    """Return the columns of a review, without the upload's bytes."""
    decision = review.decision
    return {
        "case_number": review.case,
        "at": stored_time(review.at),
        "outcome": decision.outcome,
        "state": review.state,
        "matches": matches_to_json(decision.matches),
        "bits": review.bits,
        "would": decision.would,
        "entry": review.entry,
        "reference": review.reference,
        "found": review.found,
        "secret_sha256": review.secret_sha256,
        "upload_sha256": review.upload_sha256,
        "slow_look": "due" if review.slow_look_due else None,
    }


def matches_to_json(matches: Sequence[Match]) -> list[dict[str, Any]]:
    return [asdict(match) for match in matches]


def review_from_row(row: Any) -> Review:
    matches = tuple(Match(**match) for match in row.matches)
    would = None if row.would is None else Outcome(row.would)
    return Review(
        decision=Decision(Outcome(row.outcome), row.case_number, matches, would),
        at=read_time(row.at),
        state=ReviewState(row.state),
        bits=row.bits,
        entry=row.entry,
        reference=row.reference,
        found=FoundBy(row.found),
        secret_sha256=row.secret_sha256,
        upload_sha256=row.upload_sha256,
        first_confirmer=row.first_confirmer or "",
        has_bytes=bool(row.has_bytes),
    )


def _add_unreported_flood(db: sa.Connection) -> None:
    """Count one more flood that has not been reported."""
    insertion = insert_on_conflict_statement(db, ALERT_TABLE).values(kind=AlertKind.FLOOD, untold=1)
    more = {"untold": ALERT_TABLE.c.untold + 1}
    db.execute(insertion.on_conflict_do_update(index_elements=["kind"], set_=more))


def _existing_lead(db: sa.Connection, review: Review) -> str | None:
    """Return the case that already represents waiting uploads of the same registered hash."""
    query = sa.select(UPLOAD_TABLE.c.lead).where(
        *_same_flood_conditions(review), UPLOAD_TABLE.c.lead.is_not(None)
    )
    lead: str | None = db.execute(query.limit(1)).scalar()
    return lead


def _uploads_without_lead_like(db: sa.Connection, review: Review) -> list[Review]:
    """Return other waiting uploads of the same hash without a lead, oldest first."""
    query = sa.select(*REVIEW_COLUMNS).where(
        *_same_flood_conditions(review), UPLOAD_TABLE.c.lead.is_(None)
    )
    query = query.where(UPLOAD_TABLE.c.case_number != review.case).order_by(UPLOAD_TABLE.c.number)
    return [review_from_row(row) for row in db.execute(query)]


def _same_flood_conditions(review: Review) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions for waiting uploads of the same registered hash, or of the same
    undecodable file, that were found in the same way.
    """
    if was_undecodable(review):
        same_file = UPLOAD_TABLE.c.upload_sha256 == review.upload_sha256
        return (
            IS_WAITING,
            same_file,
            UPLOAD_TABLE.c.bits.is_(None),
            UPLOAD_TABLE.c.found == review.found,
        )
    return IS_WAITING, UPLOAD_TABLE.c.entry == review.entry, UPLOAD_TABLE.c.found == review.found


def _set_lead(db: sa.Connection, lead: str, cases: Sequence[str]) -> None:
    joins = (
        UPLOAD_TABLE.update()
        .where(UPLOAD_TABLE.c.case_number == sa.bindparam("case"))
        .values(lead=lead)
    )
    if cases:
        db.execute(joins, [{"case": case} for case in cases])


def add_clip_prints(db: sa.Connection, review: Review) -> None:
    """Store the fingerprints of a clip or a sound that was just recorded."""
    mine = sa.select(UPLOAD_TABLE.c.number, UPLOAD_TABLE.c.at).where(
        UPLOAD_TABLE.c.case_number == review.case
    )
    kept = mine.add_columns(
        sa.literal(b"".join(review.frames), sa.LargeBinary),
        sa.literal(review.sound and review.sound.words, sa.LargeBinary),
    )
    db.execute(
        UPLOAD_CLIP_PRINT_TABLE.insert().from_select(["number", "at", "frames", "words"], kept)
    )


def stored_picture_hashes(
    db: sa.Connection, after: int, limit: int
) -> tuple[StoredPictureHash, ...]:
    """Return up to ``limit`` pictures with a hash that were let through, wait, or were released.

    A single statement is used, so that an upload whose state changes meanwhile is not missed. Each
    part of the statement uses an index.
    """
    columns = sa.select(UPLOAD_TABLE.c.number, UPLOAD_TABLE.c.case_number, UPLOAD_TABLE.c.bits)
    later = UPLOAD_TABLE.c.number > after
    every = sa.union_all(
        columns.where(*LET_THROUGH_WITH_HASH_CONDITIONS, later),
        columns.where(IS_WAITING, UPLOAD_TABLE.c.bits.is_not(None), later),
        columns.where(*RELEASED_WITH_HASH_CONDITIONS, later),
    )
    rows = db.execute(every.order_by("number").limit(limit))
    return tuple(StoredPictureHash(row[0], row[1], bytes(row[2])) for row in rows)


def stored_clip_hashes(db: sa.Connection, after: int, limit: int) -> tuple[StoredClipHashes, ...]:
    there = UPLOAD_CLIP_PRINT_TABLE.c.frames != sa.literal(b"", sa.LargeBinary)
    rows = _clip_prints(db, UPLOAD_CLIP_PRINT_TABLE.c.frames, there, after, limit)
    return tuple(
        StoredClipHashes(number, case, _split_frame_hashes(frames)) for number, case, frames in rows
    )


def stored_sound_prints(db: sa.Connection, after: int, limit: int) -> tuple[StoredSoundPrint, ...]:
    there = UPLOAD_CLIP_PRINT_TABLE.c.words.is_not(None)
    rows = _clip_prints(db, UPLOAD_CLIP_PRINT_TABLE.c.words, there, after, limit)
    return tuple(StoredSoundPrint(number, case, SoundPrint(words)) for number, case, words in rows)


def _clip_prints(
    db: sa.Connection,
    column: sa.ColumnElement[bytes],
    there: sa.ColumnElement[bool],
    after: int,
    limit: int,
) -> list[tuple[int, str, bytes]]:
    """Return the number, the case and the value of ``column`` of clips that were not refused."""
    query = sa.select(UPLOAD_CLIP_PRINT_TABLE.c.number, column).where(there)
    query = query.order_by(UPLOAD_CLIP_PRINT_TABLE.c.number).limit(limit)
    while rows := db.execute(query.where(UPLOAD_CLIP_PRINT_TABLE.c.number > after)).all():
        cases = _cases_of_comparable_uploads(db, [row[0] for row in rows])
        if cases:
            return [(row[0], cases[row[0]], bytes(row[1])) for row in rows if row[0] in cases]
        after = rows[-1][0]
    return []


def delete_clip_fingerprints(db: sa.Connection, before: datetime) -> int:
    """Delete fingerprints of accepted and released clips that arrived earlier than ``before``.

    Return the number of clips.
    """
    old = sa.select(UPLOAD_CLIP_PRINT_TABLE.c.number).where(
        UPLOAD_CLIP_PRINT_TABLE.c.at < stored_time(before)
    )
    gone = list(_cases_of_comparable_uploads(db, db.execute(old).scalars().all(), waiting=False))
    for batch in statement_batches(gone):
        these = UPLOAD_TABLE.update().where(UPLOAD_TABLE.c.number.in_(batch))
        db.execute(these.values(upload_sha256=None, reference=""))
        db.execute(
            UPLOAD_CLIP_PRINT_TABLE.delete().where(UPLOAD_CLIP_PRINT_TABLE.c.number.in_(batch))
        )
    return len(gone)


def _cases_of_comparable_uploads(
    db: sa.Connection, numbers: Sequence[int], *, waiting: bool = True
) -> dict[int, str]:
    """Return the uploads among ``numbers`` that were let through, released, or wait, with their
    cases.

    Rows are selected by number alone: with a condition on the state, SQLite would use the index on
    states and read every upload.
    """
    let_through = ReviewState.CLOSED, Outcome.LET_THROUGH
    states = {ReviewState.RELEASED, *([ReviewState.WAITING] if waiting else [])}
    columns = (
        UPLOAD_TABLE.c.number,
        UPLOAD_TABLE.c.case_number,
        UPLOAD_TABLE.c.state,
        UPLOAD_TABLE.c.outcome,
    )
    return {
        row.number: row.case_number
        for batch in statement_batches(numbers)
        for row in db.execute(sa.select(*columns).where(UPLOAD_TABLE.c.number.in_(batch)))
        if (row.state, row.outcome) == let_through or row.state in states
    }


def _split_frame_hashes(frames: bytes) -> tuple[bytes, ...]:
    return tuple(frames[at : at + PDQ_BYTES] for at in range(0, len(frames), PDQ_BYTES))
