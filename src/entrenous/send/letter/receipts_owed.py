"""Receipts that this device owes, and what a receipt for our own copies has to cover
(docs/spec/receipts.md, section 1).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.copies import ReceiptEvent
from entrenous.base.identifiers import DeviceId, EnvelopeId, MessageId, PersonId
from entrenous.base.identity import Contact
from entrenous.crypto.hashing import marks_hash, sha256
from entrenous.device.device import Device
from entrenous.device.sent_copies import Covered
from entrenous.device.vault_tables import (
    CONTACT,
    COVERED,
    OWED,
    SENT_FROM,
    inbox_key,
    load_record,
    peer_key,
    store_record,
)
from entrenous.send.clock_sanity import this_second
from entrenous.send.formats.message_format import write_manifest, write_marks
from entrenous.send.letter.letter_nouns import Header, Manifest
from entrenous.send.message.states import Received


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


_SHORTEST_S: Final = 60
_LONGEST_S: Final = 900
#: What is due later than this was noted by a clock that was ahead.
LONGEST: Final = timedelta(seconds=_LONGEST_S)


def note_delivered(header: Header, received: Received, device: Device) -> None:
    """A message is on disk here; call it in the transaction that stores it."""
    key = inbox_key(received.sender, received.id)
    device.vault.put(SENT_FROM, key, header.from_device)
    _owe(ReceiptEvent.DELIVERED, received, device)


def note_opened(received: Received, device: Device) -> None:
    """A message was opened here; call it in the transaction that says so, while its manifest is
    still known.
    """
    _owe(ReceiptEvent.OPENED, received, device)


def note_exported(received: Received, device: Device) -> None:
    """Its files were written to a folder though its openings are counted; call it as
    :func:`note_opened`.
    """
    _owe(ReceiptEvent.EXPORTED, received, device)


def may_know(person: PersonId, device: Device) -> bool:
    """Whether somebody may learn what became of a message: her keys were compared, or she is known
    by link and the answer was yes; and no two lists of hers contradict each other.
    """
    contact = load_record(Contact, CONTACT, person.hex(), device.vault)
    if contact is None or contact.blocked or contact.forked:
        return False
    return contact.gets_receipts


def _owe(event: ReceiptEvent, received: Received, device: Device) -> None:
    sent_from = device.vault.get(SENT_FROM, inbox_key(received.sender, received.id))
    manifest = received.manifest
    if not device.receipts or sent_from is None or manifest is None:
        return
    if not may_know(received.sender, device):
        return
    whose = peer_key(received.sender, DeviceId(sent_from))
    owed = OwedReceipt(
        event=event,
        message=received.id,
        envelope=received.envelope,
        at=this_second(device).replace(second=0),
        manifest=_hash_of(manifest),
        marks=marks_hash(write_marks(manifest)),
        due_at=_due_at(whose, device),
    )
    key = f"{whose} {received.envelope.hex()} {int(event)}"
    if device.vault.get(OWED, key) is None:
        store_record(owed, OWED, key, device.vault)


def _hash_of(manifest: Manifest) -> bytes:
    return sha256(write_manifest(manifest))


def _due_at(whose: str, device: Device) -> datetime:
    """With what is owed to this device already; else after a while that says nothing."""
    for key in device.vault.keys(OWED, whose):
        owed = load_record(OwedReceipt, OWED, key, device.vault)
        if owed is not None:
            return owed.due_at
    drawn = int.from_bytes(device.dice.token(8), "big") % (_LONGEST_S - _SHORTEST_S + 1)
    return this_second(device) + timedelta(seconds=_SHORTEST_S + drawn)


def note_covered(manifest: Manifest, envelope: EnvelopeId, device: Device) -> None:
    """Keep what a receipt will be checked against; in the transaction that writes the letter."""
    covered = Covered(sha256(write_manifest(manifest)), manifest.marks)
    store_record(covered, COVERED, envelope.hex(), device.vault)
