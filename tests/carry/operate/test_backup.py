"""Tests of restoring a relay's backup, with or without shares, and of refused folders."""

import asyncio
from pathlib import Path

import pytest

from entrenous.base.errors import NoSuchEnvelope
from entrenous.base.files import NotEmpty
from entrenous.base.secret import Secret
from entrenous.carry.backup import DamagedBackup, back_up_relay, restore_relay
from entrenous.carry.open_relay import open_relay
from entrenous.carry.relay_settings import RelayNotFound
from entrenous.carry.release import release_key_share
from entrenous.carry.withdraw import envelope_status
from entrenous.wire.relay_nouns import EnvelopeState
from tests.carry.operate.test_backup_files import create_mailbox_with_message
from tests.carry.relays import SampleMessage, in_three_days


@pytest.fixture
def message() -> SampleMessage:
    return SampleMessage(until=in_three_days())


@pytest.fixture
def backup(tmp_path: Path, message: SampleMessage) -> Path:
    with open_relay(tmp_path / "relay") as relay:
        asyncio.run(create_mailbox_with_message(relay, message))
        back_up_relay(tmp_path / "relay", tmp_path / "backup")
    return tmp_path / "backup"


def test_restore_without_shares_loses_unopened_envelopes(
    backup: Path, tmp_path: Path, message: SampleMessage
) -> None:
    result = restore_relay(backup, tmp_path / "again", with_shares=False)
    assert result.lost == 1
    with open_relay(tmp_path / "again") as relay:
        status = asyncio.run(envelope_status(message.id, message.withdraw, relay))
        assert status.state is EnvelopeState.LOST
        with pytest.raises(NoSuchEnvelope):
            asyncio.run(release_key_share(message.id, message.open, message.new_attempt(), relay))
    assert list((tmp_path / "again" / "blobs").iterdir()) == []
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == ["blobs", "mail.db"]


def test_restore_without_shares_writes_no_share_and_no_letter(
    backup: Path, tmp_path: Path, message: SampleMessage
) -> None:
    restore_relay(backup, tmp_path / "again", with_shares=False)
    after = b"".join(path.read_bytes() for path in (tmp_path / "again").iterdir() if path.is_file())
    assert message.share.reveal() in (backup / "mail.db").read_bytes()
    assert message.share.reveal() not in after
    assert message.sealed not in after


def test_restore_with_shares_loses_no_envelope(
    backup: Path, tmp_path: Path, message: SampleMessage
) -> None:
    assert restore_relay(backup, tmp_path / "again", with_shares=True).lost == 0
    with open_relay(tmp_path / "again") as relay:
        share: Secret = asyncio.run(
            release_key_share(message.id, message.open, message.new_attempt(), relay)
        )
    assert share == message.share


def test_backup_can_be_restored_twice(backup: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert restore_relay(backup, tmp_path / name, with_shares=False).damaged == 0


def test_restore_refuses_a_folder_that_is_not_empty(backup: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "relay").rglob("*")}
    with pytest.raises(NotEmpty):
        restore_relay(backup, tmp_path / "relay", with_shares=False)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "relay").rglob("*")} == before


def test_restore_of_a_backup_with_a_damaged_database_writes_nothing(
    backup: Path, tmp_path: Path
) -> None:
    with (backup / "mail.db").open("ab") as file:
        file.write(b"!")
    with pytest.raises(DamagedBackup):
        restore_relay(backup, tmp_path / "again", with_shares=False)
    assert list((tmp_path / "again").iterdir()) == []


def test_message_whose_blob_is_damaged_is_lost(
    backup: Path, tmp_path: Path, message: SampleMessage
) -> None:
    (blob,) = (backup / "blobs").iterdir()
    blob.unlink()
    blob.write_bytes(b"evil")
    result = restore_relay(backup, tmp_path / "again", with_shares=True)
    assert (result.lost, result.damaged) == (1, 1)
    with open_relay(tmp_path / "again") as relay:
        status = asyncio.run(envelope_status(message.id, message.withdraw, relay))
    assert status.state is EnvelopeState.LOST


def test_remains_of_a_crashed_restore_do_not_block_the_next_one(
    backup: Path, tmp_path: Path
) -> None:
    (tmp_path / "again" / ".restoring" / "blobs").mkdir(parents=True)
    assert restore_relay(backup, tmp_path / "again", with_shares=False).lost == 1


def test_backup_of_a_folder_without_a_relay_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RelayNotFound):
        back_up_relay(tmp_path, tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []
