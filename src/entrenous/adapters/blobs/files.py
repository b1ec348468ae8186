"""Blobs as files in one folder.

A blob is written under a second name, synced, and renamed; then the folder is synced. So a name is
either absent or whole, whenever the machine stops. What was broken off stays under the second name
until the rest comes or it is dropped. Nobody has a file open for writing once it has its own name
(part.py), so a backup may hold it as a second link.
"""

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from entrenous.adapters.blobs.part import WRITE_BYTES, Part
from entrenous.adapters.blobs.stride import Stride
from entrenous.model.relay_problem import DiskFailed, DiskFull, NoSuchBlob

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FileBlobs:
    """A :class:`entrenous.ports.BlobStore` in a folder that is nobody else's."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    async def keep(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        sha256: bytes,
        start: int = 0,
        owner: bytes = b"",  # noqa: ARG002 -- many files take no more memory than few
    ) -> None:
        """Store a stream from ``start`` on; durable when it returns."""
        with _disk_errors():
            # Not in a thread, as close: a cancelled request would leave it locked for a while.
            part = Part(self._part(name))
            try:
                await asyncio.to_thread(part.read_until, start)
                await _fill(part, chunks)
                await asyncio.to_thread(part.publish, sha256, self._folder / name)
            except OSError as why:
                if why.errno in _FULL:
                    part.give_up()
                raise
            finally:
                # Not in a thread: a cancelled request has no more turns, and nothing waits here.
                part.close()
            await asyncio.to_thread(self._sync_folder)

    async def size(self, name: str) -> int:
        """How much of an unfinished one is here."""
        try:
            return self._part(name).stat().st_size
        except FileNotFoundError:
            return 0

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``stop``."""
        try:
            file = await asyncio.to_thread((self._folder / name).open, "rb", 0)
        except FileNotFoundError:
            raise NoSuchBlob from None
        return _stretch(file, start, stop)

    async def drop(self, name: str) -> None:
        """Remove it, and an unfinished one of its name."""
        with _disk_errors():
            await asyncio.to_thread(self._remove, name)

    def room(self) -> int | None:
        """How many more bytes fit on this disk."""
        return shutil.disk_usage(self._folder).free

    def _remove(self, name: str) -> None:
        self._part(name).unlink(missing_ok=True)
        (self._folder / name).unlink(missing_ok=True)
        self._sync_folder()

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _part(self, name: str) -> Path:
        return self._folder / f"{name}.part"


async def _fill(part: Part, chunks: AsyncIterator[bytes]) -> None:
    """Write in large pieces, each in a thread while the next one comes.

    What came is written also when the stream breaks.
    """
    held, writing = bytearray(), None
    try:
        async for chunk in chunks:
            held += chunk
            if len(held) >= WRITE_BYTES:
                await _written(writing)
                writing = asyncio.create_task(asyncio.to_thread(part.write, held))
                held = bytearray()
    finally:
        await _written(writing)
        part.write(held)


async def _written(writing: asyncio.Task[None] | None) -> None:
    """Wait for a write, which goes on even if whoever waits is cancelled; raises what it raised."""
    if writing is not None:
        await asyncio.wait({writing})
        writing.result()


async def _stretch(file: BinaryIO, start: int, stop: int) -> AsyncIterator[bytes]:
    stride = Stride()
    with file:
        file.seek(start)
        while start < stop:
            chunk = await asyncio.to_thread(file.read, min(stride.bytes, stop - start))
            if not chunk:
                return
            start += len(chunk)
            stride.given()
            yield chunk
            stride.taken()


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as why:
        if isinstance(why, ConnectionError):
            raise
        raise (DiskFull() if why.errno in _FULL else DiskFailed()) from why
