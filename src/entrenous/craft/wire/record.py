"""Nouns to bytes and back, for this device's own vault.

A record is MessagePack: a noun is a map from field names to values, in the order of its fields;
an enum is its value, a time is MessagePack's timestamp (extension -1), a :class:`Secret` is its
bytes. A field may be any noun, ``None``, ``bool``, ``int``, ``float``, ``str``, ``bytes``, an aware
UTC ``datetime``, an enum, a ``tuple``, a ``frozenset`` or a ``Mapping`` of these. A union of two
nouns is not possible: nothing in the bytes says which one was meant.

Versions: a record that lacks a field takes the field's default, so a noun may gain fields that have
one. A record with *more* than the noun holds is refused, never trimmed: writing it back would lose
what a newer version had stored.

Records stay in the vault. Nothing here is for signing: equal nouns may have several byte forms.
"""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from entrenous.model.record import BadRecord
from entrenous.model.secret import Secret

Noun = TypeVar("Noun")

_NATIVE: Final = (bytes, datetime)
_BROKEN: Final = (msgspec.MsgspecError, RecursionError, ValueError, TypeError, OverflowError)


def pack(noun: object) -> bytes:
    """The bytes of one noun.

    Raises:
        TypeError: ``noun`` is not a dataclass, or a field holds something that has no byte form.
        ValueError: a time is not aware UTC, or an integer does not fit 64 bits.
    """
    if not is_dataclass(noun) or isinstance(noun, type):
        raise TypeError(f"only a noun can be packed, not {type(noun).__name__}")
    plain = _plain(noun)
    _refuse_local_times(plain)
    try:
        return msgspec.msgpack.encode(plain)
    except OverflowError as why:
        raise ValueError("an integer in a record must fit 64 bits") from why


def unpack(kind: type[Noun], untrusted_data: bytes) -> Noun:
    """The noun of type ``kind`` that :func:`pack` wrote as ``untrusted_data``.

    Raises:
        BadRecord: not a record, not of this kind, values its noun refuses, or fields that ``kind``
            does not have. The message names the kind and never a value.
    """
    try:
        plain = msgspec.msgpack.decode(untrusted_data)
        noun = msgspec.convert(plain, kind, builtin_types=_NATIVE, dec_hook=_revive)
        again = _plain(noun)
        if msgspec.msgpack.encode(again) == untrusted_data:
            return noun  # nothing was lost; and a time that was read from MessagePack is in UTC
        _refuse_local_times(again)
    except _BROKEN:
        raise BadRecord(kind=kind.__name__) from None
    if not _survived(plain, again):
        raise BadRecord(kind=kind.__name__)
    return noun


def _plain(noun: object) -> Any:
    """Plain values; sets in one order, since equal sets may be walked in different ones."""
    return msgspec.to_builtins(noun, builtin_types=_NATIVE, enc_hook=_reduce, order="deterministic")


def _reduce(value: object) -> bytes:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} has no place in a record")


def _revive(kind: type, value: object) -> Secret:
    if kind is Secret and isinstance(value, bytes):
        return Secret(value)
    raise TypeError("only a Secret is revived from bytes")


def _refuse_local_times(plain: object) -> None:
    if isinstance(plain, datetime) and plain.utcoffset() != timedelta(0):
        raise ValueError("a time in a record must be aware, in UTC")
    for part in _parts(plain):
        _refuse_local_times(part)


def _parts(plain: object) -> list[object]:
    if isinstance(plain, Mapping):
        return [*plain.keys(), *plain.values()]
    return list(plain) if isinstance(plain, list | tuple | set | frozenset) else []


def _survived(read: object, kept: object) -> bool:
    """Whether everything that was read is still there in what the noun kept."""
    rules: dict[type, Callable[[Any, Any], bool]] = {dict: _map_survived, list: _list_survived}
    rule = rules.get(type(read))
    return rule(read, kept) if rule else read == kept


def _map_survived(read: dict[object, object], kept: object) -> bool:
    return isinstance(kept, dict) and all(
        key in kept and _survived(value, kept[key]) for key, value in read.items()
    )


def _list_survived(read: list[object], kept: object) -> bool:
    return (
        isinstance(kept, list | tuple)
        and len(read) == len(kept)
        and all(map(_survived, read, kept))
    )
