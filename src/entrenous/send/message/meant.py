"""Which message a name means, and which name a message has here: for replies and reactions."""

from entrenous.model.ids import MessageName
from entrenous.model.letter import ReplyTo
from entrenous.model.message import UnknownMessage
from entrenous.model.received import Received
from entrenous.ports import Device
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import INBOX, inbox_key, take
from entrenous.send.inbox import received_messages


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
    if (received := take(Received, INBOX, key, device.vault)) is not None:
        return received.name
    if meant.sender != who_am_i(device).person.id:
        return None
    try:
        return device.ledger.read(meant.message).name
    except UnknownMessage:
        return None
