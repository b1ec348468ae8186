"""A gate's background work: after each answer, every minute, and every hour."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio.to_thread

from entrenous.base.errors import EntrenousError
from entrenous.stop.judge.deferred_scan import skip_deferred_scans
from entrenous.stop.judge.look_back import look_back_due, record_clock
from entrenous.stop.platform import Platform
from entrenous.stop.review import send_alert

_LOG: Final = logging.getLogger("entrenous.gate")


async def run_after_answer(
    work: Callable[..., object], *args: object, places: anyio.CapacityLimiter | None = None
) -> object:
    """Run ``work`` in a thread, after the answer was sent.

    Long work gets its own limiter, ``places``, so that requests keep their threads. After a failure
    the result is None, and only the error's class is logged, since its message may mention people.
    """
    try:
        return await anyio.to_thread.run_sync(partial(work, *args), limiter=places)
    except EntrenousError as why:
        log_fields = {"event": "afterwards", "kind": type(why).__name__}
        _LOG.error("after an answer: %(kind)s", log_fields, extra={"said": log_fields})
        return None


HOUR_S: Final = 3600.0
MINUTE_S: Final = 60.0
_PAUSE_FACTOR: Final = (
    3  # the pause after each piece of work, as a multiple of the time that it took
)
Tasks = Sequence[Callable[[], object]]


@dataclass(frozen=True, slots=True)
class BackgroundTasks:
    """Further tasks that a gate runs at its start and then every hour or every minute."""

    hourly: Tasks = ()
    minutely: Tasks = ()


@asynccontextmanager
async def run_recurring(works: Tasks, every_s: float) -> AsyncIterator[None]:
    """Run each of ``works`` in a thread at once, and again every ``every_s`` seconds, until
    closed.
    """
    async with anyio.create_task_group() as group:
        group.start_soon(_run_repeatedly, works, every_s)
        yield
        group.cancel_scope.cancel()


@asynccontextmanager
async def run_in_pieces(work: Callable[[], object], every_s: float) -> AsyncIterator[None]:
    """Run ``work`` in a thread repeatedly while it returns True, and again after ``every_s``
    seconds.

    Between calls it pauses three times as long as the call took, to leave most of the machine to
    uploads. Closing waits for at most one call.
    """
    async with anyio.create_task_group() as group:
        group.start_soon(_run_pieces, work, every_s)
        yield
        group.cancel_scope.cancel()


async def _run_pieces(work: Callable[[], object], every_s: float) -> None:
    while True:
        began = anyio.current_time()
        did = await run_after_answer(work)
        await anyio.sleep(_PAUSE_FACTOR * (anyio.current_time() - began) if did else every_s)


async def _run_repeatedly(works: Tasks, every_s: float) -> None:
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
    """Return a task that runs due look-backs (searches of earlier uploads), a few at a time.

    Look-backs are due for claims from a list, a fetch or a partner, or after a crash.
    """
    return partial(look_back_due, platform)


def send_due_alerts(platform: Platform) -> None:
    """Send due alerts. This is a task of its own, since the alert program may take a while."""
    for failed in send_alert(platform):
        log_fields = {"event": "page-failed", **failed.facts}
        _LOG.error("page failed: %(kind)s", log_fields, extra={"said": log_fields})


def _record_clock(platform: Platform) -> None:
    days = record_clock(platform)
    if days:
        log_fields = {"event": "clock-ahead", "days": days}
        _LOG.warning("clock ahead by %(days)d days", log_fields, extra={"said": log_fields})


def _skip_overdue_scans(platform: Platform) -> None:
    skipped = skip_deferred_scans(platform)
    if skipped and platform.limits.slow_looks > 0:  # otherwise the operator turned them off
        log_fields = {"event": "slow-look-skipped", "uploads": skipped}
        _LOG.warning(
            "slow look skipped: %(uploads)d uploads", log_fields, extra={"said": log_fields}
        )
