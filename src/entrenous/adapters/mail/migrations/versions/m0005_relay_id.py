"""Which relay's database this is, so that a relay notices that it was given another one."""

import sqlalchemy as sql
from alembic.operations import Operations

revision = "0005"
down_revision = "0004"


def upgrade(op: Operations) -> None:
    """Make the table, empty: the relay draws its id when it starts."""
    op.create_table(
        "held_relay",
        sql.Column("number", sql.BigInteger, primary_key=True, nullable=False),
        sql.Column("name", sql.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
