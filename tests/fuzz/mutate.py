"""Mutate the bytes of an input, or one node of the value that the input encodes as CBOR or JSON.

A parser that checks lengths and order refuses nearly all inputs with changed bytes at once. A value
that is changed and encoded again often passes these checks.
"""

import contextlib
import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

import cbor2

from entrenous.base.errors import Malformed
from entrenous.wire.encodings import from_base64url, to_base64url

Change = Callable[[bytes, Random], bytes]

_CHANGE_BYTES_ONE_IN: Final = 4  # one in this many mutations changes bytes, whatever they encode
_BOUNDARY_NUMBERS: Final = (
    0,
    1,
    2,
    3,
    5,
    23,
    24,
    255,
    256,
    65_535,
    2**31,
    2**53,
    2**63 - 1,
    2**64 - 1,
)
_BOUNDARY_SIZES: Final = (0, 1, 8, 15, 16, 17, 31, 32, 33, 64, 65, 96, 256)
_UNUSUAL_TEXTS: Final = (
    "",
    "a",
    "\u202e",
    "\x1b[2J",
    "\u2764",
    "a" * 65,
    "https://r.example/",
    "\x00",
)
_JSON_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, 1.5, -1, [], {}, [[]], {"a": 0}, 1e308, "2026-11-25T12:00:00.000000Z"),
    *(*_BOUNDARY_NUMBERS, *_UNUSUAL_TEXTS),
)
_ENCODED_SIZES: Final = (0, 1, 16, 31, 32, 33, 64)


