"""One suite for every BlobStore."""

import asyncio
import contextlib
import hashlib
import resource
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from entrenous.adapters.blobs.files import FileBlobs
from entrenous.adapters.blobs.memory import MemoryBlobs
from entrenous.model.envelope import DamagedBlob, DiskFull, NoSuchBlob
from entrenous.ports import BlobStore
from tests.carry.relays import CountingDice, stream

# An event loop wakes itself through a pair of sockets.
pytestmark = pytest.mark.usefixtures("socket_enabled")

DATA = CountingDice().token(3_000_000)
SHA = hashlib.sha256(DATA).digest()


@dataclass
class Bench:
    store: BlobStore
    runner: asyncio.Runner

    def keep(self, name: str, data: bytes, start: int = 0) -> None:
        digest = hashlib.sha256(data).digest()
        self.runner.run(self.store.keep(name, stream(data[start:], 70_001), digest, start))

    def breaks(self, name: str, data: bytes, why: Exception) -> None:
        """An upload of ``data`` that breaks after its bytes."""

        async def broken() -> AsyncIterator[bytes]:
            yield data
            raise why

        with pytest.raises(type(why)):
            self.runner.run(self.store.keep(name, broken(), b"", 0))

    def size(self, name: str) -> int:
        return self.runner.run(self.store.size(name))

    def read(self, name: str, start: int, stop: int) -> bytes:
        async def whole() -> bytes:
            return b"".join([chunk async for chunk in await self.store.read(name, start, stop)])

        return self.runner.run(whole())

    def drop(self, name: str) -> None:
        self.runner.run(self.store.drop(name))


@pytest.fixture(params=["memory", "files"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with asyncio.Runner() as runner:  # an event loop wakes itself through a pair of sockets
        files = request.param == "files"
        yield Bench(FileBlobs(tmp_path / "blobs") if files else MemoryBlobs(), runner)


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 3_000_000), (0, 1), (2_999_999, 3_000_000), (999_999, 2_500_001), (5, 5)],
)
def test_any_stretch_comes_back(bench: Bench, start: int, stop: int) -> None:
    bench.keep("name", DATA)
    assert bench.read("name", start, stop) == DATA[start:stop]


def test_what_was_dropped_is_gone(bench: Bench) -> None:
    bench.keep("one", b"first")
    bench.keep("two", b"second")
    bench.drop("one")
    bench.drop("one")
    with pytest.raises(NoSuchBlob):
        bench.read("one", 0, 1)
    assert bench.read("two", 0, 6) == b"second"


def test_a_stream_that_breaks_goes_on_where_it_was(bench: Bench) -> None:
    bench.breaks("name", DATA[:1_700_000], ConnectionError())
    with pytest.raises(NoSuchBlob):
        bench.read("name", 0, 1)
    assert bench.size("name") == 1_700_000
    bench.keep("name", DATA, 1_700_000)
    assert bench.size("name") == 0
    assert bench.read("name", 0, len(DATA)) == DATA


@pytest.mark.parametrize("start", [0, 1, 1_000_000])
def test_it_may_go_on_before_that_too(bench: Bench, start: int) -> None:
    bench.breaks("name", DATA[:1_700_000], ConnectionError())
    bench.keep("name", DATA, start)
    assert bench.read("name", 0, len(DATA)) == DATA


def test_it_cannot_go_on_after_that(bench: Bench) -> None:
    bench.breaks("name", DATA[:10], ConnectionError())
    with pytest.raises(DamagedBlob):
        bench.keep("name", DATA, 11)


def test_what_is_not_as_announced_is_not_kept(bench: Bench) -> None:
    digest = hashlib.sha256(b"other").digest()
    with pytest.raises(DamagedBlob):
        bench.runner.run(bench.store.keep("name", stream(DATA), digest))
    with pytest.raises(NoSuchBlob):
        bench.read("name", 0, 1)


def test_an_unfinished_one_that_was_dropped_is_gone(bench: Bench, tmp_path: Path) -> None:
    bench.breaks("name", DATA, DamagedBlob())
    bench.drop("name")
    assert bench.size("name") == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_two_uploads_of_the_same_do_not_disturb_each_other(bench: Bench) -> None:
    """A device comes back before the relay has noticed that its first connection is gone."""

    async def both() -> None:
        first = bench.store.keep("name", slow(), SHA)
        second = bench.store.keep("name", stream(DATA), SHA)
        await asyncio.gather(first, second)

    async def slow() -> AsyncIterator[bytes]:
        async for chunk in stream(DATA, 100_000):
            await asyncio.sleep(0)
            yield chunk

    bench.runner.run(both())
    assert bench.read("name", 0, len(DATA)) == DATA


def test_room_is_what_the_disk_has(tmp_path: Path) -> None:
    room = FileBlobs(tmp_path / "blobs").room()
    assert room is not None
    assert 0 < room < 2**60


def test_a_cancelled_write_ends_before_its_file_is_closed(tmp_path: Path) -> None:
    """Else the thread would write into whatever file has that descriptor next."""
    store = FileBlobs(tmp_path)

    async def story() -> None:
        for waits in range(12):
            task = asyncio.create_task(store.keep(f"name{waits}", stream(DATA, 1_048_576), SHA))
            for _ in range(waits):
                await asyncio.sleep(0.0005)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            came = await store.size(f"name{waits}")
            await store.keep(f"name{waits}", stream(DATA[came:]), SHA, came)
            assert (tmp_path / f"name{waits}").read_bytes() == DATA

    asyncio.run(story())


def test_a_name_is_absent_or_whole(tmp_path: Path) -> None:
    """While the stream runs, nothing is there under the name."""
    store, seen = FileBlobs(tmp_path), []

    async def watched() -> AsyncIterator[bytes]:
        for _ in range(3):
            seen.append((tmp_path / "name").exists())
            yield DATA

    digest = hashlib.sha256(DATA * 3).digest()
    asyncio.run(store.keep("name", watched(), digest))
    assert seen == [False] * 3
    assert (tmp_path / "name").read_bytes() == DATA * 3
    assert (tmp_path / "name").stat().st_mode & 0o077 == 0


def test_what_a_crash_left_is_dropped_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "name.part").write_bytes(b"half")
    asyncio.run(FileBlobs(tmp_path).drop("name"))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    store = FileBlobs(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
    try:
        with pytest.raises(DiskFull):
            asyncio.run(store.keep("name", stream(DATA), SHA))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    asyncio.run(store.drop("name"))
    assert list(tmp_path.iterdir()) == []
