"""Blobs as files in one folder, complete or still growing.

Two more classes are here: adaptive read sizes, which every blob store uses, and exclusive uploads,
which the store in an S3 bucket uses.
"""

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import math
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from entrenous.base.errors import DamagedBlob, DiskFailed, DiskFull, NoSuchBlob, TooMany
from entrenous.base.files import sync_folder

UPLOAD_RETRY_AFTER_S: Final = (
    10  # by then, the server has usually noticed that a connection is broken
)


class ExclusiveUploads:
    """Reserves the names of running uploads: at most ``uploads_max`` in total, and
    ``per_owner_max`` per owner.
    """

    def __init__(self, uploads_max: float = math.inf, per_owner_max: float = math.inf) -> None:
        self._names: set[str] = set()
        self._owned: Counter[bytes] = Counter()
        self._uploads_max = uploads_max
        self._per_owner_max = per_owner_max

    @contextmanager
    def reserve(self, name: str, owner: bytes) -> Iterator[None]:
        """Reserve the name while the block runs; raises TooMany if the name is taken, or if there
        are too many uploads.
        """
        full = len(self._names) >= self._uploads_max or self._owned[owner] >= self._per_owner_max
        if full or name in self._names:
            raise TooMany(retry_after_s=UPLOAD_RETRY_AFTER_S)
        self._names.add(name)
        self._owned[owner] += 1
        try:
            yield
        finally:
            self._names.discard(name)
            self._owned -= Counter([owner])


SHORTEST_READ_BYTES: Final = 1 << 16
LONGEST_READ_BYTES: Final = 1 << 20
_PROMPT_REQUEST_S_MAX: Final = 0.1


class AdaptiveReadSize:
    """Chooses the length of the next read, ``bytes``, which doubles while the reader keeps up."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.bytes = SHORTEST_READ_BYTES
        self._now_s = now_s
        self._since_s = now_s()

    def note_piece_passed(self) -> None:
        """Record that a piece was passed to the reader."""
        self._since_s = self._now_s()

    def note_piece_requested(self) -> None:
        """Record that the reader wants the next piece."""
        prompt = self._now_s() - self._since_s < _PROMPT_REQUEST_S_MAX
        self.bytes = min(2 * self.bytes, LONGEST_READ_BYTES) if prompt else SHORTEST_READ_BYTES


BLOB_WRITE_BYTES: Final = 1 << 20  # bytes per write
_BYTES_PER_SYNC: Final = 16 << 20  # bytes; a crash of the machine loses at most this many
_HASH_READ_BYTES: Final = 1 << 20


class PartialBlob:
    """One upload's locked file at ``path``; every call may block on the disk.

    A request can be cancelled while a thread still writes for it. So :meth:`close` waits for that
    thread, since the file's descriptor must not be reused during a write.

    Raises:
        TooMany: another upload has locked the file.
        OSError: it cannot be created, read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _open_locked(path)
        self._lock = threading.Lock()
        self._at = self._synced = 0
        self._digest = hashlib.sha256()

    def hash_until(self, start: int) -> None:
        """Hash the bytes before ``start``, so that the next write resumes there.

        Raises DamagedBlob if the file is shorter.
        """
        while self._at < start:
            with self._lock:
                if self._file.closed:
                    return
                size = min(_HASH_READ_BYTES, start - self._at)
                chunk = os.pread(self._file.fileno(), size, self._at)
                if not chunk:
                    raise DamagedBlob
                self._digest.update(chunk)
                self._at += len(chunk)
        self._synced = start

    def write(self, data: bytes | bytearray) -> None:
        """Write all of ``data``; one system call may write only a part."""
        with self._lock:
            rest = memoryview(data)
            while rest and not self._file.closed:
                written = os.pwrite(self._file.fileno(), rest, self._at)
                self._digest.update(rest[:written])
                self._at += written
                rest = rest[written:]
            self._sync_if_due()

    def publish(self, sha256: bytes, target: Path) -> None:
        """Make the file durable, rename it to ``target`` while it is locked, and close it.

        Raises:
            DamagedBlob: the whole file has a different hash.
            NoSuchBlob: the blob was dropped meanwhile.
        """
        with self._lock:
            if self._digest.digest() != sha256:
                raise DamagedBlob
            os.ftruncate(self._file.fileno(), self._at)
            os.fsync(self._file.fileno())
            if not _is_file_at(self._path, self._file):
                raise NoSuchBlob
            self._path.rename(target)
            self._file.close()

    def truncate(self) -> None:
        """Empty the file: the disk is full, and the database needs room to delete the upload."""
        with self._lock:
            if not self._file.closed:
                os.ftruncate(self._file.fileno(), 0)

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _sync_if_due(self) -> None:
        if self._at - self._synced >= _BYTES_PER_SYNC and not self._file.closed:
            os.fdatasync(self._file.fileno())
            self._synced = self._at


