"""Tests of blob stores in memory, in files and in buckets: uploads, ranges, deletion and limits."""

import asyncio
import contextlib
import hashlib
import os
import resource
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType

import obstore
import pytest
from obstore.store import MemoryStore

from entrenous.base.errors import DamagedBlob, DiskFull, NoSuchBlob, TooMany
from entrenous.carry.relay import BlobStore
from entrenous.carry.store.file_blobs import FileBlobs, PartialBlob
from entrenous.carry.store.s3_blobs import UPLOADS_MAX, UPLOADS_PER_OWNER_MAX, S3Blobs
from tests.carry.relays import stream
from tests.deterministic import SeededRandomSource
from tests.in_memory.blobs import MemoryBlobs
from tests.swift import Swift

BLOB = SeededRandomSource().token(3_000_000)
BLOB_SHA256 = hashlib.sha256(BLOB).digest()


@dataclass
class SyncBlobStore:
    """A blob store with blocking methods, which run the coroutines of ``store``."""

    store: BlobStore
    runner: asyncio.Runner

    def store_blob(self, name: str, data: bytes, start: int = 0) -> None:
        digest = hashlib.sha256(data).digest()
        self.runner.run(self.store.store(name, stream(data[start:], 70_001), digest, start))

    def store_partially(self, name: str, data: bytes, error: Exception) -> None:
        """Store ``data`` in an upload that then fails with ``error``."""

        async def interrupted_chunks() -> AsyncIterator[bytes]:
            yield data
            raise error

        with pytest.raises(type(error)):
            self.runner.run(self.store.store(name, interrupted_chunks(), b"", 0))

    def partial_size(self, name: str) -> int:
        return self.runner.run(self.store.partial_size(name))

    def read(self, name: str, start: int, stop: int) -> bytes:
        async def whole() -> bytes:
            return b"".join([chunk async for chunk in await self.store.read(name, start, stop)])

        return self.runner.run(whole())

    def drop(self, name: str) -> None:
        self.runner.run(self.store.drop(name))


@pytest.fixture(params=["memory", "files", pytest.param("s3", marks=pytest.mark.real)])
def sync_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SyncBlobStore]:
    with asyncio.Runner() as runner:
        store: BlobStore = MemoryBlobs()
        if request.param == "files":
            store = FileBlobs(tmp_path / "blobs")
        elif request.param == "s3":  # in parts of 1 MiB, so that a blob has several parts
            store = S3Blobs(request.getfixturevalue("swift_server").create_bucket_client(), 1 << 20)
        yield SyncBlobStore(store, runner)


@pytest.mark.slow
def test_ranges_of_a_blob_are_read_back(sync_store: SyncBlobStore) -> None:
    sync_store.store_blob("name", BLOB)
    for start, stop in (
        (0, 3_000_000), (0, 1), (2_999_999, 3_000_000), (999_999, 2_500_001), (5, 5),
    ):  # fmt: skip
        assert sync_store.read("name", start, stop) == BLOB[start:stop], (start, stop)


def test_dropped_blob_is_gone(sync_store: SyncBlobStore) -> None:
    sync_store.store_blob("one", b"first")
    sync_store.store_blob("two", b"second")
    sync_store.drop("one")
    sync_store.drop("one")
    with pytest.raises(NoSuchBlob):
        sync_store.read("one", 0, 1)
    assert sync_store.read("two", 0, 6) == b"second"


def test_interrupted_upload_resumes_at_the_stored_end(sync_store: SyncBlobStore) -> None:
    sync_store.store_partially("name", BLOB[:1_700_000], ConnectionError())
    with pytest.raises(NoSuchBlob):
        sync_store.read("name", 0, 1)
    assert sync_store.partial_size("name") == 1_700_000
    sync_store.store_blob("name", BLOB, 1_700_000)
    assert sync_store.partial_size("name") == 0
    assert sync_store.read("name", 0, len(BLOB)) == BLOB


@pytest.mark.parametrize("start", [0, 1, 1_000_000])
def test_upload_may_resume_before_the_stored_end(sync_store: SyncBlobStore, start: int) -> None:
    sync_store.store_partially("name", BLOB[:1_700_000], ConnectionError())
    sync_store.store_blob("name", BLOB, start)
    assert sync_store.read("name", 0, len(BLOB)) == BLOB


def test_upload_cannot_resume_beyond_the_stored_end(sync_store: SyncBlobStore) -> None:
    sync_store.store_partially("name", BLOB[:10], ConnectionError())
    with pytest.raises(DamagedBlob):
        sync_store.store_blob("name", BLOB, 11)


