"""Fixtures that close all relays after each test, and that yield an empty row store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous.carry.relay import RowStore
from entrenous.carry.store.postgres import PostgresRows, open_postgres
from entrenous.carry.store.sqlite_rows import SqliteRows
from tests.carry.relays import close_relays, new_sqlite


@pytest.fixture(autouse=True)
def _close_relays() -> Iterator[None]:
    yield
    close_relays()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real)])
def row_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RowStore]:
    """Yield an empty row store in SQLite or in PostgreSQL."""
    store: SqliteRows | PostgresRows
    if request.param == "sqlite":
        store = new_sqlite(tmp_path / "mail.db")
    else:
        store = open_postgres(request.getfixturevalue("postgres").reused_database("relay"))
    yield store
    store.close()
