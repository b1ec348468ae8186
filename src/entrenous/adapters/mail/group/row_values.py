"""What is in a row, and the counts and lists of group/behind.py that follow from it."""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, Final, cast

from entrenous.model.held import HELD

Key = tuple[Any, ...]

UNKNOWN: Final = object()  # stands for a row that nobody has read


@cache
def _getter(names: tuple[str, ...]) -> Callable[[Any], Any]:
    return attrgetter(*names)


def values_of(names: tuple[str, ...], row: Any) -> Key:
    """What these fields of a row hold."""
    if not names:
        return ()
    found = _getter(names)(row)
    return cast("Key", found) if len(names) > 1 else (found,)


def key_of(kind: type, row: Any) -> Key:
    """By what a row of that kind is found."""
    return values_of(HELD[kind], row)


def known(undo: tuple[type, Key, Any], kind: type, key: Key, row: Any) -> tuple[type, Key, Any]:
    """What is to be put back, now that it was read."""
    return (kind, key, row) if undo[2] is UNKNOWN and undo[:2] == (kind, key) else undo


def has(row: Any, names: tuple[str, ...], values: Key) -> bool:
    """Whether it is a row, and its fields hold these."""
    return row is not None and row is not UNKNOWN and values_of(names, row) == values


def recount(counts: dict[Key, int], names: tuple[str, ...], row: Any, by: int) -> None:
    """Add ``by`` to the count in which a row is."""
    if row is not None and row is not UNKNOWN:
        values = values_of(names, row)
        if values in counts:
            counts[values] += by


def relist(
    lists: dict[Key, dict[Key, Any]], names: tuple[str, ...], key: Key, row: Any, now: Any
) -> None:
    """Put ``now`` where ``row`` belongs, or take it out."""
    if row is not None and row is not UNKNOWN:
        of = lists.get(values_of(names, row))
        if of is not None and now is None:
            of.pop(key, None)
        elif of is not None:
            of[key] = now
