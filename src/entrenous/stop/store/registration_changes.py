"""Change claims, and keep the platform's own listings."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from entrenous.base.environment import Clock
from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import VIDEO_KIND
from entrenous.stop.nouns import ClaimListing
from entrenous.stop.registration import (
    CLAIM_TRANSITIONS,
    MATCHING_STATES,
    Claim,
    ClaimEvent,
    ClaimState,
    NoSuchClaim,
)
from entrenous.stop.store.audit_events import (
    AuditEvent,
    append_events,
    dispute_event,
    reason_change_event,
    state_change_event,
)
from entrenous.stop.store.engine import exclusive_write, insert_on_conflict_statement, snapshot_read
from entrenous.stop.store.registrations import (
    IS_PICTURE,
    existing_claims,
    link_claims_to_hashes,
    next_change_number,
    statement_batches,
    with_confirmed_number,
)
from entrenous.stop.store.schema import (
    CLAIM_HASH_TABLE,
    CLAIM_LISTING_TABLE,
    CLAIM_SOUND_TABLE,
    CLAIM_TABLE,
    EMBEDDING_TABLE,
    FRAME_TABLE,
    HASH_TABLE,
    HOLD_ONLY_ADDED_NUMBER,
    SOUND_TABLE,
    STILL_PICTURE_AT_MS,
    read_optional_time,
    stored_time,
)


def number_and_log_changes(db: sa.Connection, clock: Clock, *events: AuditEvent) -> None:
    """Give the claim of each event the next change number, in order, and log the events."""
    at = stored_time(clock.now())
    given = CLAIM_TABLE.update().where(CLAIM_TABLE.c.id == sa.bindparam("of"))
    given = given.values(changed=sa.bindparam("to"), changed_at=at)
    rows = [
        {"of": of, "to": to} for to, (_, of, _) in enumerate(events, start=next_change_number(db))
    ]
    if rows:
        db.execute(given, rows)
    append_events(db, clock, *events)


def apply_event_to_all(
    db: sa.Connection, clock: Clock, claims: Iterable[Claim], event: ClaimEvent
) -> list[Claim]:
    """Change the state of the claims for which CLAIM_TRANSITIONS allows it.

    A confirmed claim that is confirmed again gets a new number, since the confirmation has to count
    as later than a release that was made in between.

    Returns:
        These claims in their new state; the same object if nothing changed.
    """
    may = [one for one in claims if (one.state, event) in CLAIM_TRANSITIONS]
    states = [CLAIM_TRANSITIONS[one.state, event] for one in may]
    pairs = list(zip(may, states, strict=True))
    again = event is ClaimEvent.CONFIRM
    moved = [replace(one, state=to) for one, to in pairs if again or to is not one.state]
    after = {one.id: one for one in _store_state_changes(db, clock, moved)}
    return [after.get(one.id, one) for one, _ in pairs]


def add_reviewed_hashes(
    db: sa.Connection,
    clock: Clock,
    claims: Iterable[Claim],
    whole: Sequence[bytes],
    *,
    confirmed: bool,
) -> list[Claim]:
    """Add the hashes to those claims whose state lets them match uploads; return these claims."""
    fitting = [claim for claim in claims if claim.state in MATCHING_STATES]
    if fitting:
        owned = _owner_hashes(db, [claim.id for claim in fitting], whole)
        hash_numbers = link_claims_to_hashes(
            db, [(claim.id, bits) for claim in fitting for bits in whole]
        )
        _mark_added(
            db,
            fitting,
            hash_numbers,
            owned,
            next_change_number(db) if confirmed else HOLD_ONLY_ADDED_NUMBER,
        )
        _mark_frames_as_pictures(
            db, [claim.id for claim in fitting if claim.kind == VIDEO_KIND], hash_numbers
        )
        number_and_log_changes(db, clock, *(("claim extended", claim.id, {}) for claim in fitting))
        _schedule_look_back(db, clock, fitting)
    return fitting


def _owner_hashes(
    db: sa.Connection, claims: Sequence[ClaimId], whole: Sequence[bytes]
) -> set[tuple[str, int]]:
    """Return the pairs of claim and hash number that an owner registered as a picture, not as a
    frame of a video.
    """
    query = (
        sa.select(CLAIM_HASH_TABLE.c.claim, CLAIM_HASH_TABLE.c.number)
        .join(HASH_TABLE)
        .where(IS_PICTURE)
    )
    mine = (
        HASH_TABLE.c.bits.in_(whole),
        HASH_TABLE.c.part.is_(False),
        CLAIM_HASH_TABLE.c.added.is_(None),
    )
    return {
        (row.claim, row.number)
        for batch in statement_batches(claims)
        for row in db.execute(query.where(*mine, CLAIM_HASH_TABLE.c.claim.in_(batch)))
    }


def _mark_added(
    db: sa.Connection,
    claims: Iterable[Claim],
    hash_numbers: Mapping[bytes, int],
    owned: Collection[tuple[str, int]],
    added: int,
) -> None:
    """Mark hashes as added by a reviewer.

    A confirmed hash is never downgraded to one that can only hold an upload. ``owned`` hashes,
    which the owner registered, stay unmarked.
    """
    is_it = (
        CLAIM_HASH_TABLE.c.claim == sa.bindparam("of"),
        CLAIM_HASH_TABLE.c.number == sa.bindparam("on"),
    )
    newer = sa.or_(CLAIM_HASH_TABLE.c.added.is_(None), CLAIM_HASH_TABLE.c.added < added)
    rows = [{"of": one.id, "on": number} for one in claims for number in hash_numbers.values()]
    rows = [row for row in rows if (row["of"], row["on"]) not in owned]
    if rows:
        db.execute(CLAIM_HASH_TABLE.update().where(*is_it, newer).values(added=added), rows)


def _mark_frames_as_pictures(
    db: sa.Connection, videos: Iterable[ClaimId], hash_numbers: Mapping[bytes, int]
) -> None:
    """Of these videos, mark each frame whose hash is one of these as a picture, too."""
    shown = sa.select(
        FRAME_TABLE.c.claim, FRAME_TABLE.c.number, sa.literal(STILL_PICTURE_AT_MS)
    ).distinct()
    shown = shown.where(FRAME_TABLE.c.number.in_(hash_numbers.values()))
    insertion = insert_on_conflict_statement(db, FRAME_TABLE)
    for batch in statement_batches(videos):
        rows = insertion.from_select(
            ["claim", "number", "at_ms"], shown.where(FRAME_TABLE.c.claim.in_(batch))
        )
        db.execute(rows.on_conflict_do_nothing())


def add_disputes(db: sa.Connection, clock: Clock, claims: Sequence[ClaimId]) -> list[Claim]:
    """Count one more dispute of each claim; raises NoSuchClaim."""
    more = CLAIM_TABLE.update().values(disputes=CLAIM_TABLE.c.disputes + 1)
    for batch in statement_batches(dict.fromkeys(claims)):
        db.execute(more.where(CLAIM_TABLE.c.id.in_(batch)))
    disputed = existing_claims(db, claims)
    for missing in set(claims) - {one.id for one in disputed}:
        raise NoSuchClaim(claim=missing)
    append_events(db, clock, *(dispute_event(one) for one in disputed))
    return disputed


def _store_state_changes(db: sa.Connection, clock: Clock, moved: Sequence[Claim]) -> list[Claim]:
    for claim in moved:
        if claim.state is ClaimState.WITHDRAWN:
            _delete_fingerprints_and_listing(db, claim.id)
    if not moved:
        return []
    # number_and_log_changes() below assigns the same numbers.
    after = [
        with_confirmed_number(one, number)
        for number, one in enumerate(moved, start=next_change_number(db))
    ]
    there = CLAIM_TABLE.update().where(CLAIM_TABLE.c.id == sa.bindparam("of"))
    rows = [{"of": one.id, "to": one.state, "by": one.confirmed} for one in after]
    there = there.values(state=sa.bindparam("to"), confirmed=sa.bindparam("by"))
    db.execute(there, rows)
    number_and_log_changes(db, clock, *(state_change_event(claim) for claim in after))
    _schedule_look_back(db, clock, [one for one in after if one.state is ClaimState.CONFIRMED])
    return after


def _delete_fingerprints_and_listing(db: sa.Connection, claim: ClaimId) -> None:
    mine = sa.select(CLAIM_HASH_TABLE.c.number).where(CLAIM_HASH_TABLE.c.claim == claim)
    numbers = list(db.execute(mine).scalars())
    _delete_frames_and_sound(db, claim)
    db.execute(EMBEDDING_TABLE.delete().where(EMBEDDING_TABLE.c.claim == claim))
    db.execute(CLAIM_LISTING_TABLE.delete().where(CLAIM_LISTING_TABLE.c.claim == claim))
    db.execute(CLAIM_HASH_TABLE.delete().where(CLAIM_HASH_TABLE.c.claim == claim))
    for batch in statement_batches(numbers):
        still = sa.select(CLAIM_HASH_TABLE.c.number).where(CLAIM_HASH_TABLE.c.number.in_(batch))
        db.execute(
            HASH_TABLE.delete().where(
                HASH_TABLE.c.number.in_(batch), HASH_TABLE.c.number.not_in(still)
            )
        )


def _delete_frames_and_sound(db: sa.Connection, claim: ClaimId) -> None:
    """Delete a claim's frames, and its sound if no other claim has it."""
    mine = sa.select(CLAIM_SOUND_TABLE.c.number).where(CLAIM_SOUND_TABLE.c.claim == claim)
    numbers = list(db.execute(mine).scalars())
    db.execute(FRAME_TABLE.delete().where(FRAME_TABLE.c.claim == claim))
    if numbers:
        db.execute(CLAIM_SOUND_TABLE.delete().where(CLAIM_SOUND_TABLE.c.claim == claim))
        still = sa.select(CLAIM_SOUND_TABLE.c.number).where(CLAIM_SOUND_TABLE.c.number.in_(numbers))
        gone = SOUND_TABLE.c.number.in_(numbers), SOUND_TABLE.c.number.not_in(still)
        db.execute(SOUND_TABLE.delete().where(*gone))