def change_bytes(data: bytes, rng: Random) -> bytes:
    """Overwrite, insert, delete or duplicate a few bytes, flip single bits, or cut the end off."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, size = rng.randint(0, len(changed)), rng.choice((1, 1, 1, 2, 4, 16))
        match rng.randrange(5):
            case 0:
                changed[at : at + size] = rng.randbytes(size)
            case 1:
                changed[at:at] = rng.randbytes(size)
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = changed[at : at + size]
            case _ if rng.randrange(4) == 0:
                del changed[at:]
            case _ if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def change_cbor(data: bytes, rng: Random) -> bytes:
    """Change one node of a CBOR value, or of CBOR inside the value. Some calls, and all calls with
    malformed data, change bytes of the input instead.
    """
    if rng.randrange(_CHANGE_BYTES_ONE_IN) == 0:
        return change_bytes(data, rng)
    try:
        value = _decode_cbor(data)
    except Malformed:
        return change_bytes(data, rng)
    return _encode_cbor(change_value(value, rng), data, rng)


def change_json(data: bytes, rng: Random) -> bytes:
    """Change one node of a JSON value. Some calls, and all calls in which this fails, change bytes
    of the input instead.
    """
    if rng.randrange(_CHANGE_BYTES_ONE_IN) == 0:
        return change_bytes(data, rng)
    try:
        changed = _change_json_node(json.loads(data), rng)
        kept = json.dumps(changed, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return change_bytes(data, rng)
    return kept.encode("utf-8", "replace")


def mutation_inside(
    unwrap: Callable[[bytes], bytes], wrap: Callable[[bytes], bytes], change: Change
) -> Change:
    """Return a function that mutates the wrapped data. In some calls, and if this fails, the
    function changes bytes of the whole input instead.
    """

    def mutate(data: bytes, rng: Random) -> bytes:
        if rng.randrange(_CHANGE_BYTES_ONE_IN) == 0:
            return change_bytes(data, rng)
        try:
            return wrap(change(unwrap(data), rng))
        except (Malformed, ValueError):
            return change_bytes(data, rng)

    return mutate


def mutation_after_prefix(prefix: bytes) -> Change:
    """Return a mutation of CBOR that is encoded as base64url after a prefix."""

    def unwrap(data: bytes) -> bytes:
        return from_base64url(data.removeprefix(prefix).decode())

    return mutation_inside(
        unwrap, lambda vector_bytes: prefix + to_base64url(vector_bytes).encode(), change_cbor
    )


def _decode_cbor(data: bytes) -> Any:
    """Decode with cbor2; our own reader is instrumented during fuzzing, which makes it slower.

    Raises:
        Malformed: the bytes are not canonical CBOR.
    """
    try:
        value = cbor2.loads(data)
        is_whole = cbor2.dumps(value, canonical=True) == data
    except (ValueError, OverflowError, TypeError, EOFError, RecursionError, cbor2.CBORError):
        raise Malformed from None
    if not is_whole:
        raise Malformed
    return value


def _encode_cbor(value: Any, data: bytes, rng: Random) -> bytes:
    try:
        return cbor2.dumps(value, canonical=True)
    except (ValueError, OverflowError, TypeError, cbor2.CBORError):
        return change_bytes(data, rng)


def change_value(value: Any, rng: Random) -> Any:
    """Return the value with one random node changed, perhaps in a byte string that is CBOR."""
    if isinstance(value, list) and value and rng.randrange(5):
        at = rng.randrange(len(value))
        return [*value[:at], change_value(value[at], rng), *value[at + 1 :]]
    if isinstance(value, dict) and value and rng.randrange(5):
        key = rng.choice(list(value))
        return {**value, key: change_value(value[key], rng)}
    if isinstance(value, bytes) and len(value) > 64 and rng.randrange(2):
        with contextlib.suppress(Malformed):
            return _encode_cbor(change_value(_decode_cbor(value), rng), value, rng)
    return _replacement(value, rng)


def _replacement(value: Any, rng: Random) -> Any:
    if rng.randrange(6) == 0:
        return _random_value(rng)
    replacement = _random_value(rng)
    match value:
        case list():
            replacement = _change_list(value, replacement, rng)
        case dict():
            replacement = _change_map(value, rng)
        case bytes():
            replacement = (
                change_bytes(value, rng) if rng.randrange(2) else rng.randbytes(len(value))
            )
        case str():
            replacement = (
                value + rng.choice(_UNUSUAL_TEXTS)
                if rng.randrange(2)
                else value[: rng.randrange(9)]
            )
        case int():
            replacement = (
                max(0, value + rng.randint(-2, 2))
                if rng.randrange(2)
                else rng.choice(_BOUNDARY_NUMBERS)
            )
    return replacement


def _change_list(value: list[Any], more: Any, rng: Random) -> list[Any]:
    at = rng.randint(0, len(value))
    match rng.randrange(4):
        case 0:
            return value[:at] + value[at + 1 :]
        case 1:
            return [*value[:at], more, *value[at:]]
        case 2:
            return value[:at] + value[at - 1 :] if at else [*value, *value]
        case _:
            return value[at:] + value[:at]


def _change_map(value: dict[Any, Any], rng: Random) -> dict[Any, Any]:
    kept = dict(value)
    if kept and rng.randrange(2):
        del kept[rng.choice(list(kept))]
    else:
        kept[rng.randrange(20)] = _random_value(rng)
    return kept


def _random_value(rng: Random) -> Any:
    match rng.randrange(6):
        case 0:
            return None
        case 1:
            return rng.choice(_BOUNDARY_NUMBERS)
        case 2:
            return rng.randbytes(rng.choice(_BOUNDARY_SIZES))
        case 3:
            return rng.choice(_UNUSUAL_TEXTS)
        case 4:
            return [rng.choice(_BOUNDARY_NUMBERS), rng.randbytes(16)][: rng.randrange(3)]
        case _:
            return (
                {1: rng.choice(_BOUNDARY_NUMBERS), 2: rng.randbytes(32)} if rng.randrange(2) else {}
            )


def _change_json_node(value: Any, rng: Random) -> Any:
    if isinstance(value, list) and value and rng.randrange(5):
        at = rng.randrange(len(value))
        return [*value[:at], _change_json_node(value[at], rng), *value[at + 1 :]]
    if isinstance(value, dict) and value and rng.randrange(6):
        key = rng.choice(list(value))
        return {**value, key: _change_json_node(value[key], rng)}
    return _json_replacement(value, rng)


def _json_replacement(value: Any, rng: Random) -> Any:
    if isinstance(value, str) and rng.randrange(2):
        return _text_replacement(value, rng)
    if isinstance(value, list) and rng.randrange(2):
        return _change_list(value, rng.choice(_JSON_VALUES), rng)
    if isinstance(value, dict) and rng.randrange(2):
        return {name: one for name, one in value.items() if rng.randrange(4)}
    if isinstance(value, int) and rng.randrange(2):
        return value + rng.randint(-2, 2)
    if rng.randrange(3) == 0:
        return to_base64url(rng.randbytes(rng.choice(_ENCODED_SIZES)))
    return rng.choice(_JSON_VALUES)


def _text_replacement(value: str, rng: Random) -> str:
    """Return changed base64url, random hexadecimal digits, or the text with an unusual suffix."""
    with contextlib.suppress(Malformed):
        if rng.randrange(3):
            return to_base64url(
                change_bytes(from_base64url(value), rng)[: rng.choice(_BOUNDARY_SIZES) or None]
            )
    if value and set(value) <= set("0123456789abcdef") and rng.randrange(2):
        return rng.randbytes(len(value) // 2).hex()
    return value + rng.choice(_UNUSUAL_TEXTS)
