"""A thread pool that works a few jobs ahead of its caller, in order, within a memory limit."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import Final, TypeVar

from entrenous.media.sandbox.confinement import keep_freed_memory

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")
# pixels of all copies in progress, which take about 1 GB on any machine
_PIXELS_IN_PROGRESS_MAX: Final = 100_000_000
_JOBS_PER_WORKER: Final = (
    2  # jobs taken per worker: one in progress, and one that waits or is finished
)
_BATCH_JOBS_MAX: Final = 16  # finished jobs, at most, that are yielded together
# bytes of freed memory that a process may keep if it only makes copies, and then ends
_KEPT_FREE_BYTES: Final = 1 << 30
# pixels of all copies in progress where everything has to fit into 400 MB
_PIXELS_IN_PROGRESS_LOW_MEMORY_MAX: Final = 20_000_000


def pool_size(pixels: int, *, sparing: bool = False) -> int:
    """Return how many workers may work at once on pictures with this many pixels: one per
    processor, or fewer if so many pictures do not fit into memory. ``sparing`` sets a lower limit
    for the memory.
    """
    at_once = _PIXELS_IN_PROGRESS_LOW_MEMORY_MAX if sparing else _PIXELS_IN_PROGRESS_MAX
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return max(1, min(processors or os.cpu_count() or 1, at_once // max(1, pixels)))


def reuse_memory_of_copies() -> None:
    """Keep the memory of each finished copy for the next one.

    Otherwise the system has to clear memory for each array of a large picture. Call this only in a
    process that ends when all copies are made.
    """
    keep_freed_memory(_KEPT_FREE_BYTES, arenas=1)


def start_in_thread(work: Callable[[], ResultT]) -> Future[ResultT]:
    """Start work in a thread of its own, and return its future."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(work)
    finally:
        pool.shutdown(wait=False)


def run_in_this_thread(work: Callable[[], ResultT]) -> Future[ResultT]:
    """Do work now, and return a finished future; the alternative to :func:`start_in_thread`."""
    done = Future[ResultT]()
    done.set_result(work())
    return done


def ordered_batches(
    work: Callable[[JobT], ResultT],
    jobs: Iterable[JobT],
    workers: int,
    batch: int = _BATCH_JOBS_MAX,
) -> Generator[tuple[ResultT, ...], None, None]:
    """Yield the results of ``work`` in order, in batches of those that are ready: at least one, and
    at most ``batch``.

    At most two jobs per worker and one batch are taken ahead of the caller. A job's exception is
    raised in its place; jobs in progress are then finished, and waiting ones cancelled.
    """
    waiting = deque[Future[ResultT]]()
    jobs = iter(jobs)
    pool = ThreadPoolExecutor(workers)
    try:
        while True:
            ahead = islice(jobs, workers * _JOBS_PER_WORKER + batch - len(waiting))
            waiting.extend(pool.submit(work, job) for job in ahead)
            if not waiting:
                return
            yield _take_next_results(waiting, batch)
    finally:
        pool.shutdown(cancel_futures=True)


def ordered_results(
    work: Callable[[JobT], ResultT], jobs: Iterable[JobT], workers: int
) -> Generator[ResultT, None, None]:
    """Yield the results one by one; like :func:`ordered_batches`, but working less far ahead."""
    with closing(ordered_batches(work, jobs, workers, batch=1)) as batches:
        for batch in batches:
            yield from batch


def _take_next_results(waiting: deque[Future[ResultT]], batch: int) -> tuple[ResultT, ...]:
    """Return the next result together with those after it that are finished already."""
    made = [waiting.popleft().result()]
    while waiting and len(made) < batch and waiting[0].done() and not waiting[0].exception():
        made.append(waiting.popleft().result())
    return tuple(made)
