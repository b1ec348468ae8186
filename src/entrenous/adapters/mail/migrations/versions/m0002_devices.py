"""Several devices for one person: close locks, the relay's locks, share groups; resumed uploads.

A share was known by its envelope alone. Now it names its mailbox, which its letter knows while it
waits, and its blobs afterwards. A share without either belongs to no mailbox (sixteen zeros): it is
given out as before and expires in time, but closing a mailbox does not find it.
"""

from typing import Any

import sqlalchemy as sql
from alembic.operations import Operations

revision = "0002"
down_revision = "0001"

_NOBODY = bytes(16)


def upgrade(op: Operations) -> None:
    """Add what is new; no row of the old is lost, but for uploads that were under way."""
    op.add_column("held_mailbox", sql.Column("close_lock", sql.LargeBinary))
    _new_tables(op)
    _shares(op)
    # Their bytes are in ``leftover`` as well, which says when they are removed.
    op.drop_table("coming_blob")


def _new_tables(op: Operations) -> None:
    _table(op, "gone_mailbox", _key("mailbox"), _number("due_at"))
    _table(
        *(op, "held_lock", _key("mailbox"), _bytes("key"), _bytes("unlock_lock")),
        *(_number("tries"), _number("generation")),
        *(_bytes("asked", missing=True), _bytes("opening", missing=True)),
    )
    _table(op, "held_group", _key("group"), *map(_number, ("opens", "opened", "due_at")))
    _table(
        *(op, "held_upload", _key("blob"), sql.Column("name", sql.String, nullable=False)),
        *(_bytes("mailbox"), _number("size"), _bytes("sha256")),
        *(_bytes("fetch_lock"), _bytes("withdraw_lock"), _number("due_at")),
    )
    number = sql.Column("number", sql.BigInteger, primary_key=True, nullable=False)
    _table(op, "held_restore", number, _number("restored_at"))
    for table in ("gone_mailbox", "held_group", "held_upload"):
        op.create_index(f"{table}_by_due_at", table, ["due_at"])
    op.create_index("held_upload_by_mailbox", "held_upload", ["mailbox", "size"])


def _shares(op: Operations) -> None:
    op.add_column("held_share", sql.Column("mailbox", sql.LargeBinary))
    op.add_column("held_share", sql.Column("group", sql.LargeBinary))
    op.execute(_whose())
    op.execute(_counted())
    op.execute(_grouped())
    options = {"sqlite_with_rowid": False}  # SQLite makes the table anew, without asking how it was
    with op.batch_alter_table("held_share", table_kwargs=options) as table:
        table.alter_column("mailbox", existing_type=sql.LargeBinary, nullable=False)
    op.create_index("held_share_by_mailbox", "held_share", ["mailbox"])
    op.create_index("held_share_by_group", "held_share", ["group"])


_SHARE = sql.table("held_share", *map(sql.column, ("envelope", "opens", "mailbox", "group")))
_ENVELOPE = sql.table("held_envelope", *map(sql.column, ("envelope", "opened", "expires_at")))
_GROUP = sql.table("held_group", *map(sql.column, ("group", "opens", "opened", "due_at")))


def _whose() -> sql.Update:
    """Each share's mailbox."""
    known = [
        sql.select(of.c.mailbox)
        .where(of.c.envelope == _SHARE.c.envelope)
        .limit(1)  # all blobs of an envelope lie in its mailbox
        .scalar_subquery()
        for of in (
            sql.table(name, sql.column("envelope"), sql.column("mailbox"))
            for name in ("held_letter", "held_blob")
        )
    ]
    return sql.update(_SHARE).values(mailbox=sql.func.coalesce(*known, sql.literal(_NOBODY)))


def _counted() -> sql.Insert:
    """A group of its own for each share that may be opened a number of times."""
    held = sql.select(_SHARE.c.envelope, _SHARE.c.opens, _ENVELOPE.c.opened, _ENVELOPE.c.expires_at)
    held = held.join_from(_SHARE, _ENVELOPE, _SHARE.c.envelope == _ENVELOPE.c.envelope)
    return sql.insert(_GROUP).from_select(list(_GROUP.c), held.where(_SHARE.c.opens.is_not(None)))


def _grouped() -> sql.Update:
    return sql.update(_SHARE).where(_SHARE.c.opens.is_not(None)).values(group=_SHARE.c.envelope)


def _table(op: Operations, name: str, *columns: sql.Column[Any]) -> None:
    op.create_table(name, *columns, sqlite_with_rowid=False)


def _key(name: str) -> sql.Column[Any]:
    return sql.Column(name, sql.LargeBinary, primary_key=True, nullable=False)


def _bytes(name: str, *, missing: bool = False) -> sql.Column[Any]:
    return sql.Column(name, sql.LargeBinary, nullable=missing)


def _number(name: str) -> sql.Column[Any]:
    return sql.Column(name, sql.BigInteger, nullable=False)
