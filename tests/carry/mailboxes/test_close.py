"""The deletion of a mailbox with everything in it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from entrenous.base.errors import DiskFailed, IdInUse, NoSuchBlob, NoSuchEnvelope, NoSuchMailbox
from entrenous.base.identifiers import BlobId, DeviceId
from entrenous.base.secret import Secret
from entrenous.carry.accept import accept, acknowledge
from entrenous.carry.blob_upload import find_blob, upload_blob
from entrenous.carry.device_lock import create_lock
from entrenous.carry.mailbox import (
    create_mailbox,
    delete_mailbox_with_contents,
    find_key_bundle,
    replace_key_bundle,
    replace_prekeys,
)
from entrenous.carry.relay import Relay, RowTransaction
from entrenous.carry.relay_rows import (
    DeletedMailbox,
    OrphanBlob,
    StoredBlob,
    StoredEnvelope,
    StoredLock,
    StoredMailbox,
    StoredUpload,
)
from entrenous.carry.release import finish_attempt, release_key_share
from entrenous.carry.send_tokens import add_and_drop_send_tokens, register_send_token
from entrenous.carry.withdraw import envelope_status, withdraw
from entrenous.crypto.hashing import token_hash
from entrenous.wire.relay_nouns import EnvelopeState, Prekeys, SendTokenChanges
from tests.carry.minute_sweep import expire
from tests.carry.relays import NOON, SampleMessage, disk_relay, memory_relay
from tests.carry.test_expire import (
    ROW_TYPES_EXCEPT_SWEEP,
    blob_count,
    count_found_in_files,
    count_rows,
    secret_parts,
)
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.courier import run_sync
from tests.in_memory.mail import MemoryRowStore, ReadAhead

DEVICE = DeviceId(b"D" * 16)
CLOSE_TOKEN, UNLOCK_TOKEN = Secret(b"c" * 32), Secret(b"u" * 32)


async def fill_mailbox(relay: Relay, message: SampleMessage) -> None:
    """Create a mailbox with a token, a lock, a key bundle and prekeys; post a message to it."""
    await create_mailbox(message.mailbox, token_hash(message.owner), relay, token_hash(CLOSE_TOKEN))
    await register_send_token(message.mailbox, message.owner, message.send_token(), relay)
    await create_lock(message.mailbox, message.owner, token_hash(UNLOCK_TOKEN), relay)
    await replace_key_bundle(message.mailbox, message.owner, b"a card", relay)
    await replace_prekeys(
        message.mailbox, message.owner, DEVICE, Prekeys((b"one",), b"fallback", b"xwing"), relay
    )
    await upload_blob(message.blob_deposit(), message.token, stream(message.blob), relay)
    await accept(message.envelope(), message.token, relay)


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
def relay() -> Relay:
    return memory_relay()


@pytest.mark.threat("stolen-device")
@pytest.mark.parametrize("progress", ["waiting", "delivered", "opened", "half opened"])
def test_envelope_of_a_deleted_mailbox_is_revoked_and_cannot_be_opened(
    relay: Relay, progress: str
) -> None:
    message = SampleMessage()
    run_sync(fill_mailbox(relay, message))
    attempt = message.new_attempt()
    if progress in ("delivered", "opened"):
        run_sync(acknowledge(message.mailbox, message.owner, message.id, relay))
    if progress in ("opened", "half opened"):
        run_sync(release_key_share(message.id, message.open, attempt, relay))
    if progress == "opened":
        run_sync(finish_attempt(message.id, message.open, attempt, relay))
    run_sync(delete_mailbox_with_contents(message.mailbox, CLOSE_TOKEN, relay))
    status = run_sync(envelope_status(message.id, message.withdraw, relay))
    assert status.state is EnvelopeState.REVOKED
    assert status.opened == ("opened" in progress)
    for again in (attempt, message.new_attempt()):
        with pytest.raises(NoSuchEnvelope):
            run_sync(release_key_share(message.id, message.open, again, relay))
    with pytest.raises(NoSuchBlob):
        run_sync(find_blob(message.blob_id, message.fetch, relay))
    assert run_sync(withdraw(message.id, message.withdraw, relay)).state is EnvelopeState.REVOKED
    assert blob_count(relay) == 0


def test_closed_mailbox_leaves_only_its_id_and_a_tombstone_for_thirty_days(relay: Relay) -> None:
    message = SampleMessage()
    run_sync(fill_mailbox(relay, message))
    run_sync(delete_mailbox_with_contents(message.mailbox, message.owner, relay))
    assert (
        count_rows(relay, *ROW_TYPES_EXCEPT_SWEEP)
        == count_rows(relay, DeletedMailbox, StoredEnvelope)
        == 2
    )
    with pytest.raises(NoSuchMailbox):
        run_sync(find_key_bundle(message.mailbox, message.token, relay))
    relay.clock.advance(days=30)  # type: ignore[attr-defined]
    run_sync(expire(relay))
    assert count_rows(relay, *ROW_TYPES_EXCEPT_SWEEP) == 0
    assert run_sync(create_mailbox(message.mailbox, token_hash(message.owner), relay)) is True


class BatchRecordingRowStore(MemoryRowStore):
    """A row store that records by how much each transaction reduces the number of rows.

    After ``fail_after`` transactions, every further transaction fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dropped_row_counts: list[int] = []
        self.fail_after = 10**9

    async def transact(
        self, work: Callable[[RowTransaction], Any], _: ReadAhead | None = None
    ) -> Any:
        if len(self.dropped_row_counts) >= self.fail_after:
            raise DiskFailed
        before = await self.read(lambda view: sum(map(view.count, ROW_TYPES_EXCEPT_SWEEP)))
        answer = await super().transact(work)
        self.dropped_row_counts.append(
            before - await self.read(lambda view: sum(map(view.count, ROW_TYPES_EXCEPT_SWEEP)))
        )
        return answer


