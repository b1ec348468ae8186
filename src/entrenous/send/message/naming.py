"""A name for a new message that no other message on this device has."""

import re
from typing import Final

from entrenous.model.ids import MessageName
from entrenous.model.names import message_name
from entrenous.ports import Device
from entrenous.send.inbox import inbox_names

_USUAL: Final = re.compile(r"([1-9][0-9]{0,8})-([a-z]+-[a-z]+)")


def new_name(device: Device) -> MessageName:
    """Like "7-lunar-otter"."""
    return message_name(device.dice.token(3), _taken(device))


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
    taken, number, name = _taken(device), int(usual[1]), wanted
    while name in taken:
        number += 1
        name = MessageName(f"{number}-{usual[2]}")
    return name


def _taken(device: Device) -> frozenset[MessageName]:
    sent = frozenset(message.name for message in device.ledger.messages())
    return sent | inbox_names(device)
