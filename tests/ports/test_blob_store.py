"""One suite for every BlobStore."""

import asyncio
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


@dataclass
class Bench:
    store: BlobStore
    runner: asyncio.Runner

    def keep(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        self.runner.run(self.store.keep(name, chunks))

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
    bench.keep("name", stream(DATA, 70_001))
    assert bench.read("name", start, stop) == DATA[start:stop]


def test_what_was_dropped_is_gone(bench: Bench) -> None:
    bench.keep("one", stream(b"first"))
    bench.keep("two", stream(b"second"))
    bench.drop("one")
    bench.drop("one")
    with pytest.raises(NoSuchBlob):
        bench.read("one", 0, 1)
    assert bench.read("two", 0, 6) == b"second"


def test_a_stream_that_breaks_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield DATA
        raise DamagedBlob

    with pytest.raises(DamagedBlob):
        bench.keep("name", breaks())
    with pytest.raises(NoSuchBlob):
        bench.read("name", 0, 1)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    bench.keep("name", stream(b"again"))


def test_a_name_is_absent_or_whole(tmp_path: Path) -> None:
    """While the stream runs, nothing is there under the name."""
    store, seen = FileBlobs(tmp_path), []

    async def watched() -> AsyncIterator[bytes]:
        for _ in range(3):
            seen.append((tmp_path / "name").exists())
            yield DATA

    asyncio.run(store.keep("name", watched()))
    assert seen == [False] * 3
    assert (tmp_path / "name").read_bytes() == DATA * 3
    assert (tmp_path / "name").stat().st_mode & 0o077 == 0


def test_what_a_crash_left_is_dropped_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "name.part").write_bytes(b"half")
    asyncio.run(FileBlobs(tmp_path).drop("name"))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    store = FileBlobs(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
    try:
        with pytest.raises(DiskFull):
            asyncio.run(store.keep("name", stream(DATA)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
