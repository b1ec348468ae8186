"""The log as a chain of hashes, each row in the transaction of what it tells."""

from collections.abc import Iterable

import sqlalchemy as sa

from entrenous.adapters.bank.insert import insert_or
from entrenous.adapters.bank.tables import AUDIT, AUDIT_HEAD, read_time, stored_time
from entrenous.adapters.bank.told import Told
from entrenous.model.audit import AuditRow, Head
from entrenous.ports import Clock


def tell(db: sa.Connection, clock: Clock, *told: Told) -> None:
    """Add rows to the log; ``db`` is a transaction that nobody else writes beside."""
    rows = list(_linked(head_of(db), clock, told))
    if not rows:
        return
    db.execute(AUDIT.insert(), [_from_row(row) for row in rows])
    newest = {"number": rows[-1].number, "hash": rows[-1].hash}
    wanted = insert_or(db, AUDIT_HEAD).values(id=1, **newest)
    db.execute(wanted.on_conflict_do_update(index_elements=["id"], set_=newest))


def head_of(db: sa.Connection) -> Head:
    """What is kept of the last row beside the log."""
    row = db.execute(sa.select(AUDIT_HEAD)).one_or_none()
    return Head() if row is None else Head(row.number, bytes(row.hash))


def rows_after(db: sa.Connection, after: int, limit: int) -> tuple[AuditRow, ...]:
    """Rows with a higher number, in order."""
    wanted = sa.select(AUDIT).where(AUDIT.c.number > after).order_by(AUDIT.c.number).limit(limit)
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


def _linked(head: Head, clock: Clock, told: Iterable[Told]) -> Iterable[AuditRow]:
    at = clock.now()
    for what, of, details in told:
        row = AuditRow.after(head, at, what, of, details)
        head = row.head
        yield row


def _from_row(row: AuditRow) -> dict[str, object]:
    return {
        "number": row.number,
        "at": stored_time(row.at),
        "what": row.what,
        "of": row.of,
        "details": dict(row.details),
        "before": row.before,
        "hash": row.hash,
    }
