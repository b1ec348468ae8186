"""Tests of opening a relay's database read-only, while the relay runs and after it has stopped."""

import asyncio
from pathlib import Path

from entrenous.base.identifiers import MailboxId
from entrenous.carry.mailbox import create_mailbox
from entrenous.serving.host_checks import open_read_only
from tests.carry.relays import SampleMessage, disk_relay
from tests.deterministic import SettableClock


def count_mailboxes(database: Path) -> int:
    with open_read_only(database) as rows:
        found: int = rows.execute("SELECT count(*) FROM stored_mailbox").fetchone()[0]
        return found


def test_running_relays_database_is_read(tmp_path: Path) -> None:
    message = SampleMessage()
    with disk_relay(tmp_path, SettableClock()) as relay:
        for number in range(3):
            box = MailboxId(message.random_source.token(16))
            asyncio.run(create_mailbox(box, bytes(32), relay))
            assert count_mailboxes(tmp_path / "mail.db") == number + 1


def test_stopped_relays_database_is_read_without_new_files(tmp_path: Path) -> None:
    with disk_relay(tmp_path, SettableClock()):
        pass
    assert count_mailboxes(tmp_path / "mail.db") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs", "mail.db"]
