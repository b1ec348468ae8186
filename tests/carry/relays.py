"""Relays for tests, in memory, on disk or served over HTTP, and messages for their mailboxes."""

import asyncio
import io
import socket
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from starlette.applications import Starlette

from entrenous.base.environment import Clock
from entrenous.base.identifiers import BlobId, EnvelopeId, MailboxId
from entrenous.base.secret import Secret
from entrenous.carry.relay import Relay
from entrenous.carry.store.file_blobs import FileBlobs
from entrenous.carry.store.sqlite_rows import SqliteRows, open_sqlite
from entrenous.crypto.hashing import sha256, token_hash
from entrenous.device.device import Courier
from entrenous.serving.http_server import listening_socket, make_server, url_of
from entrenous.serving.tls import TlsCertificate
from entrenous.wire.relay_nouns import BlobDeposit, Envelope, SendToken, ShareDeposit
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.blobs import MemoryBlobs
from tests.in_memory.mail import MemoryRowStore

Result = TypeVar("Result")

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
_open_relays: Final[list[ExitStack]] = []


@dataclass
class SampleMessage:
    """Ana's mailbox, Ben's send token, and one envelope with its blob, share and tokens.

    ``owner`` is the token of the mailbox's owner, and ``token`` is the sender's. The tokens
    ``fetch``, ``open`` and ``withdraw`` permit their holder to fetch the blob, to open the envelope
    and to withdraw the envelope, respectively.
    """

    until: datetime = NOON + timedelta(days=7)
    random_source: SeededRandomSource = field(default_factory=SeededRandomSource)
    sealed: bytes = b"sealed letter " * 20

    def __post_init__(self) -> None:
        random_bytes = self.random_source.token
        self.mailbox = MailboxId(random_bytes(16))
        self.owner, self.token, self.unrelated_token = (Secret(random_bytes(32)) for _ in range(3))
        self.fetch, self.open, self.withdraw = (Secret(random_bytes(32)) for _ in range(3))
        self.blob = random_bytes(5000)
        self.blob_id, self.id = BlobId(random_bytes(16)), EnvelopeId(random_bytes(16))
        self.share = Secret(random_bytes(32))
        self.group = random_bytes(16)

    def new_attempt(self) -> bytes:
        """Return the random id of another attempt to open the message."""
        return self.random_source.token(16)

    def send_token(self, uses: int | None = None, until: datetime | None = None) -> SendToken:
        return SendToken(token_hash(self.token), uses, until)

    def blob_deposit(self) -> BlobDeposit:
        locks = (token_hash(self.fetch), token_hash(self.withdraw))
        size, digest = len(self.blob), sha256(self.blob)
        return BlobDeposit(self.blob_id, self.mailbox, size, digest, *locks, self.until)

    def envelope(self, opens: int | None = None, *, blobs: bool = True) -> Envelope:
        group = None if opens is None else self.group
        share = ShareDeposit(self.share, token_hash(self.open), opens, group)
        blobs_named = (self.blob_id,) if blobs else ()
        lock = token_hash(self.withdraw)
        return Envelope(self.id, self.mailbox, self.sealed, self.until, lock, share, blobs_named)

    def new_envelope(self) -> Envelope:
        """Return another envelope for this mailbox, with a new id and without a share."""
        lock, new = token_hash(self.withdraw), EnvelopeId(self.random_source.token(16))
        return Envelope(new, self.mailbox, self.sealed, self.until, lock)


def in_three_days() -> datetime:
    """Return an expiry for a message to a relay that uses the machine's clock."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)


def new_relay(clock: SettableClock | None = None) -> Relay:
    """Open a relay on SQLite and files, in a folder that :func:`close_relays` removes."""
    if not _open_relays:
        _open_relays.append(ExitStack())
    folder = Path(_open_relays[0].enter_context(TemporaryDirectory(prefix="relay-")))
    return _open_relays[0].enter_context(disk_relay(folder, clock or SettableClock()))


def close_relays() -> None:
    """Close all relays that :func:`new_relay` opened, and remove their folders."""
    while _open_relays:
        _open_relays.pop().close()


def stored_blob_count(relay: Relay) -> int:
    """Return the number of blobs in the relay's folder, complete or not."""
    assert isinstance(relay.blobs, FileBlobs)
    return sum(1 for _ in relay.blobs._folder.iterdir())


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in an event loop of its own."""
    return asyncio.run(work)


def memory_relay(clock: SettableClock | None = None) -> Relay:
    """Return a relay that stores rows and blobs in memory."""
    return Relay(MemoryRowStore(), MemoryBlobs(), clock or SettableClock(), SeededRandomSource())


@contextmanager
def disk_relay(folder: Path, clock: Clock, bytes_max: int | None = None) -> Iterator[Relay]:
    """Yield a relay on SQLite and files in ``folder``; ``bytes_max`` limits the database."""
    mail = new_sqlite(folder / "mail.db", bytes_max=bytes_max)
    try:
        yield Relay(mail, FileBlobs(folder / "blobs"), clock, SeededRandomSource())
    finally:
        mail.close()


def new_sqlite(path: Path, *, bytes_max: int | None = None) -> SqliteRows:
    """Open a row store; a missing database is created as a copy of an empty one, to save time."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_bytes(_empty_database())
    return open_sqlite(path, bytes_max=bytes_max)


@cache
def _empty_database() -> bytes:
    with TemporaryDirectory(prefix="relay-") as folder:
        path = Path(folder) / "mail.db"
        open_sqlite(path).close()
        return path.read_bytes()


@contextmanager
def serve_app(
    app: Starlette,
    certificate: TlsCertificate | None = None,
    *,
    send_buffer_bytes: int = 0,
    port: int = 0,
) -> Iterator[str]:
    """Serve the app on loopback, at any free port unless ``port`` is given; yield its URL.

    ``send_buffer_bytes`` is the size of each socket's send buffer; 0 keeps the default.
    """
    server, ready = make_server(app, certificate), threading.Event()
    with listening_socket("127.0.0.1", port) as listener:
        if send_buffer_bytes:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)

        async def run() -> None:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started and not serving.done():  # noqa: ASYNC110 -- uvicorn has only flags
                await asyncio.sleep(0.005)
            ready.set()
            await serving

        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        try:
            assert ready.wait(60)
            yield url_of(listener, "https" if certificate else "http")
        finally:
            server.should_exit = True
            thread.join()


def download_bytes(courier: Courier, url: str, blob: BlobId, fetch_token: Secret) -> bytes:
    """Download a blob; return its bytes."""
    received = io.BytesIO()
    courier.download_blob(url, blob, fetch_token, received)
    return received.getvalue()


async def stream(data: bytes, chunk_bytes: int = 1000) -> AsyncIterator[bytes]:
    """Yield the data in chunks of ``chunk_bytes`` bytes."""
    for start in range(0, len(data), chunk_bytes):
        yield data[start : start + chunk_bytes]
