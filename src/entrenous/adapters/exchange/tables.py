"""The tables of exchanges (docs/spec/exchange.md sections 5.2 and 5.3), beside the bank's.

Times are whole microseconds since 1970, UTC, as there; marks are in whole seconds.
"""

from typing import Final

import sqlalchemy as sa

from entrenous.adapters.bank.engine import refuse_other_version, writing

VERSION: Final = 1

METADATA: Final = sa.MetaData()

SCHEMA_VERSION: Final = sa.Table(
    "exchange_schema_version", METADATA, sa.Column("version", sa.Integer, primary_key=True)
)
PARTNER: Final = sa.Table(
    "exchange_partner",
    METADATA,
    # Given once: what a removed partner said and was served is never another one's.
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("key_sha256", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("banks", sa.JSON, nullable=False),
    sa.Column("submits", sa.Boolean, nullable=False),
    sa.Column("asked_at", sa.BigInteger),
    sqlite_autoincrement=True,
)
OPINION: Final = sa.Table(
    "exchange_opinion",
    METADATA,
    sa.Column("claim", sa.Text, primary_key=True),
    sa.Column("partner", sa.ForeignKey("exchange_partner.number"), primary_key=True),
    sa.Column("stance", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
MARK: Final = sa.Table(
    "exchange_mark",
    METADATA,
    sa.Column("at_s", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False, unique=True),
)
# One row: no mark is dated before this second any more.
SETTLED: Final = sa.Table(
    "exchange_settled",
    METADATA,
    sa.Column("one", sa.Integer, primary_key=True),
    sa.Column("before_s", sa.BigInteger, nullable=False),
)
# A claim that was served by its hashes, and the change that ended it; one row up to which change
# all of them are known.
SERVED: Final = sa.Table(
    "exchange_served",
    METADATA,
    sa.Column("claim", sa.Text, primary_key=True),
    sa.Column("bank", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ended_number", sa.BigInteger, index=True),
    sa.Column("ended_at", sa.BigInteger),
)
SERVED_HASH: Final = sa.Table(
    "exchange_served_hash",
    METADATA,
    sa.Column("bits", sa.LargeBinary(32), primary_key=True),
    sa.Column("claim", sa.ForeignKey("exchange_served.claim"), primary_key=True, index=True),
)
SERVED_TO: Final = sa.Table(
    "exchange_served_to",
    METADATA,
    sa.Column("claim", sa.ForeignKey("exchange_served.claim"), primary_key=True),
    sa.Column("partner", sa.ForeignKey("exchange_partner.number"), primary_key=True, index=True),
)
FOLLOWED: Final = sa.Table(
    "exchange_followed",
    METADATA,
    sa.Column("one", sa.Integer, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)
SOURCE: Final = sa.Table(
    "exchange_source",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("bank", sa.Text, nullable=False),
    sa.Column("part", sa.Text, nullable=False),
    sa.Column("confirmed", sa.Boolean, nullable=False),
    sa.Column("credentials", sa.Text, nullable=False),
)
CHECKPOINT: Final = sa.Table(
    "exchange_checkpoint",
    METADATA,
    sa.Column("source", sa.ForeignKey("exchange_source.name"), primary_key=True),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("anew", sa.Boolean, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("begun_at", sa.BigInteger),
    sa.Column("whole_at", sa.BigInteger),
)
RECORD: Final = sa.Table(
    "exchange_record",
    METADATA,
    sa.Column("source", sa.ForeignKey("exchange_source.name"), primary_key=True),
    sa.Column("key_sha256", sa.LargeBinary(32), primary_key=True),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("hashes_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("claim", sa.Text),
    sa.Index("exchange_record_seen", "source", "generation"),
)


def prepare_tables(engine: sa.Engine) -> None:
    """Create the tables if there are none yet.

    Raises:
        NewerBank, OlderBank: another version of Entrenous wrote them, and none is changed.
    """
    with writing(engine) as db:
        if sa.inspect(db).has_table(SCHEMA_VERSION.name):
            refuse_other_version(db, SCHEMA_VERSION, VERSION)
            return
        METADATA.create_all(db)
        db.execute(SCHEMA_VERSION.insert().values(version=VERSION))
        db.execute(FOLLOWED.insert().values(one=1, number=0))
