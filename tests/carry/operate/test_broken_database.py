"""Tests of relay commands with a damaged or unreadable database, or with an unwritable folder."""

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
from tests.carry.relays import SampleMessage, in_three_days

_PAGE_BYTES = 4096


@pytest.fixture
def relay_folder(tmp_path: Path) -> Path:
    with open_relay(tmp_path / "relay") as relay:
        asyncio.run(create_mailbox_with_message(relay, SampleMessage(until=in_three_days())))
    return tmp_path / "relay"


def damage_database(mail: Path) -> None:
    """Overwrite all pages but the first, which contains the schema version."""
    whole = mail.stat().st_size
    mail.write_bytes(mail.read_bytes()[:_PAGE_BYTES] + b"\xff" * (whole - _PAGE_BYTES))


def error_output(capsys: pytest.CaptureFixture[str], *arguments: object, status: int) -> str:
    """Run a relay command that must exit with this status; return what it prints as an error."""
    assert run(["relay", *map(str, arguments)], {}) == status
    return " ".join(capsys.readouterr().err.split())


def test_failed_backup_leaves_an_empty_folder_for_the_next_one(
    relay_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (relay_folder / DATABASE_NAME).read_bytes()
    damage_database(relay_folder / DATABASE_NAME)
    out = tmp_path / "backup"
    for _ in range(2):  # a second attempt fails in the same way
        output = error_output(capsys, "backup", "--data", relay_folder, "--out", out, status=7)
        assert f"{relay_folder / DATABASE_NAME} cannot be used: it is damaged" in output
        assert list(out.iterdir()) == []
    (relay_folder / DATABASE_NAME).write_bytes(whole)
    assert len(back_up_relay(relay_folder, out).blobs) == 1


def test_backup_finds_a_damaged_page_that_was_never_read(
    relay_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(relay_folder / DATABASE_NAME)) as rows:
        (root,) = rows.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'stored_letter'"
        ).fetchone()
    pages = bytearray((relay_folder / DATABASE_NAME).read_bytes())
    pages[_PAGE_BYTES * (root - 1) : _PAGE_BYTES * root] = b"\xff" * _PAGE_BYTES
    (relay_folder / DATABASE_NAME).write_bytes(pages)
    assert "it is damaged" in error_output(
        capsys, "backup", "--data", relay_folder, "--out", tmp_path / "backup", status=7
    )


def test_backup_of_a_damaged_database_is_not_restored(
    relay_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An earlier version of the program made such backups, and recorded the hash of the damaged
    database.
    """
    out, again = tmp_path / "backup", tmp_path / "again"
    back_up_relay(relay_folder, out)
    damage_database(out / DATABASE_NAME)
    contents = json.loads((out / "backup.json").read_text())
    contents["mail_sha256"] = hashlib.sha256((out / DATABASE_NAME).read_bytes()).hexdigest()
    (out / "backup.json").write_text(json.dumps(contents))
    output = error_output(capsys, "restore", out, "--data", again, status=5)
    assert f"In the backup {out}, {DATABASE_NAME} is damaged" in output
    assert list(again.iterdir()) == []


@pytest.mark.parametrize("command", ["stats", "backup", "run"])
@pytest.mark.parametrize("fault", ["it is damaged", "it cannot be read"])
def test_unusable_database_is_reported_with_its_fault(
    relay_folder: Path, tmp_path: Path, command: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if fault == "it is damaged":
        damage_database(relay_folder / DATABASE_NAME)
    else:
        (relay_folder / DATABASE_NAME).write_bytes(b"letters" * 1000)
    options = {
        "stats": (),
        "backup": ("--out", tmp_path / "backup"),
        "run": ("--listen", "1.2.3.4:0"),
    }
    assert f"cannot be used: {fault}" in error_output(
        capsys, command, "--data", relay_folder, *options[command], status=7
    )


@pytest.mark.real
def test_unwritable_folder_is_reported(relay_folder: Path) -> None:
    """The command runs without root's privileges."""
    relay_folder.chmod(0o555)
    give_up = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    command = [
        *give_up,
        sys.executable,
        "-m",
        "entrenous",
        "relay",
        "stats",
        "--data",
        str(relay_folder),
    ]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.returncode, f"{relay_folder} cannot be used:" in process.stderr) == (
        3,
        True,
    )
