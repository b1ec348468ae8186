"""Check the machine that a server runs on, without changing it.

The checks are about folders, free space, addresses, and whether the clock is plausible.
"""

import contextlib
import errno
import http.client
import os
import shutil
import socket
import sqlite3
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from entrenous.base.limits import CLOCK_JUMP_DAYS_MAX, CLOCK_TRUSTED_AFTER_MINUTES

_HTTP_TIMEOUT_S: Final = 5.0
_METRICS_BYTES_MAX: Final = 1 << 20
_BIND_ERROR_WORDS: Final = {
    errno.EADDRINUSE: "is taken by something else",
    errno.EACCES: "is not for this account: ports below 1024 need CAP_NET_BIND_SERVICE",
}


def is_writable(folder: Path) -> bool:
    """Return whether this account can write a file in the folder and sync it to the disk."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"entrenous")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return False
    return True


def is_private(path: Path, others: int = 0o077) -> bool:
    """Return whether the file has none of the permissions in ``others``."""
    return not path.stat().st_mode & others


def nearest_existing(path: Path) -> Path:
    """Return the path, or its nearest ancestor that this account can see."""
    while not exists_visibly(path):
        path = path.parent
    return path


def exists_visibly(path: Path) -> bool:
    """Return whether this account can see something at the path."""
    return os.path.exists(path)  # noqa: PTH110 -- Path.exists raises PermissionError


def free_bytes(folder: Path) -> int:
    """Return the free space on the disk of the nearest existing folder."""
    return shutil.disk_usage(nearest_existing(folder)).free


def describe_database_fault(database_file: Path, known_schema_version: int | None = None) -> str:
    """Describe what is wrong with a relay's database; return "" if nothing is wrong.

    The whole database is read. If ``known_schema_version`` is given, any other schema version is a
    fault too, except version 0, which means that the file has no tables yet.
    """
    try:
        with open_read_only(database_file) as rows:
            version = rows.execute("PRAGMA user_version").fetchone()[0]
            if known_schema_version is not None and version not in (0, known_schema_version):
                age = "a newer" if version > known_schema_version else "an earlier"
                return f"it was written by {age} version of Entrenous"
            answer = rows.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as why:
        code = getattr(why, "sqlite_errorcode", 0) & 0xFF
        return "it is damaged" if code == sqlite3.SQLITE_CORRUPT else "it cannot be read"
    return "" if answer == "ok" else "it is damaged"


def describe_listen_fault(host: str, port: int) -> str:
    """Describe why a server cannot listen at an address; return "" if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, UnicodeError, OverflowError) as why:
            code = why.errno if isinstance(why, OSError) else None
            return _BIND_ERROR_WORDS.get(code or 0, "is none of this machine's addresses")
    return ""


def is_relay_at(host: str, port: int, *, tls: bool) -> bool:
    """Return whether a relay answers at this address; its certificate is not checked here."""
    if tls:
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=_HTTP_TIMEOUT_S, context=unverified
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_HTTP_TIMEOUT_S)
    return _probe_http(
        connection, "/v1/status", lambda got: got.getheader("Entrenous-Protocol") is not None
    )


def are_metrics_at(host: str, port: int) -> bool:
    """Return whether a relay's metrics are served at this address."""
    web = http.client.HTTPConnection(host, port, timeout=_HTTP_TIMEOUT_S)
    return _probe_http(web, "/metrics", lambda got: b"entrenous_" in got.read(_METRICS_BYTES_MAX))


def _probe_http(
    connection: http.client.HTTPConnection,
    path: str,
    is_expected: Callable[[http.client.HTTPResponse], bool],
) -> bool:
    """Return whether something answers, and ``is_expected`` accepts the answer."""
    with (
        contextlib.closing(connection) as web,
        contextlib.suppress(OSError, http.client.HTTPException),
    ):
        web.request("GET", path)
        return is_expected(web.getresponse())
    return False


@contextmanager
def open_read_only(database_file: Path) -> Iterator[sqlite3.Connection]:
    """Open a read-only connection.

    A database that no process has open is opened as immutable. Without that, SQLite would create
    files beside it that belong to this account, and the relay's account could not open the
    database.

    Raises:
        sqlite3.Error: the file is not a database, or cannot be read.
    """
    is_open_elsewhere = database_file.with_name(f"{database_file.name}-wal").exists()
    mode = "ro" if is_open_elsewhere else "ro&immutable=1"
    address = f"file:{database_file.absolute().as_posix()}?mode={mode}"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as rows:
        yield rows


CLOCK_TOLERANCE: Final = timedelta(days=CLOCK_JUMP_DAYS_MAX)
_CLOCK_TRUSTED_AFTER: Final = timedelta(minutes=CLOCK_TRUSTED_AFTER_MINUTES)
# Due rows are deleted every minute, but the time of the last deletion is stored at most this often.
_CLOCK_MARK_WRITE_INTERVAL: Final = timedelta(hours=1)
_ZERO_DURATION: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class ClockMark:
    """A recent reading ``at`` of a clock that was trusted to decide what is due for deletion.

    If the newest reading is far from ``at``, ``odd_at`` is that reading, and ``odd_s`` is the
    number of seconds that the clock had run without a jump by then. Servers that share a database
    share this mark. While one server's clock agrees with ``at``, clocks that disagree are not
    trusted.
    """

    at: datetime
    odd_at: datetime | None = None
    odd_s: int = 0

    def is_clock_ahead(self, now: datetime) -> bool:
        """Return whether the reading ``now`` is so far ahead that nothing may be deleted by it."""
        return now - self.at > CLOCK_TOLERANCE

    def after_check(self, now: datetime, check_interval: timedelta) -> "ClockMark":
        """Return the mark after a check that read ``now``; checks are ``check_interval`` apart.

        At most twice ``check_interval`` is counted as the time since the last check. A longer time
        means that the clock jumped, or that the server was off.
        """
        if abs(now - self.at) <= CLOCK_TOLERANCE:
            needs_write = (
                self.odd_at is not None or abs(now - self.at) >= _CLOCK_MARK_WRITE_INTERVAL
            )
            return ClockMark(now) if needs_write else self
        if self.odd_at is None or abs(now - self.odd_at) > CLOCK_TOLERANCE:
            return ClockMark(self.at, now)
        passed = min(max(now - self.odd_at, _ZERO_DURATION), 2 * check_interval)
        odd_s = self.odd_s + int(passed.total_seconds())
        if odd_s >= _CLOCK_TRUSTED_AFTER.total_seconds():
            return ClockMark(now)
        return ClockMark(self.at, now, odd_s)
