"""The inbox: received messages, their expiry and removal, and the names of messages."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from entrenous.base.identifiers import (
    MessageName,
    generate_message_name,
    name_from_index_key,
    name_index_key,
    name_index_prefix,
)
from entrenous.device.device import Device
from entrenous.device.identities import own_device
from entrenous.device.sent_messages import UnknownMessage
from entrenous.device.vault_tables import (
    INBOX_NAME,
    OWN_RECORDS,
    OwnRecord,
    inbox_key,
)
from entrenous.send.clock_sanity import time_certainly_passed
from entrenous.send.letter.letter_nouns import MessageReference
from entrenous.send.letter.receipts import owe_opening_receipt
from entrenous.send.message.blob_transfer import delete_partial_downloads
from entrenous.send.message.draft import CannotOpenOwnMessage
from entrenous.send.message.states import (
    INBOX_TABLE,
    InboxState,
    ReceivedMessage,
    check_inbox_transition,
)
from entrenous.send.message_index import index_received

ENDED_STATES: Final = (
    *(InboxState.TAKEN_BACK, InboxState.EXPIRED, InboxState.USED_UP),
    *(InboxState.ELSEWHERE, InboxState.REMOVED),
)


def received_messages(device: Device) -> tuple[ReceivedMessage, ...]:
    """Return all received messages, sorted by the time of sending. Messages with the same time are
    in the order in which the relay accepted them.

    Messages whose expiry has certainly passed (send/clock_sanity.py) are marked as expired first.
    """
    now = time_certainly_passed(device)
    messages = [
        _with_expiry_applied(now, one, device) for one in tuple(INBOX_TABLE.all(device.vault))
    ]
    return tuple(sorted(messages, key=lambda received: (received.sent_at, received.sequence)))


@dataclass(frozen=True, slots=True)
class _ExpiryCheck:
    """The hour of the latest :func:`expire_messages`."""

    hour: datetime


_EXPIRY_CHECK_RECORD: Final = OwnRecord("expiry-check", _ExpiryCheck)


def expire_messages(device: Device) -> None:
    """Mark the messages whose expiry has certainly passed as expired, which deletes their keys,
    files and text.

    This reads every message, so it is done once an hour: messages expire at a whole hour.
    """
    check = _ExpiryCheck(time_certainly_passed(device).replace(minute=0, second=0, microsecond=0))
    if _EXPIRY_CHECK_RECORD.load(device.vault) != check:
        received_messages(device)
        _EXPIRY_CHECK_RECORD.store(check, device.vault)


def received_message_by_key(key: str, device: Device) -> ReceivedMessage | None:
    """Return the message under this ``inbox_key``, or None. If its expiry has certainly passed, the
    message is marked as expired first.
    """
    received = INBOX_TABLE.load(key, device.vault)
    return (
        None
        if received is None
        else _with_expiry_applied(time_certainly_passed(device), received, device)
    )


def _with_expiry_applied(
    now: datetime, received: ReceivedMessage, device: Device
) -> ReceivedMessage:
    if received.state in ENDED_STATES or not _has_expired_by(now, received):
        return received
    return store_message_state(received, InboxState.EXPIRED, device)


def find_received_message(name: str, device: Device) -> ReceivedMessage:
    """Return the received message with this name.

    Raises:
        CannotOpenOwnMessage, UnknownMessage.
    """
    received = received_message_named(name, device)
    if received is not None:
        return received
    if name in device.ledger.names_with_same_words(name):
        raise CannotOpenOwnMessage(name=name)
    raise UnknownMessage(name=name)


def received_message_named(name: str, device: Device) -> ReceivedMessage | None:
    """Return the received message with this name, or None."""
    _complete_name_index(device)
    start = name_index_key(name, "")
    for key in device.vault.keys(INBOX_NAME, start):
        received = received_message_by_key(key.removeprefix(start), device)
        if received is not None and received.name == name:
            return received
    return None


def remove_received_message(name: str, device: Device) -> ReceivedMessage:
    """Remove a received message from this device for good, opened or not, without notifying
    anybody. A message that has already ended stays as it is.

    Raises:
        CannotOpenOwnMessage, UnknownMessage.
    """
    received = find_received_message(name, device)
    if received.state in ENDED_STATES:
        return received
    return store_message_state(received, InboxState.REMOVED, device)


def store_message_state(
    received: ReceivedMessage, state: InboxState, device: Device
) -> ReceivedMessage:
    """Store a message in a new state, and return the stored version. If the message ends, its keys
    and files are deleted.

    Raises:
        KeyError: the transition is not in the table, which is a bug.
    """
    check_inbox_transition(received.state, state)
    updated = replace(received, state=state)
    if received.state is InboxState.WAITING and state is InboxState.OPENED:
        owe_opening_receipt(received, device)
    if state in ENDED_STATES:
        updated = replace(updated, manifest=None, attempt=None, kept=(), key=None, text=None)
        delete_partial_downloads(received, device.vault)
        for blob in received.kept:
            # Delete files first: a crash in between leaves a record without a file, never an
            # orphaned file.
            device.vault.delete_file(blob)
    INBOX_TABLE.store(updated, inbox_key(received.sender, received.id), device.vault)
    index_received(updated, device.vault)
    return updated


def inbox_message_names(device: Device) -> frozenset[MessageName]:
    return frozenset(received.name for received in INBOX_TABLE.all(device.vault))


def has_expired(received: ReceivedMessage, device: Device) -> bool:
    """Return whether a message has expired by this device's clock, which may be wrong."""
    return _has_expired_by(device.clock.now(), received)


