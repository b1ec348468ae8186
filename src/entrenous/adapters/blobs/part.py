"""A blob that is not whole yet: a file that grows, and the hash of what is in it.

One writer at a time has it. What is published is a file that nobody can write to any more, for its
one writer has let it go; a second one, as of a device that comes back before its broken connection
was noticed, is turned away until then. The lock is on the open file (flock), so that it holds
between processes too, and ends with them.
"""

import fcntl
import hashlib
import os
import threading
from pathlib import Path
from typing import BinaryIO, Final

from entrenous.adapters.blobs.one_writer import RETRY_S
from entrenous.model.relay_problem import DamagedBlob, NoSuchBlob, TooMany

WRITE_BYTES: Final = 1 << 20  # what is written in one go
_SYNC_BYTES: Final = 16 << 20  # a crash of the machine costs no more than this
_READ_BYTES: Final = 1 << 20


class Part:
    """The one upload's hold on the file at ``path``; every call may wait for a disk.

    A request can be cancelled while a thread is at work for it, so whoever closes waits for that
    thread: a descriptor must not be given to another file in the middle of a write.

    Raises:
        TooMany: another upload has it.
        OSError: it can't be made, read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _taken(path)
        self._turn = threading.Lock()
        self._at = self._synced = 0
        self._digest = hashlib.sha256()

    def read_until(self, start: int) -> None:
        """Go on at ``start``; raises DamagedBlob if less is there."""
        while self._at < start:
            with self._turn:
                if self._file.closed:
                    return
                size = min(_READ_BYTES, start - self._at)
                chunk = os.pread(self._file.fileno(), size, self._at)
                if not chunk:
                    raise DamagedBlob
                self._digest.update(chunk)
                self._at += len(chunk)
        self._synced = start

    def write(self, data: bytes | bytearray) -> None:
        """Write all of it at the place that was reached; a disk may take less than it is given."""
        with self._turn:
            rest = memoryview(data)
            while rest and not self._file.closed:
                written = os.pwrite(self._file.fileno(), rest, self._at)
                self._digest.update(rest[:written])
                self._at += written
                rest = rest[written:]
            self._sync_often()

    def publish(self, sha256: bytes, target: Path) -> None:
        """Make it durable and give it its own name, still locked; then nobody has it open.

        Raises:
            DamagedBlob: the whole has another hash.
            NoSuchBlob: it was dropped meanwhile.
        """
        with self._turn:
            if self._digest.digest() != sha256:
                raise DamagedBlob
            os.ftruncate(self._file.fileno(), self._at)
            os.fsync(self._file.fileno())
            if not _is_at(self._path, self._file):
                raise NoSuchBlob
            self._path.rename(target)
            self._file.close()

    def give_up(self) -> None:
        """Give the disk back what is here: it is full, and the database needs room to forget it."""
        with self._turn:
            if not self._file.closed:
                os.ftruncate(self._file.fileno(), 0)

    def close(self) -> None:
        """Let go of the file."""
        with self._turn:
            self._file.close()

    def _sync_often(self) -> None:
        if self._at - self._synced >= _SYNC_BYTES and not self._file.closed:
            os.fdatasync(self._file.fileno())
            self._synced = self._at


def _taken(path: Path) -> BinaryIO:
    """The file, open and locked; one that was published or dropped meanwhile is let go."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise TooMany(retry_after_s=RETRY_S) from None
        except BaseException:
            file.close()
            raise
        if _is_at(path, file):
            return file
        file.close()


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether that is the file which the path leads to."""
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(file.fileno()))
