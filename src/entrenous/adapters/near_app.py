"""Ask an ASGI application in our own process: all of HTTP except the socket."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import httpx

App = Callable[[Any, Any, Any], Awaitable[None]]  # as ASGI calls one


@dataclass(frozen=True, slots=True)
class NearApp(httpx.BaseTransport):
    """Carries requests to ``app``, one at a time; what it does while it is served is not done."""

    app: App

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Its answer, whole."""
        return anyio.run(self._ask, request)

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            answer = await client.request(
                request.method, request.url, content=request.read(), headers=request.headers
            )
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def client_of(app: App) -> httpx.Client:
    """Return a client whose requests go to ``app``."""
    return httpx.Client(transport=NearApp(app))
