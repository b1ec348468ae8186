"""Fuzz targets for CBOR, canonical JSON, base64url, vault records and problem documents."""

from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from entrenous.base.errors import Expired, TooMany
from entrenous.base.identity import Contact
from entrenous.base.limits import PREKEY_BYTES_MAX
from entrenous.device.client.relay_request import _ERRORS_OF_RELAYS
from entrenous.device.sent_messages import Message
from entrenous.device.vault_tables import pack, unpack
from entrenous.send.people.circles import Circle
from entrenous.wire.cbor import decode, encode
from entrenous.wire.encodings import (
    canonical_json,
    from_base64url,
    read_canonical_json,
    to_base64url,
)
from entrenous.wire.problem_details import read_problem, status_of, write_problem
from tests.fuzz.mutate import change_bytes, change_cbor, change_json, change_value
from tests.fuzz.seeds import MESSAGE, NOON, vector_bytes
from tests.fuzz.target import Target, canonical_round_trip, property_check, round_trip

_RECORD_TYPES: Final = (Message, Contact, Circle)


def _read_record(untrusted: bytes) -> object:
    """Read a record. The first byte selects the type of the record."""
    return unpack(
        _RECORD_TYPES[untrusted[0] % len(_RECORD_TYPES)] if untrusted else Message, untrusted[1:]
    )


def _write_record(record: object) -> bytes:
    return bytes([_RECORD_TYPES.index(type(record))]) + pack(record)


def _change_record(record: bytes, rng: Random) -> bytes:
    try:
        changed = change_value(msgspec.msgpack.decode(record[1:]), rng)
        return record[:1] + msgspec.msgpack.encode(changed)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return change_bytes(record, rng)


def _read_problem(untrusted: bytes) -> object:
    return read_problem(untrusted, _ERRORS_OF_RELAYS)


def _does_problem_round_trip(error: Any) -> bool:
    if error is None:
        return True
    again = read_problem(write_problem(error, status_of(type(error))), _ERRORS_OF_RELAYS)
    return type(again) is type(error) and again.facts == error.facts and str(again) == str(error)


def _reader_of_latin1(read: Callable[[str], Any]) -> Callable[[bytes], Any]:
    """Turn a reader of text into a reader of bytes, which are decoded as Latin-1."""
    return lambda untrusted: read(untrusted.decode("latin-1"))


TARGETS: Final = (
    Target(
        "cbor",
        canonical_round_trip(decode, encode),
        lambda: [*vector_bytes("prekey"), *vector_bytes("header"), encode({1: [None, "a"], 2: {}})],
        change_cbor,
        input_bytes_max=PREKEY_BYTES_MAX,
    ),
    Target(
        "canonical-json",
        canonical_round_trip(read_canonical_json, canonical_json, (ValueError,)),
        lambda: [canonical_json({"a": [1, None, "\u00e9", True], "b": {}})],
        change_json,
    ),
    Target(
        "base64url",
        canonical_round_trip(
            _reader_of_latin1(from_base64url), lambda data: to_base64url(data).encode()
        ),
        lambda: [to_base64url(bytes(range(size))).encode() for size in (0, 1, 2, 3, 32)],
        input_bytes_max=256,
    ),
    Target(
        "record",
        round_trip(_read_record, _write_record),
        lambda: [_write_record(MESSAGE), b"\x01" + pack(MESSAGE), b"\x02\x80"],
        _change_record,
    ),
    Target(
        "problem",
        property_check(_read_problem, _does_problem_round_trip),
        lambda: [
            write_problem(Expired(when=NOON), 409),
            write_problem(TooMany(retry_after_s=7), 429),
        ],
        change_json,
    ),
)
