"""A relay that is killed while it creates its tables leaves none, and the next start creates
all.
"""

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

_TABLES = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"


def state(mail: Path) -> tuple[int, int]:
    """Return the schema's version, and the number of tables."""
    with contextlib.closing(sqlite3.connect(mail)) as rows:
        (version,) = rows.execute("PRAGMA user_version").fetchone()
        (tables,) = rows.execute(_TABLES).fetchone()
    return version, tables


def test_a_killed_start_leaves_no_table(tmp_path: Path) -> None:
    """It is killed at each statement in turn; the next start creates all tables."""
    script = Path(__file__).with_name("killed.py")
    run = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=True
    )
    killed, all_tables = int(run.stdout), (SCHEMA_VERSION, len(KEY_FIELDS))
    assert killed >= 40
    assert [state(tmp_path / str(n) / "mail.db") for n in range(1, killed + 1)] == [(0, 0)] * killed
    assert state(tmp_path / str(killed + 1) / "mail.db") == all_tables
    open_sqlite(tmp_path / str(killed) / "mail.db").close()
    assert state(tmp_path / str(killed) / "mail.db") == all_tables
