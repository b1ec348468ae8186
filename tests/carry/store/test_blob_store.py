"""Tests that every BlobStore passes, and some for files and buckets only."""

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

# The event loop's wake-up channel is a socket pair.
pytestmark = pytest.mark.usefixtures("socket_enabled")

DATA = SeededRandomSource().token(3_000_000)
SHA = hashlib.sha256(DATA).digest()


@dataclass
class Bench:
    store: BlobStore
    runner: asyncio.Runner

    def store_blob(self, name: str, data: bytes, start: int = 0) -> None:
        digest = hashlib.sha256(data).digest()
        self.runner.run(self.store.store(name, stream(data[start:], 70_001), digest, start))

    def store_partially(self, name: str, data: bytes, error: Exception) -> None:
        """Store ``data`` in an upload that then fails with ``error``."""

        async def interrupted() -> AsyncIterator[bytes]:
            yield data
            raise error

        with pytest.raises(type(error)):
            self.runner.run(self.store.store(name, interrupted(), b"", 0))

    def size(self, name: str) -> int:
        return self.runner.run(self.store.partial_size(name))

    def read(self, name: str, start: int, stop: int) -> bytes:
        async def whole() -> bytes:
            return b"".join([chunk async for chunk in await self.store.read(name, start, stop)])

        return self.runner.run(whole())

    def drop(self, name: str) -> None:
        self.runner.run(self.store.drop(name))


