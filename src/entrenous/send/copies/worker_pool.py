"""A pool of threads that works a little ahead, in order, within a memory limit."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import Final, TypeVar

Job = TypeVar("Job")
Made = TypeVar("Made")
_PIXELS_AT_ONCE: Final = 100_000_000  # of all copies in work: about 1 GB, whatever the machine
_AHEAD: Final = 2  # jobs in hand for each worker: one in work, one waiting or done
_BATCH: Final = 16  # as many done ones are handed on together at most
_SPARING_PIXELS: Final = 20_000_000  # as _PIXELS_AT_ONCE, where all else has to fit into 400 MB too


def pool_size(pixels: int, *, sparing: bool = False) -> int:
    """How many may work at once on pictures of this size: one for each processor, while memory
    lasts, of which there is less for who has to be ``sparing``.
    """
    at_once = _SPARING_PIXELS if sparing else _PIXELS_AT_ONCE
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return max(1, min(processors or os.cpu_count() or 1, at_once // max(1, pixels)))


def begun(work: Callable[[], Made]) -> Future[Made]:
    """Work that a thread of its own has begun; whoever needs the result waits for it then."""
    crew = ThreadPoolExecutor(1)
    try:
        return crew.submit(work)
    finally:
        crew.shutdown(wait=False)


def at_once(work: Callable[[], Made]) -> Future[Made]:
    """Work that is done here and now, for who would begin it elsewhere if there were room."""
    done = Future[Made]()
    done.set_result(work())
    return done


def in_batches(
    work: Callable[[Job], Made], jobs: Iterable[Job], workers: int, batch: int = _BATCH
) -> Generator[tuple[Made, ...], None, None]:
    """What ``work`` makes of each job, in order; all that is ready comes together.

    Jobs are taken when there is a hand free for them. What a job raises is raised in its place; the
    jobs in work are then finished, those that wait are not begun.
    """
    waiting = deque[Future[Made]]()
    jobs = iter(jobs)
    crew = ThreadPoolExecutor(workers)
    try:
        while True:
            ahead = islice(jobs, workers * _AHEAD + batch - len(waiting))
            waiting.extend(crew.submit(work, job) for job in ahead)
            if not waiting:
                return
            yield _ready(waiting, batch)
    finally:
        crew.shutdown(cancel_futures=True)


def in_order(
    work: Callable[[Job], Made], jobs: Iterable[Job], workers: int
) -> Generator[Made, None, None]:
    """As :func:`in_batches`, one by one, and fewer made ahead."""
    with closing(in_batches(work, jobs, workers, batch=1)) as batches:
        for batch in batches:
            yield from batch


def _ready(waiting: deque[Future[Made]], batch: int) -> tuple[Made, ...]:
    """The next one, and those behind it that have gone well already."""
    made = [waiting.popleft().result()]
    while waiting and len(made) < batch and waiting[0].done() and not waiting[0].exception():
        made.append(waiting.popleft().result())
    return tuple(made)
