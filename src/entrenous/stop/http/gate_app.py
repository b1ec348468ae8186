"""The gate's HTTP application: uploads, registrations, reviews (docs/spec/gate.md, 6).

While it serves, the gate also does background work every minute and every hour.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from entrenous.base.errors import EntrenousError
from entrenous.base.program import this_program_version
from entrenous.stop.banks import banks_with_gate_shadow
from entrenous.stop.http.access import GateAccess, require_metrics_token, require_operator
from entrenous.stop.http.answers import (
    PRIVATE_HEADERS,
    make_error_handler,
    on_bug,
    on_disconnect,
    on_http_error,
    run_after_answer,
)
from entrenous.stop.http.metrics import (
    METRICS_CONTENT_TYPE,
    FiguresAndIndexSize,
    GateMetrics,
    MetricsMiddleware,
)
from entrenous.stop.http.registration_requests import ClaimHandlers
from entrenous.stop.http.review_requests import ReviewHandlers
from entrenous.stop.http.upload_requests import UploadHandlers
from entrenous.stop.judge.deferred_scan import skip_overdue_deferred_scans
from entrenous.stop.judge.judge_pool import JudgePool
from entrenous.stop.judge.look_back import (
    clock_days_ahead,
    delete_expired_upload_data,
    look_back_for_due_claims,
    record_clock,
)
from entrenous.stop.platform import Platform
from entrenous.stop.register import accepted_embedding_model
from entrenous.stop.review import send_due_alerts

_LOG: Final = logging.getLogger("entrenous.gate")
HOURLY_INTERVAL_S: Final = 3600.0
MINUTELY_INTERVAL_S: Final = 60.0
# The pause after each piece of work, as a multiple of the time that it took.
_PAUSE_PER_WORK_TIME: Final = 3
TaskFunctions = Sequence[Callable[[], object]]


@dataclass(frozen=True, slots=True)
class BackgroundTasks:
    """Further tasks that a gate runs at its start and then every hour or every minute."""

    hourly: TaskFunctions = ()
    minutely: TaskFunctions = ()


def gate_app(
    platform: Platform,
    access: GateAccess,
    tasks: BackgroundTasks = BackgroundTasks(),
    count_rows: Callable[[], FiguresAndIndexSize] | None = None,
    judges: JudgePool | None = None,
) -> Starlette:
    """Build the gate's ASGI application; ``create_built_in_banks`` must have been called.

    Args:
        platform: everything that the gate uses.
        access: tokens and limits.
        tasks: further background tasks.
        count_rows: counts the rows of the database and of the index, for the metrics.
        judges: processes that judge pictures in parallel.
    """
    meters = GateMetrics(count_rows)
    uploads, claims = (
        UploadHandlers.create(platform, access, judges),
        ClaimHandlers.create(platform),
    )
    uploads.on_judged = partial(
        meters.count_decision, banks=partial(banks_with_gate_shadow, platform)
    )

    def forget_past_hour() -> None:
        now = platform.clock.now()
        uploads.accounts.forget_past_hour(now)
        claims.hourly_limit.forget_past_hour(now)

    tasks = replace(tasks, minutely=(*tasks.minutely, forget_past_hour))
    reviews = ReviewHandlers(platform, access, meters.count_review)

    async def answer_status(request: Request) -> Response:
        """Answer the health check, which queries the database. Only the operator is shown
        counts.
        """
        waiting = await run_in_threadpool(platform.reviews.count_waiting_items)
        embedding = await run_in_threadpool(accepted_embedding_model, platform)
        answer: dict[str, Any] = {"schema": "entrenous/gate-status/1", "state": "serving"}
        answer |= {"embedding": embedding, **asdict(this_program_version())}
        if request.headers.get("authorization"):
            require_operator(request, access)
            counts = await run_in_threadpool(platform.bank.count_claims_and_hashes)
            due = await run_in_threadpool(platform.reviews.count_due_work)
            slow = {"waiting": due.slow_looks, "skipped": due.slow_looks_skipped}
            answer |= {"claims": counts.claims, "hashes": counts.hashes, "reviews": waiting}
            answer |= {"slow_looks": slow, "look_backs": due.look_backs}
            answer["in_shadow"] = platform.limits.shadow
        return JSONResponse(answer, headers=PRIVATE_HEADERS)

    async def answer_metrics(request: Request) -> Response:
        """Return the metrics for Prometheus. There is a token that permits only this."""
        require_metrics_token(request, access)
        metrics_text = await run_in_threadpool(meters.prometheus_text)
        return Response(metrics_text, media_type=METRICS_CONTENT_TYPE, headers=PRIVATE_HEADERS)

    routes = [
        Route("/v1/status", answer_status),
        Route("/v1/metrics", answer_metrics),
        Route("/v1/uploads", uploads.judge_upload, methods=["POST"]),
        Route("/v1/uploads/{case}/appeal", uploads.submit_appeal, methods=["POST"]),
        Route("/v1/claims", claims.register, methods=["POST"]),
        Route("/v1/claims/{claim}", claims.get_claim),
        Route("/v1/claims/{claim}", claims.withdraw, methods=["DELETE"]),
        Route("/v1/claims/{claim}/opinions", claims.submit_opinion, methods=["POST"]),
        Route("/v1/reviews", reviews.next_in_queue),
        Route("/v1/reviews/published", reviews.list_published),
        Route("/v1/reviews/{case}", reviews.get_review),
        Route("/v1/reviews/{case}", reviews.decide, methods=["POST"]),
        Route("/v1/reviews/{case}/view", reviews.get_blurred_view),
        Route("/v1/reviews/{case}/upload", reviews.get_original_bytes),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lambda _: _run_background(platform, tasks, judges),
        middleware=[Middleware(MetricsMiddleware, meters=meters)],
        exception_handlers={
            EntrenousError: make_error_handler(access),
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
        run_recurring(
            (partial(delete_expired_upload_data, platform), *tasks.hourly), HOURLY_INTERVAL_S
        ),
        run_recurring((*minutely_tasks(platform), *tasks.minutely), MINUTELY_INTERVAL_S),
        run_in_pieces(look_back_task(platform), MINUTELY_INTERVAL_S),
        run_recurring((partial(send_and_log_due_alerts, platform),), MINUTELY_INTERVAL_S),
        judges or nullcontext(),
    ):
        yield


@asynccontextmanager
async def run_recurring(works: TaskFunctions, every_s: float) -> AsyncIterator[None]:
    """Run each of ``works`` in a thread immediately, and again every ``every_s`` seconds, until
    closed.
    """
    async with anyio.create_task_group() as group:
        group.start_soon(_run_repeatedly, works, every_s)
        yield
        group.cancel_scope.cancel()


@asynccontextmanager
async def run_in_pieces(work: Callable[[], object], every_s: float) -> AsyncIterator[None]:
    """Run ``work`` in a thread repeatedly while its result is true, and again after ``every_s``
    seconds.

    Between calls it pauses three times as long as the call took, to leave most of the machine to
    uploads. Closing waits for at most one call.
    """
    async with anyio.create_task_group() as group:
        group.start_soon(_run_with_pauses, work, every_s)
        yield
        group.cancel_scope.cancel()


async def _run_with_pauses(work: Callable[[], object], every_s: float) -> None:
    while True:
        began = anyio.current_time()
        did = await run_after_answer(work)
        await anyio.sleep(_PAUSE_PER_WORK_TIME * (anyio.current_time() - began) if did else every_s)


async def _run_repeatedly(works: TaskFunctions, every_s: float) -> None:
    while True:
        for work in works:
            await run_after_answer(work)
        await anyio.sleep(every_s)


def minutely_tasks(platform: Platform) -> tuple[Callable[[], object], ...]:
    """Return the tasks for every minute: check the clock, and skip deferred scans that are
    overdue.

    (Separate processes make the scans.)
    """
    return (partial(_record_clock, platform), partial(_skip_overdue_scans, platform))


def look_back_task(platform: Platform) -> Callable[[], object]:
    """Return a task that runs due look-backs (searches of earlier uploads), 1,000 claims at a time.

    Most are for claims from a list, a fetch or a partner; others were left over, as after a crash.
    """
    return partial(look_back_for_due_claims, platform)


def send_and_log_due_alerts(platform: Platform) -> None:
    """Send due alerts. This is a task of its own, since the alert program may take a while."""
    for failed in send_due_alerts(platform):
        log_fields = {"event": "page-failed", **failed.facts}
        _LOG.error("page failed: %(kind)s", log_fields, extra={"said": log_fields})


def _record_clock(platform: Platform) -> None:
    record_clock(platform)
    days = clock_days_ahead(platform)
    if days:
        log_fields = {"event": "clock-ahead", "days": days}
        _LOG.warning("clock ahead by %(days)d days", log_fields, extra={"said": log_fields})


def _skip_overdue_scans(platform: Platform) -> None:
    skipped = skip_overdue_deferred_scans(platform)
    if skipped and platform.limits.slow_looks > 0:  # otherwise the operator turned them off
        log_fields = {"event": "slow-look-skipped", "uploads": skipped}
        _LOG.warning(
            "slow look skipped: %(uploads)d uploads", log_fields, extra={"said": log_fields}
        )
