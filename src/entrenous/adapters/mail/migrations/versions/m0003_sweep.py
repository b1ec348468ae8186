"""When all was last ended that was due: a clock far ahead of that ends nothing."""

import sqlalchemy as sql
from alembic.operations import Operations

revision = "0003"
down_revision = "0002"


def upgrade(op: Operations) -> None:
    """Make the table, empty: the first sweep after this goes by the clock as it is."""
    op.create_table(
        "held_sweep",
        sql.Column("number", sql.BigInteger, primary_key=True, nullable=False),
        sql.Column("swept_at", sql.BigInteger, nullable=False),
        sql.Column("odd_at", sql.BigInteger, nullable=True),
        sql.Column("odd_s", sql.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
