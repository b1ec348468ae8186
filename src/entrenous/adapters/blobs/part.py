"""A blob that is not whole yet: a file that grows, and the hash of what is in it.

Two uploads of the same blob may write to one part at the same time, as when a device comes back
before its broken connection was noticed. Both then write the same bytes at the same places; so
nothing is cut off when one begins, and the hash decides in the end.
"""

import hashlib
import os
import threading
from pathlib import Path
from typing import Final

from entrenous.model.envelope import DamagedBlob

WRITE_BYTES: Final = 1 << 20  # what is written in one go
_SYNC_BYTES: Final = 16 << 20  # a crash of the machine costs no more than this
_READ_BYTES: Final = 1 << 20


class Part:
    """One upload's hold on the file at ``path``; every call may wait for a disk.

    A request can be cancelled while a thread is writing for it, so whoever closes waits for that
    thread: a descriptor must not be given to another file in the middle of a write.

    Raises:
        DamagedBlob: it has less than ``start`` bytes.
        OSError: it can't be made, read or written.
    """

    def __init__(self, path: Path, start: int) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
        self._turn = threading.Lock()
        self._at = 0
        self._synced = start
        self._digest = hashlib.sha256()
        try:
            self._read_until(start)
        except BaseException:
            self._file.close()
            raise

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

    def finish(self, sha256: bytes) -> None:
        """Make it durable; raises DamagedBlob if the whole has another hash."""
        with self._turn:
            if self._digest.digest() != sha256:
                raise DamagedBlob
            os.ftruncate(self._file.fileno(), self._at)
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        with self._turn:
            self._file.close()

    def _sync_often(self) -> None:
        if self._at - self._synced >= _SYNC_BYTES and not self._file.closed:
            os.fdatasync(self._file.fileno())
            self._synced = self._at

    def _read_until(self, start: int) -> None:
        while self._at < start:
            chunk = os.pread(self._file.fileno(), min(_READ_BYTES, start - self._at), self._at)
            if not chunk:
                raise DamagedBlob
            self._digest.update(chunk)
            self._at += len(chunk)
