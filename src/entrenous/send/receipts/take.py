"""Receipts that come for copies of ours: proven, and kept (docs/spec/receipts.md section 1)."""

from dataclasses import replace

from entrenous.craft.crypto.commitments import marks_hash
from entrenous.craft.crypto.hashing import same
from entrenous.craft.crypto.statements import receipt_leaf, verify_receipts
from entrenous.craft.wire.letter.commitment import write_receipt_statement
from entrenous.craft.wire.letter.message_body import write_commitments
from entrenous.craft.wire.letter.receipt import write_receipt_proof
from entrenous.model.envelope import EnvelopeState
from entrenous.model.ids import PersonId
from entrenous.model.letter import Header, NotBound
from entrenous.model.person import BadSignature, Contact, DeviceKey, Person
from entrenous.model.receipt import (
    Covered,
    ProvenReceipt,
    Receipt,
    ReceiptEvent,
    ReceiptProof,
    Receipts,
    ReceiptStatement,
)
from entrenous.model.sealed_copy import SealedCopy
from entrenous.ports import Device
from entrenous.send.devices.batch import place_in
from entrenous.send.devices.known_lists import card_with
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import COVERED, RECEIPT, RECEIPT_CARD, SEALED, lay, take


def take_receipts(several: Receipts, header: Header, sender: Contact, device: Device) -> None:
    """Keep what a recipient's device says became of our copies; of a copy that we do not know (any
    more) nothing is kept.

    Raises:
        NotBound, BadSignature: one of them is for a copy that went to another device, says another
            message than that copy's, or is not signed by this device under the list of the letter.
    """
    key = next(key for key in sender.person.devices if key.device == header.from_device)
    leaves = tuple(one.leaf for one in several.receipts)
    verify_receipts(leaves, several.batch, key)
    for index, one in enumerate(several.receipts):
        copy = take(SealedCopy, SEALED, one.envelope.hex(), device.vault)
        covered = take(Covered, COVERED, one.envelope.hex(), device.vault)
        if copy is not None and covered is not None:
            proof = write_receipt_proof(ReceiptProof(place_in(leaves, index), several.batch))
            _keep((one, proof), copy, covered, (sender.person, key, header.from_head), device)


def _keep(
    proven_by: tuple[Receipt, bytes],
    copy: SealedCopy,
    covered: Covered,
    by: tuple[Person, DeviceKey, bytes],
    device: Device,
) -> None:
    (one, proof), (person, key, head) = proven_by, by
    went_to = (copy.message, copy.person, copy.device)
    marks = marks_hash(write_commitments(covered.marks))
    if (one.message, person.id, key.device) != went_to or one.marks != marks:
        raise NotBound(what="its receipt is for another copy")
    said = ReceiptStatement(
        sender=who_am_i(device).person.id,
        message=one.message,
        envelope=one.envelope,
        recipient=person.id,
        device=key.device,
        head=head,
        event=one.event,
        at=one.at,
        manifest=covered.manifest,
        marks=marks,
    )
    statement = write_receipt_statement(said)
    if not same(receipt_leaf(statement), one.leaf):
        raise BadSignature(what="receipt")
    proven = ProvenReceipt(one.event, one.at, statement, proof, said.head)
    lay(proven, RECEIPT, f"{one.envelope.hex()} {int(one.event)}", device.vault)
    if one.event in {ReceiptEvent.OPENED, ReceiptEvent.EXPORTED}:
        # It may have been held to be over, as by a clock that was ahead.
        state = EnvelopeState.OPENED if copy.state is EnvelopeState.EXPIRED else copy.state
        opened = replace(copy, state=state, opened=True)
        if opened != copy:
            lay(opened, SEALED, one.envelope.hex(), device.vault)
    _keep_card(person.id, head, device)


def _keep_card(person: PersonId, head: bytes, device: Device) -> None:
    """Keep the card that proves this list: the first that did, on which no device is missing that
    has signed under it since.
    """
    card = card_with(person, head, device)
    if card is not None and device.vault.get(RECEIPT_CARD, head.hex()) is None:
        device.vault.put(RECEIPT_CARD, head.hex(), card)
