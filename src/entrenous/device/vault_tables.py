"""The names of the vault's tables, and how dataclasses are stored in them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import msgspec

from entrenous.base.errors import BadRecord
from entrenous.base.secret import Secret
from entrenous.device.device import Vault

RecordT = TypeVar("RecordT")

# Each comment names the key of a table's records, and after a colon their content. In a key, PEER
# stands for a person and a device, and INBOX for a sender and a message, because somebody else
# could use the same device id or message id.
OWN_RECORDS: Final = "own-records"  # name: records about this device itself
CONTACT: Final = "contact"  # person
INVITE: Final = "invite"  # token hash: invite links that this device made
INVITE_NOTICE: Final = "invite-notice"  # order: what became of invite links, to be shown once
# hash of the last token: tokens to register before a letter hands them out
TOKEN_REGISTRATION: Final = "token-registration"  # noqa: S105
# order: encoded changes of tokens to send to our relay
TOKEN_CHANGE_BATCH: Final = "token-change-batch"  # noqa: S105
TOKEN_WITHDRAWAL: Final = "token-withdrawal"  # noqa: S105 - hash of the last token: tokens to revoke
# hash of the last token: tokens that the relay has revoked
WITHDRAWN_TOKEN: Final = "withdrawn-token"  # noqa: S105
# PEER: the tokens with which they may write to us
ISSUED_TOKEN_RANGE: Final = "issued-token-range"  # noqa: S105
# PEER and token hash: token ranges that were replaced
RETIRED_TOKEN_RANGE: Final = "retired-token-range"  # noqa: S105
RECEIPT_COVERAGE: Final = "receipt-coverage"  # envelope: what a receipt for our copy has to cover
# relay: when we last asked whether it was restored, and its last restore
RELAY_RESTORE: Final = "relay-restore"
SENDING_DEVICE: Final = "sending-device"  # INBOX: the device that sent the message
OWED_RECEIPT: Final = (
    "owed-receipt"  # PEER, envelope and event: receipts that have not been sent yet
)
RECEIPT: Final = "receipt"  # envelope and event: receipts for our copies
# head of a device list: the key bundle that proves the receipts signed under that list
RECEIPT_KEY_BUNDLE: Final = "receipt-key-bundle"
# PEER: the tokens with which we may write to them
HELD_TOKEN_RANGE: Final = "held-token-range"  # noqa: S105
# PEER: such a token range that came with a device list that we do not know yet
ANNOUNCED_TOKEN_RANGE: Final = "announced-token-range"  # noqa: S105
PEER: Final = "peer"  # person and device: sessions
OWN_XWING_KEY: Final = "own-xwing-key"  # X-Wing key id
DRAFT: Final = "draft"  # draft: messages that have not been sent yet
OUTBOX: Final = "outbox"  # order: letters to post
COPY_DELIVERY: Final = "copy-delivery"  # envelope: copies that we sent
# envelope: copies whose recall is to be repeated at their relay
UNCONFIRMED_RECALL: Final = "unconfirmed-recall"
INBOX: Final = "inbox"  # sender and message
INBOX_NAME: Final = "inbox-name"  # a name's words and number, and INBOX: an index
TIMELINE: Final = "timeline"  # person, microsecond, sequence, side and message: an index
COPIES_BY_MESSAGE: Final = "copies-by-message"  # message and envelope: an index of COPY_DELIVERY
# INBOX: an index of messages that wait to be opened, and when each message expires
UNOPENED_MESSAGE: Final = "unopened-message"
# envelope: letters that were processed, so that a repeated one is ignored
SEEN_LETTER: Final = "seen-letter"
# sender and message: messages that have arrived, so that a repeated one is ignored
SEEN_MESSAGE: Final = "seen-message"
# person: people who used our invite and have not got our answer yet
INVITE_USE_TO_ANSWER: Final = "invite-use-to-answer"
# INBOX: messages recalled before they arrived, and the time of the notification
EARLY_RECALL: Final = "early-recall"
PARTIAL_DOWNLOAD: Final = "partial-download"  # INBOX and place: a partly downloaded blob
# INBOX and attempt: openings that have not been reported to the relay yet
UNREPORTED_OPENING: Final = "unreported-opening"
# envelope: letters that could not be decrypted, not shown to the user yet
UNDECRYPTABLE_LETTER: Final = "undecryptable-letter"
# envelope: letters that wait for a device list that we do not know yet
LETTER_AWAITING_DEVICE_LIST: Final = "letter-awaiting-device-list"
# envelope: letters of a kind that only newer programs know, not shown to the user yet
LETTER_FROM_NEWER_PROGRAM: Final = "letter-from-newer-program"
# person: the newest verified key bundle, and the heads of all verified device lists
DEVICE_LIST: Final = "device-list"
CIRCLE: Final = "circle"  # circle
SENT_RECORD: Final = (
    "sent-record"  # person, microsecond and message: the newest messages that we sent them
)
LAST_HEARD: Final = "last-heard"  # PEER: when a letter from this device last arrived
CONTACT_CHANGE: Final = "contact-change"  # order: changes of keys, not shown to the user yet
KEY_COMPARISON: Final = "key-comparison"  # person: a key comparison in progress
REACTION: Final = "reaction"  # sender, message and person
FIRST_LETTER_TOKEN: Final = "first-letter-token"  # noqa: S105 - PEER: the token of our first letter to a device
# PEER: when we last sent a device a greeting (a hello), which says how to write to us.
GREETING_SENT: Final = "greeting-sent"
# PEER: devices that have yet to get a greeting
DEVICE_TO_GREET: Final = "device-to-greet"
LINKED_DEVICE: Final = "linked-device"  # device: the person's other devices
# person: the head of a device list that a letter names and that we have not seen
DEVICE_LIST_TO_FETCH: Final = "device-list-to-fetch"
DEVICE_LIST_FORK: Final = (
    "device-list-fork"  # person: two lists that contradict each other, as evidence
)
MAILBOX_TO_DELETE: Final = "mailbox-to-delete"  # mailbox: mailboxes to be deleted
PREPARED_MAILBOX: Final = "prepared-mailbox"  # relay: mailboxes prepared for a move to that relay
FORMER_ADDRESS: Final = (
    "former-address"  # mailbox: former mailboxes, where letters may still arrive
)
# mailbox: mailboxes of removed devices that were deleted recently
DELETED_MAILBOX: Final = "deleted-mailbox"
CHANGE_TIME: Final = (
    "change-time"  # record: when it last changed, for records that our devices share
)
# device and record: which version of a shared record our other device has
SYNCED_VERSION: Final = "synced-version"
#: Tables that a rolled-back vault must not use.
TABLES_EMPTIED_AT_ROLLBACK: Final = (
    *(
        PEER,
        OWN_XWING_KEY,
        OUTBOX,
        INVITE_USE_TO_ANSWER,
        UNREPORTED_OPENING,
        INVITE,
        LETTER_AWAITING_DEVICE_LIST,
    ),
    *(
        TOKEN_REGISTRATION,
        TOKEN_CHANGE_BATCH,
        TOKEN_WITHDRAWAL,
        ISSUED_TOKEN_RANGE,
        RETIRED_TOKEN_RANGE,
        HELD_TOKEN_RANGE,
        ANNOUNCED_TOKEN_RANGE,
    ),
)


def peer_key(person: bytes, device: bytes) -> str:
    """Return the key of one person's device in tables of peers."""
    return f"{person.hex()} {device.hex()}"