@pytest.fixture(params=["memory", "files", pytest.param("s3", marks=pytest.mark.real)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with asyncio.Runner() as runner:  # the event loop's wake-up channel is a socket pair
        store: BlobStore = MemoryBlobs()
        if request.param == "files":
            store = FileBlobs(tmp_path / "blobs")
        elif request.param == "s3":  # in parts of 1 MiB, so that a blob has several
            store = S3Blobs(request.getfixturevalue("buckets").bucket(), 1 << 20)
        yield Bench(store, runner)


@pytest.mark.slow
def test_any_range_of_a_blob_is_read_back(bench: Bench) -> None:
    bench.store_blob("name", DATA)
    for start, stop in (
        (0, 3_000_000), (0, 1), (2_999_999, 3_000_000), (999_999, 2_500_001), (5, 5),
    ):  # fmt: skip
        assert bench.read("name", start, stop) == DATA[start:stop], (start, stop)


def test_dropped_blob_is_gone(bench: Bench) -> None:
    bench.store_blob("one", b"first")
    bench.store_blob("two", b"second")
    bench.drop("one")
    bench.drop("one")
    with pytest.raises(NoSuchBlob):
        bench.read("one", 0, 1)
    assert bench.read("two", 0, 6) == b"second"


def test_a_stream_that_breaks_goes_on_where_it_was(bench: Bench) -> None:
    bench.store_partially("name", DATA[:1_700_000], ConnectionError())
    with pytest.raises(NoSuchBlob):
        bench.read("name", 0, 1)
    assert bench.size("name") == 1_700_000
    bench.store_blob("name", DATA, 1_700_000)
    assert bench.size("name") == 0
    assert bench.read("name", 0, len(DATA)) == DATA


@pytest.mark.parametrize("start", [0, 1, 1_000_000])
def test_upload_may_resume_before_the_stored_end(bench: Bench, start: int) -> None:
    bench.store_partially("name", DATA[:1_700_000], ConnectionError())
    bench.store_blob("name", DATA, start)
    assert bench.read("name", 0, len(DATA)) == DATA


def test_upload_cannot_resume_beyond_the_stored_end(bench: Bench) -> None:
    bench.store_partially("name", DATA[:10], ConnectionError())
    with pytest.raises(DamagedBlob):
        bench.store_blob("name", DATA, 11)


def test_blob_with_another_hash_is_not_stored(bench: Bench) -> None:
    digest = hashlib.sha256(b"other").digest()
    with pytest.raises(DamagedBlob):
        bench.runner.run(bench.store.store("name", stream(DATA), digest))
    with pytest.raises(NoSuchBlob):
        bench.read("name", 0, 1)


def test_dropped_incomplete_blob_is_gone(bench: Bench, tmp_path: Path) -> None:
    bench.store_partially("name", DATA, DamagedBlob())
    bench.drop("name")
    assert bench.size("name") == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_second_upload_of_a_blob_is_refused_while_the_first_runs(bench: Bench) -> None:
    """A device reconnects before the relay has noticed that its first connection is gone."""

    async def slow(refused: list[bool]) -> AsyncIterator[bytes]:
        yield DATA[:2_000_000]
        with pytest.raises(TooMany):
            await bench.store.store("name", stream(b"evil" * 750_000), SHA)
        with pytest.raises(TooMany):
            await bench.store.store("name", stream(b"evil"), SHA, 1000)
        refused.append(True)
        yield DATA[2_000_000:]

    refused: list[bool] = []
    bench.runner.run(bench.store.store("name", slow(refused), SHA))
    assert refused == [True]
    assert bench.read("name", 0, len(DATA)) == DATA


@pytest.mark.real
def test_bucket_limits_concurrent_uploads(buckets: Swift) -> None:
    store = S3Blobs(buckets.bucket(), 1 << 20)

    async def story() -> list[BaseException | None]:
        go = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"da"
            await go.wait()
            yield b"ta"

        digest = hashlib.sha256(b"data").digest()
        tasks = [
            asyncio.create_task(store.store(f"n{number}", slow(), digest, 0, b"%d" % number))
            for number in range(UPLOADS_MAX + 1)
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        go.set()
        await asyncio.wait(tasks)
        await store.store("later", stream(b"data"), digest)
        return [task.exception() for task in tasks]

    *kept, refused = asyncio.run(story())
    assert kept == [None] * UPLOADS_MAX
    assert isinstance(refused, TooMany)


def test_bucket_limits_concurrent_uploads_of_one_mailbox() -> None:
    store = S3Blobs(MemoryStore(), 1 << 20)
    sha256 = hashlib.sha256(b"data").digest()

    async def story() -> None:
        go = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            await go.wait()
            yield b"data"

        uploads = [store.store(f"n{number}", slow(), sha256, 0, b"her") for number in range(9)]
        tasks = [asyncio.create_task(one) for one in uploads]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await store.store("another", stream(b"data"), sha256, 0, b"him")
        go.set()
        await asyncio.wait(tasks)
        refused = [one for one in tasks if isinstance(one.exception(), TooMany)]
        assert len(tasks) - len(refused) == UPLOADS_PER_OWNER_MAX
        assert done <= set(refused)
        await store.store("n8", stream(b"data"), sha256, 0, b"her")

    asyncio.run(story())


@pytest.mark.real
@pytest.mark.parametrize(
    ("second_content", "error_type"), [(DATA, NoneType), (b"evil" * 750_000, DamagedBlob)]
)
def test_two_relays_that_write_the_same_at_once_leave_it_whole(
    buckets: Swift, second_content: bytes, error_type: type
) -> None:
    """Each relay has its own store, so neither knows that the other one writes."""
    bucket = buckets.bucket()
    first, second = S3Blobs(bucket, 1 << 20), S3Blobs(bucket, 1 << 20)

    async def slow(half: asyncio.Event, kept: asyncio.Event) -> AsyncIterator[bytes]:
        yield second_content[:1_500_000]
        half.set()
        await kept.wait()
        yield second_content[1_500_000:]

    async def story() -> bytes:
        half, kept = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(second.store("name", slow(half, kept), SHA))
        await half.wait()
        await first.store("name", stream(DATA, 70_001), SHA)
        reading = await first.read("name", 0, len(DATA))
        data = await anext(reading)
        kept.set()
        await asyncio.wait({task})
        assert isinstance(task.exception(), error_type)
        data += b"".join([chunk async for chunk in reading])
        again = [chunk async for chunk in await second.read("name", 0, len(DATA))]
        assert b"".join(again) == DATA
        await second.drop("name")
        left = [one async for page in obstore.list(bucket) for one in page]
        assert left == []
        return data

    assert asyncio.run(story()) == DATA


def test_complete_blob_is_not_written_to_by_another_upload(tmp_path: Path) -> None:
    """A slow upload of other bytes began before the stored one was complete."""
    store = FileBlobs(tmp_path / "blobs")

    async def slow(go: asyncio.Event) -> AsyncIterator[bytes]:
        yield b""
        await go.wait()
        yield b"evil" * 750_000

    async def story() -> None:
        go = asyncio.Event()
        task = asyncio.create_task(store.store("name", slow(go), SHA))
        await asyncio.sleep(0)
        while not (tmp_path / "blobs" / "name").exists():
            try:
                await store.store("name", stream(DATA), SHA)
            except TooMany:
                go.set()
                await asyncio.wait({task})
        os.link(tmp_path / "blobs" / "name", tmp_path / "backup")
        go.set()
        await asyncio.wait({task})
        with pytest.raises((DamagedBlob, TooMany)):
            await task

    asyncio.run(story())
    assert (tmp_path / "blobs" / "name").read_bytes() == DATA
    assert (tmp_path / "backup").read_bytes() == DATA


def test_published_file_is_closed_by_its_writer(tmp_path: Path) -> None:
    """A writer that waited for the file's lock meanwhile gets a new file."""
    first = PartialBlob(tmp_path / "name.part")
    first.write(DATA)
    with pytest.raises(TooMany):
        PartialBlob(tmp_path / "name.part")
    first.publish(SHA, tmp_path / "name")
    first.write(b"more")
    second = PartialBlob(tmp_path / "name.part")
    second.write(b"evil")
    second.close()
    assert (tmp_path / "name").read_bytes() == DATA


def test_blob_dropped_during_upload_is_not_stored(bench: Bench) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield DATA[:2_000_000]
        await bench.store.drop("name")
        yield DATA[2_000_000:]

    if isinstance(bench.store, MemoryBlobs):
        return  # it stores the blob all the same
    with pytest.raises(NoSuchBlob):
        bench.runner.run(bench.store.store("name", cut(), SHA))


def test_free_bytes_are_those_of_the_disk(tmp_path: Path) -> None:
    free = FileBlobs(tmp_path / "blobs").free_bytes()
    assert free is not None
    assert 0 < free < 2**60


def test_a_cancelled_write_ends_before_its_file_is_closed(tmp_path: Path) -> None:
    """Otherwise its thread would write into the next file that gets the same descriptor."""
    store = FileBlobs(tmp_path)

    async def story() -> None:
        for ticks in range(12):
            task = asyncio.create_task(store.store(f"name{ticks}", stream(DATA, 1_048_576), SHA))
            for _ in range(ticks):
                await asyncio.sleep(0.0005)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            stored_bytes = await store.partial_size(f"name{ticks}")
            await store.store(f"name{ticks}", stream(DATA[stored_bytes:]), SHA, stored_bytes)
            assert (tmp_path / f"name{ticks}").read_bytes() == DATA

    asyncio.run(story())


def test_blob_is_absent_until_it_is_complete(tmp_path: Path) -> None:
    store, exists_during_upload = FileBlobs(tmp_path), []

    async def watched() -> AsyncIterator[bytes]:
        for _ in range(3):
            exists_during_upload.append((tmp_path / "name").exists())
            yield DATA

    digest = hashlib.sha256(DATA * 3).digest()
    asyncio.run(store.store("name", watched(), digest))
    assert exists_during_upload == [False] * 3
    assert (tmp_path / "name").read_bytes() == DATA * 3
    assert (tmp_path / "name").stat().st_mode & 0o077 == 0


def test_dropping_a_blob_removes_what_a_crash_left(tmp_path: Path) -> None:
    (tmp_path / "name.part").write_bytes(b"half")
    asyncio.run(FileBlobs(tmp_path).drop("name"))
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_reported(tmp_path: Path) -> None:
    store = FileBlobs(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
    try:
        with pytest.raises(DiskFull):
            asyncio.run(store.store("name", stream(DATA), SHA))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0  # others need the room
    asyncio.run(store.drop("name"))
    assert list(tmp_path.iterdir()) == []
