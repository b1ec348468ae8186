"""What a gate does by itself now and then, whether anybody asks it or not."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio

from entrenous.faces.gate.afterwards import afterwards

HOUR_S: Final = 3600.0
MINUTE_S: Final = 60.0
_REST: Final = 3

Works = Sequence[Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Chores:
    """What else is done at once and then every hour, or every minute, while a gate is served."""

    hourly: Works = ()
    minutely: Works = ()


@asynccontextmanager
async def recurring(works: Works, every_s: float) -> AsyncIterator[None]:
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