def inbox_key(sender: bytes, message: bytes) -> str:
    """Return the key of one sender's message in the inbox tables."""
    return f"{sender.hex()} {message.hex()}"


@dataclass(frozen=True, slots=True)
class Table(Generic[RecordT]):
    """A table of the vault whose records are all of one dataclass.

    Each table is defined beside its dataclass.
    """

    name: str
    kind: type[RecordT]

    def load(self, key: str, vault: Vault) -> RecordT | None:
        """Return the record under this key, or None; raises BadRecord."""
        record = vault.get(self.name, key)
        return None if record is None else unpack(self.kind, record)

    def all(self, vault: Vault) -> Iterator[RecordT]:
        """Return all records, sorted by key; raises BadRecord."""
        return (unpack(self.kind, record) for _, record in vault.items(self.name))

    def store(self, record: RecordT, key: str, vault: Vault) -> None:
        """Insert or replace a record."""
        vault.put(self.name, key, pack(record))

    def has(self, key: str, vault: Vault) -> bool:
        """Return whether there is a record under this key, without decoding it."""
        return vault.get(self.name, key) is not None

    def keys(self, vault: Vault, start: str = "") -> tuple[str, ...]:
        """Return the sorted keys that begin with ``start``, without reading any record."""
        return vault.keys(self.name, start)

    def drop(self, key: str, vault: Vault) -> None:
        """Delete a record; a missing one is no error."""
        vault.drop(self.name, key)


