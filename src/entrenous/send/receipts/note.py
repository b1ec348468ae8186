"""Note that a receipt is owed: in the transaction of what it is about (docs/spec/receipts.md 1).

Nothing leaves here. Nobody learns from a receipt that a stranger's letter was read: it is owed to
people whose keys were compared, to others known by link if this device's person said so when
asked, and to nobody who was blocked.
"""

from datetime import datetime, timedelta
from typing import Final

from entrenous.craft.crypto.commitments import marks_hash
from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.wire.letter.letter import write_manifest
from entrenous.craft.wire.letter.message_body import write_marks
from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.letter import Header, Manifest
from entrenous.model.person import Contact
from entrenous.model.receipt import OwedReceipt, ReceiptEvent
from entrenous.model.received import Received
from entrenous.ports import Device
from entrenous.send.drawers import CONTACT, OWED, SENT_FROM, inbox_key, lay, peer_key, take
from entrenous.send.moment import this_second

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
    contact = take(Contact, CONTACT, person.hex(), device.vault)
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
        lay(owed, OWED, key, device.vault)


def _hash_of(manifest: Manifest) -> bytes:
    return sha256(write_manifest(manifest))


def _due_at(whose: str, device: Device) -> datetime:
    """With what is owed to this device already; else after a while that says nothing."""
    for key in device.vault.keys(OWED, whose):
        owed = take(OwedReceipt, OWED, key, device.vault)
        if owed is not None:
            return owed.due_at
    drawn = int.from_bytes(device.dice.token(8), "big") % (_LONGEST_S - _SHORTEST_S + 1)
    return this_second(device) + timedelta(seconds=_SHORTEST_S + drawn)
