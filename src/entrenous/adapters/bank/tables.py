"""The platform's tables (docs/spec/gate.md section 5). Nothing in them says who somebody is.

Times are whole microseconds since 1970, UTC: SQLite has no time type, and numbers sort.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

VERSION: Final = 1  # of this schema; a migration starts from it

METADATA: Final = sa.MetaData()

SCHEMA_VERSION: Final = sa.Table(
    "schema_version", METADATA, sa.Column("version", sa.Integer, primary_key=True)
)
BANK: Final = sa.Table(
    "bank",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("radius", sa.Integer, nullable=False),
    sa.Column("on_claimed", sa.Text, nullable=False),
    sa.Column("on_confirmed", sa.Text, nullable=False),
)
CLAIM: Final = sa.Table(
    "claim",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("bank", sa.ForeignKey("bank.name"), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("quality", sa.Integer, nullable=False),
    sa.Column("made_at", sa.Integer, nullable=False),
    sa.Column("holder_sha256", sa.LargeBinary(32)),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("jurisdiction", sa.Text, nullable=False),
    sa.Column("disputes", sa.Integer, nullable=False),
)
# One row per distinct hash, many claims on it; a number is never used again, so that an index that
# has learnt it cannot take one hash for another.
HASH: Final = sa.Table(
    "hash",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("bits", sa.LargeBinary(32), nullable=False),
    sa.Column("part", sa.Boolean, nullable=False),
    sa.UniqueConstraint("bits", "part"),
    sqlite_autoincrement=True,
)
CLAIM_HASH: Final = sa.Table(
    "claim_hash",
    METADATA,
    sa.Column("claim", sa.ForeignKey("claim.id"), primary_key=True),
    sa.Column("number", sa.ForeignKey("hash.number"), primary_key=True),
    sa.Index("claims_of_hash", "number"),
    sqlite_with_rowid=False,
)
UPLOAD: Final = sa.Table(
    "upload",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("case_number", sa.Text, nullable=False, unique=True),
    sa.Column("at", sa.Integer, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("matches", sa.JSON, nullable=False),
    sa.Column("bits", sa.LargeBinary(32)),
    sa.Column("untrusted_upload", sa.LargeBinary),
    sqlite_autoincrement=True,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def stored_time(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def read_time(stored: int) -> datetime:
    """The moment that was stored, aware, in UTC."""
    return _EPOCH + timedelta(microseconds=stored)
