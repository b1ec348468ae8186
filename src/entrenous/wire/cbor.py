"""Deterministic CBOR (RFC 8949, section 4.2), restricted to what this project's formats need."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import cbor2

from entrenous.base.errors import Malformed

ReadT = TypeVar("ReadT")
DEPTH_MAX: Final = 8
_UINT_MAX: Final = 2**63 - 1  # fits into a signed 64-bit integer, the usual type in databases
_UNIX_SECONDS_MAX: Final = 253_402_300_799  # the last second of the year 9999
_NULL_BYTE: Final = 0xF6


class BadCbor(Malformed):
    """This data is not in the expected format (CBOR), so it was not used."""


@contextlib.contextmanager
def bad_cbor_as(error: type[Malformed]) -> Iterator[None]:
    """Raise ``error`` in place of any BadCbor that is raised inside the block."""
    try:
        yield
    except BadCbor:
        raise error from None


def encode(value: object) -> bytes:
    """Return the only valid encoding of a value.

    Raises:
        ValueError: :func:`decode` would refuse the value.
    """
    encoded = cbor2.dumps(value, canonical=True)
    try:
        decode(encoded)
    except BadCbor:
        raise ValueError("this value is not allowed in these formats") from None
    return encoded


def encode_checked(value: object, read: Callable[[bytes], object]) -> bytes:
    """Encode a value, and check that ``read`` accepts it, so that nothing unreadable is sent.

    Raises: ValueError: ``read`` refuses the encoding, so the recipient would refuse it too.
    """
    encoded = encode(value)
    try:
        read(encoded)
    except Malformed:
        raise ValueError("a field is not what the specification allows") from None
    return encoded


def decode(untrusted: bytes) -> Any:
    """Decode a single value from its deterministic encoding.

    Lists are returned as ``list``, maps as ``dict`` with ``int`` keys.

    Raises:
        BadCbor: this is not the deterministic encoding, it has an unsupported type or more than 8
            levels of nesting, or bytes are missing or left over.
    """
    value, end = _decode_value(untrusted, 0, 0)
    if end != len(untrusted):
        raise BadCbor
    return value


def as_uint(value: object, most: int = _UINT_MAX, least: int = 0) -> int:
    """Check that a decoded value is an integer from ``least`` to ``most``, and return it."""
    if type(value) is int and least <= value <= most:
        return value
    raise BadCbor


def as_bytes(value: object, size: int) -> bytes:
    """Check that a decoded value is a byte string of exactly ``size`` bytes, and return it."""
    if isinstance(value, bytes) and len(value) == size:
        return value
    raise BadCbor


def as_bytes_up_to(value: object, most: int) -> bytes:
    """Check that a decoded value is a byte string of at most ``most`` bytes, and return it."""
    if isinstance(value, bytes) and len(value) <= most:
        return value
    raise BadCbor


def as_text(value: object, most: int) -> str:
    """Check that a decoded value is text of at most ``most`` characters, and return it."""
    if isinstance(value, str) and len(value) <= most:
        return value
    raise BadCbor


def as_time(value: object) -> datetime:
    """Check that a decoded value is whole seconds since 1970 UTC; return that time."""
    return datetime.fromtimestamp(as_uint(value, _UNIX_SECONDS_MAX), UTC)


def as_list(value: object, least: int, most: int) -> list[Any]:
    """Check that a decoded value is a list of ``least`` to ``most`` items, and return it."""
    if isinstance(value, list) and least <= len(value) <= most:
        return value
    raise BadCbor


def as_map(value: object, keys: int) -> Mapping[int, Any]:
    """Check that a decoded value is a map with exactly the keys 1 to ``keys``, and return it."""
    if isinstance(value, dict) and list(value) == list(range(1, keys + 1)):
        return value
    raise BadCbor


def parse_optional(value: object, read: Callable[[object], ReadT]) -> ReadT | None:
    """Return None for null, and otherwise the result of ``read`` for the value."""
    return None if value is None else read(value)


def to_unix_seconds(moment: datetime) -> int:
    """Return a time as whole seconds since 1970 UTC; fractions are dropped."""
    return int(moment.timestamp())


def _decode_value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > DEPTH_MAX:
        raise BadCbor
    if data[at : at + 1] == bytes([_NULL_BYTE]):
        return None, at + 1
    kind, size, at = _decode_item_head(data, at)
    if kind == 0:
        return size, at
    if kind in (2, 3):
        return _decode_string(data, at, size, kind)
    if kind == 4:
        return _decode_list(data, at, size, depth)
    if kind == 5:
        return _decode_map(data, at, size, depth)
    raise BadCbor


def _decode_item_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Parse the head of an item, which must have its shortest form.

    Return the major type, the argument, and the offset at which the item's content begins.
    """
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


def _decode_string(data: bytes, at: int, size: int, kind: int) -> tuple[bytes | str, int]:
    if size > len(data) - at:
        raise BadCbor
    found = data[at : at + size]
    if kind == 2:
        return found, at + size
    try:
        return found.decode("utf-8"), at + size
    except UnicodeDecodeError:
        raise BadCbor from None


def _decode_list(data: bytes, at: int, size: int, depth: int) -> tuple[list[Any], int]:
    # each item takes at least one byte, so a list cannot have more items than there are bytes left
    if size > len(data) - at:
        raise BadCbor
    found = []
    for _ in range(size):
        item, at = _decode_value(data, at, depth + 1)
        found.append(item)
    return found, at


def _decode_map(data: bytes, at: int, size: int, depth: int) -> tuple[dict[int, Any], int]:
    if size > len(data) - at:
        raise BadCbor
    found: dict[int, Any] = {}
    newest = -1
    for _ in range(size):
        kind, key, at = _decode_item_head(data, at)
        # ascending keys make the order deterministic and exclude duplicates
        if kind != 0 or key <= newest:
            raise BadCbor
        found[key], at = _decode_value(data, at, depth + 1)
        newest = key
    return found, at
