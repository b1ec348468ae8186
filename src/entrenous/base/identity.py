"""A person's identity: master keys, device certificates, device lists and key bundles
(docs/spec/identity.md).

These types are here because the packages crypto, wire, send and trace all use them.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum, StrEnum, auto

from entrenous.base.errors import Malformed, Unproven
from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.limits import BATCH_SIZE_MAX
from entrenous.base.secret import Secret


class Trust(StrEnum):
    """How well somebody's keys are known (docs/spec/people.md section 2), in words for people."""

    UNKNOWN = "unknown"  # nothing vouches for the keys, or nothing does any longer
    # they came with an invite link, which others may have read or changed on its way
    BY_LINK = "by link"
    COMPARED = "compared"  # both people compared the strings or codes that their devices show


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A person's public master keys, Ed25519 (32 bytes) and ML-DSA-65 (1,952 bytes).

    A signature is valid only if both keys verify it.
    """

    ed25519: bytes
    mldsa65: bytes


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """One device on its owner's list: its public keys, certified by the owner's master key.

    ``mldsa65_hash`` (32 bytes) identifies its ML-DSA-65 key; the key itself is sent with each
    signature. ``mailbox`` is where it receives letters, ``enforces`` the limits that its program
    promises to enforce (:class:`Enforces`).
    """

    device: DeviceId
    mailbox: MailboxId
    ed25519: bytes
    curve25519: bytes
    mldsa65_hash: bytes
    created_at: datetime
    enforces: tuple[int, ...] = ()

    @property
    def keys(self) -> tuple[DeviceId, bytes, bytes, bytes]:
        """Return what identifies the device: its id and its keys.

        A device that moves to another mailbox stays the same device; one with another key does not.
        """
        return self.device, self.ed25519, self.curve25519, self.mldsa65_hash


@dataclass(frozen=True, slots=True)
class Person:
    """A person as their key bundle describes them: keys, devices, and relay.

    The master keys prove everything except ``name``, which the person chose freely. ``epoch``
    counts the person's device lists and ``head`` (32 bytes) names this one.
    """

    id: PersonId
    name: str
    master: MasterKey
    relay_url: str
    epoch: int
    head: bytes
    devices: tuple[DeviceKey, ...]


@dataclass(frozen=True, slots=True)
class Contact:
    """A person that this device knows.

    ``name`` is what the owner of this device calls them; ``send_token`` allows a letter to their
    mailbox. ``changed_at`` is when their devices last changed. Nothing is accepted from somebody
    ``blocked``; nothing is sent to them, nor to somebody whose lists are ``forked``. ``receipts``
    says whether they get receipts while they are known by link; None means that the owner was not
    asked yet.
    """

    name: str
    person: Person
    send_token: Secret
    trust: Trust
    since: datetime
    blocked: bool = False
    changed_at: datetime | None = None
    forked: bool = False
    receipts: bool | None = None

    @property
    def first_name(self) -> str:
        return self.name.split()[0]

    @property
    def compared(self) -> bool:
        """Whether both people compared keys; keys from an invite link do not count as compared."""
        return self.trust is Trust.COMPARED

    @property
    def gets_receipts(self) -> bool:
        """Whether the trust in their keys is enough to send them receipts."""
        return self.compared or (self.trust is Trust.BY_LINK and self.receipts is True)


class BadSignature(Unproven):
    """
    The signature on this {what} is not valid, so it was not accepted. Either it was changed on its
    way, or the person it names did not make it.
    """


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """One device of a list.

    ``proof`` (32 bytes) is the hash of its certificate with both signatures, ``mailbox`` is where
    the device receives letters.
    """

    device: DeviceId
    proof: bytes
    mailbox: MailboxId


class RevocationReason(IntEnum):
    """Why a device was revoked; the numbers are part of the wire format."""

    RETIRED = 1
    LOST = 2


@dataclass(frozen=True, slots=True)
class RevokedDevice:
    """A device that was revoked at the time ``at``; a revocation is never undone."""

    device: DeviceId
    at: datetime
    kind: RevocationReason


@dataclass(frozen=True, slots=True)
class ProtocolRange:
    """The range of protocol versions that all devices of a person speak."""

    floor: int
    newest: int


@dataclass(frozen=True, slots=True)
class DeviceList:
    """A person's device list at one epoch.

    ``previous`` is the head of the list before (32 bytes), None in epoch 1. ``devices`` and
    ``revoked`` are sorted by device id.
    """

    person: PersonId
    epoch: int
    previous: bytes | None
    devices: tuple[ListedDevice, ...]
    revoked: tuple[RevokedDevice, ...]
    name: str
    speaks: ProtocolRange
    issued_at: datetime
    relay_url: str


@dataclass(frozen=True, slots=True)
class ListStatement:
    """A device list and its exact encoded bytes, whose hash is its head."""

    said: DeviceList
    statement: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """Identifies one list of a person: its epoch, and its hash (32 bytes)."""

    epoch: int
    digest: bytes


class HistoryRelation(Enum):
    """How a history that a relay shows relates to an earlier list that we know."""

    SAME = auto()
    NEWER = auto()  # newer than the known list, and contains it
    # newer, but does not reach back to the known list: the person is no longer verified
    NEWER_UNPROVEN = auto()


class OutdatedDeviceList(Unproven):
    """
    The relay shows an older list of this person's devices than the one you have. Nothing was
    changed. Somebody may be intercepting the connection. Try again later, or ask the person for a
    new link.
    """


class ForkedDeviceList(Unproven):
    """
    There are two lists of this person's devices that contradict each other. Nothing was changed,
    and nothing is sent to the new list's devices. Either somebody intercepts your connection, or
    somebody else has this person's keys. Talk to them over another channel that you trust before
    you write to them again.
    """


class WithheldDeviceList(Unproven):
    """
    A message from this person names a newer list of their devices than the one their relay shows.
    The relay may be late, or somebody may be withholding the list. Entrenous will ask for it again.
    If this goes on, ask the person for a new link.
    """


class Enforces(IntEnum):
    """Limits that a device's program enforces.

    The numbers are part of the wire format, and more may be added.
    """

    VIEW_ONCE = 1
    EXPIRY = 2
    RECALL = 3


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a person's master key certifies about one of their devices.

    ``mldsa65_hash`` (32 bytes) identifies its ML-DSA-65 key. ``enforces`` are numbers of
    :class:`Enforces`, ascending; numbers that this program does not know are kept.
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
    """A parsed certificate, the exact bytes that were signed, and both signatures on them (Ed25519,
    then ML-DSA-65), not verified yet.
    """

    certificate: Certificate
    statement: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class KeyBundle:
    """A decoded key bundle. Nothing in it is proven until crypto/statements.py has verified it.

    ``lists`` are consecutive, the newest last; ``signature`` holds both signatures on the newest
    (Ed25519, then ML-DSA-65); ``certificates`` are in the order of its devices.
    """

    master: MasterKey
    lists: tuple[ListStatement, ...]
    signature: bytes
    certificates: tuple[SignedCertificate, ...]

    @property
    def newest(self) -> ListStatement:
        return self.lists[-1]


class PrekeyKind(IntEnum):
    """What a prekey is for; the numbers are part of the wire format."""

    ONE_TIME = 1
    FALLBACK = 2
    XWING = 3


@dataclass(frozen=True, slots=True)
class Prekey:
    """A public key with which others may begin a session.

    ``id`` has 8 bytes; ``epoch`` and ``head`` (32 bytes) are those of the owner's device list at
    the time when the key was made; ``public`` has 32 bytes, or 1,216 if ``kind`` is X-Wing.
    """

    kind: PrekeyKind
    id: bytes
    device: DeviceId
    epoch: int
    head: bytes
    made_at: datetime
    public: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """What a device signs about a batch: its ``size``, and its Merkle ``root`` (32 bytes).

    ``mailbox`` is where the prekeys are published, None for receipts.
    """

    device: DeviceId
    mailbox: MailboxId | None
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not 1 <= self.size <= BATCH_SIZE_MAX:
            raise ValueError(f"a batch holds 1 to {BATCH_SIZE_MAX} statements")


@dataclass(frozen=True, slots=True)
class SignedBatch:
    """A decoded batch. It is not trusted until crypto/statements.py has verified it.

    ``statement`` are the exact bytes that were signed; ``mldsa65`` is the device's public key
    (1,952 bytes), whose hash is in its certificate; ``signature`` holds both signatures, 3,373
    bytes (Ed25519, then ML-DSA-65).
    """

    batch: Batch
    statement: bytes
    mldsa65: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class BatchPosition:
    """A statement's position in a batch: its index from 0, and the hashes (32 bytes each) on the
    path to the root (RFC 9162 section 2.1.3).
    """

    index: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SignedPrekey:
    """A decoded prekey. It is not trusted until crypto/statements.py has verified it.

    ``place`` is its statement's position in its batch. Every set of prekeys that a relay hands out
    has an X-Wing prekey, so only that one carries the ``batch``.
    """

    prekey: Prekey
    statement: bytes
    place: BatchPosition
    batch: SignedBatch | None = None

    def __post_init__(self) -> None:
        if (self.batch is None) == (self.prekey.kind is PrekeyKind.XWING):
            raise ValueError("an X-Wing prekey carries its batch, and no other one does")


class BadKeyBundle(Malformed):
    """
    The relay sent damaged keys for this person, or another program made them, so they were not
    used. Try again later, or ask the person to update Entrenous.
    """


class BadPrekey(Malformed):
    """
    The relay sent a damaged key for one of this person's devices, so nothing was encrypted with it.
    Nothing was sent to that device. Try again later. If it happens again, ask the person to run:
    entrenous inbox
    """
