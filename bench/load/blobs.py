"""Upload a large blob to a relay and download it again, over a plain socket."""

import hashlib
import os
import socket
import time
import urllib.parse
from pathlib import Path

from bench.load.cycles import b64u, lock_of, make_mailbox, tomorrow

_BLOCK: int = 1 << 20


def blob_speed(url: str, size: int) -> tuple[float, float]:
    """Return the speeds of the upload and of the download, in MB/s.

    ``size`` is in bytes, and a multiple of 1 MiB.

    Raises:
        SystemExit: the relay gave an unexpected answer, or other bytes came back; of each read from
            the socket, the first 64 bytes are compared.
    """
    address = urllib.parse.urlsplit(url)
    block = os.urandom(_BLOCK)
    digest = hashlib.sha256()
    for _ in range(size // _BLOCK):
        digest.update(block)
    with socket.create_connection((address.hostname or "", address.port or 0), 60) as connection:
        mailbox, _, sender = make_mailbox(connection)
        blob, fetch = b64u(os.urandom(16)), os.urandom(32)
        head = (
            f"PUT /v1/mailboxes/{mailbox}/blobs/{blob} HTTP/1.1\r\nHost: relay\r\n"
            f"Entrenous-Protocol: 2\r\nAuthorization: Bearer {b64u(sender)}\r\n"
            f"Entrenous-Fetch-Lock: {lock_of(fetch)}\r\n"
            f"Entrenous-Withdraw-Lock: {lock_of(os.urandom(32))}\r\n"
            f"Entrenous-Sha256: {b64u(digest.digest())}\r\n"
            f"Entrenous-Expires-At: {tomorrow()}\r\nContent-Length: {size}\r\n\r\n"
        )
        began = time.perf_counter()
        connection.sendall(head.encode())
        for _ in range(size // _BLOCK):
            connection.sendall(block)
        _expect(connection.recv(65536), b"201")
        up = size / (time.perf_counter() - began) / 1e6
        return up, _fetch_blob(connection, blob, fetch, size, block)


def peak_resident_mb(process: int) -> float:
    """Return the most memory that a process has had in RAM, in MB of 1,000 KiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(one.split()[1]) / 1000 for one in lines if one.startswith("VmHWM:"))


def _fetch_blob(
    connection: socket.socket, blob: str, fetch: bytes, size: int, block: bytes
) -> float:
    began = time.perf_counter()
    connection.sendall(
        f"GET /v1/blobs/{blob} HTTP/1.1\r\nHost: relay\r\nEntrenous-Protocol: 2\r\n"
        f"Authorization: Bearer {b64u(fetch)}\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096)
    _expect(head, b"200")
    first = head[head.index(b"\r\n\r\n") + 4 :]
    space, came, whole = memoryview(bytearray(_BLOCK)), len(first), block.startswith(first)
    expected = block + block  # a read may begin anywhere in a block
    while came < size:
        count = connection.recv_into(space)
        if not count:
            raise SystemExit("the relay closed the connection")
        at = came % _BLOCK
        whole = whole and space[: min(count, 64)] == expected[at : at + min(count, 64)]
        came += count
    if not whole:
        raise SystemExit("other bytes came back than were brought")
    return size / (time.perf_counter() - began) / 1e6


def _expect(answer: bytes, status: bytes) -> None:
    if answer[9:12] != status:
        raise SystemExit(f"{status!r} was expected, not {answer[:400]!r}")
