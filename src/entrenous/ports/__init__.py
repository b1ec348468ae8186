"""What the verbs need from the world, as Protocols, and the three rooms that hold them.

A room is all that a use case may touch: a process that was given a :class:`Relay` cannot hold a
vault, one that was given a :class:`Platform` cannot hold a mailbox. One suite of tests per port
(tests/ports/) runs on every adapter of it.
"""

from entrenous.ports.bank import BankStore
from entrenous.ports.courier import Courier
from entrenous.ports.device import BankClient, Device, Ledger, Vault
from entrenous.ports.embedding import Embedder, EmbeddingIndex, EmbeddingStore, Likeness
from entrenous.ports.platform import IndexStore, Platform, SoundIndexStore
from entrenous.ports.relay import Bell, BlobStore, MailDesk, MailStore, MailView, Relay
from entrenous.ports.reviews import ReviewQueue
from entrenous.ports.world import Clock, Dice, Machine, StampChecker, TimestampAuthority

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
