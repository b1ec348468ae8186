"""An index over the names of sent messages, so that who needs a new one need not read them all."""

from typing import Final

from entrenous.craft.wire.record import unpack
from entrenous.model.ids import MessageId, MessageName
from entrenous.model.message import Message
from entrenous.model.names import name_under, place_of, places_of
from entrenous.ports import Vault

_NAMES: Final = "message-name"  # by words, number and message
_INDEXED: Final = ("message-names", "indexed")  # what was recorded before there was this index, too


def put_name(message: Message, vault: Vault) -> None:
    """Note what a message is called; call it in the transaction that records it."""
    vault.put(_NAMES, place_of(message.name, message.id.hex()), b"")


def drop_name(message: MessageId, vault: Vault) -> None:
    """Forget what a message was called."""
    for place in vault.keys(_NAMES):
        if place.endswith(message.hex()):
            vault.drop(_NAMES, place)


def names_alike(name: str, messages: str, vault: Vault) -> frozenset[MessageName]:
    """The names that have the words of this one; ``messages`` is the drawer of the messages."""
    if vault.get(*_INDEXED) is None:
        with vault.together():
            for _, record in vault.items(messages):
                put_name(unpack(Message, record), vault)
            vault.put(*_INDEXED, b"")
    return frozenset(map(name_under, vault.keys(_NAMES, places_of(name))))
