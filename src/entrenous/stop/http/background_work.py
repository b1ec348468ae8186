"""What a gate does by itself: after an answer, each minute, each hour."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio.to_thread

from entrenous.base.errors import EntrenousError
from entrenous.stop.judge.deferred_scan import skip_deferred_scans
from entrenous.stop.judge.look_back import look_back_due, note_clock
from entrenous.stop.platform import Platform
from entrenous.stop.review import send_alert

_LOG: Final = logging.getLogger("entrenous.gate")


async def afterwards(
    work: Callable[..., object], *args: object, places: anyio.CapacityLimiter | None = None
) -> object:
    """Do it in a thread, one of ``places`` where it takes long, so that requests keep theirs; of a
    failure only its kind is logged, for its words may tell of people, and the answer is None.
    """
    try:
        return await anyio.to_thread.run_sync(partial(work, *args), limiter=places)
    except EntrenousError as why:
        said = {"event": "afterwards", "kind": type(why).__name__}
        _LOG.error("after an answer: %(kind)s", said, extra={"said": said})
        return None


HOUR_S: Final = 3600.0
MINUTE_S: Final = 60.0
_REST: Final = 3
Works = Sequence[Callable[[], object]]


@dataclass(frozen=True, slots=True)
class BackgroundTasks:
    """What else is done at once and then every hour, or every minute, while a gate is served."""

    hourly: Works = ()
    minutely: Works = ()


@asynccontextmanager
async def run_recurring(works: Works, every_s: float) -> AsyncIterator[None]:
    """While this is open, do each of these at once and then again and again, in a thread."""
    async with anyio.create_task_group() as group:
        group.start_soon(_again_and_again, works, every_s)
        yield
        group.cancel_scope.cancel()


@asynccontextmanager
async def in_pieces(work: Callable[[], object], every_s: float) -> AsyncIterator[None]:
    """While this is open, do this in a thread as long as it says that it did something, resting
    three times as long in between, so that uploads have most of the machine; then again after
    ``every_s``. Closing waits for one piece at most.
    """
    async with anyio.create_task_group() as group:
        group.start_soon(_piece_by_piece, work, every_s)
        yield
        group.cancel_scope.cancel()


async def _piece_by_piece(work: Callable[[], object], every_s: float) -> None:
    while True:
        began = anyio.current_time()
        did = await afterwards(work)
        await anyio.sleep(_REST * (anyio.current_time() - began) if did else every_s)


async def _again_and_again(works: Works, every_s: float) -> None:
    while True:
        for work in works:
            await afterwards(work)
        await anyio.sleep(every_s)


def each_minute(platform: Platform) -> tuple[Callable[[], object], ...]:
    """What the clock says, and slow looks for which there was no room. (Those that are due are
    made by processes of their own.)
    """
    return (partial(_note_clock, platform), partial(_skip, platform))


def run_due_work(platform: Platform) -> Callable[[], object]:
    """Look backs of claims that a list, a fetch or a partner brought, or that a process was killed
    at: some at a time.
    """
    return partial(look_back_due, platform)


def page_if_due(platform: Platform) -> None:
    """Each minute too, apart from the others: what it runs may take a while."""
    for failed in send_alert(platform):
        said = {"event": "page-failed", **failed.facts}
        _LOG.error("page failed: %(kind)s", said, extra={"said": said})


def _note_clock(platform: Platform) -> None:
    days = note_clock(platform)
    if days:
        said = {"event": "clock-ahead", "days": days}
        _LOG.warning("clock ahead by %(days)d days", said, extra={"said": said})


def _skip(platform: Platform) -> None:
    skipped = skip_deferred_scans(platform)
    if skipped and platform.limits.slow_looks > 0:  # else nobody expects any
        said = {"event": "slow-look-skipped", "uploads": skipped}
        _LOG.warning("slow look skipped: %(uploads)d uploads", said, extra={"said": said})