def _schedule_look_back(db: sa.Connection, clock: Clock, claims: Iterable[Claim]) -> None:
    """Schedule a look-back, since these claims may match uploads that were accepted before."""
    due = CLAIM_TABLE.update().values(look_back_at=stored_time(clock.now()))
    for batch in statement_batches(one.id for one in claims):
        db.execute(due.where(CLAIM_TABLE.c.id.in_(batch)))


@dataclass(frozen=True, slots=True)
class ClaimListingStore:
    """Stores the platform's own data about claims in the tables of ``engine`` (see
    :func:`open_engine`).
    """

    engine: sa.Engine
    clock: Clock

    def set_listing(self, claims: Collection[ClaimId], listing: ClaimListing) -> None:
        """Set the listing of these claims; skip those that are withdrawn or missing."""
        at = None if listing.on_at is None else stored_time(listing.on_at)
        values = {"content_id": listing.content_id, "on_at": at}
        with exclusive_write(self.engine) as db:
            for batch in statement_batches(claims):
                live = sa.select(CLAIM_TABLE.c.id).where(
                    CLAIM_TABLE.c.id.in_(batch), _IS_NOT_WITHDRAWN
                )
                rows = [{"claim": claim, **values} for claim in db.execute(live).scalars()]
                insertion = insert_on_conflict_statement(db, CLAIM_LISTING_TABLE)
                if rows:
                    db.execute(
                        insertion.on_conflict_do_update(index_elements=["claim"], set_=values), rows
                    )

    def listings(self, claims: Collection[ClaimId]) -> Mapping[ClaimId, ClaimListing]:
        """Return the listings of those claims that have one."""
        with snapshot_read(self.engine) as db:
            return {
                ClaimId(row.claim): ClaimListing(row.content_id, read_optional_time(row.on_at))
                for batch in statement_batches(claims)
                for row in db.execute(
                    sa.select(CLAIM_LISTING_TABLE).where(CLAIM_LISTING_TABLE.c.claim.in_(batch))
                )
            }

    def claims_to_relist(self, at: datetime) -> tuple[ClaimId, ...]:
        """Return claims whose ``on_at`` is not after ``at``."""
        query = sa.select(CLAIM_LISTING_TABLE.c.claim).where(
            CLAIM_LISTING_TABLE.c.on_at <= stored_time(at)
        )
        with snapshot_read(self.engine) as db:
            rows = db.execute(
                query.order_by(CLAIM_LISTING_TABLE.c.on_at, CLAIM_LISTING_TABLE.c.claim)
            )
            return tuple(ClaimId(claim) for claim in rows.scalars())

    def set_reason(self, claims: Collection[ClaimId], note: str) -> None:
        """Replace the reason of these claims and log each; skip withdrawn or missing ones."""
        with exclusive_write(self.engine) as db:
            for batch in statement_batches(claims):
                live = sa.select(CLAIM_TABLE.c.id).where(
                    CLAIM_TABLE.c.id.in_(batch), _IS_NOT_WITHDRAWN
                )
                found = list(db.execute(live).scalars())
                db.execute(
                    CLAIM_TABLE.update().where(CLAIM_TABLE.c.id.in_(found)).values(reason=note)
                )
                append_events(
                    db, self.clock, *(reason_change_event(ClaimId(claim)) for claim in found)
                )


_IS_NOT_WITHDRAWN = CLAIM_TABLE.c.state != ClaimState.WITHDRAWN
