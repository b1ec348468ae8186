"""The schema of the first relays.

Those numbered it 1 (``PRAGMA user_version``) from the beginning and, at each start, made what it
had grown by. So this step makes what is missing too, whether that is all of it or one index.
"""

from typing import Any

import sqlalchemy as sql
from alembic.operations import Operations

revision = "0001"
down_revision = None


def upgrade(op: Operations) -> None:
    """Make every table and index that is not there."""
    _mailboxes(op)
    _keys(op)
    _envelopes(op)
    _blobs(op)
    _indexes(op)


def _mailboxes(op: Operations) -> None:
    _table(op, "held_mailbox", _key("mailbox"), _bytes("owner_lock"), _number("last_sequence"))
    _bulky(op, "held_card", _key("mailbox"), _bytes("card"))
    _table(
        *(op, "held_token", _key("mailbox"), _key("lock")),
        *(_number("uses", missing=True), _number("used"), _number("claims")),
        *(_number("claims_since"), _number("due_at", missing=True)),
    )


def _keys(op: Operations) -> None:
    which = ("mailbox", "device", "digest")
    _bulky(op, "held_key", *map(_key, which), _bytes("signed"))
    _table(op, "spent_key", *map(_key, which), _number("due_at"))
    lasting = [_bytes(name, missing=True) for name in ("fallback", "xwing")]
    _bulky(op, "lasting_keys", *map(_key, which[:2]), *lasting)


def _envelopes(op: Operations) -> None:
    _table(
        *(op, "held_envelope", _key("envelope"), _bytes("digest"), _bytes("withdraw_lock")),
        *(_bytes("open_lock", missing=True), _text("state"), _number("opened")),
        _number("expires_at"),
        *(_number(name, missing=True) for name in ("delivered_at", "opened_at", "closed_at")),
        _number("due_at"),
    )
    _bulky(
        *(op, "held_letter", _key("envelope"), _bytes("mailbox"), _number("sequence")),
        *(_bytes("sealed"), _number("expires_at")),
    )
    _table(op, "held_share", _key("envelope"), _bytes("value"), _number("opens", missing=True))
    finished = sql.Column("finished", sql.SmallInteger, nullable=False)
    _table(op, "held_attempt", _key("envelope"), _key("attempt"), finished)


def _blobs(op: Operations) -> None:
    _table(
        *(op, "held_blob", _key("blob"), _text("name"), _bytes("mailbox"), _number("size")),
        *(_bytes("sha256"), _bytes("fetch_lock"), _bytes("withdraw_lock")),
        *(_bytes("envelope", missing=True), _number("due_at")),
    )
    _table(op, "coming_blob", _name(), _bytes("mailbox"), _number("size"), _number("due_at"))
    _table(op, "leftover", _name(), _number("due_at"))


def _indexes(op: Operations) -> None:
    due = ("held_token", "spent_key", "held_envelope", "held_blob", "coming_blob", "leftover")
    for table, *names in (
        *((table, "due_at") for table in due),
        ("held_letter", "mailbox", "sequence"),
        ("held_blob", "envelope"),
        ("held_blob", "mailbox", "envelope", "size"),
        ("coming_blob", "mailbox", "size"),
    ):
        op.create_index(f"{table}_by_{names[0]}", table, names, if_not_exists=True)


def _table(op: Operations, name: str, *columns: sql.Column[Any]) -> None:
    op.create_table(name, *columns, sqlite_with_rowid=False, if_not_exists=True)


def _bulky(op: Operations, name: str, *columns: sql.Column[Any]) -> None:
    op.create_table(name, *columns, if_not_exists=True)


def _key(name: str) -> sql.Column[Any]:
    return sql.Column(name, sql.LargeBinary, primary_key=True, nullable=False)


def _name() -> sql.Column[Any]:
    return sql.Column("name", sql.String, primary_key=True, nullable=False)


def _bytes(name: str, *, missing: bool = False) -> sql.Column[Any]:
    return sql.Column(name, sql.LargeBinary, nullable=missing)


def _text(name: str) -> sql.Column[Any]:
    return sql.Column(name, sql.String, nullable=False)


def _number(name: str, *, missing: bool = False) -> sql.Column[Any]:
    return sql.Column(name, sql.BigInteger, nullable=missing)
