"""A fixture with a bank that has hashes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine
from tests.stop.index.index_banks import fresh, register


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[BankStore]:
    """Yield a bank with 20 whole and 20 part hashes, in a file, so that threads can share it."""
    engine = open_engine(tmp_path / "bank.db")
    store = BankStore(engine)
    register(store, "first", *fresh(20, 1), parts=fresh(20, 2))
    yield store
    engine.dispose()
