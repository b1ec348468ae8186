"""What the verbs need from the world, as Protocols, and the three rooms that hold them.

A room is all that a use case may touch: a process that was given a :class:`Relay` cannot hold a
vault, one that was given a :class:`Platform` cannot hold a mailbox. One suite of tests per port
(tests/ports/) runs on every adapter of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from entrenous.ports.bank import BankStore
    from entrenous.ports.courier import Courier
    from entrenous.ports.device import BankClient, Device, Ledger, Vault
    from entrenous.ports.embedding import Embedder, EmbeddingIndex, EmbeddingStore, Likeness
    from entrenous.ports.platform import IndexStore, Platform, SoundIndexStore
    from entrenous.ports.relay import Bell, BlobStore, MailDesk, MailStore, MailView, Relay
    from entrenous.ports.reviews import ReviewQueue
    from entrenous.ports.world import Clock, Dice, Machine, StampChecker, TimestampAuthority

# A command of a device does not wait for what relays and gates need: each is imported when asked
# for (PEP 562).
_MODULES: Final = {
    "BankClient": "entrenous.ports.device",
    "BankStore": "entrenous.ports.bank",
    "Bell": "entrenous.ports.relay",
    "BlobStore": "entrenous.ports.relay",
    "Clock": "entrenous.ports.world",
    "Courier": "entrenous.ports.courier",
    "Device": "entrenous.ports.device",
    "Dice": "entrenous.ports.world",
    "Embedder": "entrenous.ports.embedding",
    "EmbeddingIndex": "entrenous.ports.embedding",
    "EmbeddingStore": "entrenous.ports.embedding",
    "IndexStore": "entrenous.ports.platform",
    "Ledger": "entrenous.ports.device",
    "Likeness": "entrenous.ports.embedding",
    "Machine": "entrenous.ports.world",
    "MailDesk": "entrenous.ports.relay",
    "MailStore": "entrenous.ports.relay",
    "MailView": "entrenous.ports.relay",
    "Platform": "entrenous.ports.platform",
    "Relay": "entrenous.ports.relay",
    "ReviewQueue": "entrenous.ports.reviews",
    "SoundIndexStore": "entrenous.ports.platform",
    "StampChecker": "entrenous.ports.world",
    "TimestampAuthority": "entrenous.ports.world",
    "Vault": "entrenous.ports.device",
}

__all__ = [
    "BankClient",
    "BankStore",
    "Bell",
    "BlobStore",
    "Clock",
    "Courier",
    "Device",
    "Dice",
    "Embedder",
    "EmbeddingIndex",
    "EmbeddingStore",
    "IndexStore",
    "Ledger",
    "Likeness",
    "Machine",
    "MailDesk",
    "MailStore",
    "MailView",
    "Platform",
    "Relay",
    "ReviewQueue",
    "SoundIndexStore",
    "StampChecker",
    "TimestampAuthority",
    "Vault",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(name)
    return getattr(import_module(_MODULES[name]), name)
