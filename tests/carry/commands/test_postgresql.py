"""Tests of commands with PostgreSQL: ``stats``, ``check``, refused backups, a missing library."""

import asyncio
import sys
from pathlib import Path

import pytest

from entrenous.carry.open_relay import open_relay
from entrenous.carry.relay_settings import PostgresqlLibraryMissing
from entrenous.cli import run
from tests.carry.commands.test_relay_commands import run_relay_command
from tests.carry.operate.test_backup_files import create_mailbox_with_message
from tests.carry.relays import SampleMessage, in_three_days
from tests.postgres import Cluster

pytestmark = pytest.mark.real


@pytest.fixture
def settings_file(tmp_path: Path, postgres: Cluster) -> Path:
    """Return the settings file of a relay whose PostgreSQL database has one message."""
    url = postgres.create_database()
    path = tmp_path / "relay.toml"
    path.write_text(f'database = "{url}"\nlisten = "127.0.0.1:0"\nfree_mb_min = 0\n')
    with open_relay(tmp_path / "relay-data", database=url) as relay:
        asyncio.run(create_mailbox_with_message(relay, SampleMessage(until=in_three_days())))
    return path


def test_stats_and_check_work_with_postgresql(
    settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stats = run_relay_command(capsys, "stats", "--settings", str(settings_file))
    assert (stats["mailboxes"], stats["letters"], stats["blobs"]) == (1, 1, 1)
    checked = run_relay_command(capsys, "check", "--settings", str(settings_file))
    assert checked["ok"]
    assert "PostgreSQL answers" in str(checked["findings"])


def test_check_reports_an_unreachable_postgresql(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(
        f'database = "postgresql:///relay?host={tmp_path}"\nlisten = "127.0.0.1:0"\n'
        "free_mb_min = 0\n"
    )
    checked = run_relay_command(capsys, "check", "--settings", str(path), status=1)
    faults = {
        finding["part"]: finding["words"] for finding in checked["findings"] if not finding["ok"]
    }
    assert "cannot reach its database" in faults.pop("database")
    assert faults == {}


@pytest.mark.parametrize("command", [["backup", "--out"], ["restore"]])
def test_backup_and_restore_refuse_a_postgresql_relay(
    settings_file: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["relay", *command, str(tmp_path / "backup"), "--settings", str(settings_file)]
    assert run(arguments, {}) == 3
    assert "docs/operate.md" in capsys.readouterr().err


def test_backup_of_a_bucket_relay_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "relay.toml"
    path.write_text('blobs = "s3://bucket/relay"\n')
    assert run(["relay", "backup", "--out", str(tmp_path / "b"), "--settings", str(path)], {}) == 3
    assert "docs/operate.md" in capsys.readouterr().err


def test_missing_postgresql_library_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "entrenous.carry.store.postgres", None)
    with (
        pytest.raises(PostgresqlLibraryMissing, match="\\.\\[postgresql\\]"),
        open_relay(tmp_path, database="postgresql:///relay"),
    ):
        pass
