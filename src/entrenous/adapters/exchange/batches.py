"""Questions about many things at once, in pieces that a database takes."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final, TypeVar

Thing = TypeVar("Thing")

_BATCH: Final = 500  # SQLite takes some thousand parameters in a statement, no more


def batches(things: Collection[Thing]) -> Iterator[list[Thing]]:
    """All of them, each once."""
    left = iter(things)
    while batch := list(islice(left, _BATCH)):
        yield batch
