"""The vault's tables, and the encoding, storing and loading of dataclasses in them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from entrenous.base.errors import BadRecord
from entrenous.base.secret import Secret
from entrenous.device.device import Vault

Noun = TypeVar("Noun")
SELF: Final = "self"
CONTACT: Final = "contact-2"  # by person
INVITE: Final = "invite"  # by lock: links that this device made
LINK_NOTICE: Final = "link-notice"  # by order: what became of links, and nobody was told
CHORE: Final = "chore-2"  # by the last lock: tokens to register before a letter tells of them
BATCH: Final = "batch"  # by order: what our relay is to be told about tokens, in these very bytes
WITHDRAW: Final = "withdraw-2"  # by the last lock: tokens that shall not hold any longer
WITHDRAWN: Final = "withdrawn"  # the same, once our relay was told so
WINDOW_IN: Final = "window-in"  # as PEER: what they may write to us with
WINDOW_OLD: Final = "window-old"  # as PEER, and a lock: windows that were replaced
COVERED: Final = "covered"  # by envelope: what a receipt for a copy of ours has to cover
RESTORED: Final = "restored"  # by relay: when it was asked, and was last restored by then
SENT_FROM: Final = "sent-from"  # as INBOX: the device that wrote it
OWED: Final = "owed"  # as PEER, envelope and event: receipts that have not left yet
RECEIPT: Final = "receipt"  # by envelope and event: receipts for copies of ours
RECEIPT_CARD: Final = "receipt-card"  # by head: the card that proves whose receipts these are
WINDOW_OUT: Final = "window-out"  # as PEER: what we may write to them with
WINDOW_TOLD: Final = "window-told"  # as PEER: the same, under a list that we do not know yet
PEER: Final = "peer-2"  # by person and device: a device id alone could be claimed by another
OWN_KEY: Final = "own-key-2"  # by X-Wing key id
OUTBOX: Final = "outbox"  # by order
SEALED: Final = "sealed"  # by envelope
OVERTAKEN: Final = (
    "overtaken"  # by envelope: taken back, and its relay did not know it yet, or was away
)
INBOX: Final = "inbox-2"  # by sender and message: a message id alone could be claimed by another
INBOX_NAME: Final = "inbox-name"  # by a message's words and number, and as INBOX: an index
SEEN: Final = "seen"  # by envelope
SEEN_MESSAGE: Final = "seen-message"  # by sender and message
GREET: Final = "greet"  # by person: who used our invite and has not been answered yet
RECALLED: Final = (
    "recalled"  # as INBOX: taken back before it came, and the second when that was heard
)
DOWNLOAD: Final = "download"  # as INBOX, and place: a blob of which a part is here
FINISH: Final = "finish-2"  # as INBOX, and attempt: what was opened, and its relay does not know
ASIDE: Final = "aside"  # by envelope: could not be opened, and nobody has been told
LATE: Final = "late"  # by envelope: names a list that we do not know yet
NEWER: Final = "newer"  # by envelope: of a kind that a newer program knows, and nobody was told
LIST: Final = "list"  # by person: the newest proven card, and every head that was proven
CIRCLE: Final = "circle"  # by circle
TALK: Final = "talk"  # by person, microsecond and message: the newest that we sent her
HEARD: Final = "heard"  # as PEER: when a letter from this device last came
CHANGED: Final = "changed"  # by order: what changed about somebody's keys, and nobody was told
COMPARE: Final = "compare"  # by person: keys that are being compared
REACTION: Final = "reaction"  # by sender, message and person: what was answered in a sign
FIRST_TOKEN: Final = "first-token"  # noqa: S105 - as PEER: with which we may write to a device
GREETED: Final = "greeted"  # as PEER: devices that we told how to write to us, and when
GREET_DEVICE: Final = "greet-device"  # as PEER: those that we have yet to tell
SIBLING: Final = "sibling"  # by device: other devices of the same person
NAMED: Final = "named"  # by person: a list that a letter names, and that we have not seen
FORK: Final = "fork"  # by person: two lists that contradict each other, as evidence
CLOSE: Final = "close"  # by mailbox: that are to be deleted
NEXT_HOME: Final = "next-home"  # by relay: where we may be about to move
OLD_HOME: Final = "old-home"  # by mailbox: where we were, and mail may still come
CLOSED: Final = "closed"  # by mailbox: of devices that are none any more, deleted lately
STAMP: Final = "stamp"  # by record: when what our other devices should know changed
TOLD: Final = "told"  # by device and record: what our other devices know


def peer_key(person: bytes, device: bytes) -> str:
    """Return the key of one person's device in tables of peers."""
    return f"{person.hex()} {device.hex()}"


def inbox_key(sender: bytes, message: bytes) -> str:
    """Return the key of one sender's message in the inbox tables."""
    return f"{sender.hex()} {message.hex()}"


def load_record(kind: type[Noun], drawer: str, key: str, vault: Vault) -> Noun | None:
    """Return the object under this key, or None; raises BadRecord."""
    record = vault.get(drawer, key)
    return None if record is None else unpack(kind, record)


def load_records(kind: type[Noun], drawer: str, vault: Vault) -> Iterator[Noun]:
    """Return all objects of a table, sorted by key; raises BadRecord."""
    return (unpack(kind, record) for _, record in vault.items(drawer))


def store_record(noun: object, drawer: str, key: str, vault: Vault) -> None:
    """Insert or replace an object."""
    vault.put(drawer, key, pack(noun))


_NATIVE: Final = (bytes, datetime)
_BROKEN: Final = (msgspec.MsgspecError, RecursionError, ValueError, TypeError, OverflowError)


def pack(noun: object) -> bytes:
    """Encode a dataclass as MessagePack.

    Raises:
        TypeError: ``noun`` is not a dataclass, or a field has no encoding.
        ValueError: a time is not aware UTC, or an integer exceeds 64 bits.
    """
    if not is_dataclass(noun) or isinstance(noun, type):
        raise TypeError(f"only a dataclass can be packed, not {type(noun).__name__}")
    plain = _plain(noun)
    _refuse_local_times(plain)
    try:
        return msgspec.msgpack.encode(plain)
    except OverflowError as why:
        raise ValueError("an integer in a record must fit 64 bits") from why


def unpack(kind: type[Noun], untrusted_data: bytes) -> Noun:
    """Decode what :func:`pack` wrote for type ``kind``.

    Raises BadRecord for malformed bytes, invalid values, or fields that ``kind`` lacks. The message
    names the kind and no value.
    """
    try:
        plain = msgspec.msgpack.decode(untrusted_data)
        noun = msgspec.convert(plain, kind, builtin_types=_NATIVE, dec_hook=_revive)
        again = _plain(noun)
        if msgspec.msgpack.encode(again) == untrusted_data:
            return noun  # nothing was lost, and MessagePack times decode as UTC
        _refuse_local_times(again)
    except _BROKEN:
        raise BadRecord(kind=kind.__name__) from None
    if not _survived(plain, again):
        raise BadRecord(kind=kind.__name__)
    return noun


def _plain(noun: object) -> Any:
    """Convert to plain values; sets are sorted, since their iteration order may differ."""
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
    """Return whether everything that was read is still in ``kept``."""
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
