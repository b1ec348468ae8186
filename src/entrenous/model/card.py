"""Cards and prekeys as they travel (docs/spec/identity.md sections 2 to 5)."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from entrenous.model.device_list import ListStatement
from entrenous.model.errors import Malformed
from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.person import MasterKey
from entrenous.model.signed_batch import Place, SignedBatch


class Enforces(IntEnum):
    """What a device's program holds its person to; the numbers travel, and others may too."""

    VIEW_ONCE = 1
    EXPIRY = 2
    RECALL = 3


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a person's master key says about one of her devices.

    ``mldsa65_hash`` (32 bytes) names its ML-DSA-65 key. ``enforces`` are the numbers of
    :class:`Enforces`, and unknown ones, ascending.
    """

    person: PersonId
    device: DeviceId
    ed25519: bytes
    curve25519: bytes
    mldsa65_hash: bytes
    created_at: datetime
    enforces: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """A certificate as it was read, with the exact bytes that were signed and both signatures over
    them (Ed25519, then ML-DSA-65); unproven.
    """

    certificate: Certificate
    statement: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Card:
    """A card as it was read. Nothing in it is proven before craft/crypto/statements.py verified it.

    ``lists`` are consecutive, the newest last; ``signature`` holds both signatures over the newest
    (Ed25519, then ML-DSA-65); ``certificates`` run as its devices do.
    """

    master: MasterKey
    lists: tuple[ListStatement, ...]
    signature: bytes
    certificates: tuple[SignedCertificate, ...]

    @property
    def newest(self) -> ListStatement:
        """The list that counts."""
        return self.lists[-1]


class PrekeyKind(IntEnum):
    """What a prekey is for; the numbers travel."""

    ONE_TIME = 1
    FALLBACK = 2
    XWING = 3


@dataclass(frozen=True, slots=True)
class Prekey:
    """A public key that others may begin a conversation with.

    ``id`` has 8 bytes; ``epoch`` and ``head`` (32 bytes) are those of the owner's list when she
    made it; ``public`` has 32 bytes, or 1,216 when ``kind`` is X-Wing.
    """

    kind: PrekeyKind
    id: bytes
    device: DeviceId
    epoch: int
    head: bytes
    made_at: datetime
    public: bytes


@dataclass(frozen=True, slots=True)
class SignedPrekey:
    """A prekey as it was read; unproven before craft/crypto/statements.py verified it.

    ``place`` is where its statement is in its batch. Every claim brings an X-Wing prekey, so that
    one carries the ``batch``, and no other does.
    """

    prekey: Prekey
    statement: bytes
    place: Place
    batch: SignedBatch | None = None

    def __post_init__(self) -> None:
        if (self.batch is None) == (self.prekey.kind is PrekeyKind.XWING):
            raise ValueError("an X-Wing prekey carries its batch, and no other one does")


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
