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

    UNKNOWN = "unknown"  # nothing vouches for the keys, or nothing does so any longer
    # the keys came with an invite link, which somebody may have read or changed on its way
    BY_LINK = "by link"
    COMPARED = "compared"  # both people compared the strings or codes that their devices show


@dataclass(frozen=True, slots=True)
class MasterPublicKeys:
    """A person's public master keys, Ed25519 (32 bytes) and ML-DSA-65 (1,952 bytes).

    A signature is valid only if both keys verify it.
    """

    ed25519: bytes
    mldsa65: bytes


@dataclass(frozen=True, slots=True)
class CertifiedDevice:
    """One device on its owner's list: its public keys, certified by the owner's master key.

    ``mldsa65_hash`` (32 bytes) identifies the device's ML-DSA-65 key; the key itself is sent with
    each signature. ``mailbox`` is where the device receives letters. ``enforces`` are the limits
    that its program promises to enforce (:class:`EnforcedLimit`).
    """

    device: DeviceId
    mailbox: MailboxId
    ed25519: bytes
    curve25519: bytes
    mldsa65_hash: bytes
    created_at: datetime
    enforces: tuple[int, ...] = ()

    @property
    def id_and_keys(self) -> tuple[DeviceId, bytes, bytes, bytes]:
        """Return what identifies the device: its id and its keys.

        A device that moves to another mailbox stays the same device; with a different key it would
        be a different device.
        """
        return self.device, self.ed25519, self.curve25519, self.mldsa65_hash


@dataclass(frozen=True, slots=True)
class Person:
    """A person as their key bundle describes them: keys, devices, and relay.

    The master keys prove everything except ``name``, which the person chose freely. ``epoch``
    counts the person's device lists, from 1, and ``head`` (32 bytes, a hash) identifies the newest.
    """

    id: PersonId
    name: str
    master: MasterPublicKeys
    relay_url: str
    epoch: int
    head: bytes
    devices: tuple[CertifiedDevice, ...]


@dataclass(frozen=True, slots=True)
class Contact:
    """A person that this device knows.

    ``name`` is what the owner of this device calls them. ``send_token`` permits a letter to their
    mailbox. ``changed_at`` is when their devices last changed. If they are ``blocked``, nothing is
    accepted from them or sent to them. If their device lists are ``forked`` (contradict each
    other), nothing is sent to them. ``receipts`` says whether they get receipts while only an
    invite link vouches for their keys; None means that the owner has not been asked yet.
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
        """Whether both people compared their keys; an invite link alone does not count."""
        return self.trust is Trust.COMPARED

    @property
    def gets_receipts(self) -> bool:
        """Whether their keys are trusted enough to send them receipts."""
        return self.compared or (self.trust is Trust.BY_LINK and self.receipts is True)


class BadSignature(Unproven):
    """
    This {what} was not accepted: its signature is not valid, or it contradicts what was signed
    before. Nothing was changed. Either the {what} was changed on the way, or somebody other than
    the person named in it made it. If it is in a file, ask for the unchanged file. If a relay sent
    it, try again later; if this happens again, tell the person over another channel that you trust.
    """


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """One device of a list.

    ``proof`` (32 bytes) is the hash of the device's certificate with both signatures. ``mailbox``
    is where the device receives letters.
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

    ``previous`` is the head (hash) of the previous list (32 bytes), or None in epoch 1. ``devices``
    and ``revoked`` are sorted by device id.
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
class DeviceListStatement:
    """A device list and its exact encoded bytes, whose hash is its head."""

    said: DeviceList
    statement: bytes


@dataclass(frozen=True, slots=True)
class DeviceListHead:
    """Identifies one list of a person: its epoch, and its hash (32 bytes)."""

    epoch: int
    digest: bytes


class DeviceListHistoryRelation(Enum):
    """How the history of lists that a relay shows relates to a list that this device knows."""

    SAME = auto()
    NEWER = auto()  # the history is newer, and contains the known list
    # the history is newer, but begins after the known list, so the person is no longer verified
    NEWER_UNPROVEN = auto()


class OutdatedDeviceList(Unproven):
    """
    The relay shows an older list of this person's devices than the one you have. Nothing was
    changed. Somebody may be intercepting the connection. Try again later, or ask the person for a
    new link.
    """


