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

from entrenous.base.limits import CLOCK_JUMP_DAYS, CLOCK_TRUSTED_AFTER_MINUTES

_PATIENCE_S: Final = 5.0
_FIGURES_BYTES_MAX: Final = 1 << 20
_BIND_ERRORS: Final = {
    errno.EADDRINUSE: "is taken by something else",
    errno.EACCES: "is not for this account: ports below 1024 need CAP_NET_BIND_SERVICE",
}


def is_writable(folder: Path) -> bool:
    """Return whether this account can write a file there and sync it to the disk."""
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
    while not is_there(path):
        path = path.parent
    return path


def is_there(path: Path) -> bool:
    """Return whether something exists at the path that this account may see."""
    return os.path.exists(path)  # noqa: PTH110 -- Path.exists raises PermissionError


def free_bytes(folder: Path) -> int:
    """Return the free space on the disk of the nearest existing folder."""
    return shutil.disk_usage(nearest_existing(folder)).free


def database_fault(mail: Path, known: int | None = None) -> str:
    """Describe what is wrong with a relay's database; return "" if nothing is wrong.

    The whole database is read. If ``known`` is given, any other schema version is a fault too.
    Version 0 is not, since it means that the file has no tables yet.
    """
    try:
        with open_read_only(mail) as rows:
            version = rows.execute("PRAGMA user_version").fetchone()[0]
            if known is not None and version not in (0, known):
                age = "a newer" if version > known else "an earlier"
                return f"it was written by {age} Entrenous"
            answer = rows.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as why:
        code = getattr(why, "sqlite_errorcode", 0) & 0xFF
        return "it is damaged" if code == sqlite3.SQLITE_CORRUPT else "it cannot be read"
    return "" if answer == "ok" else "it is damaged"


def listen_fault(host: str, port: int) -> str:
    """Describe why a server cannot listen at an address; return "" if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except (OSError, UnicodeError, OverflowError) as why:
            code = why.errno if isinstance(why, OSError) else None
            return _BIND_ERRORS.get(code or 0, "is none of this machine's addresses")
    return ""


def is_relay_at(host: str, port: int, *, tls: bool) -> bool:
    """Return whether a relay answers at this address; its certificate is not checked here."""
    if tls:
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        made: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=_PATIENCE_S, context=anybody
        )
    else:
        made = http.client.HTTPConnection(host, port, timeout=_PATIENCE_S)
    return _probe_http(
        made, "/v1/status", lambda got: got.getheader("Entrenous-Protocol") is not None
    )


def are_metrics_at(host: str, port: int) -> bool:
    """Return whether a relay's metrics are served at this address."""
    web = http.client.HTTPConnection(host, port, timeout=_PATIENCE_S)
    return _probe_http(web, "/metrics", lambda got: b"entrenous_" in got.read(_FIGURES_BYTES_MAX))


def _probe_http(
    made: http.client.HTTPConnection,
    path: str,
    fits: Callable[[http.client.HTTPResponse], bool],
) -> bool:
    """Return whether something answers, and ``is_expected`` accepts the answer."""
    with contextlib.closing(made) as web, contextlib.suppress(OSError, http.client.HTTPException):
        web.request("GET", path)
        return fits(web.getresponse())
    return False


@contextmanager
def open_read_only(mail: Path) -> Iterator[sqlite3.Connection]:
    """Open a read-only connection.

    A database that no process has open is opened as immutable. Without that, SQLite would create
    files beside it that belong to this account, and the relay's account could not open the
    database.

    Raises:
        sqlite3.Error: the file is not a database, or cannot be read.
    """
    busy = mail.with_name(f"{mail.name}-wal").exists()
    address = f"file:{mail.absolute().as_posix()}?mode=ro{'' if busy else '&immutable=1'}"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as rows:
        yield rows


CLOCK_TOLERANCE: Final = timedelta(days=CLOCK_JUMP_DAYS)
_CLOCK_TRUSTED_AFTER: Final = timedelta(minutes=CLOCK_TRUSTED_AFTER_MINUTES)
# Due rows are deleted every minute, but the time of that is stored only this often.
_MARK_INTERVAL: Final = timedelta(hours=1)
_NOTHING: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class ClockMark:
    """The time ``at`` up to which everything due has been deleted.

    If the clock is far from ``at``, ``odd_at`` is the time that the clock showed last, and
    ``odd_s`` is for how many seconds up to then it had run without a jump. Servers that share a
    database share this mark. While one server's clock agrees with ``at``, clocks that disagree are
    not trusted.
    """

    at: datetime
    odd_at: datetime | None = None
    odd_s: int = 0

    def is_ahead(self, now: datetime) -> bool:
        """Return whether the clock is so far ahead that nothing may be deleted by it."""
        return now - self.at > CLOCK_TOLERANCE

    def seen(self, now: datetime, every: timedelta) -> "ClockMark":
        """Return the mark after a check of the clock; checks are made at the interval ``every``.

        At most twice ``every`` is counted as the time since the last check. A longer time means
        that the clock jumped, or that the server was off.
        """
        if abs(now - self.at) <= CLOCK_TOLERANCE:
            is_news = self.odd_at is not None or abs(now - self.at) >= _MARK_INTERVAL
            return ClockMark(now) if is_news else self
        if self.odd_at is None or abs(now - self.odd_at) > CLOCK_TOLERANCE:
            return ClockMark(self.at, now)
        passed = min(max(now - self.odd_at, _NOTHING), 2 * every)
        odd_s = self.odd_s + int(passed.total_seconds())
        if odd_s >= _CLOCK_TRUSTED_AFTER.total_seconds():
            return ClockMark(now)
        return ClockMark(self.at, now, odd_s)
