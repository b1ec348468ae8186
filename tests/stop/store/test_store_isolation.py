"""PostgreSQL transactions have the expected isolation level, whatever the database's default is."""

import psycopg
import pytest

from entrenous.stop.store.engine import (
    concurrent_write,
    exclusive_write,
    open_postgres_engine,
    snapshot_read,
)
from tests.postgres import Cluster

pytestmark = pytest.mark.real


@pytest.mark.parametrize("default_level", ["read committed", "repeatable read", "serializable"])
def test_bank_transactions_have_the_expected_isolation(
    postgres: Cluster, default_level: str
) -> None:
    url = postgres.create_database()
    with psycopg.connect(url, autocommit=True) as server:
        name = server.info.dbname
        server.execute(
            f"ALTER DATABASE {name} SET default_transaction_isolation = '{default_level}'"
        )
    engine = open_postgres_engine(url)
    try:
        for begin, expected in (
            (exclusive_write, "read committed"),
            (concurrent_write, "read committed"),
            (snapshot_read, "repeatable read"),
        ):
            with begin(engine) as db:
                actual = db.exec_driver_sql("SHOW transaction_isolation").scalar()
            assert actual == expected
    finally:
        engine.dispose()
