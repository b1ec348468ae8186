"""What receipts say of a copy, for a person and for a report."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from entrenous.model.envelope import EnvelopeState
from entrenous.model.ids import EnvelopeId, MessageId, PersonId
from entrenous.model.message import Message
from entrenous.model.receipt import Covered, ProvenReceipt, ReceiptEvent
from entrenous.model.report import CopyProof, Proofs, Receipted
from entrenous.model.sealed_copy import SealedCopy
from entrenous.ports import Device
from entrenous.send.devices.known_lists import card_with
from entrenous.send.drawers import COVERED, RECEIPT, RECEIPT_CARD, SEALED, take, take_all

_EXPORTED: Final = "opened and exported"
_ENDED: Final = (EnvelopeState.TAKEN_BACK, EnvelopeState.REVOKED)


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a copy, in a few words, and when; ``signed`` by the device that has it."""

    state: str
    at: datetime | None
    signed: bool


def fate_of(copy: SealedCopy, message: Message, device: Device) -> Fate:
    """What is known of a copy: its device's receipts count for more than what its relay says."""
    signed = {one.event: one for one in _receipts(copy.envelope, device)}
    opened, delivered = signed.get(ReceiptEvent.OPENED), signed.get(ReceiptEvent.DELIVERED)
    exported = signed.get(ReceiptEvent.EXPORTED)
    if copy.state in _ENDED:
        return Fate(copy.fate, copy.ended_at, signed=False)
    if exported is not None:
        return Fate(_EXPORTED, exported.at, signed=True)
    if opened is not None:
        return Fate(EnvelopeState.OPENED.value, opened.at, signed=True)
    told = {
        EnvelopeState.OPENED: copy.opened_at,
        EnvelopeState.LOST: None,
        EnvelopeState.EXPIRED: message.expires_at,
    }
    if copy.state in told:
        return Fate(copy.fate, told[copy.state], signed=False)
    if delivered is not None:
        return Fate(EnvelopeState.DELIVERED.value, delivered.at, signed=True)
    return Fate(copy.fate, copy.delivered_at, signed=False)


def proofs_of(message: MessageId, device: Device) -> Proofs:
    """What every device that was sent a copy of this message signed, and what it covers; receipts
    under a list that no card here proves are left out.
    """
    every = take_all(SealedCopy, SEALED, device.vault)
    proofs, cards = list[CopyProof](), dict[bytes, bytes]()
    for copy in (copy for copy in every if copy.message == message):
        covered = take(Covered, COVERED, copy.envelope.hex(), device.vault)
        if covered is None:
            continue
        receipts = _receipts(copy.envelope, device)
        proven = {one.head: _card(copy.person, one.head, device) for one in receipts}
        cards |= {head: card for head, card in proven.items() if card}
        receipts = [one for one in receipts if one.head in cards]
        said = tuple(Receipted(one.statement, one.proof) for one in receipts)
        proofs.append(CopyProof(message, copy.person, copy.device, covered.marks, said))
    return Proofs(tuple(proofs), tuple(sorted(set(cards.values()))))


def _card(person: PersonId, head: bytes, device: Device) -> bytes | None:
    """The card that proves a receipt's list; a list that we had not seen when it came may be in the
    history of a later card.
    """
    return device.vault.get(RECEIPT_CARD, head.hex()) or card_with(person, head, device)


def _receipts(envelope: EnvelopeId, device: Device) -> list[ProvenReceipt]:
    keys = device.vault.keys(RECEIPT, envelope.hex())
    found = (take(ProvenReceipt, RECEIPT, key, device.vault) for key in keys)
    return [one for one in found if one is not None]
