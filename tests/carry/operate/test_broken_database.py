"""Each relay command reports a damaged or unwritable database, and no backup of one is made."""

import asyncio
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from entrenous.carry.backup import back_up_relay
from entrenous.carry.open_relay import DATABASE_NAME, open_relay
from entrenous.cli import run
from tests.carry.operate.test_backup_files import create_mailbox_with_message
from tests.carry.relays import SampleMessage

# The event loop's wake-up channel is a socket pair.
pytestmark = pytest.mark.usefixtures("socket_enabled")

_PAGE = 4096


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with open_relay(tmp_path / "relay") as relay:
        asyncio.run(create_mailbox_with_message(relay, SampleMessage()))
    return tmp_path / "relay"


def damage(mail: Path) -> None:
    """Overwrite each page but the first, which has the file's type and schema version."""
    whole = mail.stat().st_size
    mail.write_bytes(mail.read_bytes()[:_PAGE] + b"\xff" * (whole - _PAGE))


def error_output(capsys: pytest.CaptureFixture[str], *arguments: object, status: int) -> str:
    assert run(["relay", *map(str, arguments)], {}) == status
    return " ".join(capsys.readouterr().err.split())


def test_a_damaged_database_is_not_saved_and_nothing_is_in_the_way(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (data / DATABASE_NAME).read_bytes()
    damage(data / DATABASE_NAME)
    out = tmp_path / "backup"
    for _ in range(2):  # a second attempt fails in the same way
        words = error_output(capsys, "backup", "--data", data, "--out", out, status=7)
        assert f"{data / DATABASE_NAME} cannot be used: it is damaged" in words
        assert list(out.iterdir()) == []
    (data / DATABASE_NAME).write_bytes(whole)
    assert len(back_up_relay(data, out).blobs) == 1


def test_check_finds_a_damaged_page_that_was_never_read(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(data / DATABASE_NAME)) as rows:
        (root,) = rows.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'stored_letter'"
        ).fetchone()
    pages = bytearray((data / DATABASE_NAME).read_bytes())
    pages[_PAGE * (root - 1) : _PAGE * root] = b"\xff" * _PAGE
    (data / DATABASE_NAME).write_bytes(pages)
    assert "it is damaged" in error_output(
        capsys, "backup", "--data", data, "--out", tmp_path / "backup", status=7
    )


def test_backup_of_a_damaged_database_is_not_restored(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An earlier version made such backups, with the right hash."""
    out, again = tmp_path / "backup", tmp_path / "again"
    back_up_relay(data, out)
    damage(out / DATABASE_NAME)
    contents = json.loads((out / "backup.json").read_text())
    contents["mail_sha256"] = hashlib.sha256((out / DATABASE_NAME).read_bytes()).hexdigest()
    (out / "backup.json").write_text(json.dumps(contents))
    words = error_output(capsys, "restore", out, "--data", again, status=5)
    assert f"In the backup {out}, {DATABASE_NAME} is damaged" in words
    assert list(again.iterdir()) == []


@pytest.mark.parametrize("command", ["stats", "backup", "run"])
@pytest.mark.parametrize("what", ["it is damaged", "it cannot be read"])
def test_damaged_database_is_reported_as_damaged(
    data: Path, tmp_path: Path, command: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if what == "it is damaged":
        damage(data / DATABASE_NAME)
    else:
        (data / DATABASE_NAME).write_bytes(b"letters" * 1000)
    more = {"stats": (), "backup": ("--out", tmp_path / "backup"), "run": ("--listen", "1.2.3.4:0")}
    assert f"cannot be used: {what}" in error_output(
        capsys, command, "--data", data, *more[command], status=7
    )


@pytest.mark.real
def test_unwritable_folder_is_reported(data: Path) -> None:
    """The command runs without root's privileges."""
    data.chmod(0o555)
    give_up = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    command = [*give_up, sys.executable, "-m", "entrenous", "relay", "stats", "--data", str(data)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.returncode, f"{data} cannot be used as a folder" in process.stderr) == (3, True)
