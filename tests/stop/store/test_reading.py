"""A read transaction sees one snapshot of the database, even if a write is committed meanwhile."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from entrenous.base.identifiers import BankName
from entrenous.stop.nouns import Bank
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import concurrent_write, snapshot_read
from entrenous.stop.store.schema import BANK_TABLE
from tests.stop.store.bank_stores import open_new_engine

BANK_COUNT_QUERY = sa.select(sa.func.count()).select_from(BANK_TABLE)


@pytest.mark.parametrize(
    "database_kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.real)]
)
def test_read_transaction_sees_one_snapshot(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    engine = open_new_engine(database_kind, request, tmp_path)
    bank = BankStore(engine)
    bank.set_bank(Bank(BankName("one")))
    with snapshot_read(engine) as db:
        assert db.execute(BANK_COUNT_QUERY).scalar_one() == 1
        bank.set_bank(Bank(BankName("two")))
        assert db.execute(BANK_COUNT_QUERY).scalar_one() == 1
    with concurrent_write(engine) as db:  # may reuse the connection, but not the snapshot
        assert db.execute(BANK_COUNT_QUERY).scalar_one() == 2
        if database_kind == "postgres":
            level = db.exec_driver_sql("SHOW transaction_isolation").scalar_one()
            assert level == "read committed"
    engine.dispose()
