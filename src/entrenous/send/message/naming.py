"""A name for a new message that no other message on this device has.

Each letter that comes asks for one: what is taken is looked up, so that it costs the same however
many messages there are.
"""

import re
from typing import Final

from entrenous.model.ids import MessageName
from entrenous.model.names import message_name, name_under, place_of, places_of
from entrenous.model.received import Received
from entrenous.ports import Device
from entrenous.send.drawers import INBOX, INBOX_NAME, SELF, inbox_key, take_all

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
    device.vault.put(INBOX_NAME, place_of(received.name, holder), b"")


def _alike(name: MessageName, device: Device) -> frozenset[MessageName]:
    """The names here that differ from this one in their number at most, itself included."""
    _index(device)
    came = device.vault.keys(INBOX_NAME, places_of(name))
    return device.ledger.names_alike(name) | frozenset(map(name_under, came))


def _index(device: Device) -> None:
    """Once, if anything came before."""
    if device.vault.get(SELF, _INDEXED) is not None:
        return
    with device.vault.together():
        for received in take_all(Received, INBOX, device.vault):
            keep_name(received, device)
        device.vault.put(SELF, _INDEXED, b"")