def test_blob_with_another_hash_is_not_stored(sync_store: SyncBlobStore) -> None:
    digest = hashlib.sha256(b"other").digest()
    with pytest.raises(DamagedBlob):
        sync_store.runner.run(sync_store.store.store("name", stream(BLOB), digest))
    with pytest.raises(NoSuchBlob):
        sync_store.read("name", 0, 1)


def test_dropped_incomplete_blob_is_gone(sync_store: SyncBlobStore, tmp_path: Path) -> None:
    sync_store.store_partially("name", BLOB, DamagedBlob())
    sync_store.drop("name")
    assert sync_store.partial_size("name") == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_second_upload_of_a_blob_is_refused_while_the_first_runs(sync_store: SyncBlobStore) -> None:
    """A device may upload again before the relay notices that the first connection is gone."""

    async def slow_chunks(refused: list[bool]) -> AsyncIterator[bytes]:
        yield BLOB[:2_000_000]
        with pytest.raises(TooMany):
            await sync_store.store.store("name", stream(b"evil" * 750_000), BLOB_SHA256)
        with pytest.raises(TooMany):
            await sync_store.store.store("name", stream(b"evil"), BLOB_SHA256, 1000)
        refused.append(True)
        yield BLOB[2_000_000:]

    refused: list[bool] = []
    sync_store.runner.run(sync_store.store.store("name", slow_chunks(refused), BLOB_SHA256))
    assert refused == [True]
    assert sync_store.read("name", 0, len(BLOB)) == BLOB


