"""Merge several iterators that run concurrently, so that a slow one delays none of the others."""

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
_AT_MOST: Final = 64  # threads; each uses one of the HTTP client's 100 connections


@dataclass(frozen=True, slots=True)
class _Came(Generic[Item]):
    """A thread's next item, or a sign that it has finished."""

    items: tuple[Item, ...]
    last: bool = False
    error: BaseException | None = None


def merge_iterators(rows: Sequence[Iterable[Item]]) -> Iterator[Item]:
    """Yield the items of all rows as they arrive; the items of one row keep their order.

    Each row is iterated in its own thread. Neither an interrupted caller (Ctrl-C) nor the end of
    the process waits for these threads.

    Raises:
        What a row raises.
    """
    if len(rows) == 1:
        yield from rows[0]
        return
    came, left = queue.SimpleQueue[_Came[Item]](), queue.SimpleQueue[Iterable[Item]]()
    for row in rows:
        left.put(row)
    walkers = min(len(rows), _AT_MOST)
    for _ in range(walkers):
        threading.Thread(target=_walk, args=(left, came), daemon=True).start()
    while walkers:
        one = came.get()
        if one.error is not None:
            raise one.error
        yield from one.items
        walkers -= one.last


def _walk(
    left: "queue.SimpleQueue[Iterable[Item]]", came: "queue.SimpleQueue[_Came[Item]]"
) -> None:
    try:
        while True:
            for item in left.get_nowait():
                came.put(_Came((item,)))
    except queue.Empty:
        came.put(_Came((), last=True))
    except BaseException as why:  # noqa: BLE001 -- raised again where the items are read
        came.put(_Came((), error=why))
