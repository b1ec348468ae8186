"""Cards and prekeys as they travel (docs/spec/identity.md sections 2 to 4)."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from entrenous.model.errors import Malformed
from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.person import Person


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a person's master key says about one of her devices."""

    person: PersonId
    device: DeviceId
    ed25519: bytes
    curve25519: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Card:
    """A card as it was read. Nothing in it is proven before craft/crypto/statements.py verified it.

    ``statement`` holds the exact bytes that were signed, ``signature`` both signatures over them
    (Ed25519, then ML-DSA-65).
    """

    person: Person
    issued_at: datetime
    statement: bytes
    signature: bytes


class PrekeyKind(IntEnum):
    """What a prekey is for; the numbers travel."""

    ONE_TIME = 1
    FALLBACK = 2
    XWING = 3


@dataclass(frozen=True, slots=True)
class Prekey:
    """A public key that others may begin a conversation with.

    ``id`` has 8 bytes; ``epoch`` is the owner's when she made it; ``public`` has 32 bytes, or 1,216
    when ``kind`` is X-Wing.
    """

    kind: PrekeyKind
    id: bytes
    device: DeviceId
    epoch: int
    public: bytes


@dataclass(frozen=True, slots=True)
class SignedPrekey:
    """A prekey as it was read; unproven before craft/crypto/statements.py verified it."""

    prekey: Prekey
    statement: bytes
    signature: bytes


class BadCard(Malformed):
    """
    The card that the relay gave for this person is damaged or was made by another program, so it
    was not used. Ask them to update Entrenous, or try again later.
    """


class BadPrekey(Malformed):
    """
    A key that the relay gave for one of this person's devices is damaged, so nothing was sealed to
    it. Try again later; if it happens again, ask them to run: entrenous inbox
    """
