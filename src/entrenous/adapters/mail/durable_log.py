"""Wait until SQLite's write-ahead log is on the disk, without keeping its writer from going on.

A commit is in the log when it returns, and durable once the log is synced. ``synchronous=FULL``
does both at once; ``NORMAL`` leaves the second to whoever wants it, and syncs by itself only what
its own structure needs: the head of a new log, and both files around a checkpoint
(sqlite.org/pragma.html#pragma_synchronous). Locks of SQLite lie on other files than the log, so a
second file descriptor for it disturbs none.
"""

import os
from pathlib import Path


class DurableLog:
    """The log of one database, which is there as soon as something was committed.

    After one sync that failed nothing is called durable any more: what the kernel then does with
    pages that it could not write is not known (danluu.com/fsyncgate), and a second sync that
    succeeds says nothing of them. The relay has to be started again, which reads what is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._failed: OSError | None = None

    def sync(self) -> None:
        """Return when all is durable that was committed before; raises OSError."""
        if self._failed is not None:
            raise OSError(self._failed.errno, "the log could not be synced before")
        try:
            os.fdatasync(self._opened())
        except OSError as why:
            self._failed = why
            raise

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # so that the log itself is found again
            finally:
                os.close(folder)
        return self._file
