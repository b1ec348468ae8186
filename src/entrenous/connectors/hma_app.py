"""The API of Meta's Hasher-Matcher-Actioner, to be mounted at /hma (docs/spec/hma.md)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from entrenous.base.errors import EntrenousError
from entrenous.connectors.hma_curation import CurationHandlers, ExchangeHandlers
from entrenous.connectors.hma_matching import MatchHandlers, PictureHasher, json_answer
from entrenous.connectors.hma_requests import (
    HMA_CONTENT_TYPE,
    SIGNAL_TYPE,
    NotSupportedHere,
    on_error,
    on_http_error,
    require_pdq,
)
from entrenous.stop.http.access import GateAccess, require_operator
from entrenous.stop.http.answers import PRIVATE_HEADERS, on_disconnect
from entrenous.stop.nouns import BankUnreachable
from entrenous.stop.platform import Platform
from entrenous.stop.store.exchange_partners import SourceStore
from entrenous.stop.store.registration_changes import ClaimListingStore

LIVE_ANSWER = "I-AM-ALIVE"
INDEX_NOT_LOADED_ANSWER = "INDEX-NOT-LOADED"
_PDQ_ALWAYS_ENABLED = (
    "PDQ hashes are always compared. To stop acting on a bank, put it into shadow mode."
)


@dataclass(frozen=True, slots=True)
class AboutHandlers:
    """Handlers about the service itself."""

    platform: Platform

    async def status(self, _request: Request) -> Response:
        """Report whether the database answers, since the index depends on it."""
        try:
            await run_in_threadpool(self.platform.bank.audit_log_head)
        except BankUnreachable:
            return PlainTextResponse(INDEX_NOT_LOADED_ANSWER, 503, PRIVATE_HEADERS)
        return PlainTextResponse(LIVE_ANSWER, headers=PRIVATE_HEADERS)

    async def report_alive(self, _request: Request) -> Response:
        """Report that the process is alive."""
        return PlainTextResponse(LIVE_ANSWER, headers=PRIVATE_HEADERS)

    async def redirect_to_status(self, request: Request) -> Response:
        """Redirect to the status, since there are no pages."""
        return RedirectResponse(f"{request.scope.get('root_path', '')}/status", 302)

    async def index_status(self, request: Request) -> Response:
        """Return the number of hashes, and the time of the latest change."""
        require_pdq(request)
        size, at = await run_in_threadpool(self._index_size_and_change_time)
        return json_answer({SIGNAL_TYPE: {"present": True, "built_to": at, "size": size}})

    async def signal_index_status(self, request: Request) -> Response:
        """Return the same as :meth:`index_status` in HMA's other format.

        Both sizes are equal, because every stored hash is indexed.
        """
        require_pdq(request)
        size, at = await run_in_threadpool(self._index_size_and_change_time)
        full = {"db_size": size, "index_size": size, "index_out_of_date": False}
        return json_answer({SIGNAL_TYPE: full | {"newest_db_item": at, "index_built_to": at}})

    async def list_signal_types(self, _request: Request) -> Response:
        """Return the signal types: only PDQ, which is always enabled."""
        return json_answer([{"name": SIGNAL_TYPE, "enabled_ratio": 1.0}])

    async def list_content_types(self, _request: Request) -> Response:
        """Return the content types: only photos, since this API does not compare clips."""
        return json_answer(
            [{"name": HMA_CONTENT_TYPE, "enabled": True}, {"name": "video", "enabled": False}]
        )

    async def refuse_signal_type_change(self, _request: Request) -> Response:
        """Refuse, and say what to do instead."""
        raise NotSupportedHere(instead=_PDQ_ALWAYS_ENABLED)

    def _index_size_and_change_time(self) -> tuple[int, int]:
        head = self.platform.bank.audit_log_head()
        newest = self.platform.bank.log(head.number - 1, 1)
        at = int(newest[0].at.timestamp()) if newest else -1
        return self.platform.bank.count_claims_and_hashes().hashes, at


def describe_api(paths: dict[str, list[str]]) -> dict[str, Any]:
    """Return an OpenAPI 3.1 description with paths, methods and authentication."""
    bearer = {"operator": {"type": "http", "scheme": "bearer"}}
    done = {"responses": {"200": {"description": "docs/spec/hma.md"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Open Media Match API", "version": version("entrenous")},
        "security": [{"operator": []}],
        "components": {"securitySchemes": bearer},
        "paths": {path: {method.lower(): done for method in some} for path, some in paths.items()},
    }


Handler = Callable[[Request], Awaitable[Response]]
RouteRow = tuple[str, str, Handler]
_CHANGING_METHODS: Final = "POST PUT DELETE"
_ALL_METHODS: Final = f"GET {_CHANGING_METHODS}"
_BRACES_TO_ANGLE_BRACKETS: Final = str.maketrans("{}", "<>")  # Flask's syntax for paths


def hma_app(
    platform: Platform, access: GateAccess, listings: ClaimListingStore, sources: SourceStore
) -> Starlette:
    """Build HMA's API over this platform's banks, for holders of the operator's token."""
    about = AboutHandlers(platform)
    pictures = PictureHasher.with_gate_limits(platform, access)
    rows = [
        *_about_routes(about),
        *_matching_routes(MatchHandlers(platform, pictures)),
        *_curation_routes(CurationHandlers(platform, pictures, listings)),
        *_exchange_routes(ExchangeHandlers(sources)),
    ]

    async def answer_site_map(_request: Request) -> Response:
        return json_answer(
            sorted(path.translate(_BRACES_TO_ANGLE_BRACKETS) for path in _methods_by_path(rows))
        )

    async def answer_openapi(_request: Request) -> Response:
        return json_answer(describe_api(_methods_by_path(rows)))

    rows += [
        ("GET", "/site-map", answer_site_map),
        ("GET", "/openapi/openapi.json", answer_openapi),
    ]
    app = Starlette(
        routes=[
            Route("/status", about.status),
            Route("/status/live", about.report_alive),
            *(_operator_route(row, access) for row in rows),
        ],
        exception_handlers={
            EntrenousError: on_error,
            HTTPException: on_http_error,
            ClientDisconnect: on_disconnect,
            Exception: on_error,
        },
    )
    app.router.redirect_slashes = False  # as in gate_app()
    return app


