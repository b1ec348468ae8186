"""The files of a relay's backup, and what is restored from a damaged backup."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous.base.files import NotEmpty
from entrenous.carry.accept import accept
from entrenous.carry.backup import (
    BackupNotFound,
    DamagedBackup,
    read_backup,
    restore_files,
    save_backup,
)
from entrenous.carry.blob_upload import upload_blob
from entrenous.carry.mailbox import create_mailbox
from entrenous.carry.relay import Relay
from entrenous.carry.relay_rows import StoredBlob, StoredEnvelope, StoredLetter
from entrenous.carry.send_tokens import register_send_token
from entrenous.crypto.hashing import sha256, token_hash
from tests.carry.relays import NOON, SampleMessage, disk_relay, stream
from tests.deterministic import SettableClock


async def create_mailbox_with_message(relay: Relay, message: SampleMessage) -> None:
    """Create a mailbox, upload a blob, and post a message that can be opened once."""
    await create_mailbox(message.mailbox, token_hash(message.owner), relay)
    await register_send_token(message.mailbox, message.owner, message.send_token(), relay)
    await upload_blob(message.blob_deposit(), message.token, stream(message.blob), relay)
    await accept(message.envelope(1), message.token, relay)


@pytest.fixture
def relay_with_message(tmp_path: Path) -> Iterator[Relay]:
    """Yield a relay in the folder ``relay`` that stores one message."""
    with disk_relay(tmp_path / "relay", SettableClock()) as relay:
        asyncio.run(create_mailbox_with_message(relay, SampleMessage()))
        yield relay


def restore(backup: Path, folder: Path) -> None:
    restore_files(backup, read_backup(backup), folder)


@pytest.mark.usefixtures("relay_with_message")
def test_backup_restores_the_rows_and_the_blob(tmp_path: Path) -> None:
    saved = save_backup(tmp_path / "relay", tmp_path / "backup", NOON)
    assert read_backup(tmp_path / "backup") == saved
    assert (saved.made_at, saved.missing, len(saved.blobs)) == (NOON, (), 1)
    assert (saved.blobs[0].size, saved.blobs[0].sha256) == (
        5000,
        sha256(SampleMessage().blob).hex(),
    )
    restore(tmp_path / "backup", tmp_path / "again")
    with disk_relay(tmp_path / "again", SettableClock()) as relay:
        kinds = (StoredBlob, StoredEnvelope, StoredLetter)
        rows = [asyncio.run(relay.mail.read(lambda view, of=of: view.count(of))) for of in kinds]
    assert rows == [1, 1, 1]
    assert (tmp_path / "again" / "blobs" / saved.blobs[0].name).read_bytes() == SampleMessage().blob


@pytest.mark.usefixtures("relay_with_message")
def test_backup_is_private_and_hard_links_blobs(tmp_path: Path) -> None:
    save_backup(tmp_path / "relay", tmp_path / "backup", NOON)
    for path in (tmp_path / "backup", *(tmp_path / "backup").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
    (blob,) = (tmp_path / "backup" / "blobs").iterdir()
    assert blob.stat().st_nlink == 2


@pytest.mark.usefixtures("relay_with_message")
def test_backup_copies_blobs_where_hard_links_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_cross_device_error(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", raise_cross_device_error)
    saved = save_backup(tmp_path / "relay", tmp_path / "backup", NOON)
    blob = tmp_path / "backup" / "blobs" / saved.blobs[0].name
    assert (blob.read_bytes(), blob.stat().st_nlink) == (SampleMessage().blob, 1)


def test_blob_that_is_deleted_before_it_is_copied_is_listed_as_missing(
    relay_with_message: Relay, tmp_path: Path
) -> None:
    (blob,) = asyncio.run(relay_with_message.mail.read(lambda view: view.find(StoredBlob)))
    asyncio.run(relay_with_message.blobs.drop(blob.name))
    saved = save_backup(tmp_path / "relay", tmp_path / "backup", NOON)
    assert (saved.missing, saved.blobs) == ((blob.name,), ())


@pytest.mark.usefixtures("relay_with_message")
def test_backup_refuses_a_path_that_is_not_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "full")
    for out in ("full", "full/letter", "link"):
        with pytest.raises(NotEmpty):
            save_backup(tmp_path / "relay", tmp_path / out, NOON)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter"]


@pytest.mark.usefixtures("relay_with_message")
def test_backup_without_its_contents_file_is_not_found(tmp_path: Path) -> None:
    save_backup(tmp_path / "relay", tmp_path / "backup", NOON)
    (tmp_path / "backup" / "backup.json").unlink()
    with pytest.raises(BackupNotFound):
        read_backup(tmp_path / "backup")


@pytest.mark.usefixtures("relay_with_message")
@pytest.mark.parametrize("damage", ["mail.db", "backup.json", "blob name"])
def test_damaged_backup_is_not_restored(tmp_path: Path, damage: str) -> None:
    save_backup(tmp_path / "relay", tmp_path / "backup", NOON)
    contents = tmp_path / "backup" / "backup.json"
    match damage:
        case "mail.db":
            path = tmp_path / "backup" / "mail.db"
            path.write_bytes(path.read_bytes()[:-1] + b"!")
        case "backup.json":
            contents.write_bytes(contents.read_bytes()[:-5])
        case _:
            contents_read = json.loads(contents.read_text())
            contents_read["blobs"][0][0] = "../../mail.db"
            contents.write_text(json.dumps(contents_read))
    with pytest.raises(DamagedBackup):
        restore(tmp_path / "backup", tmp_path / "again")


@pytest.mark.usefixtures("relay_with_message")
@pytest.mark.parametrize("damage", ["other bytes", "gone"])
def test_damaged_or_missing_blob_is_left_out_and_the_rows_restored(
    tmp_path: Path, damage: str
) -> None:
    saved = save_backup(tmp_path / "relay", tmp_path / "backup", NOON)
    (blob,) = (tmp_path / "backup" / "blobs").iterdir()
    blob.unlink()
    if damage == "other bytes":
        blob.write_bytes(bytes(5000))
    damaged = restore_files(tmp_path / "backup", saved, tmp_path / "again")
    assert damaged == {blob.name}
    assert list((tmp_path / "again" / "blobs").iterdir()) == []
    with disk_relay(tmp_path / "again", SettableClock()) as relay:
        assert asyncio.run(relay.mail.read(lambda view: view.count(StoredEnvelope))) == 1


def test_backup_contains_exactly_the_blobs_that_it_lists(
    relay_with_message: Relay, tmp_path: Path
) -> None:
    other = SampleMessage()
    other.random_source.calls = 500
    other.__post_init__()
    asyncio.run(create_mailbox_with_message(relay_with_message, other))
    saved = save_backup(tmp_path / "relay", tmp_path / "backup", NOON)
    copied_names = {path.name for path in (tmp_path / "backup" / "blobs").iterdir()}
    assert copied_names == {entry.name for entry in saved.blobs}
    assert len(copied_names) == 2
