"""What is remembered of the exchange with one other device: Olm sessions and X-Wing keys."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.letter import XWingKey
from entrenous.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Peer:
    """One other device (docs/spec/letter.md section 5).

    ``sessions`` are Olm sessions, the one to write with first. ``seal_to`` is the peer's newest
    X-Wing key; ``made_for_me`` tells whether it was made for this device or is a prekey that
    anybody may use; ``key_epoch`` and ``key_head`` are those of the list under which it was given.
    ``mine`` names
    our own X-Wing keys that the peer may have sealed to, oldest first, and ``used`` the newest of
    them that it did seal to. ``seen`` are counters that have arrived.
    """

    device: DeviceId
    person: PersonId
    sessions: tuple[Secret, ...]
    seal_to: XWingKey
    made_for_me: bool
    key_epoch: int
    key_head: bytes
    prekey: bytes | None = None
    mine: tuple[bytes, ...] = ()
    sent: int = 0
    seen: frozenset[int] = frozenset()
    used: bytes | None = None


@dataclass(frozen=True, slots=True)
class OwnKey:
    """One of our X-Wing keys: ``peer`` is the key of the peer it was made for (send/drawers.py),
    None for a public prekey.
    """

    id: bytes
    private: Secret
    epoch: int
    head: bytes
    made_at: datetime
    peer: str | None = None
