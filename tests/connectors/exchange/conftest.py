"""Fixtures: an exchange, and an HTTP client that calls it over ASGI, without a socket."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from entrenous.connectors.exchange.exchange_access import PartnerAuth
from entrenous.connectors.exchange.exchange_app import exchange_app
from tests.stop.exchange.exchange_for_tests import ExchangeSetup, open_exchange_setup

URL = "http://127.0.0.1:7802"


@pytest.fixture
def exchange_setup(tmp_path: Path) -> Iterator[ExchangeSetup]:
    with open_exchange_setup(tmp_path) as opened:
        yield opened


class AsgiTransport(httpx.BaseTransport):
    """A synchronous transport that passes requests to an ASGI application, without a socket."""

    def __init__(self, app: Starlette) -> None:
        self.app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return anyio.run(self._send, request)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        inside = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=inside) as client:
            response = await client.request(
                request.method, request.url, content=request.read(), headers=request.headers
            )
            return httpx.Response(
                response.status_code, headers=response.headers, content=response.content
            )


@pytest.fixture
def web(exchange_setup: ExchangeSetup) -> Iterator[httpx.Client]:
    """Yield an HTTP client of the exchange, without a key."""
    with httpx.Client(
        transport=AsgiTransport(exchange_app(PartnerAuth(exchange_setup.exchange))), base_url=URL
    ) as client:
        yield client