def _open_locked(path: Path) -> BinaryIO:
    """Open and lock the file; retry if it was renamed or deleted before it was locked."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise TooMany(retry_after_s=UPLOAD_RETRY_AFTER_S) from None
        except BaseException:
            file.close()
            raise
        if _is_file_at(path, file):
            return file
        file.close()


def _is_file_at(path: Path, file: BinaryIO) -> bool:
    """Return whether ``path`` still names this open file."""
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(file.fileno()))


_DISK_FULL_ERRNOS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FileBlobs:
    """Implements :class:`entrenous.carry.relay.BlobStore` in a folder that contains nothing
    else.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    async def store(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        sha256: bytes,
        start: int = 0,
        owner: bytes = b"",  # noqa: ARG002 -- an upload to a file needs little memory
    ) -> None:
        with _translate_disk_errors():
            # Neither this line nor close runs in a thread. Otherwise a cancelled request would
            # leave the file locked for a while.
            part = PartialBlob(self._partial_path(name))
            try:
                await asyncio.to_thread(part.hash_until, start)
                await _write_stream(part, chunks)
                await asyncio.to_thread(part.publish, sha256, self._folder / name)
            except OSError as why:
                if why.errno in _DISK_FULL_ERRNOS:
                    part.truncate()
                raise
            finally:
                # Not in a thread, because a cancelled request cannot await. close() waits only for
                # a call on this file that is still running in a thread.
                part.close()
            await asyncio.to_thread(sync_folder, self._folder)

    async def partial_size(self, name: str) -> int:
        try:
            return self._partial_path(name).stat().st_size
        except FileNotFoundError:
            return 0

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        try:
            file = await asyncio.to_thread((self._folder / name).open, "rb", 0)
        except FileNotFoundError:
            raise NoSuchBlob from None
        return _read_range(file, start, stop)

    async def drop(self, name: str) -> None:
        with _translate_disk_errors():
            await asyncio.to_thread(self._remove, name)

    def free_bytes(self) -> int | None:
        return shutil.disk_usage(self._folder).free

    def _remove(self, name: str) -> None:
        self._partial_path(name).unlink(missing_ok=True)
        (self._folder / name).unlink(missing_ok=True)
        sync_folder(self._folder)

    def _partial_path(self, name: str) -> Path:
        return self._folder / f"{name}.part"


async def _write_stream(part: PartialBlob, chunks: AsyncIterator[bytes]) -> None:
    """Write a stream in large pieces, each in a thread while the next one arrives.

    The bytes that have arrived are written even if the stream ends with an error.
    """
    buffered, writing = bytearray(), None
    try:
        async for chunk in chunks:
            buffered += chunk
            if len(buffered) >= BLOB_WRITE_BYTES:
                await _finish_write(writing)
                writing = asyncio.create_task(asyncio.to_thread(part.write, buffered))
                buffered = bytearray()
    finally:
        await _finish_write(writing)
        part.write(buffered)


async def _finish_write(writing: asyncio.Task[None] | None) -> None:
    """Wait for a write, which continues even if this wait is cancelled.

    Raises the write's error.
    """
    if writing is not None:
        await asyncio.wait({writing})
        writing.result()


async def _read_range(file: BinaryIO, start: int, stop: int) -> AsyncIterator[bytes]:
    read_size = AdaptiveReadSize()
    with file:
        file.seek(start)
        while start < stop:
            chunk = await asyncio.to_thread(file.read, min(read_size.bytes, stop - start))
            if not chunk:
                return
            start += len(chunk)
            read_size.note_piece_passed()
            yield chunk
            read_size.note_piece_requested()


@contextlib.contextmanager
def _translate_disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as why:
        if isinstance(why, ConnectionError):
            raise
        raise (DiskFull() if why.errno in _DISK_FULL_ERRNOS else DiskFailed()) from why
