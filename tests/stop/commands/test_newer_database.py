"""Commands leave the database of a newer version unchanged and ask for an update."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from entrenous.base.errors import HOW_TO_UPDATE
from entrenous.cli import run
from entrenous.stop.store.open_gate import open_exchange, open_platform
from tests.ready import run_program

EXCHANGE_COMMANDS = [
    ("exchange", "list"),
    ("exchange", "fetch"),
    ("exchange", "partner", "add", "other"),
    ("exchange", "partner", "list"),
]
GATE_COMMANDS = [("status",), ("bank", "list"), ("review",), *EXCHANGE_COMMANDS]


def make_database_newer(data_folder: Path, table: str) -> list[str]:
    """Set a newer version in ``table`` and drop another table; return a dump of the database."""
    with open_platform(data_folder) as (platform, _):
        open_exchange(platform)
    with closing(sqlite3.connect(data_folder / "bank.db")) as db:
        with db:
            assert db.execute(f"UPDATE {table} SET version = 99").rowcount == 1
            # An exchange command that used the database would create this table again.
            db.execute("DROP TABLE exchange_record")
        return list(db.iterdump())


@pytest.mark.parametrize(
    ("table", "arguments"),
    [("schema_version", arguments) for arguments in GATE_COMMANDS]
    + [("exchange_schema_version", arguments) for arguments in EXCHANGE_COMMANDS],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_commands_refuse_a_newer_database_and_leave_it_unchanged(
    tmp_path: Path, table: str, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    before = make_database_newer(tmp_path, table)
    assert run(["gate", *arguments, "--data", str(tmp_path)], {}) == 3
    assert_asks_for_update(capsys.readouterr().err)
    with closing(sqlite3.connect(tmp_path / "bank.db")) as db:
        assert list(db.iterdump()) == before


@pytest.mark.real
@pytest.mark.parametrize(
    "table",
    ["schema_version", pytest.param("exchange_schema_version", marks=pytest.mark.nightly)],
)
def test_gate_does_not_start_on_a_newer_database(tmp_path: Path, table: str) -> None:
    make_database_newer(tmp_path, table)
    program = [sys.executable, "-m", "entrenous", "gate", "run", "--listen", "127.0.0.1:0"]
    ended = run_program([*program, "--data", str(tmp_path)], text=True)
    assert ended.returncode == 3
    assert_asks_for_update(ended.stderr)


def assert_asks_for_update(stderr: str) -> None:
    message = " ".join(stderr.split())
    assert "A newer version of Entrenous wrote the gate's database, so it was not used." in message
    assert message.endswith(f"Update Entrenous: {HOW_TO_UPDATE}")
