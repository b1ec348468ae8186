"""Relays as a device sees them, one file for each of their tables (docs/spec/relay.md)."""

from typing import Protocol

from entrenous.ports.courier.blobs import Blobs
from entrenous.ports.courier.letters import Letters
from entrenous.ports.courier.lock import Locks
from entrenous.ports.courier.mailboxes import Mailboxes
from entrenous.ports.courier.shares import Shares
from entrenous.ports.courier.wake import Wakes

__all__ = ["Blobs", "Courier", "Letters", "Locks", "Mailboxes", "Shares", "Wakes"]


class Courier(Mailboxes, Letters, Blobs, Shares, Locks, Wakes, Protocol):
    """Relays as seen from a device. ``url`` is the relay's; docs/spec/relay.md has the meaning.

    Every method raises RelayUnreachable when there is no answer, ProtocolTooOld when the relay
    wants a newer client, and the relay's own errors (model/relay_problem.py) by name.
    """
