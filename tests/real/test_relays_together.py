"""Two relays at once, as an operator runs them: one PostgreSQL, one bucket, nothing else shared."""

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
from tests.real.kills import Device, Line
from tests.real.stage import wait_until
from tests.real.trial import first_words, to_be_killed
from tests.swift import KEY, REGION, SECRET, swift

pytestmark = pytest.mark.real

SIZE = 20 << 20  # more than the 16 MiB of one piece in the bucket
HALF = 18 << 20


@dataclass
class Upload:
    """A blob to upload, and the tokens for it."""

    device: Device
    data: bytes
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    def __post_init__(self) -> None:
        self.id = self.dice.randbytes(16)
        self.fetch, self.withdraw = (Secret(self.dice.randbytes(32)) for _ in range(2))
        self.at = f"{self.device.at}/blobs/{to_base64url(self.id)}"

    def begins(self, url: str, start: int = 0) -> http.client.HTTPConnection:
        """Send everything but the body, which has to be ``data`` from ``start`` on."""
        web = connected(url)
        web.putrequest("PUT", self.at)
        until = datetime.now(UTC) + timedelta(days=3)
        for name, value in (
            ("Entrenous-Protocol", "2"),
            ("Authorization", f"Bearer {to_base64url(self.device.sender.reveal())}"),
            ("Entrenous-Fetch-Lock", to_base64url(token_hash(self.fetch))),
            ("Entrenous-Withdraw-Lock", to_base64url(token_hash(self.withdraw))),
            ("Entrenous-Sha256", to_base64url(hashlib.sha256(self.data).digest())),
            ("Entrenous-Expires-At", str(int(until.timestamp()))),
            ("Entrenous-Offset", str(start)),
            ("Content-Length", str(len(self.data) - start)),
        ):
            web.putheader(name, value)
        web.endheaders()
        return web

    def came(self, url: str) -> int:
        line = Line(url)
        status, body = line.ask("GET", self.at, self.withdraw)
        line.close()
        return int(json.loads(body)["came"]) if status == 200 else 0

    def fetched(self, url: str) -> bytes:
        line = Line(url)
        status, body = line.ask("GET", f"/v1/blobs/{to_base64url(self.id)}", self.fetch)
        line.close()
        assert status == 200
        return body


def connected(url: str) -> http.client.HTTPConnection:
    address = urlsplit(url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)


@contextmanager
def relay(settings: Path, database: str) -> Iterator[str]:
    data = settings.with_suffix("")
    lines = [f'data = "{data}"', f'database = "{database}"', 'blobs = "s3://blobs1/relay"']
    settings.write_text("\n".join([*lines, 'listen = "127.0.0.1:0"', "free_mb_min = 0"]))
    command = [sys.executable, "-m", "entrenous", "relay", "run", "--json", "--settings"]
    with to_be_killed([*command, str(settings)]) as process:
        yield str(json.loads(first_words(process))["url"])


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, postgres: Cluster) -> Iterator[tuple[str, str]]:
    """Run two relays, and yield their URLs."""
    with ExitStack() as going:
        running = going.enter_context(swift())
        running.bucket()
        given = pytest.MonkeyPatch()
        going.callback(given.undo)
        for name, value in (
            ("AWS_ENDPOINT", f"http://127.0.0.1:{running.port}"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
        ):
            given.setenv(name, value)
        folder, database = tmp_path_factory.mktemp("together"), postgres.fresh()
        first, second = (
            going.enter_context(relay(folder / f"{name}.toml", database)) for name in "ab"
        )
        yield first, second


@pytest.fixture
def upload(two: tuple[str, str]) -> Upload:
    device, line = Device(random.Random(os.urandom(8))), Line(two[0])
    device.join(line)
    line.close()
    return Upload(device, random.Random(8).randbytes(SIZE), random.Random(os.urandom(8)))


def test_an_upload_that_broke_off_at_one_goes_on_at_the_other(
    two: tuple[str, str], upload: Upload
) -> None:
    first, second = two
    web = upload.begins(first)
    web.send(upload.data[:HALF])
    web.close()
    assert wait_until(lambda: upload.came(second) == HALF, 60)
    rest = upload.begins(second, HALF)
    rest.send(upload.data[HALF:])
    assert rest.getresponse().status == 201
    rest.close()
    assert upload.fetched(first) == upload.fetched(second) == upload.data


def test_two_that_write_the_same_upload_at_once_leave_it_whole(
    two: tuple[str, str], upload: Upload
) -> None:
    """One uploads other bytes than announced: it is refused, and the stored blob stays right."""
    first, second = two
    evil = upload.begins(second)
    evil.send(b"evil" * (SIZE // 8))  # less than a piece, so nothing is stored yet
    honest = upload.begins(first)
    honest.send(upload.data)
    assert honest.getresponse().status == 201
    with contextlib.suppress(OSError):
        evil.send(b"evil" * (SIZE // 8))
    assert evil.getresponse().status in {400, 404}
    for web in (honest, evil):
        web.close()
    assert upload.fetched(first) == upload.fetched(second) == upload.data


def test_both_may_bring_all_of_it_at_once(two: tuple[str, str], upload: Upload) -> None:
    statuses: list[int] = []

    def bring(url: str) -> None:
        web = upload.begins(url)
        web.send(upload.data)
        statuses.append(web.getresponse().status)
        web.close()

    threads = [threading.Thread(target=bring, args=(url,)) for url in two]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 201 in statuses
    assert set(statuses) <= {200, 201}
    assert upload.fetched(two[0]) == upload.fetched(two[1]) == upload.data
