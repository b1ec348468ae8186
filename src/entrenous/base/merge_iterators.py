"""Merge several iterators that run at the same time, so that a slow one delays none of the
others.
"""

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
_AT_MOST: Final = 64  # rows at a time; each holds one connection of a client that has 100


@dataclass(frozen=True, slots=True)
class _Came(Generic[Item]):
    """What a thread found next, or that it has nothing more to go through."""

    items: tuple[Item, ...]
    last: bool = False
    error: BaseException | None = None


def merge_iterators(rows: Sequence[Iterable[Item]]) -> Iterator[Item]:
    """What the rows yield, as it comes; the items of one row stay in their order.

    Each row is gone through in a thread of its own. A caller that stops (Ctrl-C) waits for none of
    them, and a process that ends does not either.

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
    except BaseException as why:  # noqa: BLE001 -- it is raised where the items are read
        came.put(_Came((), error=why))
