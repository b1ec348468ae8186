"""The audit log; each event is written in the transaction of the change it records."""

from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa

from entrenous.base.environment import Clock
from entrenous.base.identifiers import ClaimId
from entrenous.stop.audit import AuditDetails, AuditHead, AuditRow
from entrenous.stop.nouns import Bank
from entrenous.stop.registration import Claim, Opinion, Partner
from entrenous.stop.store.engine import insert_on_conflict_statement
from entrenous.stop.store.schema import AUDIT_HEAD_TABLE, AUDIT_TABLE, read_time, stored_time
from entrenous.stop.upload_record import FoundBy, Review, ReviewState

RETROACTIVE_QUARANTINE_EVENTS: Final = {
    FoundBy.LOOK_BACK: "case looked back at",
    FoundBy.SLOW_LOOK: "case found slowly",
}
MORE_CLAIMS_MATCH_EVENT: Final = "case fits more"
AuditEvent = tuple[str, str, AuditDetails]  # event, subject, details


def bank_set_event(bank: Bank) -> AuditEvent:
    """Return the log entry for a bank that was created or whose policy was changed."""
    policy: AuditDetails = {
        "radius": bank.radius,
        "on_claimed": str(bank.on_claimed),
        "on_confirmed": str(bank.on_confirmed),
        "shadow": bank.shadow,
    }
    return "bank set", bank.name, policy


def claim_registered_event(claim: Claim) -> AuditEvent:
    """Return the log entry for a registered claim; it omits the fingerprint and holder's token."""
    return "claim registered", claim.id, {"bank": claim.bank, "state": str(claim.state)}


def reason_change_event(claim: ClaimId) -> AuditEvent:
    """Return the log entry for a claim that the platform listed and whose reason it has now
    changed.
    """
    return "claim noted", claim, {}


def state_change_event(claim: Claim) -> AuditEvent:
    return f"claim {claim.state}", claim.id, {}


def dispute_event(claim: Claim) -> AuditEvent:
    return "claim disputed", claim.id, {"disputes": claim.disputes}


def opinion_event(opinion: Opinion) -> AuditEvent:
    """Return the log entry for a partner platform's opinion on a claim."""
    said = {"opinion": str(opinion.stance), "key": opinion.key.hex()}
    return "opinion", opinion.claim, said


def partner_added_event(partner: Partner) -> AuditEvent:
    return "partner added", partner.key.hex(), {"name": partner.name}


def bytes_not_stored_event(case: str, size: int) -> AuditEvent:
    """Return the log entry for an upload that waits for review without its bytes.

    The reason is that too many unreadable uploads wait, or that the disk is full.
    """
    return "upload not kept", case, {"bytes": size}


def review_event(review: Review, state: ReviewState, by: str) -> AuditEvent:
    """Return the log entry for a reviewer's decision on a case and on the cases in ``review.also``.

    In the details, ``first`` is the first of two confirmers.
    """
    decided: AuditDetails = {"also": len(review.also), "by": by}
    if review.first_confirmer:
        decided = {**decided, "first": review.first_confirmer}
    return f"case {state}", review.case, decided


def first_confirmation_event(case: str, by: str) -> AuditEvent:
    """Return the log entry for a first confirmation of a case that a second reviewer has to
    confirm.
    """
    return "case confirmed first", case, {"by": by}


def cases_gathered_event(lead: str, uploads: int) -> AuditEvent:
    """Return the log entry for uploads that were combined into one review item; ``uploads`` is
    their number.
    """
    return "cases gathered", lead, {"uploads": uploads}


def reviewer_event(what: str, name: str) -> AuditEvent:
    """Return the log entry for a reviewer who was added or removed; ``what`` is "added" or
    "removed".
    """
    return f"reviewer {what}", name, {}


def append_events(db: sa.Connection, clock: Clock, *events: AuditEvent) -> None:
    """Append events to the log; ``db`` is a transaction begun by ``exclusive_write``."""
    rows = list(_chain_rows(audit_head(db), clock, events))
    if not rows:
        return
    db.execute(AUDIT_TABLE.insert(), [_columns_of(row) for row in rows])
    newest = {"number": rows[-1].number, "hash": rows[-1].hash}
    wanted = insert_on_conflict_statement(db, AUDIT_HEAD_TABLE).values(id=1, **newest)
    db.execute(wanted.on_conflict_do_update(index_elements=["id"], set_=newest))


def audit_head(db: sa.Connection) -> AuditHead:
    """Return the number and the hash of the last row, which are stored beside the log to detect
    truncation.
    """
    row = db.execute(sa.select(AUDIT_HEAD_TABLE)).one_or_none()
    return AuditHead() if row is None else AuditHead(row.number, bytes(row.hash))


def audit_rows_after(db: sa.Connection, after: int, limit: int) -> tuple[AuditRow, ...]:
    wanted = (
        sa.select(AUDIT_TABLE)
        .where(AUDIT_TABLE.c.number > after)
        .order_by(AUDIT_TABLE.c.number)
        .limit(limit)
    )
    return tuple(
        AuditRow(
            number=row.number,
            at=read_time(row.at),
            what=row.what,
            of=row.of,
            details=row.details,
            before=bytes(row.before),
            hash=bytes(row.hash),
        )
        for row in db.execute(wanted)
    )


def _chain_rows(head: AuditHead, clock: Clock, events: Iterable[AuditEvent]) -> Iterable[AuditRow]:
    at = clock.now()
    for what, of, details in events:
        row = AuditRow.after(head, at, what, of, details)
        head = row.head
        yield row


def _columns_of(row: AuditRow) -> dict[str, object]:
    return {
        "number": row.number,
        "at": stored_time(row.at),
        "what": row.what,
        "of": row.of,
        "details": dict(row.details),
        "before": row.before,
        "hash": row.hash,
    }