def relay_with_large_mailbox(message: SampleMessage) -> tuple[BatchRecordingRowStore, Relay]:
    """Return a row store and its relay, which has a mailbox with over a thousand tokens."""
    mail = BatchRecordingRowStore()
    relay = replace(memory_relay(), mail=mail)
    run_sync(fill_mailbox(relay, message))
    locks = tuple(number.to_bytes(32, "big") for number in range(1000))
    batch = SendTokenChanges(locks, (), NOON + timedelta(days=1))
    run_sync(add_and_drop_send_tokens(message.mailbox, message.owner, batch, relay))
    mail.dropped_row_counts.clear()
    return mail, relay


def test_large_mailbox_is_deleted_in_batches() -> None:
    message = SampleMessage()
    mail, relay = relay_with_large_mailbox(message)
    run_sync(delete_mailbox_with_contents(message.mailbox, message.owner, relay))
    assert max(mail.dropped_row_counts) == 500
    assert (
        count_rows(relay, *ROW_TYPES_EXCEPT_SWEEP)
        == count_rows(relay, DeletedMailbox, StoredEnvelope)
        == 2
    )


@pytest.mark.threat("stolen-device")
@pytest.mark.parametrize("transaction_count", [1, 2, 3, 5])
def test_sweep_finishes_a_crashed_deletion(transaction_count: int) -> None:
    message = SampleMessage()
    mail, relay = relay_with_large_mailbox(message)
    mail.fail_after = transaction_count
    with pytest.raises(DiskFailed):
        run_sync(delete_mailbox_with_contents(message.mailbox, CLOSE_TOKEN, relay))
    mail.fail_after = 10**9
    assert count_rows(relay, StoredMailbox, StoredLock) == 0
    with pytest.raises(NoSuchMailbox):
        run_sync(accept(message.new_envelope(), message.token, relay))
    with pytest.raises(IdInUse):
        run_sync(create_mailbox(message.mailbox, token_hash(message.owner), relay))
    run_sync(expire(relay))
    assert (
        count_rows(relay, *ROW_TYPES_EXCEPT_SWEEP)
        == count_rows(relay, DeletedMailbox, StoredEnvelope)
        == 2
    )
    assert max(mail.dropped_row_counts) <= 500
    relay.clock.advance(days=30)  # type: ignore[attr-defined]
    run_sync(expire(relay))
    assert count_rows(relay, *ROW_TYPES_EXCEPT_SWEEP) == 0


def test_closing_a_mailbox_can_be_repeated_after_a_crash() -> None:
    message = SampleMessage()
    mail, relay = relay_with_large_mailbox(message)
    mail.fail_after = 1
    with pytest.raises(DiskFailed):
        run_sync(delete_mailbox_with_contents(message.mailbox, CLOSE_TOKEN, relay))
    mail.fail_after = 10**9
    run_sync(delete_mailbox_with_contents(message.mailbox, CLOSE_TOKEN, relay))
    assert count_rows(relay, *ROW_TYPES_EXCEPT_SWEEP) == 2


