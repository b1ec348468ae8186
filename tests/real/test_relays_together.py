"""Tests of two relays that share one PostgreSQL database and one bucket, but nothing else."""

import contextlib
import hashlib
import http.client
import json
import os
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from entrenous.base.secret import Secret
from entrenous.crypto.hashing import token_hash
from entrenous.wire.encodings import to_base64url
from tests.postgres import Cluster
from tests.real.kills import Device, RelayConnection
from tests.real.processes import wait_until
from tests.real.trial import read_first_line, run_and_kill_at_end
from tests.swift import ACCESS_KEY, REGION, SECRET_KEY, run_swift

pytestmark = pytest.mark.real

BLOB_BYTES = 20 << 20  # more than one piece; the bucket stores pieces of 16 MiB
FIRST_PART_BYTES = 18 << 20


@dataclass
class Upload:
    """A blob to upload, and the tokens for it."""

    device: Device
    data: bytes
    rng: random.Random = field(default_factory=lambda: random.Random(7))

    def __post_init__(self) -> None:
        self.id = self.rng.randbytes(16)
        self.fetch_token, self.withdraw_token = (Secret(self.rng.randbytes(32)) for _ in range(2))
        self.path = f"{self.device.path}/blobs/{to_base64url(self.id)}"

    def start_upload(self, url: str, start: int = 0) -> http.client.HTTPConnection:
        """Send the head of the upload request. The caller then sends ``data[start:]``."""
        web = open_connection(url)
        web.putrequest("PUT", self.path)
        until = datetime.now(UTC) + timedelta(days=3)
        for name, value in (
            ("Entrenous-Protocol", "2"),
            ("Authorization", f"Bearer {to_base64url(self.device.sender.reveal())}"),
            ("Entrenous-Fetch-Lock", to_base64url(token_hash(self.fetch_token))),
            ("Entrenous-Withdraw-Lock", to_base64url(token_hash(self.withdraw_token))),
            ("Entrenous-Sha256", to_base64url(hashlib.sha256(self.data).digest())),
            ("Entrenous-Expires-At", str(int(until.timestamp()))),
            ("Entrenous-Offset", str(start)),
            ("Content-Length", str(len(self.data) - start)),
        ):
            web.putheader(name, value)
        web.endheaders()
        return web

    def received_bytes(self, url: str) -> int:
        connection = RelayConnection(url)
        status, body = connection.request("GET", self.path, self.withdraw_token)
        connection.close()
        return int(json.loads(body)["came"]) if status == 200 else 0

    def fetch_blob(self, url: str) -> bytes:
        connection = RelayConnection(url)
        status, body = connection.request(
            "GET", f"/v1/blobs/{to_base64url(self.id)}", self.fetch_token
        )
        connection.close()
        assert status == 200
        return body


def open_connection(url: str) -> http.client.HTTPConnection:
    address = urlsplit(url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)


@contextmanager
def run_relay(settings: Path, database: str) -> Iterator[str]:
    data = settings.with_suffix("")
    lines = [f'data = "{data}"', f'database = "{database}"', 'blobs = "s3://blobs1/relay"']
    settings.write_text("\n".join([*lines, 'listen = "127.0.0.1:0"', "free_mb_min = 0"]))
    command = [sys.executable, "-m", "entrenous", "relay", "run", "--json", "--settings"]
    with run_and_kill_at_end([*command, str(settings)]) as process:
        yield str(json.loads(read_first_line(process))["url"])


@pytest.fixture(scope="module")
def relay_urls(
    tmp_path_factory: pytest.TempPathFactory, postgres: Cluster
) -> Iterator[tuple[str, str]]:
    """Run two relays, and yield their URLs."""
    with ExitStack() as stack:
        running = stack.enter_context(run_swift())
        running.create_bucket()
        patch = pytest.MonkeyPatch()
        stack.callback(patch.undo)
        for name, value in (
            ("AWS_ENDPOINT", f"http://127.0.0.1:{running.port}"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ):
            patch.setenv(name, value)
        folder, database = tmp_path_factory.mktemp("together"), postgres.create_database()
        first, second = (
            stack.enter_context(run_relay(folder / f"{name}.toml", database)) for name in "ab"
        )
        yield first, second


@pytest.fixture
def upload(relay_urls: tuple[str, str]) -> Upload:
    device, connection = Device(random.Random(os.urandom(8))), RelayConnection(relay_urls[0])
    device.create_mailbox(connection)
    connection.close()
    return Upload(device, random.Random(8).randbytes(BLOB_BYTES), random.Random(os.urandom(8)))


def test_upload_interrupted_at_one_relay_continues_at_the_other(
    relay_urls: tuple[str, str], upload: Upload
) -> None:
    first, second = relay_urls
    web = upload.start_upload(first)
    web.send(upload.data[:FIRST_PART_BYTES])
    web.close()
    assert wait_until(lambda: upload.received_bytes(second) == FIRST_PART_BYTES, 60)
    rest = upload.start_upload(second, FIRST_PART_BYTES)
    rest.send(upload.data[FIRST_PART_BYTES:])
    assert rest.getresponse().status == 201
    rest.close()
    assert upload.fetch_blob(first) == upload.fetch_blob(second) == upload.data


def test_concurrent_writes_of_one_upload_leave_the_blob_undamaged(
    relay_urls: tuple[str, str], upload: Upload
) -> None:
    """An upload is refused if its bytes do not match the announced hash."""
    first, second = relay_urls
    evil = upload.start_upload(second)
    evil.send(b"evil" * (BLOB_BYTES // 8))  # 10 MiB are less than a piece, so nothing is stored yet
    honest = upload.start_upload(first)
    honest.send(upload.data)
    assert honest.getresponse().status == 201
    with contextlib.suppress(OSError):
        evil.send(b"evil" * (BLOB_BYTES // 8))
    assert evil.getresponse().status in {400, 404}
    for web in (honest, evil):
        web.close()
    assert upload.fetch_blob(first) == upload.fetch_blob(second) == upload.data


def test_both_relays_accept_the_same_upload_at_once(
    relay_urls: tuple[str, str], upload: Upload
) -> None:
    statuses: list[int] = []

    def upload_all(url: str) -> None:
        web = upload.start_upload(url)
        web.send(upload.data)
        statuses.append(web.getresponse().status)
        web.close()

    threads = [threading.Thread(target=upload_all, args=(url,)) for url in relay_urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 201 in statuses
    assert set(statuses) <= {200, 201}
    assert upload.fetch_blob(relay_urls[0]) == upload.fetch_blob(relay_urls[1]) == upload.data
