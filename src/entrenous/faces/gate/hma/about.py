"""What this is, whether it is alive, and how full its index is."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from entrenous.faces.gate.answers import PRIVATE
from entrenous.faces.gate.hma.errors import NotOffered
from entrenous.faces.gate.hma.matching import said
from entrenous.faces.gate.hma.params import CONTENT, SIGNAL, only_pdq
from entrenous.model.bank import BankUnreachable
from entrenous.ports import Platform

ALIVE = "I-AM-ALIVE"
NOT_LOADED = "INDEX-NOT-LOADED"
_ALWAYS_ON = "PDQ is all that is compared; put a bank into shadow instead."


@dataclass(frozen=True, slots=True)
class About:
    """One handler per address."""

    platform: Platform

    async def status(self, _request: Request) -> Response:
        """Does the database answer? The index follows it."""
        try:
            await run_in_threadpool(self.platform.bank.log_head)
        except BankUnreachable:
            return PlainTextResponse(NOT_LOADED, 503, PRIVATE)
        return PlainTextResponse(ALIVE, headers=PRIVATE)

    async def live(self, _request: Request) -> Response:
        """Always."""
        return PlainTextResponse(ALIVE, headers=PRIVATE)

    async def home(self, request: Request) -> Response:
        """There are no pages; lead to the status."""
        return RedirectResponse(f"{request.scope.get('root_path', '')}/status", 302)

    async def index_status(self, request: Request) -> Response:
        """How many hashes, and of when the newest row is."""
        only_pdq(request)
        size, at = await run_in_threadpool(self._size)
        return said({SIGNAL: {"present": True, "built_to": at, "size": size}})

    async def signal_index(self, request: Request) -> Response:
        """The same, in other words: what is stored is compared."""
        only_pdq(request)
        size, at = await run_in_threadpool(self._size)
        full = {"db_size": size, "index_size": size, "index_out_of_date": False}
        return said({SIGNAL: full | {"newest_db_item": at, "index_built_to": at}})

    async def signal_types(self, _request: Request) -> Response:
        """PDQ, always on."""
        return said([{"name": SIGNAL, "enabled_ratio": 1.0}])

    async def content_types(self, _request: Request) -> Response:
        """Photos; clips are not compared here."""
        return said([{"name": CONTENT, "enabled": True}, {"name": "video", "enabled": False}])

    async def change_signal_type(self, _request: Request) -> Response:
        """Refused, with what to do instead."""
        raise NotOffered(instead=_ALWAYS_ON)

    def _size(self) -> tuple[int, int]:
        head = self.platform.bank.log_head()
        newest = self.platform.bank.log(head.number - 1, 1)
        at = int(newest[0].at.timestamp()) if newest else -1
        return self.platform.bank.counts().hashes, at


def described(paths: dict[str, list[str]]) -> dict[str, Any]:
    """An OpenAPI 3.1 description: paths, methods, and who may ask."""
    bearer = {"operator": {"type": "http", "scheme": "bearer"}}
    done = {"responses": {"200": {"description": "docs/spec/hma.md"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Open Media Match API", "version": version("entrenous")},
        "security": [{"operator": []}],
        "components": {"securitySchemes": bearer},
        "paths": {path: {method.lower(): done for method in some} for path, some in paths.items()},
    }
