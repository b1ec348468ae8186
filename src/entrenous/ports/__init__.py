"""What the verbs need from the world, as Protocols, and the three rooms that hold them.

A room is all that a use case may touch: a process that was given a :class:`Relay` cannot hold a
vault, one that was given a :class:`Platform` cannot hold a mailbox. One suite of tests per port
(tests/ports/) runs on every adapter of it.
"""

from entrenous.ports.courier import Courier
from entrenous.ports.device import BankClient, Device, Ledger, Vault
from entrenous.ports.platform import BankStore, IndexStore, Platform, ReviewQueue
from entrenous.ports.relay import Bell, BlobStore, MailDesk, MailStore, MailView, Relay
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
    "IndexStore",
    "Ledger",
    "Machine",
    "MailDesk",
    "MailStore",
    "MailView",
    "Platform",
    "Relay",
    "ReviewQueue",
    "StampChecker",
    "TimestampAuthority",
    "Vault",
]
