"""Tests of ``relay init``, ``check``, ``stats`` and ``run``: output, exit statuses, refusals."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from entrenous.cli import run
from entrenous.wire.encodings import to_base64url
from tests.carry.operate.test_backup_files import create_mailbox_with_message
from tests.carry.relays import SampleMessage, disk_relay
from tests.deterministic import SettableClock

pytestmark = pytest.mark.real


def run_relay_command(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
    """Run a relay command that must exit with ``status``; return its JSON output."""
    assert run(["relay", *arguments, "--json"], {}) == status
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def relay_folder(tmp_path: Path) -> Path:
    """Return the folder of a relay with one message."""
    with disk_relay(tmp_path / "relay", SettableClock()) as relay:
        asyncio.run(create_mailbox_with_message(relay, SampleMessage()))
    (tmp_path / "relay").chmod(0o700)
    return tmp_path / "relay"


def test_default_settings_pass_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "relay.toml"
    answer = run_relay_command(capsys, "init", "--out", str(settings))
    assert answer == {"schema": "entrenous/relay-init/1", "settings": str(settings)}
    checked = run_relay_command(
        capsys, "check", "--settings", str(settings), "--listen", "127.0.0.1:0"
    )
    assert checked["ok"]
    assert [one["part"] for one in checked["findings"]][:2] == ["folder", "disk"]


def test_init_does_not_overwrite_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "relay.toml"
    settings.write_text("keep_days = 3\n")
    assert run(["relay", "init", "--out", str(settings)], {}) == 3
    assert settings.read_text() == "keep_days = 3\n"
    assert "relay.toml" in capsys.readouterr().err


def test_check_names_a_fault_and_exits_with_status_1(
    relay_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    relay_folder.chmod(0o755)
    answer = run_relay_command(
        capsys, "check", "--data", str(relay_folder), "--listen", "127.0.0.1:0", status=1
    )
    assert not answer["ok"]
    assert [one["part"] for one in answer["findings"] if not one["ok"]] == ["folder"]
    assert run(["relay", "check", "--data", str(relay_folder), "--listen", "127.0.0.1:0"], {}) == 1
    assert "no  folder: others can look into" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run", "check", "stats"])
def test_command_without_settings_or_folder_is_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["relay", command], {}) == 2
    assert "--settings FILE or --data DIR" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "check", "stats"])
def test_misspelled_setting_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "relay.toml").write_text('lissen = "127.0.0.1:1"')
    assert run(["relay", command, "--settings", str(tmp_path / "relay.toml")], {}) == 3
    assert "lissen is not a relay setting" in capsys.readouterr().err


def test_stats_contain_counts_and_no_ids(
    relay_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = run_relay_command(capsys, "stats", "--data", str(relay_folder))
    assert answer.pop("free_bytes") > 0
    assert answer == {
        "schema": "entrenous/relay-stats/1",
        "mailboxes": 1,
        "locks": 0,
        "tokens": 1,
        "letters": 1,
        "shares": 1,
        "envelopes": 1,
        "blobs": 1,
        "blob_bytes": 5000,
        "uploads": 0,
        "upload_bytes": 0,
        "restored_at": None,
        "swept_at": None,
    }
    assert run(["relay", "stats", "--data", str(relay_folder)], {}) == 0
    printed, message = capsys.readouterr().out, SampleMessage()
    assert "1 mailboxes" in printed
    for one in (message.mailbox, message.id, message.blob_id):
        assert to_base64url(one) not in printed
        assert one.hex() not in printed


def test_inspecting_a_folder_without_a_relay_creates_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["relay", "stats", "--data", str(tmp_path / "none")], {}) == 4
    assert "There is no relay data in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
