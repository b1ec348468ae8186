"""Merge several iterators that run concurrently, so that a slow one delays none of the others."""

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

ItemT = TypeVar("ItemT")
# The most threads at the same time; each uses one of the HTTP client's 100 connections.
_THREADS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class _Arrival(Generic[ItemT]):
    """A thread's next item, the sign that the thread has finished, or the error that ended it."""

    items: tuple[ItemT, ...]
    last: bool = False
    error: BaseException | None = None


def merge_iterators(iterators: Sequence[Iterable[ItemT]]) -> Iterator[ItemT]:
    """Yield the items of all iterators as they arrive; the items of one iterator stay in order.

    The ``iterators`` run in threads, up to _THREADS_MAX at the same time; a single iterator runs in
    the caller's thread. Neither an interrupted caller (Ctrl-C) nor the end of the process waits for
    the threads.

    Raises: Any error that an iterator raises.
    """
    if len(iterators) == 1:
        yield from iterators[0]
        return
    arrivals, remaining = queue.SimpleQueue[_Arrival[ItemT]](), queue.SimpleQueue[Iterable[ItemT]]()
    for iterator in iterators:
        remaining.put(iterator)
    walkers = min(len(iterators), _THREADS_MAX)
    for _ in range(walkers):
        threading.Thread(target=_feed_items, args=(remaining, arrivals), daemon=True).start()
    while walkers:
        one = arrivals.get()
        if one.error is not None:
            raise one.error
        yield from one.items
        walkers -= one.last


def _feed_items(
    remaining: "queue.SimpleQueue[Iterable[ItemT]]", arrivals: "queue.SimpleQueue[_Arrival[ItemT]]"
) -> None:
    try:
        while True:
            for item in remaining.get_nowait():
                arrivals.put(_Arrival((item,)))
    except queue.Empty:
        arrivals.put(_Arrival((), last=True))
    except BaseException as why:  # noqa: BLE001 -- raised again in merge_iterators
        arrivals.put(_Arrival((), error=why))
