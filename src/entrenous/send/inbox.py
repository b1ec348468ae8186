"""The inbox: what was received, and how a message there ends.

With the names of messages: a unique one for each new message, and which message a name means.
"""

import re
from dataclasses import replace
from datetime import datetime
from typing import Final

from entrenous.base.identifiers import (
    MessageName,
    message_name,
    name_from_index_key,
    name_index_key,
    name_index_prefix,
)
from entrenous.device.device import Device
from entrenous.device.identities import who_am_i
from entrenous.device.sent_messages import UnknownMessage
from entrenous.device.vault_tables import (
    INBOX,
    INBOX_NAME,
    SELF,
    inbox_key,
    load_record,
    load_records,
    store_record,
)
from entrenous.send.clock_sanity import believed_now
from entrenous.send.letter.letter_nouns import ReplyTo
from entrenous.send.letter.receipts_owed import note_opened
from entrenous.send.message.blob_transfer import forget_parts
from entrenous.send.message.draft import SentByYou
from entrenous.send.message.states import InboxState, Received, check_transition

ENDED: Final = (
    *(InboxState.TAKEN_BACK, InboxState.EXPIRED, InboxState.USED_UP),
    *(InboxState.ELSEWHERE, InboxState.REMOVED),
)


def received_messages(device: Device) -> tuple[Received, ...]:
    """Everything that was received, oldest first, and messages of the same second in the order in
    which their relay took them; what has expired meanwhile is ended first, by what is believed of
    the clock.
    """
    every, now = tuple(load_records(Received, INBOX, device.vault)), believed_now(device)
    for received in every:
        if received.state not in ENDED and _is_over_at(now, received):
            store_message_state(received, InboxState.EXPIRED, device)
    every = tuple(load_records(Received, INBOX, device.vault))
    return tuple(sorted(every, key=lambda received: (received.sent_at, received.sequence)))


def find_received(name: str, device: Device) -> Received:
    """The received message of that name.

    Raises:
        SentByYou, UnknownMessage: there is none.
    """
    for received in received_messages(device):
        if received.name == name:
            return received
    if any(message.name == name for message in device.ledger.messages()):
        raise SentByYou(name=name)
    raise UnknownMessage(name=name)


def remove_received(name: str, device: Device) -> Received:
    """Remove a received message from this device for good, opened or not; nobody is told. One that
    has ended has nothing left to be removed.

    Raises:
        SentByYou, UnknownMessage.
    """
    received = find_received(name, device)
    if received.state not in ENDED:
        store_message_state(received, InboxState.REMOVED, device)
    return find_received(name, device)


def store_message_state(received: Received, state: InboxState, device: Device) -> None:
    """Store a message in a new state; one that has ended loses its keys and its files.

    Raises:
        KeyError: it cannot get there from where it is: a bug.
    """
    check_transition(received.state, state)
    settled = replace(received, state=state)
    if received.state is InboxState.WAITING and state is InboxState.OPENED:
        note_opened(received, device)
    if state in ENDED:
        settled = replace(settled, manifest=None, attempt=None, kept=(), key=None, text=None)
        forget_parts(received, device.vault)
        for blob in received.kept:
            # First, so that a crash in between leaves a record without a file and never a file
            # that nobody knows of.
            device.vault.forget(blob)
    store_record(settled, INBOX, inbox_key(received.sender, received.id), device.vault)


def inbox_names(device: Device) -> frozenset[MessageName]:
    """The names that are taken by received messages."""
    return frozenset(received.name for received in load_records(Received, INBOX, device.vault))


def has_expired(received: Received, device: Device) -> bool:
    """Whether its time is over by this device's clock, which may be odd."""
    return _is_over_at(device.clock.now(), received)


def _is_over_at(now: datetime, received: Received) -> bool:
    return received.expires_at is not None and received.expires_at <= now


_INDEXED: Final = "inbox-names-indexed"  # what came before there was this index is in it
_USUAL: Final = re.compile(r"([1-9][0-9]{0,8})-([a-z]+-[a-z]+)")


def new_name(device: Device) -> MessageName:
    """Like "7-lunar-otter"."""
    randomness = device.dice.token(3)
    return message_name(randomness, _alike(message_name(randomness, ()), device))


def is_usual(name: str) -> bool:
    """Whether a name has the form of :func:`new_name`, so that a file may be called after it."""
    return _USUAL.fullmatch(name) is not None


def free_message_name(wanted: MessageName, device: Device) -> MessageName:
    """A received message's own name, or the next number of it when this device has that one.

    Files are called after messages, and a stranger chose this name: one of another form is not
    used.
    """
    usual = _USUAL.fullmatch(wanted)
    if usual is None:
        return new_name(device)
    taken, number, name = _alike(wanted, device), int(usual[1]), wanted
    while name in taken:
        number += 1
        name = MessageName(f"{number}-{usual[2]}")
    return name


def keep_name(received: Received, device: Device) -> None:
    """Note what a received message is called; call it in the transaction that stores it."""
    holder = inbox_key(received.sender, received.id)
    device.vault.put(INBOX_NAME, name_index_key(received.name, holder), b"")


def _alike(name: MessageName, device: Device) -> frozenset[MessageName]:
    """The names here that differ from this one in their number at most, itself included."""
    _index(device)
    came = device.vault.keys(INBOX_NAME, name_index_prefix(name))
    return device.ledger.names_alike(name) | frozenset(map(name_from_index_key, came))


def _index(device: Device) -> None:
    """Once, if anything came before."""
    if device.vault.get(SELF, _INDEXED) is not None:
        return
    with device.vault.together():
        for received in load_records(Received, INBOX, device.vault):
            keep_name(received, device)
        device.vault.put(SELF, _INDEXED, b"")


def message_meant(name: str, device: Device) -> ReplyTo:
    """The message of this name that we sent or received.

    Raises:
        UnknownMessage, OfflineDevice.
    """
    for received in received_messages(device):
        if received.name == name:
            return ReplyTo(received.sender, received.id)
    return ReplyTo(who_am_i(device).person.id, device.ledger.find(name).id)


def name_meant(meant: ReplyTo, device: Device) -> MessageName | None:
    """What that message is called on this device; None when it is not here."""
    key = inbox_key(meant.sender, meant.message)
    if (received := load_record(Received, INBOX, key, device.vault)) is not None:
        return received.name
    if meant.sender != who_am_i(device).person.id:
        return None
    try:
        return device.ledger.read(meant.message).name
    except UnknownMessage:
        return None
