"""Copy SQLite's write-ahead log into its database without keeping the writer waiting.

Left to itself the writer copies the log amid one of its commits, and everybody waits for that. Here
a connection of its own does it beside the writer (``PASSIVE`` waits for nobody and lets nobody
wait, sqlite.org/c3ref/wal_checkpoint_v2.html), and what came meanwhile, which is little, at the
next moment at which nobody writes; then the log begins anew. Should both fail, the writer's own
``wal_autocheckpoint`` is set a few times higher.
"""

import contextlib
import sqlite3
import threading
from typing import Final

_COPY: Final = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpoints:
    """Copies whenever about ``pages`` pages were written; ``lock`` is held meanwhile."""

    def __init__(self, connection: sqlite3.Connection, pages: int) -> None:
        self.lock = threading.Lock()
        self._connection = connection
        self._pages = pages
        self._written = 0
        self._copying: threading.Thread | None = None
        self._is_rest_due = False

    def count(self, pages: int) -> None:
        """So many more were written; called by the writer."""
        self._written += pages
        if self._written >= self._pages and self._copying is None:
            self._written = 0
            self._copying = threading.Thread(target=self._copy_most, daemon=True)
            self._copying.start()

    def finish(self) -> None:
        """Copy the rest, if most is copied; called where nobody writes."""
        if self._is_rest_due:
            self._is_rest_due = False
            self._copy()
            self._copying = None

    def close(self) -> None:
        """Close the connection."""
        if self._copying is not None:
            self._copying.join()
        self._connection.close()

    def _copy_most(self) -> None:
        self._copy()
        self._is_rest_due = True

    def _copy(self) -> None:
        # A disk that fails fails the next commit too, and there somebody is told.
        with self.lock, contextlib.suppress(sqlite3.Error):
            self._connection.execute(_COPY)
