"""A bank for an index that other threads ask: in a file, with 20 whole hashes and 20 of parts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous.stop.store.bank_store import SqlBankStore
from entrenous.stop.store.engine import open_engine
from tests.stop.index.index_banks import fresh, register


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[SqlBankStore]:
    engine = open_engine(tmp_path / "bank.db")
    store = SqlBankStore(engine)
    register(store, "first", *fresh(20, 1), parts=fresh(20, 2))
    yield store
    engine.dispose()
