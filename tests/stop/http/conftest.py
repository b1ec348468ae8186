"""Fixtures: a gate on a SQLite file, and HTTP clients that call it over ASGI, without a socket."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from entrenous.base.environment import SystemRandomSource
from entrenous.base.secret import Secret
from entrenous.media.picture_reader import read_picture
from entrenous.stop.banks import create_built_in_banks
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.gate_settings import parse_gate_settings
from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.index.memory_indexes import RegisteredSounds
from entrenous.stop.nouns import GateLimits
from entrenous.stop.platform import Platform
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.review_queue import ReviewQueue
from tests.deterministic import SettableClock
from tests.new_bank import engine_at

URL = "http://127.0.0.1:7802"
GATE_TOML = b'appeal_url = "https://platform.example/appeal"'


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def platform(tmp_path: Path, clock: SettableClock) -> Iterator[Platform]:
    engine = engine_at(tmp_path / "gate.sqlite")
    bank = BankStore(engine, clock)
    create_built_in_banks(bank)
    yield Platform(
        clock=clock,
        random_source=SystemRandomSource(),
        bank=bank,
        index=FileIndex(tmp_path / "index", bank),
        reviews=ReviewQueue(engine, clock),
        read_picture=read_picture,
        sounds=RegisteredSounds(bank),
        limits=GateLimits(claims_per_hour=4, held_per_hash=3),
    )
    engine.dispose()


@pytest.fixture
def access() -> GateAccess:
    return GateAccess(
        operator=Secret(b"operator-token"),
        uploader=Secret(b"uploader-token"),
        upload_bytes_max=1_000_000,
        appeal_url=parse_gate_settings(GATE_TOML).http.appeal_url,
    )


class AsgiTransport(httpx.BaseTransport):
    """A synchronous transport that passes requests to an ASGI application, without a socket."""

    def __init__(self, app: Starlette) -> None:
        self.app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return anyio.run(self._send, request)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app)) as client:
            response = await client.request(
                request.method, request.url, content=request.read(), headers=request.headers
            )
            return httpx.Response(
                response.status_code, headers=response.headers, content=response.content
            )


@pytest.fixture
def web(platform: Platform, access: GateAccess) -> Iterator[httpx.Client]:
    """Yield an HTTP client of the gate, without a token."""
    with httpx.Client(transport=AsgiTransport(gate_app(platform, access)), base_url=URL) as client:
        yield client


@pytest.fixture
def device_gate(platform: Platform, access: GateAccess) -> Iterator[RegistrationClient]:
    """Yield the client with which a person's device calls the gate."""
    with httpx.Client(transport=AsgiTransport(gate_app(platform, access))) as client:
        yield RegistrationClient(URL, client)