class ForkedDeviceList(Unproven):
    """
    There are two lists of this person's devices that contradict each other. The list that has just
    arrived was not accepted, and nothing is sent to this person. Either somebody is intercepting
    your connection, or a stranger has this person's keys. Before you write to this person again,
    talk to them over another channel that you trust.
    """


class WithheldDeviceList(Unproven):
    """
    A message from this person names a newer list of their devices than the one their relay shows.
    The relay may not have the newer list yet, or somebody may be withholding that list. Entrenous
    will ask for the newer list again. If this goes on, ask the person for a new link.
    """


class EnforcedLimit(IntEnum):
    """Limits that a device's program enforces.

    The numbers are part of the wire format, and more may be added.
    """

    VIEW_ONCE = 1
    EXPIRY = 2
    RECALL = 3


@dataclass(frozen=True, slots=True)
class DeviceCertificate:
    """What a person's master key certifies about one of their devices.

    ``mldsa65_hash`` (32 bytes) identifies the device's ML-DSA-65 key. ``enforces`` are numbers of
    :class:`EnforcedLimit` in ascending order, including numbers that this program does not know.
    """

    person: PersonId
    device: DeviceId
    ed25519: bytes
    curve25519: bytes
    mldsa65_hash: bytes
    created_at: datetime
    enforces: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SignedDeviceCertificate:
    """A parsed certificate that is not verified yet.

    ``statement`` is the exact byte string that was signed. ``signature`` has both signatures on it
    (Ed25519, then ML-DSA-65).
    """

    certificate: DeviceCertificate
    statement: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class KeyBundle:
    """A decoded key bundle. Do not trust it before crypto/statements.py has verified it.

    ``lists`` are consecutive, the newest last. ``signature`` has both signatures on the newest list
    (Ed25519, then ML-DSA-65). ``certificates`` are in the order of the newest list's devices.
    """

    master: MasterPublicKeys
    lists: tuple[DeviceListStatement, ...]
    signature: bytes
    certificates: tuple[SignedDeviceCertificate, ...]

    @property
    def newest(self) -> DeviceListStatement:
        return self.lists[-1]


class PrekeyKind(IntEnum):
    """What a prekey is for; the numbers are part of the wire format."""

    ONE_TIME = 1
    FALLBACK = 2
    XWING = 3


@dataclass(frozen=True, slots=True)
class Prekey:
    """A public key with which others may begin a session.

    ``id`` has 8 bytes. ``epoch`` and ``head`` (32 bytes) identify the owner's device list at the
    time when the key was made. ``public`` has 32 bytes, or 1,216 if ``kind`` is X-Wing.
    """

    kind: PrekeyKind
    id: bytes
    device: DeviceId
    epoch: int
    head: bytes
    made_at: datetime
    public: bytes


@dataclass(frozen=True, slots=True)
class BatchRoot:
    """What a device signs about a batch: its ``size``, and its Merkle ``root`` (32 bytes).

    ``mailbox`` is where prekeys are published; it is None for a batch of receipts.
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
    """A decoded batch. Do not trust it before crypto/statements.py has verified it.

    ``statement`` is the exact byte string that was signed. ``mldsa65`` is the device's public
    ML-DSA-65 key (1,952 bytes), whose hash is in the device's certificate. ``signature`` has both
    signatures, 3,373 bytes (Ed25519, then ML-DSA-65).
    """

    batch: BatchRoot
    statement: bytes
    mldsa65: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class BatchPosition:
    """A statement's position in a batch: its index from 0, and its inclusion proof.

    The proof, ``path``, has hashes of 32 bytes (RFC 9162 section 2.1.3).
    """

    index: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SignedPrekey:
    """A decoded prekey. Do not trust it before crypto/statements.py has verified it.

    ``place`` is the position of ``statement`` in the batch. Every set of prekeys that a relay hands
    out has an X-Wing prekey, so only X-Wing prekeys contain the ``batch``.
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
    One person's keys are damaged, or in a format that this version of Entrenous cannot read. They
    came from the relay or from a file, and were not used. Update Entrenous, and ask the person to
    update it too; then try again. If you are checking a report, ask whoever sent it for the
    unchanged file.
    """


class BadPrekey(Malformed):
    """
    The relay sent a damaged key for one of this person's devices, so nothing was encrypted with it.
    Nothing was sent to that device. Try again later. If it happens again, ask the person to run:
    entrenous inbox
    """
