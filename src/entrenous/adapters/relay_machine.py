"""What can be seen of the machine that a relay runs on, without disturbing the relay."""

import contextlib
import errno
import http.client
import os
import shutil
import socket
import sqlite3
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from entrenous.adapters.relay_rows import rows_of

_PATIENCE_S: Final = 5.0
_FIGURES_BYTES_MAX: Final = 1 << 20
_NOT_HAD: Final = {
    errno.EADDRINUSE: "is taken by something else",
    errno.EACCES: "is not for this account: ports below 1024 need CAP_NET_BIND_SERVICE",
}


def can_keep(folder: Path) -> bool:
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


def nearest(path: Path) -> Path:
    """It, or the nearest above it that this account can see."""
    while not is_there(path):
        path = path.parent
    return path


def is_there(path: Path) -> bool:
    """Whether this account sees it; also where it may not look."""
    return os.path.exists(path)  # noqa: PTH110 -- Path's own raises where it may not look


def free_bytes(folder: Path) -> int:
    """The room on the disk of the nearest folder that is there."""
    return shutil.disk_usage(nearest(folder)).free


def database_fault(mail: Path, known: int | None = None) -> str:
    """What is wrong with a relay's database, in words; empty if nothing is.

    Reads all of it. With ``known``, a schema of any other number is a fault too; 0 means that the
    file has no tables yet, which is none.
    """
    try:
        with rows_of(mail) as rows:
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


def are_figures_at(host: str, port: int) -> bool:
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
