"""Retroactive quarantine of uploads that match later registrations (docs/spec/gate.md, 5.2).

Each function runs inside an open transaction.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from entrenous.base.environment import Clock
from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import Match
from entrenous.stop.store.schema import (
    HAS_FINGERPRINT,
    IS_RELEASED,
    IS_TO_BE_REMOVED,
    IS_WAITING,
    LET_THROUGH_CONDITIONS,
    PUBLISHED_AND_WAITING_CONDITIONS,
    UPLOAD_TABLE,
    stored_time,
)
from entrenous.stop.store.uploads import (
    REVIEW_COLUMNS,
    choose_new_lead,
    get_review,
    is_newer_than_case,
    matches_to_json,
    review_from_row,
    update_upload,
)
from entrenous.stop.upload_record import (
    FoundBy,
    Outcome,
    RetroactiveMatches,
    Review,
    ReviewState,
)


def quarantine_retroactively(
    db: sa.Connection,
    clock: Clock,
    retroactive_matches: RetroactiveMatches,
    new_matches: Sequence[Match],
) -> bool:
    """Move an accepted upload into the queue; return False if it is not accepted any more."""
    now: dict[str, Any] = {
        "state": ReviewState.WAITING,
        "outcome": Outcome.HOLD,
        "found": retroactive_matches.found,
        "matches": matches_to_json(new_matches),
        "entry": retroactive_matches.entry,
        "waits_since": stored_time(clock.now()),
    }
    is_it: tuple[sa.ColumnElement[bool], ...]
    is_it = (sa.or_(sa.and_(*LET_THROUGH_CONDITIONS), IS_RELEASED), HAS_FINGERPRINT)
    if retroactive_matches.found is FoundBy.SLOW_LOOK:
        now |= {
            "bits": retroactive_matches.bits,
            "upload_sha256": retroactive_matches.upload_sha256,
            "slow_look": None,
        }
        is_it = LET_THROUGH_CONDITIONS
    waits = (
        UPLOAD_TABLE.update()
        .where(UPLOAD_TABLE.c.case_number == retroactive_matches.case, *is_it)
        .values(now)
    )
    return db.execute(waits).rowcount > 0


def add_matches(
    db: sa.Connection, retroactive_matches: RetroactiveMatches, new_matches: Sequence[Match]
) -> bool:
    """Add new matches to a waiting upload; return False if it does not wait or none is new.

    A first confirmation is taken back, since that reviewer had not seen these matches.
    """
    mine = sa.select(UPLOAD_TABLE.c.matches).where(
        UPLOAD_TABLE.c.case_number == retroactive_matches.case, IS_WAITING
    )
    row = db.execute(mine).one_or_none()
    known = {match["claim"] for match in row.matches} if row else set()
    more = [one for one in new_matches if one.claim not in known]
    if row and more:
        more_matches = [*row.matches, *matches_to_json(more)]
        update_upload(db, retroactive_matches.case, matches=more_matches, first_confirmer=None)
    return bool(row and more)


def published_to_review_or_remove(db: sa.Connection, after: str, limit: int) -> tuple[Review, ...]:
    """Return uploads after that case that were published and now wait, or have to be removed."""
    later = sa.select(UPLOAD_TABLE.c.number).where(is_newer_than_case(after))
    every = sa.union_all(
        later.where(*PUBLISHED_AND_WAITING_CONDITIONS), later.where(IS_TO_BE_REMOVED)
    )
    numbers = db.execute(every.order_by("number").limit(limit)).scalars().all()
    seen = (
        sa.select(*REVIEW_COLUMNS)
        .where(UPLOAD_TABLE.c.number.in_(numbers))
        .order_by(UPLOAD_TABLE.c.number)
    )
    return tuple(review_from_row(row) for row in db.execute(seen))


def remove_claims_from_matches(db: sa.Connection, claims: Collection[ClaimId]) -> int:
    """Remove claims from the matches of published uploads that wait for a reviewer.

    Those uploads that then match no other claim are accepted again.

    Returns:
        The number of uploads from whose matches a claim was removed.
    """
    matched = _retroactive_reviews(db, claims)
    for review in matched:
        left = [one for one in review.decision.matches if one.claim not in claims]
        update_upload(db, review.case, matches=matches_to_json(left))
        if not left:
            accept_upload_again(db, review)
    return len(matched)


def accept_upload_again(db: sa.Connection, review: Review) -> None:
    """Let a published upload through again; keep bytes that are stored for a deferred scan."""
    is_due = UPLOAD_TABLE.c.slow_look == "kept"
    update_upload(
        db, review.case, state=ReviewState.CLOSED, outcome=Outcome.LET_THROUGH,
        found=FoundBy.UPLOAD, entry=None, lead=None, waits_since=None, first_confirmer=None,
        untrusted_upload=sa.case((is_due, UPLOAD_TABLE.c.untrusted_upload)),
    )  # fmt: skip
    choose_new_lead(db, review.case)


def drop_bytes_if_found_by_scan(db: sa.Connection, review: Review) -> None:
    """Drop the bytes of an upload, if it was found by a deferred scan."""
    if review.found is FoundBy.SLOW_LOOK:
        update_upload(db, review.case, untrusted_upload=None)


def _retroactive_reviews(db: sa.Connection, claims: Collection[ClaimId]) -> list[Review]:
    """Return the published uploads that wait for a reviewer and match one of these claims.

    An index and the columns before the bytes suffice, so SQLite reads only the bytes of those that
    match.
    """
    late = sa.select(UPLOAD_TABLE.c.number).where(
        *PUBLISHED_AND_WAITING_CONDITIONS, UPLOAD_TABLE.c.number > 0
    )
    query = sa.select(UPLOAD_TABLE.c.case_number, UPLOAD_TABLE.c.matches).where(
        UPLOAD_TABLE.c.number.in_(late)
    )
    matched = [
        row.case_number
        for row in db.execute(query)
        if any(match["claim"] in claims for match in row.matches)
    ]
    return [get_review(db, case) for case in matched]
