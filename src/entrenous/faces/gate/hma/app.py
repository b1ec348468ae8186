"""The gate as Meta's Hasher-Matcher-Actioner answers, to be mounted at /hma (docs/spec/hma.md).

HMA asks nobody for a token. Here every address but the status does: it is asked for in one place,
before any handler sees the request.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.faces.gate.access import GateAccess, require_operator
from entrenous.faces.gate.hma.about import About, described
from entrenous.faces.gate.hma.curation import Curation
from entrenous.faces.gate.hma.errors import on_error, on_http_error
from entrenous.faces.gate.hma.exchanges import Exchanges
from entrenous.faces.gate.hma.matching import Matching, Pictures, said
from entrenous.faces.gate.problems import on_hang_up
from entrenous.model.errors import EntrenousError
from entrenous.ports import Platform
from entrenous.ports.exchange import SourceStore
from entrenous.ports.listing import ListingStore

Handler = Callable[[Request], Awaitable[Response]]
Row = tuple[str, str, Handler]

_CHANGES: Final = "POST PUT DELETE"
_EVERY: Final = f"GET {_CHANGES}"
_ANGLED: Final = str.maketrans("{}", "<>")  # Flask's way to write a path


def hma_app(
    platform: Platform, access: GateAccess, listings: ListingStore, sources: SourceStore
) -> Starlette:
    """HMA's addresses over this platform's banks, for whoever has the operator's token."""
    about = About(platform)
    pictures = Pictures.of(platform, access)
    rows = [
        *_about(about),
        *_matching(Matching(platform, pictures)),
        *_curation(Curation(platform, pictures, listings)),
        *_exchanges(Exchanges(sources)),
    ]

    async def site_map(_request: Request) -> Response:
        return said(sorted(path.translate(_ANGLED) for path in _paths(rows)))

    async def openapi(_request: Request) -> Response:
        return said(described(_paths(rows)))

    rows += [("GET", "/site-map", site_map), ("GET", "/openapi/openapi.json", openapi)]
    app = Starlette(
        routes=[
            Route("/status", about.status),
            Route("/status/live", about.live),
            *(_route(row, access) for row in rows),
        ],
        exception_handlers={
            EntrenousError: on_error,
            HTTPException: on_http_error,
            ClientDisconnect: on_hang_up,
            Exception: on_error,
        },
    )
    app.router.redirect_slashes = False  # as the gate's own
    return app


def _about(about: About) -> list[Row]:
    return [
        ("GET", "/", about.home),
        ("GET", "/m/index/status", about.index_status),
        ("GET", "/c/signal_type", about.signal_types),
        ("GET", "/c/signal_type/index", about.signal_index),
        ("PUT", "/c/signal_type/{signal_type}", about.change_signal_type),
        ("GET", "/c/content_type", about.content_types),
    ]


def _exchanges(exchanges: Exchanges) -> list[Row]:
    return [
        ("GET", "/c/exchanges", exchanges.exchanges),
        (_CHANGES, "/c/exchanges", exchanges.not_here),
        ("GET", "/c/exchanges/apis", exchanges.apis),
        (_EVERY, "/c/exchanges/{rest:path}", exchanges.not_here),
        ("GET", "/c/exchange/{exchange}", exchanges.exchange),
        ("GET", "/c/exchange/{exchange}/status", exchanges.status),
        (_CHANGES, "/c/exchange/{rest:path}", exchanges.not_here),
    ]


def _matching(matching: Matching) -> list[Row]:
    return [
        ("GET", "/h/hash", matching.hash_url),
        ("POST", "/h/hash", matching.hash_file),
        ("GET", "/m/raw_lookup", matching.raw_lookup),
        ("GET", "/m/lookup", matching.lookup),
        ("POST", "/m/lookup", matching.lookup_file),
        ("POST", "/m/compare", matching.compare),
    ]


def _curation(curation: Curation) -> list[Row]:
    return [
        ("GET", "/c/banks", curation.banks),
        ("POST", "/c/banks", curation.make_bank),
        ("GET", "/c/bank/{bank}", curation.bank),
        ("PUT", "/c/bank/{bank}", curation.change_bank),
        ("DELETE", "/c/bank/{bank}", curation.drop_bank),
        ("POST", "/c/bank/{bank}/signal", curation.add_signal),
        ("POST", "/c/bank/{bank}/content", curation.add_photo),
        ("GET", "/c/bank/{bank}/content/{content}", curation.content),
        ("PUT", "/c/bank/{bank}/content/{content}", curation.change_content),
        ("DELETE", "/c/bank/{bank}/content/{content}", curation.delete_content),
    ]


def _route(row: Row, access: GateAccess) -> Route:
    methods, path, handler = row

    async def guarded(request: Request) -> Response:
        require_operator(request, access)
        return await handler(request)

    return Route(path, guarded, methods=methods.split())


def _paths(rows: list[Row]) -> dict[str, list[str]]:
    paths: dict[str, list[str]] = {"/status": ["GET"], "/status/live": ["GET"]}
    for methods, path, _ in rows:
        plain = path.replace(":path", "")
        paths.setdefault(plain, []).extend(methods.split())
    return paths