def text_to_show(received: ReceivedMessage, device: Device) -> str | None:
    """Return the text of a message; None if it has none here, or if the message has expired, even
    if only by a clock that may be wrong.
    """
    return None if has_expired(received, device) else received.text


def _has_expired_by(now: datetime, received: ReceivedMessage) -> bool:
    return received.expires_at is not None and received.expires_at <= now


_NAME_INDEX_COMPLETE_KEY: Final = "inbox-names-indexed"  # set once older messages are indexed too
_NAME_PATTERN: Final = re.compile(r"([1-9][0-9]{0,8})-([a-z]+-[a-z]+)")


def new_message_name(device: Device) -> MessageName:
    """Return a new message name such as "7-lunar-otter"."""
    randomness = device.random_source.token(3)
    return generate_message_name(
        randomness, _names_with_same_words(generate_message_name(randomness, ()), device)
    )


def is_message_name(name: str) -> bool:
    """Return whether a name has the form of :func:`new_message_name`, safe as a file name."""
    return _NAME_PATTERN.fullmatch(name) is not None


def free_message_name(wanted: MessageName, device: Device) -> MessageName:
    """Return the name for a received message, with the next free number if the name is in use here.

    The sender, perhaps a stranger, chose the name, and files are named after messages. So a name
    that does not have the usual form is replaced by a new one.
    """
    usual = _NAME_PATTERN.fullmatch(wanted)
    if usual is None:
        return new_message_name(device)
    taken, number, name = _names_with_same_words(wanted, device), int(usual[1]), wanted
    while name in taken:
        number += 1
        name = MessageName(f"{number}-{usual[2]}")
    return name


def index_message_name(received: ReceivedMessage, device: Device) -> None:
    """Index a received message's name; call it in the transaction that stores the message."""
    holder = inbox_key(received.sender, received.id)
    device.vault.put(INBOX_NAME, name_index_key(received.name, holder), b"")


def _names_with_same_words(name: MessageName, device: Device) -> frozenset[MessageName]:
    """Return the names on this device that are equal to ``name`` except for the number."""
    _complete_name_index(device)
    indexed = device.vault.keys(INBOX_NAME, name_index_prefix(name))
    return device.ledger.names_with_same_words(name) | frozenset(map(name_from_index_key, indexed))


def _complete_name_index(device: Device) -> None:
    """Index the messages that were received before the index existed, once."""
    if device.vault.get(OWN_RECORDS, _NAME_INDEX_COMPLETE_KEY) is not None:
        return
    with device.vault.transaction():
        for received in INBOX_TABLE.all(device.vault):
            index_message_name(received, device)
        device.vault.put(OWN_RECORDS, _NAME_INDEX_COMPLETE_KEY, b"")


def reference_to_message(name: str, device: Device) -> MessageReference:
    """Return the author and the id of the message with this name that we sent or received.

    Raises:
        UnknownMessage, DeviceWithoutRelay.
    """
    received = received_message_named(name, device)
    if received is not None:
        return MessageReference(received.sender, received.id)
    return MessageReference(own_device(device).person.id, device.ledger.message_named(name).id)


def name_of_message(meant: MessageReference, device: Device) -> MessageName | None:
    """Return the name of a message on this device; None if it is not here."""
    key = inbox_key(meant.sender, meant.message)
    if (received := INBOX_TABLE.load(key, device.vault)) is not None:
        return received.name
    if meant.sender != own_device(device).person.id:
        return None
    try:
        return device.ledger.message(meant.message).name
    except UnknownMessage:
        return None
