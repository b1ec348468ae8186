"""Check the machine that a server runs on, without disturbing it: folders, free space, addresses,
and whether its clock can be right.
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

from entrenous.base.limits import CLOCK_BELIEVED_MINUTES, CLOCK_FAR_DAYS

_PATIENCE_S: Final = 5.0
_FIGURES_BYTES_MAX: Final = 1 << 20
_NOT_HAD: Final = {
    errno.EADDRINUSE: "is taken by something else",
    errno.EACCES: "is not for this account: ports below 1024 need CAP_NET_BIND_SERVICE",
}


def is_writable(folder: Path) -> bool:
    """Whether this account can write a file there and have it on the disk."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"entrenous")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return False
    return True


def is_private(path: Path, others: int = 0o077) -> bool:
    """Whether none of the permissions in ``others`` is given."""
    return not path.stat().st_mode & others


def nearest_existing(path: Path) -> Path:
    """It, or the nearest above it that this account can see."""
    while not is_there(path):
        path = path.parent
    return path


def is_there(path: Path) -> bool:
    """Whether this account sees it; also where it may not look."""
    return os.path.exists(path)  # noqa: PTH110 -- Path's own raises where it may not look


def free_bytes(folder: Path) -> int:
    """The room on the disk of the nearest folder that is there."""
    return shutil.disk_usage(nearest_existing(folder)).free


def database_fault(mail: Path, known: int | None = None) -> str:
    """What is wrong with a relay's database, in words; empty if nothing is.

    Reads all of it. With ``known``, a schema of any other number is a fault too; 0 means that the
    file has no tables yet, which is none.
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
    """Why an address cannot be had, in words; empty if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except (OSError, UnicodeError, OverflowError) as why:
            code = why.errno if isinstance(why, OSError) else None
            return _NOT_HAD.get(code or 0, "is none of this machine's addresses")
    return ""


def is_relay_at(host: str, port: int, *, tls: bool) -> bool:
    """Whether a relay answers there; its certificate is looked at elsewhere."""
    if tls:
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        made: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=_PATIENCE_S, context=anybody
        )
    else:
        made = http.client.HTTPConnection(host, port, timeout=_PATIENCE_S)
    return _says(made, "/v1/status", lambda got: got.getheader("Entrenous-Protocol") is not None)


def are_metrics_at(host: str, port: int) -> bool:
    """Whether a relay's figures are shown there."""
    web = http.client.HTTPConnection(host, port, timeout=_PATIENCE_S)
    return _says(web, "/metrics", lambda got: b"entrenous_" in got.read(_FIGURES_BYTES_MAX))


def _says(
    made: http.client.HTTPConnection,
    path: str,
    fits: Callable[[http.client.HTTPResponse], bool],
) -> bool:
    """Whether something answers, and fitly."""
    with contextlib.closing(made) as web, contextlib.suppress(OSError, http.client.HTTPException):
        web.request("GET", path)
        return fits(web.getresponse())
    return False


@contextmanager
def open_read_only(mail: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads.

    Where nobody has the database open it is read as if it could not change; else SQLite would make
    files beside it, which belong to the account that looks and shut the relay's out.

    Raises:
        sqlite3.Error: it is no database, or can't be read.
    """
    busy = mail.with_name(f"{mail.name}-wal").exists()
    address = f"file:{mail.absolute().as_posix()}?mode=ro{'' if busy else '&immutable=1'}"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as rows:
        yield rows


FAR: Final = timedelta(days=CLOCK_FAR_DAYS)
_BELIEVED_AFTER: Final = timedelta(minutes=CLOCK_BELIEVED_MINUTES)
_NOTED_EVERY: Final = timedelta(
    hours=1
)  # what is due is ended each minute; not each one is written
_NOTHING: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class ClockMark:
    """Until when all that was due has been ended.

    ``odd_at`` is what the clock said last, while that is far from ``at``, and ``odd_s`` for how
    many seconds it has gone on from there without a jump. Servers that share a database share
    this: as long as one of them agrees with ``at``, none that does not is believed.
    """

    at: datetime
    odd_at: datetime | None = None
    odd_s: int = 0

    def is_ahead(self, now: datetime) -> bool:
        """Whether that clock is so far ahead that nothing may be ended by it."""
        return now - self.at > FAR

    def seen(self, now: datetime, every: timedelta) -> "ClockMark":
        """This after a look at a clock that says ``now``, where there is one ``every`` so often.

        Of the time between two looks no more than twice that counts: the rest was a jump, or the
        server was off.
        """
        if abs(now - self.at) <= FAR:
            is_news = self.odd_at is not None or abs(now - self.at) >= _NOTED_EVERY
            return ClockMark(now) if is_news else self
        if self.odd_at is None or abs(now - self.odd_at) > FAR:
            return ClockMark(self.at, now)
        passed = min(max(now - self.odd_at, _NOTHING), 2 * every)
        odd_s = self.odd_s + int(passed.total_seconds())
        if odd_s >= _BELIEVED_AFTER.total_seconds():
            return ClockMark(now)
        return ClockMark(self.at, now, odd_s)
