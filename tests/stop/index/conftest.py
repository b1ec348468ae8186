"""A fixture: a bank with hashes of whole pictures and of parts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine
from tests.stop.index.index_banks import random_hashes, register_claim


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[BankStore]:
    """Yield a bank with 20 whole-picture and 20 part hashes, in a file that threads can share."""
    engine = open_engine(tmp_path / "bank.db")
    store = BankStore(engine)
    register_claim(store, "first", *random_hashes(20, 1), parts=random_hashes(20, 2))
    yield store
    engine.dispose()
