"""A bank for an index that other threads ask: in a file, with 20 whole hashes and 20 of parts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous.adapters.bank.engine import open_engine
from entrenous.adapters.bank.sql_bank import SqlBankStore
from tests.adapters.index.banks import fresh, register


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[SqlBankStore]:
    engine = open_engine(tmp_path / "bank.db")
    store = SqlBankStore(engine)
    register(store, "first", *fresh(20, 1), parts=fresh(20, 2))
    yield store
    engine.dispose()
