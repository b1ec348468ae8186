"""Deterministic CBOR (RFC 8949, section 4.2), restricted to what our formats need."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import cbor2

from entrenous.base.errors import Malformed

Read = TypeVar("Read")
DEPTH_MAX: Final = 8
_UINT_MAX: Final = 2**63 - 1  # what every language's integers and every database hold
_TIME_MAX: Final = 253_402_300_799  # the last second of the year 9999
_NULL: Final = 0xF6


class BadCbor(Malformed):
    """These bytes are not in the form that was agreed on, so nothing of them was used."""


@contextlib.contextmanager
def named(error: type[Malformed]) -> Iterator[None]:
    """Whatever is refused inside is refused as ``error``."""
    try:
        yield
    except BadCbor:
        raise error from None


def encode(value: object) -> bytes:
    """The one encoding of a value.

    Raises:
        ValueError: something that the reader would refuse.
    """
    encoded = cbor2.dumps(value, canonical=True)
    try:
        decode(encoded)
    except BadCbor:
        raise ValueError("this value has no place in these formats") from None
    return encoded


def written(value: object, read: Callable[[bytes], object]) -> bytes:
    """The encoding of a value that ``read`` accepts; writers use it, so that nothing else leaves.

    Raises:
        ValueError: ``read`` would refuse it at the other end.
    """
    encoded = encode(value)
    try:
        read(encoded)
    except Malformed:
        raise ValueError("a field is not what the specification allows") from None
    return encoded


def decode(untrusted: bytes) -> Any:
    """The value of one deterministic encoding, nothing before and nothing after it.

    Lists come back as ``list``, maps as ``dict`` from ``int``.

    Raises:
        BadCbor: another encoding of the same value, a type that is not used here, more than 8
            levels, or bytes that are missing or left over.
    """
    value, end = _read(untrusted, 0, 0)
    if end != len(untrusted):
        raise BadCbor
    return value


def as_uint(value: object, most: int = _UINT_MAX, least: int = 0) -> int:
    """An integer from ``least`` to ``most``."""
    if type(value) is int and least <= value <= most:
        return value
    raise BadCbor


def as_bytes(value: object, size: int) -> bytes:
    """A byte string of exactly ``size`` bytes."""
    if isinstance(value, bytes) and len(value) == size:
        return value
    raise BadCbor


def as_blob(value: object, most: int) -> bytes:
    """A byte string of at most ``most`` bytes."""
    if isinstance(value, bytes) and len(value) <= most:
        return value
    raise BadCbor


def as_text(value: object, most: int) -> str:
    """Text of at most ``most`` characters."""
    if isinstance(value, str) and len(value) <= most:
        return value
    raise BadCbor


def as_time(value: object) -> datetime:
    """A moment, from whole seconds since 1970 UTC."""
    return datetime.fromtimestamp(as_uint(value, _TIME_MAX), UTC)


def as_list(value: object, least: int, most: int) -> list[Any]:
    """A list of ``least`` to ``most`` items."""
    if isinstance(value, list) and least <= len(value) <= most:
        return value
    raise BadCbor


def as_map(value: object, keys: int) -> Mapping[int, Any]:
    """A map with the keys 1 to ``keys``, no more and no fewer."""
    if isinstance(value, dict) and list(value) == list(range(1, keys + 1)):
        return value
    raise BadCbor


def unless_null(value: object, read: Callable[[object], Read]) -> Read | None:
    """None for null, else what ``read`` makes of the value."""
    return None if value is None else read(value)


def seconds(moment: datetime) -> int:
    """Whole seconds since 1970 UTC; what is below a second is dropped."""
    return int(moment.timestamp())


def _read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > DEPTH_MAX:
        raise BadCbor
    if data[at : at + 1] == bytes([_NULL]):
        return None, at + 1
    kind, size, at = _head(data, at)
    if kind == 0:
        return size, at
    if kind in (2, 3):
        return _string(data, at, size, kind)
    if kind == 4:
        return _list(data, at, size, depth)
    if kind == 5:
        return _map(data, at, size, depth)
    raise BadCbor


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Major type, argument, and where the item's content begins; the shortest head only."""
    if at >= len(data):
        raise BadCbor
    kind, short = data[at] >> 5, data[at] & 31
    at += 1
    if short < 24:
        return kind, short, at
    width = {24: 1, 25: 2, 26: 4, 27: 8}.get(short, 0)
    argument = int.from_bytes(data[at : at + width], "big")
    least = {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}.get(width, _UINT_MAX)
    if at + width > len(data) or not least <= argument <= _UINT_MAX or width == 0:
        raise BadCbor
    return kind, argument, at + width


def _string(data: bytes, at: int, size: int, kind: int) -> tuple[bytes | str, int]:
    if size > len(data) - at:
        raise BadCbor
    found = data[at : at + size]
    if kind == 2:
        return found, at + size
    try:
        return found.decode("utf-8"), at + size
    except UnicodeDecodeError:
        raise BadCbor from None


def _list(data: bytes, at: int, size: int, depth: int) -> tuple[list[Any], int]:
    if size > len(data) - at:  # an item has at least one byte
        raise BadCbor
    found = []
    for _ in range(size):
        item, at = _read(data, at, depth + 1)
        found.append(item)
    return found, at


def _map(data: bytes, at: int, size: int, depth: int) -> tuple[dict[int, Any], int]:
    if size > len(data) - at:
        raise BadCbor
    found: dict[int, Any] = {}
    newest = -1
    for _ in range(size):
        kind, key, at = _head(data, at)
        if kind != 0 or key <= newest:  # ascending is deterministic, and leaves no twins
            raise BadCbor
        found[key], at = _read(data, at, depth + 1)
        newest = key
    return found, at