def _about_routes(about: AboutHandlers) -> list[RouteRow]:
    return [
        ("GET", "/", about.redirect_to_status),
        ("GET", "/m/index/status", about.index_status),
        ("GET", "/c/signal_type", about.list_signal_types),
        ("GET", "/c/signal_type/index", about.signal_index_status),
        ("PUT", "/c/signal_type/{signal_type}", about.refuse_signal_type_change),
        ("GET", "/c/content_type", about.list_content_types),
    ]


def _exchange_routes(exchanges: ExchangeHandlers) -> list[RouteRow]:
    return [
        ("GET", "/c/exchanges", exchanges.list_exchanges),
        (_CHANGING_METHODS, "/c/exchanges", exchanges.refuse_change),
        ("GET", "/c/exchanges/apis", exchanges.list_apis),
        (_ALL_METHODS, "/c/exchanges/{rest:path}", exchanges.refuse_change),
        ("GET", "/c/exchange/{exchange}", exchanges.show_exchange),
        ("GET", "/c/exchange/{exchange}/status", exchanges.show_fetch_status),
        (_CHANGING_METHODS, "/c/exchange/{rest:path}", exchanges.refuse_change),
    ]


def _matching_routes(matching: MatchHandlers) -> list[RouteRow]:
    return [
        ("GET", "/h/hash", matching.refuse_hashing_url),
        ("POST", "/h/hash", matching.hash_file),
        ("GET", "/m/raw_lookup", matching.raw_lookup),
        ("GET", "/m/lookup", matching.lookup),
        ("POST", "/m/lookup", matching.lookup_file),
        ("POST", "/m/compare", matching.compare),
    ]


def _curation_routes(curation: CurationHandlers) -> list[RouteRow]:
    return [
        ("GET", "/c/banks", curation.list_banks),
        ("POST", "/c/banks", curation.create_bank),
        ("GET", "/c/bank/{bank}", curation.show_bank),
        ("PUT", "/c/bank/{bank}", curation.change_bank),
        ("DELETE", "/c/bank/{bank}", curation.refuse_dropping_bank),
        ("POST", "/c/bank/{bank}/signal", curation.add_signal),
        ("POST", "/c/bank/{bank}/content", curation.add_photo),
        ("GET", "/c/bank/{bank}/content/{content}", curation.show_content),
        ("PUT", "/c/bank/{bank}/content/{content}", curation.change_content),
        ("DELETE", "/c/bank/{bank}/content/{content}", curation.delete_content),
    ]


def _operator_route(row: RouteRow, access: GateAccess) -> Route:
    methods, path, handler = row

    async def handle_for_operator(request: Request) -> Response:
        require_operator(request, access)
        return await handler(request)

    return Route(path, handle_for_operator, methods=methods.split())


def _methods_by_path(rows: list[RouteRow]) -> dict[str, list[str]]:
    paths: dict[str, list[str]] = {"/status": ["GET"], "/status/live": ["GET"]}
    for methods, path, _ in rows:
        plain = path.replace(":path", "")
        paths.setdefault(plain, []).extend(methods.split())
    return paths
