"""Receipts: what a recipient's device says became of a copy (docs/spec/letter.md section 6)."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from entrenous.model.errors import Malformed
from entrenous.model.ids import DeviceId, EnvelopeId, MessageId, PersonId
from entrenous.model.signed_batch import Place, SignedBatch


class ReceiptEvent(IntEnum):
    """What happened; the numbers travel."""

    DELIVERED = 1
    OPENED = 2
    EXPORTED = 3


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt as it travels; unproven before craft/crypto/statements.py verified it.

    ``marks`` is the marks hash (docs/spec/content.md section 6); ``leaf`` the hash of the receipt's
    statement in its batch; 32 bytes each.
    """

    event: ReceiptEvent
    message: MessageId
    envelope: EnvelopeId
    at: datetime
    marks: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Receipts:
    """A letter of 1 to 64 receipts; ``batch`` has a leaf for each, in their order."""

    receipts: tuple[Receipt, ...]
    batch: SignedBatch


@dataclass(frozen=True, slots=True)
class ReceiptProof:
    """What proves one receipt by itself: its place in the batch that was signed."""

    place: Place
    batch: SignedBatch


@dataclass(frozen=True, slots=True)
class ReceiptStatement:
    """Everything that is signed of a receipt; both ends rebuild it from what they know.

    ``sender`` wrote the message; ``head`` is that of the recipient's list, ``manifest`` the hash of
    the message's manifest (32 bytes each).
    """

    sender: PersonId
    message: MessageId
    envelope: EnvelopeId
    recipient: PersonId
    device: DeviceId
    head: bytes
    event: ReceiptEvent
    at: datetime
    manifest: bytes
    marks: bytes


@dataclass(frozen=True, slots=True)
class Covered:
    """What a receipt for one of our own copies covers: the hash of its manifest (32 bytes), and the
    commitments to its marks.
    """

    manifest: bytes
    marks: tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class OwedReceipt:
    """What our own device has to say of a copy that was sent to it, from ``due_at`` on."""

    event: ReceiptEvent
    message: MessageId
    envelope: EnvelopeId
    at: datetime
    manifest: bytes
    marks: bytes
    due_at: datetime


@dataclass(frozen=True, slots=True)
class ProvenReceipt:
    """A receipt whose proof held: what was signed, and the list under which it was.

    ``proof`` is an encoded :class:`ReceiptProof`.
    """

    event: ReceiptEvent
    at: datetime
    statement: bytes
    proof: bytes
    head: bytes


class BadReceipt(Malformed):
    """This is no receipt that Entrenous can read, so nothing follows from it."""
