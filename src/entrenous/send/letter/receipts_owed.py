"""The receipts that this device owes, and what receipts for our own copies must cover
(docs/spec/receipts.md, section 1).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.copies import ReceiptEvent
from entrenous.base.identifiers import DeviceId, EnvelopeId, MessageId, PersonId
from entrenous.crypto.hashing import marks_hash, sha256
from entrenous.device.device import Device
from entrenous.device.identities import CONTACT_TABLE
from entrenous.device.sent_copies import RECEIPT_COVERAGE_TABLE, ReceiptCoverage
from entrenous.device.vault_tables import (
    OWED_RECEIPT,
    SENDING_DEVICE,
    Table,
    inbox_key,
    peer_key,
)
from entrenous.send.clock_sanity import this_second
from entrenous.send.formats.message_format import write_manifest, write_marks
from entrenous.send.letter.letter_nouns import Header, Manifest
from entrenous.send.message.states import Received


@dataclass(frozen=True, slots=True)
class OwedReceipt:
    """A receipt to be sent from ``due_at`` on, for a copy that was sent to this device."""

    event: ReceiptEvent
    message: MessageId
    envelope: EnvelopeId
    at: datetime
    manifest: bytes
    marks: bytes
    due_at: datetime


OWED_RECEIPT_TABLE: Final = Table(OWED_RECEIPT, OwedReceipt)


_RECEIPT_DELAY_S_MIN: Final = 60
_RECEIPT_DELAY_S_MAX: Final = 900
#: If a receipt is due later than this, its time was recorded by a clock that was ahead.
MAX_RECEIPT_DELAY: Final = timedelta(seconds=_RECEIPT_DELAY_S_MAX)


def owe_delivery_receipt(header: Header, received: Received, device: Device) -> None:
    """Record that a receipt is owed for a stored message.

    Call it in the transaction that stores it.
    """
    key = inbox_key(received.sender, received.id)
    device.vault.put(SENDING_DEVICE, key, header.from_device)
    _store_owed_receipt(ReceiptEvent.DELIVERED, received, device)


def owe_opening_receipt(received: Received, device: Device) -> None:
    """Record that a receipt is owed for an opening.

    Call it in the transaction that records the opening, while the manifest is still stored.
    """
    _store_owed_receipt(ReceiptEvent.OPENED, received, device)


def owe_export_receipt(received: Received, device: Device) -> None:
    """Record that a receipt is owed for an export; call it like :func:`owe_opening_receipt`."""
    _store_owed_receipt(ReceiptEvent.EXPORTED, received, device)


def may_get_receipts(person: PersonId, device: Device) -> bool:
    """Return whether a person may get receipts.

    Either their keys have been compared, or only an invite link vouches for the keys and the user
    agreed to send receipts. Their device lists must not conflict.
    """
    contact = CONTACT_TABLE.load(person.hex(), device.vault)
    if contact is None or contact.blocked or contact.forked:
        return False
    return contact.gets_receipts


def _store_owed_receipt(event: ReceiptEvent, received: Received, device: Device) -> None:
    sent_from = device.vault.get(SENDING_DEVICE, inbox_key(received.sender, received.id))
    manifest = received.manifest
    if not device.receipts or sent_from is None or manifest is None:
        return
    if not may_get_receipts(received.sender, device):
        return
    peer_id = peer_key(received.sender, DeviceId(sent_from))
    owed = OwedReceipt(
        event=event,
        message=received.id,
        envelope=received.envelope,
        at=this_second(device).replace(second=0),
        manifest=sha256(write_manifest(manifest)),
        marks=marks_hash(write_marks(manifest)),
        due_at=_next_due_time(peer_id, device),
    )
    key = f"{peer_id} {received.envelope.hex()} {int(event)}"
    if not OWED_RECEIPT_TABLE.has(key, device.vault):
        OWED_RECEIPT_TABLE.store(owed, key, device.vault)


def _next_due_time(peer_id: str, device: Device) -> datetime:
    """Return when receipts that are already owed to that device are due; if there are none, a
    random time that reveals nothing.
    """
    for key in OWED_RECEIPT_TABLE.keys(device.vault, peer_id):
        owed = OWED_RECEIPT_TABLE.load(key, device.vault)
        if owed is not None:
            return owed.due_at
    delay_s = int.from_bytes(device.dice.token(8), "big") % (
        _RECEIPT_DELAY_S_MAX - _RECEIPT_DELAY_S_MIN + 1
    )
    return this_second(device) + timedelta(seconds=_RECEIPT_DELAY_S_MIN + delay_s)


def record_receipt_coverage(manifest: Manifest, envelope: EnvelopeId, device: Device) -> None:
    """Store the data against which a receipt will be checked.

    Call it in the transaction that writes the letter.
    """
    covered = ReceiptCoverage(sha256(write_manifest(manifest)), manifest.marks)
    RECEIPT_COVERAGE_TABLE.store(covered, envelope.hex(), device.vault)
