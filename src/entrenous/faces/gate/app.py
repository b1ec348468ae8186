"""The platform's gate over HTTP: bring an upload, register a claim, review (docs/spec/gate.md, 6).

Uploads and the database are worked on in threads, so that a slow picture does not hold up a claim.
"""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from entrenous.faces.gate.access import GateAccess, require_operator
from entrenous.faces.gate.answers import PRIVATE
from entrenous.faces.gate.claims import Claims
from entrenous.faces.gate.hourly import hourly
from entrenous.faces.gate.problems import on_bug, on_error, on_http_error
from entrenous.faces.gate.reviews import Reviews
from entrenous.faces.gate.uploads import Uploads
from entrenous.model.errors import EntrenousError
from entrenous.ports import Platform


def gate_app(
    platform: Platform, access: GateAccess, each_hour: Sequence[Callable[[], object]] = ()
) -> Starlette:
    """The gate's ASGI application, for a platform whose banks ``prepare_banks`` has made.

    While it is served, ``each_hour`` is done at once and then every hour.
    """
    uploads, claims = Uploads.of(platform, access), Claims.of(platform)
    reviews = Reviews(platform, access)

    async def status(request: Request) -> Response:
        """Is it alive, and does its database answer? Counts are for the operator only."""
        waiting = await run_in_threadpool(platform.reviews.waiting)
        answer: dict[str, Any] = {"schema": "entrenous/gate-status/1", "state": "serving"}
        if request.headers.get("authorization"):
            require_operator(request, access)
            counts = await run_in_threadpool(platform.bank.counts)
            answer |= {"claims": counts.claims, "hashes": counts.hashes, "reviews": waiting}
        return JSONResponse(answer, headers=PRIVATE)

    routes = [
        Route("/v1/status", status),
        Route("/v1/uploads", uploads.upload, methods=["POST"]),
        Route("/v1/uploads/{case}/appeal", uploads.appeal, methods=["POST"]),
        Route("/v1/claims", claims.register, methods=["POST"]),
        Route("/v1/claims/{claim}", claims.claim),
        Route("/v1/claims/{claim}", claims.withdraw, methods=["DELETE"]),
        Route("/v1/claims/{claim}/opinions", claims.opinion, methods=["POST"]),
        Route("/v1/reviews", reviews.reviews),
        Route("/v1/reviews/{case}", reviews.decide, methods=["POST"]),
        Route("/v1/reviews/{case}/upload", reviews.held_upload),
    ]
    return Starlette(
        routes=routes,
        lifespan=lambda _: hourly(each_hour),
        exception_handlers={
            EntrenousError: on_error(access),
            HTTPException: on_http_error,
            Exception: on_bug,
        },
    )
