"""Tests of processes that are killed while they create the SQLite tables of a relay."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from entrenous.carry.relay_rows import KEY_FIELDS
from entrenous.carry.store.sqlite_rows import open_sqlite
from entrenous.carry.store.tables import SCHEMA_VERSION

pytestmark = pytest.mark.real

_COUNT_TABLES = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"


def schema_version_and_table_count(database: Path) -> tuple[int, int]:
    with contextlib.closing(sqlite3.connect(database)) as rows:
        (version,) = rows.execute("PRAGMA user_version").fetchone()
        (tables,) = rows.execute(_COUNT_TABLES).fetchone()
    return version, tables


def test_killed_start_leaves_no_table_and_the_next_creates_all(tmp_path: Path) -> None:
    """The first start is killed at its first statement, the second at its second, and so on.
    Afterwards, the last killed start is repeated.
    """
    script = Path(__file__).with_name("killed.py")
    run = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=True
    )
    killed, all_tables = int(run.stdout), (SCHEMA_VERSION, len(KEY_FIELDS))
    assert killed >= 40
    assert [
        schema_version_and_table_count(tmp_path / str(n) / "mail.db") for n in range(1, killed + 1)
    ] == [(0, 0)] * killed
    assert schema_version_and_table_count(tmp_path / str(killed + 1) / "mail.db") == all_tables
    open_sqlite(tmp_path / str(killed) / "mail.db").close()
    assert schema_version_and_table_count(tmp_path / str(killed) / "mail.db") == all_tables