def test_closing_a_mailbox_leaves_others_unchanged(relay: Relay) -> None:
    random_source = SeededRandomSource(calls=100)
    mine, others = SampleMessage(), SampleMessage(random_source=random_source)
    run_sync(fill_mailbox(relay, mine))
    run_sync(fill_mailbox(relay, others))
    before = count_rows(relay, *ROW_TYPES_EXCEPT_SWEEP)
    run_sync(delete_mailbox_with_contents(mine.mailbox, CLOSE_TOKEN, relay))
    run_sync(delete_mailbox_with_contents(mine.mailbox, CLOSE_TOKEN, relay))
    assert (
        run_sync(release_key_share(others.id, others.open, others.new_attempt(), relay))
        == others.share
    )
    assert (
        run_sync(envelope_status(others.id, others.withdraw, relay)).state is EnvelopeState.OPENED
    )
    assert count_rows(relay, StoredMailbox, StoredLock) == 2
    assert count_rows(relay, *ROW_TYPES_EXCEPT_SWEEP) < before


def test_upload_to_a_closed_mailbox_does_not_complete(relay: Relay) -> None:
    """The mailbox is deleted between the first and the last byte of the upload."""
    message = SampleMessage()

    async def chunks_with_mailbox_deletion() -> AsyncIterator[bytes]:
        yield message.blob[:1000]
        await delete_mailbox_with_contents(message.mailbox, CLOSE_TOKEN, relay)
        yield message.blob[1000:]

    async def run_scenario() -> None:
        await create_mailbox(
            message.mailbox, token_hash(message.owner), relay, token_hash(CLOSE_TOKEN)
        )
        await register_send_token(message.mailbox, message.owner, message.send_token(), relay)
        await upload_blob(
            message.blob_deposit(), message.token, chunks_with_mailbox_deletion(), relay
        )

    with pytest.raises(NoSuchBlob):
        run_sync(run_scenario())
    assert count_rows(relay, *ROW_TYPES_EXCEPT_SWEEP) == count_rows(relay, DeletedMailbox) == 1
    assert blob_count(relay) == 0


def test_closing_a_mailbox_deletes_incomplete_uploads(relay: Relay) -> None:
    message = SampleMessage()
    run_sync(create_mailbox(message.mailbox, token_hash(message.owner), relay))
    until = NOON + timedelta(hours=1)
    upload = StoredUpload(BlobId(b"B" * 16), "name", message.mailbox, 9, b"", b"", b"", until)
    run_sync(relay.mail.transact(lambda tx: tx.put(upload)))
    run_sync(delete_mailbox_with_contents(message.mailbox, message.owner, relay))
    assert count_rows(relay, StoredUpload, OrphanBlob) == 0


def test_closing_a_mailbox_deletes_unreferenced_blobs(relay: Relay) -> None:
    message = SampleMessage()

    async def run_scenario() -> None:
        await create_mailbox(
            message.mailbox, token_hash(message.owner), relay, token_hash(CLOSE_TOKEN)
        )
        await register_send_token(message.mailbox, message.owner, message.send_token(), relay)
        await upload_blob(message.blob_deposit(), message.token, stream(message.blob), relay)
        assert (count_rows(relay, StoredBlob), blob_count(relay)) == (1, 1)
        await delete_mailbox_with_contents(message.mailbox, CLOSE_TOKEN, relay)

    run_sync(run_scenario())
    assert (count_rows(relay, StoredBlob), blob_count(relay)) == (0, 0)


@pytest.mark.threat("account-takeover")
def test_closed_mailbox_leaves_no_bytes_of_its_content_on_the_disk(tmp_path: Path) -> None:
    """Before the deletion, the relay's files contain all planted bytes; afterwards, none."""
    message = SampleMessage()
    with disk_relay(tmp_path, SettableClock()) as relay:
        asyncio.run(fill_mailbox(relay, message))
        lock = asyncio.run(relay.mail.read(lambda view: view.get(StoredLock, message.mailbox)))
        assert lock is not None
        planted = [*secret_parts(message), lock.key.reveal(), b"a card", token_hash(UNLOCK_TOKEN)]
        assert count_found_in_files(tmp_path, planted) == len(planted)
        asyncio.run(delete_mailbox_with_contents(message.mailbox, CLOSE_TOKEN, relay))
        asyncio.run(expire(relay))
        assert count_found_in_files(tmp_path, planted) == 0
