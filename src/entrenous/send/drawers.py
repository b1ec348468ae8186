"""The drawers of the vault that sending uses, and how nouns go in and come out."""

from collections.abc import Iterator
from typing import Final, TypeVar

from entrenous.craft.wire.record import pack, unpack
from entrenous.ports import Vault

Noun = TypeVar("Noun")

SELF: Final = "self"
# Those that end in 2 hold other nouns than version 1 laid under the bare name (devices/renew.py).
CONTACT: Final = "contact-2"  # by person
INVITE: Final = "invite"  # by lock
CHORE: Final = "chore"  # by lock: tokens to register before the next letter leaves
GIVEN: Final = "given"  # by person and lock: tokens with which somebody may write to us
WITHDRAW: Final = "withdraw"  # by lock: tokens that shall not hold any longer
PEER: Final = "peer-2"  # by person and device: a device id alone could be claimed by another
OWN_KEY: Final = "own-key-2"  # by X-Wing key id
OUTBOX: Final = "outbox"  # by order
SEALED: Final = "sealed"  # by envelope
INBOX: Final = "inbox-2"  # by sender and message: a message id alone could be claimed by another
SEEN: Final = "seen"  # by envelope
SEEN_MESSAGE: Final = "seen-message"  # by sender and message
GREET: Final = "greet"  # by person: who used our invite and has not been answered yet
RECALLED: Final = "recalled"  # as INBOX: taken back before it came
FINISH: Final = "finish"  # as INBOX: what was opened, and the relay does not know it is on disk
ASIDE: Final = "aside"  # by envelope: could not be opened, and nobody has been told
NEWER: Final = "newer"  # by envelope: of a kind that a newer program knows, and nobody was told
LIST: Final = "list"  # by person: the newest proven card, and every head that was proven
CIRCLE: Final = "circle"  # by circle
TALK: Final = "talk"  # by person, second and message: the newest that we sent her
HEARD: Final = "heard"  # as PEER: when a letter from this device last came
CHANGED: Final = "changed"  # by order: what changed about somebody's keys, and nobody was told
COMPARE: Final = "compare"  # by person: keys that are being compared


def peer_key(person: bytes, device: bytes) -> str:
    """The key of one person's device in the drawer of peers."""
    return f"{person.hex()} {device.hex()}"


def given_key(person: bytes, lock: bytes) -> str:
    """The key of a token that a person was given; without a lock, how all of hers begin."""
    return f"{person.hex()} {lock.hex()}"


def inbox_key(sender: bytes, message: bytes) -> str:
    """The key of one sender's message in the drawers of the inbox."""
    return f"{sender.hex()} {message.hex()}"


def take(kind: type[Noun], drawer: str, key: str, vault: Vault) -> Noun | None:
    """The noun under this key, or None."""
    record = vault.get(drawer, key)
    return None if record is None else unpack(kind, record)


def take_all(kind: type[Noun], drawer: str, vault: Vault) -> Iterator[Noun]:
    """Every noun of a drawer, sorted by key."""
    return (unpack(kind, record) for _, record in vault.items(drawer))


def lay(noun: object, drawer: str, key: str, vault: Vault) -> None:
    """Store or replace a noun."""
    vault.put(drawer, key, pack(noun))
