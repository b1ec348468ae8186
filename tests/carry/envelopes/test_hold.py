"""Tests of blob uploads: interruption, resumption, refusals, deleted mailboxes, store failures."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import (
    DamagedBlob,
    DatabaseAway,
    DiskFailed,
    DiskFull,
    IdInUse,
    NoSuchBlob,
    WrongOffset,
    WrongToken,
)
from entrenous.carry.accept import accept
from entrenous.carry.blob_upload import find_blob, find_upload_progress, upload_blob
from entrenous.carry.mailbox import create_mailbox, delete_mailbox_with_contents
from entrenous.carry.relay import Relay, RowStore
from entrenous.carry.relay_rows import OrphanBlob, StoredBlob, StoredUpload
from entrenous.carry.relay_settings import RelayLimits
from entrenous.carry.send_tokens import register_send_token
from entrenous.carry.store.file_blobs import FileBlobs
from entrenous.crypto.hashing import token_hash
from tests.carry.minute_sweep import expire
from tests.carry.relays import (
    SampleMessage,
    disk_relay,
    memory_relay,
    new_relay,
    run,
    stored_blob_count,
    stream,
)
from tests.deterministic import SettableClock
from tests.in_memory.courier import run_sync


class CancellingStore:
    """A row store that cancels its caller during transaction number ``cancel_at``."""

    def __init__(self, store: RowStore, cancel_at: int) -> None:
        self._store, self._left = store, cancel_at
        self.read, self.clear_deleted_rows = store.read, store.clear_deleted_rows

    async def transact(self, work: Callable[[Any], Any], prefetch: Any = None) -> Any:
        self._left -= 1
        if self._left:
            return await self._store.transact(work, prefetch)
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        return await self._store.transact(work, prefetch)


@pytest.fixture
def relay() -> Relay:
    return new_relay()


async def create_mailbox_with_token(relay: Relay, message: SampleMessage) -> None:
    await create_mailbox(message.mailbox, token_hash(message.owner), relay)
    await register_send_token(message.mailbox, message.owner, message.send_token(), relay)


async def download(relay: Relay, message: SampleMessage) -> bytes:
    stored = await find_blob(message.blob_id, message.fetch, relay)
    chunks = await relay.blobs.read(stored.name, 0, stored.size)
    return b"".join([chunk async for chunk in chunks])


def count_rows(relay: Relay, row_type: type) -> int:
    return asyncio.run(relay.mail.read(lambda view: view.count(row_type)))


def test_upload_cancelled_during_its_transaction_loses_nothing(tmp_path: Path) -> None:
    """The transaction still completes and stores the blob's row; the blob's bytes must remain."""
    message = SampleMessage()

    async def run_scenario(relay: Relay) -> None:
        await create_mailbox_with_token(relay, message)
        cancelling_relay = replace(relay, mail=CancellingStore(relay.mail, cancel_at=2))
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(
                upload_blob(
                    message.blob_deposit(), message.token, stream(message.blob), cancelling_relay
                )
            )
        assert not await upload_blob(
            message.blob_deposit(), message.token, stream(message.blob), relay
        )
        await expire(relay)
        assert await download(relay, message) == message.blob

    with disk_relay(tmp_path, SettableClock()) as relay:
        asyncio.run(run_scenario(relay))
        assert (
            count_rows(relay, StoredBlob),
            count_rows(relay, OrphanBlob),
            count_rows(relay, StoredUpload),
        ) == (
            1,
            0,
            0,
        )


def test_interrupted_upload_can_be_resumed(relay: Relay) -> None:
    message = SampleMessage()

    async def interrupted_chunks_of_blob() -> AsyncIterator[bytes]:
        yield message.blob[:1000]
        raise ConnectionError

    async def run_scenario() -> None:
        await create_mailbox_with_token(relay, message)
        with pytest.raises(ConnectionError):
            await upload_blob(
                message.blob_deposit(), message.token, interrupted_chunks_of_blob(), relay
            )
        assert await find_upload_progress(message.blob_id, message.withdraw, relay) == (1000, 5000)
        with pytest.raises(WrongToken):
            await find_upload_progress(message.blob_id, message.token, relay)
        with pytest.raises(WrongOffset):
            await upload_blob(
                message.blob_deposit(), message.token, stream(message.blob[1001:]), relay, 1001
            )
        rest = stream(message.blob[1000:])
        assert await upload_blob(message.blob_deposit(), message.token, rest, relay, 1000)
        assert await find_upload_progress(message.blob_id, message.withdraw, relay) == (5000, 5000)
        assert await download(relay, message) == message.blob
        assert await download(relay, message) == message.blob

    asyncio.run(run_scenario())
    assert (
        count_rows(relay, StoredBlob),
        count_rows(relay, OrphanBlob),
        count_rows(relay, StoredUpload),
    ) == (
        1,
        0,
        0,
    )


def test_upload_that_takes_a_day_does_not_complete() -> None:
    clock = SettableClock()
    relay, message = new_relay(clock), SampleMessage()
    run(create_mailbox_with_token(relay, message))

    async def slow_chunks() -> AsyncIterator[bytes]:
        yield message.blob
        clock.moment += timedelta(hours=24)

    with pytest.raises(NoSuchBlob):
        run(upload_blob(message.blob_deposit(), message.token, slow_chunks(), relay))
    run(expire(relay))
    assert [count_rows(relay, one) for one in (StoredBlob, OrphanBlob, StoredUpload)] == [0] * 3


def test_resumed_bytes_with_a_wrong_hash_end_the_upload(relay: Relay) -> None:
    message = SampleMessage()

    async def run_scenario() -> None:
        await create_mailbox_with_token(relay, message)
        with pytest.raises(ConnectionError):
            await upload_blob(
                message.blob_deposit(),
                message.token,
                interrupted_chunks(message.blob[:1000]),
                relay,
            )
        with pytest.raises(DamagedBlob):
            await upload_blob(
                message.blob_deposit(), message.token, stream(bytes(4000)), relay, 1000
            )
        with pytest.raises(NoSuchBlob):
            await find_upload_progress(message.blob_id, message.withdraw, relay)

    asyncio.run(run_scenario())
    assert (
        count_rows(relay, StoredBlob),
        count_rows(relay, OrphanBlob),
        count_rows(relay, StoredUpload),
    ) == (
        0,
        0,
        0,
    )


def test_other_blob_with_the_same_id_cannot_resume_the_upload() -> None:
    relay, message = new_relay(), SampleMessage()
    run(create_mailbox_with_token(relay, message))
    with pytest.raises(ConnectionError):
        run(upload_blob(message.blob_deposit(), message.token, interrupted_chunks(b"a"), relay))
    other = replace(message.blob_deposit(), withdraw_lock=bytes(32))
    with pytest.raises(IdInUse):
        run(upload_blob(other, message.token, stream(message.blob[1:]), relay, 1))


def test_upload_cannot_be_resumed_after_a_day() -> None:
    clock = SettableClock()
    relay, message = new_relay(clock), SampleMessage()
    run(create_mailbox_with_token(relay, message))
    with pytest.raises(ConnectionError):
        run(
            upload_blob(
                message.blob_deposit(), message.token, interrupted_chunks(message.blob[:9]), relay
            )
        )
    clock.advance(hours=24)
    run(expire(relay))
    with pytest.raises(NoSuchBlob):
        run(find_upload_progress(message.blob_id, message.withdraw, relay))
    with pytest.raises(WrongOffset):
        run(upload_blob(message.blob_deposit(), message.token, stream(message.blob[9:]), relay, 9))
    assert run(upload_blob(message.blob_deposit(), message.token, stream(message.blob), relay))


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), max_size=6))
def test_upload_interrupted_anywhere_arrives_unchanged(
    interruptions: list[tuple[int, int]],
) -> None:
    """Each resumption starts at or before the end of the stored bytes."""
    relay, message = memory_relay(), SampleMessage()
    run_sync(create_mailbox_with_token(relay, message))
    stored_bytes = 0
    for overlap, stop in interruptions:
        start = max(0, stored_bytes - overlap)
        rest = interrupted_chunks(message.blob[start : max(start, stop)])
        with pytest.raises(ConnectionError):
            run_sync(upload_blob(message.blob_deposit(), message.token, rest, relay, start))
        stored_bytes, _ = run_sync(find_upload_progress(message.blob_id, message.withdraw, relay))
        assert stored_bytes >= start
    assert run_sync(
        upload_blob(
            message.blob_deposit(),
            message.token,
            stream(message.blob[stored_bytes:]),
            relay,
            stored_bytes,
        )
    )
    assert run_sync(download(relay, message)) == message.blob


class NearlyFullDisk(FileBlobs):
    def free_bytes(self) -> int | None:
        return 10_000


@pytest.mark.parametrize(("free_bytes_min", "accepted"), [(0, True), (5000, True), (5001, False)])
def test_upload_must_leave_the_minimum_of_free_space(
    tmp_path: Path, free_bytes_min: int, *, accepted: bool
) -> None:
    """When the upload is refused, a message without blobs is still accepted."""
    message = SampleMessage()
    limits = RelayLimits(free_bytes_min=free_bytes_min)
    relay = replace(new_relay(), blobs=NearlyFullDisk(tmp_path / "blobs"), limits=limits)
    run(create_mailbox_with_token(relay, message))
    upload = upload_blob(message.blob_deposit(), message.token, stream(message.blob), relay)
    if accepted:
        assert run(upload)
        return
    with pytest.raises(DiskFull):
        run(upload)
    assert run(accept(message.envelope(blobs=False), message.token, relay))


async def interrupted_chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data
    raise ConnectionError


class BucketLikeBlobs(FileBlobs):
    """A blob store that leaves bytes behind when an upload fails after the blob was dropped."""

    async def store(self, name: str, *arguments: Any) -> None:  # type: ignore[override]
        try:
            await super().store(name, *arguments)
        except BaseException:
            if not self._partial_path(name).exists():
                self._partial_path(name).write_bytes(b"the rest")
            raise


@pytest.mark.parametrize("error", [ConnectionError, asyncio.CancelledError])
def test_upload_to_a_deleted_mailbox_leaves_no_bytes(
    tmp_path: Path,
    error: type[BaseException],
) -> None:
    relay, message = (
        replace(new_relay(), blobs=BucketLikeBlobs(tmp_path / "blobs")),
        SampleMessage(),
    )

    async def chunks_with_mailbox_deletion() -> AsyncIterator[bytes]:
        yield message.blob[:1000]
        await delete_mailbox_with_contents(message.mailbox, message.owner, relay)
        yield message.blob[1000:2000]
        raise error

    async def run_scenario() -> None:
        await create_mailbox_with_token(relay, message)
        with pytest.raises(error):
            await upload_blob(
                message.blob_deposit(), message.token, chunks_with_mailbox_deletion(), relay
            )

    asyncio.run(run_scenario())
    assert stored_blob_count(relay) == 0
    assert (count_rows(relay, StoredUpload), count_rows(relay, OrphanBlob)) == (0, 0)


def test_upload_to_a_deleted_mailbox_ends_at_the_next_size_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("entrenous.carry.blob_upload._ROW_CHECK_BYTES", 1500)
    relay, message, sent_offsets = new_relay(), SampleMessage(), list[int]()

    async def chunks_with_mailbox_deletion() -> AsyncIterator[bytes]:
        for start in range(0, 5000, 1000):
            if start == 1000:
                await delete_mailbox_with_contents(message.mailbox, message.owner, relay)
            sent_offsets.append(start)
            yield message.blob[start : start + 1000]

    async def run_scenario() -> None:
        await create_mailbox_with_token(relay, message)
        with pytest.raises(NoSuchBlob):
            await upload_blob(
                message.blob_deposit(), message.token, chunks_with_mailbox_deletion(), relay
            )

    asyncio.run(run_scenario())
    assert sent_offsets == [0, 1000]


class DiskFailingBlobs(FileBlobs):
    """A blob store that reports a disk failure when an upload is interrupted."""

    async def store(self, name: str, *arguments: Any) -> None:  # type: ignore[override]
        try:
            await super().store(name, *arguments)
        except ConnectionError:
            raise DiskFailed from None


def test_upload_resumes_after_a_brief_store_failure(tmp_path: Path) -> None:
    relay, message = (
        replace(new_relay(), blobs=DiskFailingBlobs(tmp_path / "blobs")),
        SampleMessage(),
    )
    run(create_mailbox_with_token(relay, message))
    with pytest.raises(DiskFailed):
        run(
            upload_blob(
                message.blob_deposit(),
                message.token,
                interrupted_chunks(message.blob[:4000]),
                relay,
            )
        )
    rest = stream(message.blob[4000:])
    assert run(upload_blob(message.blob_deposit(), message.token, rest, relay, 4000))
    assert run(download(relay, message)) == message.blob


def test_slow_upload_to_a_deleted_mailbox_ends_at_the_next_timed_check() -> None:
    clock, message, sent_offsets = SettableClock(), SampleMessage(), list[int]()
    relay = new_relay(clock)

    async def chunks_with_mailbox_deletion() -> AsyncIterator[bytes]:
        for start in range(0, 5000, 10):
            if start == 1000:
                await delete_mailbox_with_contents(message.mailbox, message.owner, relay)
            sent_offsets.append(start)
            clock.advance(seconds=9)
            yield message.blob[start : start + 10]

    async def run_scenario() -> None:
        await create_mailbox_with_token(relay, message)
        with pytest.raises(NoSuchBlob):
            await upload_blob(
                message.blob_deposit(), message.token, chunks_with_mailbox_deletion(), relay
            )

    asyncio.run(run_scenario())
    assert 1000 <= sent_offsets[-1] < 1000 + 8 * 10


def test_upload_continues_while_the_database_is_unreachable() -> None:
    """Each minute, the relay tries again to check whether the upload is still wanted."""
    clock, message = SettableClock(), SampleMessage()
    relay = new_relay(clock)
    real_read, attempts = relay.mail.read, list[str]()

    async def raise_database_away(*_: object) -> None:
        attempts.append("in vain")
        raise DatabaseAway(retry_after_s=5)

    async def chunks() -> AsyncIterator[bytes]:
        relay.mail.read = raise_database_away  # type: ignore[method-assign, assignment]
        async for chunk in stream(message.blob):
            clock.advance(minutes=1)
            yield chunk
        relay.mail.read = real_read  # type: ignore[method-assign]

    async def run_scenario() -> None:
        await create_mailbox_with_token(relay, message)
        assert await upload_blob(message.blob_deposit(), message.token, chunks(), relay)

    asyncio.run(run_scenario())
    assert len(attempts) == 5
