"""Blobs as files in one folder.

A blob is written under a second name, synced, and renamed; then the folder is synced. So a name is
either absent or whole, whenever the machine stops.
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from entrenous.model.envelope import DiskFailed, DiskFull, NoSuchBlob

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CHUNK_BYTES: Final = 1 << 20  # what is written or read in one go, in a thread


class FileBlobs:
    """A :class:`entrenous.ports.BlobStore` in a folder that is nobody else's."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    async def keep(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Store a stream; durable when it returns."""
        part = self._part(name)
        try:
            with _disk_errors():
                await self._write(part, chunks)
                await asyncio.to_thread(self._publish, part, self._folder / name)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``stop``."""
        try:
            file = await asyncio.to_thread((self._folder / name).open, "rb")
        except FileNotFoundError:
            raise NoSuchBlob from None
        return _stretch(file, start, stop)

    async def drop(self, name: str) -> None:
        """Remove it, and an unfinished one of its name."""
        with _disk_errors():
            await asyncio.to_thread(self._remove, name)

    async def _write(self, part: Path, chunks: AsyncIterator[bytes]) -> None:
        opener = lambda path, flags: os.open(path, flags, 0o600)  # noqa: E731
        with await asyncio.to_thread(open, part, "xb", 0, opener=opener) as file:
            held = bytearray()
            async for chunk in chunks:
                held += chunk
                if len(held) >= _CHUNK_BYTES:
                    await asyncio.to_thread(_write_all, file, bytes(held))
                    held.clear()
            await asyncio.to_thread(_write_all, file, bytes(held))
            await asyncio.to_thread(os.fsync, file.fileno())

    def _publish(self, part: Path, path: Path) -> None:
        part.rename(path)
        self._sync_folder()

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


async def _stretch(file: BinaryIO, start: int, stop: int) -> AsyncIterator[bytes]:
    with file:
        file.seek(start)
        while start < stop:
            chunk = await asyncio.to_thread(file.read, min(_CHUNK_BYTES, stop - start))
            if not chunk:
                return
            start += len(chunk)
            yield chunk


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Write all of it; an unbuffered file may take less than it is given."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as why:
        if isinstance(why, ConnectionError):
            raise
        raise (DiskFull() if why.errno in _FULL else DiskFailed()) from why
