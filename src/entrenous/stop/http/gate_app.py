"""The gate's HTTP application: uploads, registrations, reviews (docs/spec/gate.md, 6)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from entrenous.base.errors import EntrenousError
from entrenous.base.program import this_program
from entrenous.stop.banks import effective_banks
from entrenous.stop.http.access import GateAccess, require_metrics_token, require_operator
from entrenous.stop.http.answers import (
    PRIVATE_HEADERS,
    on_bug,
    on_disconnect,
    on_error,
    on_http_error,
)
from entrenous.stop.http.background_work import (
    HOUR_S,
    MINUTE_S,
    BackgroundTasks,
    look_back_task,
    minutely_tasks,
    run_in_pieces,
    run_recurring,
    send_due_alerts,
)
from entrenous.stop.http.metrics import CONTENT_TYPE, GateMetrics, MetricsMiddleware, Snapshot
from entrenous.stop.http.registration_requests import ClaimRequests
from entrenous.stop.http.review_requests import ReviewRequests
from entrenous.stop.http.upload_requests import UploadRequests
from entrenous.stop.judge.judge_pool import JudgePool
from entrenous.stop.platform import Platform
from entrenous.stop.register import accepted_embedding_model


def gate_app(
    platform: Platform,
    access: GateAccess,
    tasks: BackgroundTasks = BackgroundTasks(),  # noqa: B008 (frozen)
    count_rows: Callable[[], Snapshot] | None = None,
    judges: JudgePool | None = None,
) -> Starlette:
    """Build the gate's ASGI application; ``prepare_banks`` must have created the platform's banks.

    Args:
        platform: everything that the gate uses.
        access: tokens and limits.
        tasks: further background tasks.
        count_rows: counts the rows of the database and of the index, for the metrics.
        judges: processes that judge pictures in parallel.
    """
    meters = GateMetrics(count_rows)
    uploads, claims = UploadRequests.of(platform, access, judges), ClaimRequests.of(platform)
    uploads.judged = partial(meters.count_decision, banks=partial(effective_banks, platform))
    reviews = ReviewRequests(platform, access, meters.count_review)

    async def status(request: Request) -> Response:
        """Answer the health check, which queries the database. Only the operator is shown
        counts.
        """
        waiting = await run_in_threadpool(platform.reviews.waiting)
        embedding = await run_in_threadpool(accepted_embedding_model, platform)
        answer: dict[str, Any] = {"schema": "entrenous/gate-status/1", "state": "serving"}
        answer |= {"embedding": embedding, **asdict(this_program())}
        if request.headers.get("authorization"):
            require_operator(request, access)
            counts = await run_in_threadpool(platform.bank.counts)
            due = await run_in_threadpool(platform.reviews.due)
            slow = {"waiting": due.slow_looks, "skipped": due.slow_looks_skipped}
            answer |= {"claims": counts.claims, "hashes": counts.hashes, "reviews": waiting}
            answer |= {"slow_looks": slow, "look_backs": due.look_backs}
            answer["in_shadow"] = platform.limits.shadow
        return JSONResponse(answer, headers=PRIVATE_HEADERS)

    async def metrics(request: Request) -> Response:
        """Return the metrics for Prometheus. There is a token that permits only this."""
        require_metrics_token(request, access)
        metrics_text = await run_in_threadpool(meters.text)
        return Response(metrics_text, media_type=CONTENT_TYPE, headers=PRIVATE_HEADERS)

    routes = [
        Route("/v1/status", status),
        Route("/v1/metrics", metrics),
        Route("/v1/uploads", uploads.upload, methods=["POST"]),
        Route("/v1/uploads/{case}/appeal", uploads.appeal, methods=["POST"]),
        Route("/v1/claims", claims.register, methods=["POST"]),
        Route("/v1/claims/{claim}", claims.claim),
        Route("/v1/claims/{claim}", claims.withdraw, methods=["DELETE"]),
        Route("/v1/claims/{claim}/opinions", claims.opinion, methods=["POST"]),
        Route("/v1/reviews", reviews.reviews),
        Route("/v1/reviews/published", reviews.published),
        Route("/v1/reviews/{case}", reviews.review),
        Route("/v1/reviews/{case}", reviews.decide, methods=["POST"]),
        Route("/v1/reviews/{case}/view", reviews.view),
        Route("/v1/reviews/{case}/upload", reviews.held_upload),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lambda _: _run_background(platform, tasks, judges),
        middleware=[Middleware(MetricsMiddleware, meters=meters)],
        exception_handlers={
            EntrenousError: on_error(access),
            HTTPException: on_http_error,
            ClientDisconnect: on_disconnect,
            Exception: on_bug,
        },
    )
    # A redirect would lead to http:// and the requested host, so a client would send the body again
    # unencrypted.
    app.router.redirect_slashes = False
    return app


@asynccontextmanager
async def _run_background(
    platform: Platform, tasks: BackgroundTasks, judges: JudgePool | None
) -> AsyncIterator[None]:
    """Run background work while the gate serves."""
    async with (
        run_recurring(tasks.hourly, HOUR_S),
        run_recurring((*minutely_tasks(platform), *tasks.minutely), MINUTE_S),
        run_in_pieces(look_back_task(platform), MINUTE_S),
        run_recurring((partial(send_due_alerts, platform),), MINUTE_S),
        judges or nullcontext(),
    ):
        yield