@pytest.mark.real
def test_bucket_limits_concurrent_uploads(swift_server: Swift) -> None:
    store = S3Blobs(swift_server.create_bucket_client(), 1 << 20)

    async def run_scenario() -> list[BaseException | None]:
        may_continue = asyncio.Event()

        async def slow_chunks() -> AsyncIterator[bytes]:
            yield b"da"
            await may_continue.wait()
            yield b"ta"

        digest = hashlib.sha256(b"data").digest()
        tasks = [
            asyncio.create_task(store.store(f"n{number}", slow_chunks(), digest, 0, b"%d" % number))
            for number in range(UPLOADS_MAX + 1)
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        may_continue.set()
        await asyncio.wait(tasks)
        await store.store("later", stream(b"data"), digest)
        return [task.exception() for task in tasks]

    *first_stored, refused = asyncio.run(run_scenario())
    assert first_stored == [None] * UPLOADS_MAX
    assert isinstance(refused, TooMany)


def test_bucket_limits_concurrent_uploads_of_one_mailbox() -> None:
    store = S3Blobs(MemoryStore(), 1 << 20)
    sha256 = hashlib.sha256(b"data").digest()

    async def run_scenario() -> None:
        may_continue = asyncio.Event()

        async def slow_chunks() -> AsyncIterator[bytes]:
            await may_continue.wait()
            yield b"data"

        uploads = [
            store.store(f"n{number}", slow_chunks(), sha256, 0, b"her") for number in range(9)
        ]
        tasks = [asyncio.create_task(one) for one in uploads]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await store.store("another", stream(b"data"), sha256, 0, b"him")
        may_continue.set()
        await asyncio.wait(tasks)
        refused = [one for one in tasks if isinstance(one.exception(), TooMany)]
        assert len(tasks) - len(refused) == UPLOADS_PER_OWNER_MAX
        assert done <= set(refused)
        await store.store("n8", stream(b"data"), sha256, 0, b"her")

    asyncio.run(run_scenario())


@pytest.mark.real
@pytest.mark.parametrize(
    ("second_content", "error_type"), [(BLOB, NoneType), (b"evil" * 750_000, DamagedBlob)]
)
def test_concurrent_uploads_by_two_relays_leave_a_whole_blob(
    swift_server: Swift, second_content: bytes, error_type: type
) -> None:
    """Each relay has its own store, and does not know that the other relay writes."""
    bucket = swift_server.create_bucket_client()
    first, second = S3Blobs(bucket, 1 << 20), S3Blobs(bucket, 1 << 20)

    async def slow_chunks(
        half_sent: asyncio.Event, first_stored: asyncio.Event
    ) -> AsyncIterator[bytes]:
        yield second_content[:1_500_000]
        half_sent.set()
        await first_stored.wait()
        yield second_content[1_500_000:]

    async def run_scenario() -> bytes:
        half_sent, first_stored = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(
            second.store("name", slow_chunks(half_sent, first_stored), BLOB_SHA256)
        )
        await half_sent.wait()
        await first.store("name", stream(BLOB, 70_001), BLOB_SHA256)
        reading = await first.read("name", 0, len(BLOB))
        data = await anext(reading)
        first_stored.set()
        await asyncio.wait({task})
        assert isinstance(task.exception(), error_type)
        data += b"".join([chunk async for chunk in reading])
        again = [chunk async for chunk in await second.read("name", 0, len(BLOB))]
        assert b"".join(again) == BLOB
        await second.drop("name")
        left = [one async for page in obstore.list(bucket) for one in page]
        assert left == []
        return data

    assert asyncio.run(run_scenario()) == BLOB


def test_complete_blob_is_not_written_to_by_another_upload(tmp_path: Path) -> None:
    """The slow upload of different bytes begins before the blob is complete."""
    store = FileBlobs(tmp_path / "blobs")

    async def slow_chunks(may_continue: asyncio.Event) -> AsyncIterator[bytes]:
        yield b""
        await may_continue.wait()
        yield b"evil" * 750_000

    async def run_scenario() -> None:
        may_continue = asyncio.Event()
        task = asyncio.create_task(store.store("name", slow_chunks(may_continue), BLOB_SHA256))
        await asyncio.sleep(0)
        while not (tmp_path / "blobs" / "name").exists():
            try:
                await store.store("name", stream(BLOB), BLOB_SHA256)
            except TooMany:
                may_continue.set()
                await asyncio.wait({task})
        os.link(tmp_path / "blobs" / "name", tmp_path / "backup")
        may_continue.set()
        await asyncio.wait({task})
        with pytest.raises((DamagedBlob, TooMany)):
            await task

    asyncio.run(run_scenario())
    assert (tmp_path / "blobs" / "name").read_bytes() == BLOB
    assert (tmp_path / "backup").read_bytes() == BLOB


def test_published_file_is_closed_by_its_writer(tmp_path: Path) -> None:
    """A later writer gets a new file, and the first writer cannot change the published file."""
    first = PartialBlob(tmp_path / "name.part")
    first.write(BLOB)
    with pytest.raises(TooMany):
        PartialBlob(tmp_path / "name.part")
    first.publish(BLOB_SHA256, tmp_path / "name")
    first.write(b"more")
    second = PartialBlob(tmp_path / "name.part")
    second.write(b"evil")
    second.close()
    assert (tmp_path / "name").read_bytes() == BLOB


def test_blob_dropped_during_upload_is_not_stored(sync_store: SyncBlobStore) -> None:
    async def chunks_with_drop() -> AsyncIterator[bytes]:
        yield BLOB[:2_000_000]
        await sync_store.store.drop("name")
        yield BLOB[2_000_000:]

    if isinstance(sync_store.store, MemoryBlobs):
        pytest.skip("the store in memory does not notice the drop")
    with pytest.raises(NoSuchBlob):
        sync_store.runner.run(sync_store.store.store("name", chunks_with_drop(), BLOB_SHA256))


def test_free_bytes_are_between_0_and_2_to_the_60(tmp_path: Path) -> None:
    free = FileBlobs(tmp_path / "blobs").free_bytes()
    assert free is not None
    assert 0 < free < 2**60


def test_upload_continues_after_a_cancelled_write(tmp_path: Path) -> None:
    store = FileBlobs(tmp_path)

    async def run_scenario() -> None:
        for ticks in range(12):
            task = asyncio.create_task(
                store.store(f"name{ticks}", stream(BLOB, 1_048_576), BLOB_SHA256)
            )
            for _ in range(ticks):
                await asyncio.sleep(0.0005)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            stored_bytes = await store.partial_size(f"name{ticks}")
            await store.store(
                f"name{ticks}", stream(BLOB[stored_bytes:]), BLOB_SHA256, stored_bytes
            )
            assert (tmp_path / f"name{ticks}").read_bytes() == BLOB

    asyncio.run(run_scenario())


def test_blob_is_absent_until_it_is_complete(tmp_path: Path) -> None:
    store, exists_during_upload = FileBlobs(tmp_path), []

    async def watching_chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            exists_during_upload.append((tmp_path / "name").exists())
            yield BLOB

    digest = hashlib.sha256(BLOB * 3).digest()
    asyncio.run(store.store("name", watching_chunks(), digest))
    assert exists_during_upload == [False] * 3
    assert (tmp_path / "name").read_bytes() == BLOB * 3
    assert (tmp_path / "name").stat().st_mode & 0o077 == 0


def test_dropping_a_blob_removes_the_partial_file_that_a_crash_left(tmp_path: Path) -> None:
    (tmp_path / "name.part").write_bytes(b"half")
    asyncio.run(FileBlobs(tmp_path).drop("name"))
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_reported_and_no_bytes_are_kept(tmp_path: Path) -> None:
    store = FileBlobs(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
    try:
        with pytest.raises(DiskFull):
            asyncio.run(store.store("name", stream(BLOB), BLOB_SHA256))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    # The failed upload has already deleted its bytes.
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0
    asyncio.run(store.drop("name"))
    assert list(tmp_path.iterdir()) == []
