"""The inbox: what was received, and how a message there comes to its end."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from entrenous.model.ids import MessageName
from entrenous.model.message import SentByYou, UnknownMessage
from entrenous.model.received import InboxState, Received
from entrenous.ports import Device
from entrenous.send.drawers import INBOX, inbox_key, lay, take_all
from entrenous.send.message.download import forget_parts
from entrenous.send.odd_clock import believed_now
from entrenous.send.receipts.note import note_opened
from entrenous.send.states import check_arrow

ENDED: Final = (
    *(InboxState.TAKEN_BACK, InboxState.EXPIRED, InboxState.USED_UP),
    *(InboxState.ELSEWHERE, InboxState.REMOVED),
)


def received_messages(device: Device) -> tuple[Received, ...]:
    """Everything that was received, oldest first, and messages of the same second in the order in
    which their relay took them; what has expired meanwhile is ended first, by what is believed of
    the clock.
    """
    every, now = tuple(take_all(Received, INBOX, device.vault)), believed_now(device)
    for received in every:
        if received.state not in ENDED and _is_over_at(now, received):
            settle(received, InboxState.EXPIRED, device)
    every = tuple(take_all(Received, INBOX, device.vault))
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
        settle(received, InboxState.REMOVED, device)
    return find_received(name, device)


def settle(received: Received, state: InboxState, device: Device) -> None:
    """Store a message in a new state; one that has ended loses its keys and its files.

    Raises:
        KeyError: it cannot get there from where it is: a bug.
    """
    check_arrow(received.state, state)
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
    lay(settled, INBOX, inbox_key(received.sender, received.id), device.vault)


def inbox_names(device: Device) -> frozenset[MessageName]:
    """The names that are taken by received messages."""
    return frozenset(received.name for received in take_all(Received, INBOX, device.vault))


def when_in_words(moment: datetime | None) -> str:
    """A moment for a sentence."""
    return "an earlier day" if moment is None else moment.strftime("%d %B %Y, %H:%M UTC")


def is_over(received: Received, device: Device) -> bool:
    """Whether its time is over by this device's clock, which may be odd."""
    return _is_over_at(device.clock.now(), received)


def _is_over_at(now: datetime, received: Received) -> bool:
    return received.expires_at is not None and received.expires_at <= now