@dataclass(frozen=True, slots=True)
class OwnRecord(Generic[RecordT]):
    """A single record about this device itself, stored in the table OWN_RECORDS."""

    key: str
    kind: type[RecordT]

    def load(self, vault: Vault) -> RecordT | None:
        """Return the record, or None; raises BadRecord."""
        return Table(OWN_RECORDS, self.kind).load(self.key, vault)

    def store(self, record: RecordT, vault: Vault) -> None:
        """Insert or replace the record."""
        Table(OWN_RECORDS, self.kind).store(record, self.key, vault)

    def drop(self, vault: Vault) -> None:
        """Delete the record; a missing one is no error."""
        vault.drop(OWN_RECORDS, self.key)


_NATIVE_TYPES: Final = (bytes, datetime)
_DECODING_ERRORS: Final = (
    msgspec.MsgspecError,
    RecursionError,
    ValueError,
    TypeError,
    OverflowError,
)


def pack(noun: object) -> bytes:
    """Encode a dataclass as MessagePack.

    Raises:
        TypeError: ``noun`` is not a dataclass, or a field has no encoding.
        ValueError: a time is not aware UTC, or an integer exceeds 64 bits.
    """
    if not is_dataclass(noun) or isinstance(noun, type):
        raise TypeError(f"only a dataclass can be packed, not {type(noun).__name__}")
    plain = _to_builtins(noun)
    _refuse_local_times(plain)
    try:
        return msgspec.msgpack.encode(plain)
    except OverflowError as why:
        raise ValueError("an integer in a record must fit 64 bits") from why


def unpack(kind: type[RecordT], untrusted_data: bytes) -> RecordT:
    """Decode what :func:`pack` wrote for type ``kind``.

    Raises BadRecord for malformed bytes, invalid values, or fields that ``kind`` lacks. The message
    names the kind and no value.
    """
    try:
        plain = msgspec.msgpack.decode(untrusted_data)
        noun = msgspec.convert(plain, kind, builtin_types=_NATIVE_TYPES, dec_hook=_decode_secret)
        again = _to_builtins(noun)
        if msgspec.msgpack.encode(again) == untrusted_data:
            return noun  # every field was kept, and times are in UTC
        _refuse_local_times(again)
    except _DECODING_ERRORS:
        raise BadRecord(kind=kind.__name__) from None
    if not _has_every_value(plain, again):
        raise BadRecord(kind=kind.__name__)
    return noun


def _to_builtins(noun: object) -> Any:
    """Convert to plain values; sets are sorted, so that equal sets give equal bytes."""
    return msgspec.to_builtins(
        noun, builtin_types=_NATIVE_TYPES, enc_hook=_encode_secret, order="deterministic"
    )


def _encode_secret(value: object) -> bytes:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} has no place in a record")


def _decode_secret(kind: type, value: object) -> Secret:
    if kind is Secret and isinstance(value, bytes):
        return Secret(value)
    raise TypeError("only a Secret is revived from bytes")


def _refuse_local_times(plain: object) -> None:
    if isinstance(plain, datetime) and plain.utcoffset() != timedelta(0):
        raise ValueError("a time in a record must be aware, in UTC")
    for part in _child_values(plain):
        _refuse_local_times(part)


def _child_values(plain: object) -> list[object]:
    if isinstance(plain, Mapping):
        return [*plain.keys(), *plain.values()]
    return list(plain) if isinstance(plain, list | tuple | set | frozenset) else []


def _has_every_value(read: object, kept: object) -> bool:
    """Return whether ``kept``, a record after conversion to its type, contains every value of
    ``read``, the record as stored.
    """
    rules: dict[type, Callable[[Any, Any], bool]] = {
        dict: _has_every_value_of_map,
        list: _has_every_value_of_list,
    }
    rule = rules.get(type(read))
    return rule(read, kept) if rule else read == kept


def _has_every_value_of_map(read: dict[object, object], kept: object) -> bool:
    return isinstance(kept, dict) and all(
        key in kept and _has_every_value(value, kept[key]) for key, value in read.items()
    )


def _has_every_value_of_list(read: list[object], kept: object) -> bool:
    return (
        isinstance(kept, list | tuple)
        and len(read) == len(kept)
        and all(map(_has_every_value, read, kept))
    )
