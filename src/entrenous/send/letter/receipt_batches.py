"""Send the receipts that are due, many in one letter; prove and keep those that come."""

from contextlib import suppress
from dataclasses import replace

from entrenous.base.copies import Receipt, ReceiptEvent, ReceiptProof, Receipts, ReceiptStatement
from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import DeviceId, PersonId
from entrenous.base.identity import BadSignature, Contact, DeviceKey, Person
from entrenous.base.limits import RECEIPTS_MAX
from entrenous.crypto.hashing import equal_in_constant_time, marks_hash
from entrenous.crypto.nouns import NotBound
from entrenous.crypto.statements import receipt_leaf, sign_receipts, verify_receipts
from entrenous.device.device import Device
from entrenous.device.identities import card_with, who_am_i
from entrenous.device.sent_copies import Covered, ProvenReceipt
from entrenous.device.sent_messages import SealedCopy
from entrenous.device.vault_tables import (
    COVERED,
    OWED,
    RECEIPT,
    RECEIPT_CARD,
    SEALED,
    load_record,
    store_record,
)
from entrenous.send.devices.own_key_bundle import place_in, signed_batch
from entrenous.send.letter.letter_nouns import Header
from entrenous.send.letter.receipts_owed import LONGEST, OwedReceipt, may_know
from entrenous.send.letter.sessions import have_session
from entrenous.send.letter.write import addressee_of, plain_outer, write_letter
from entrenous.wire.receipt import write_commitments, write_receipt_proof, write_receipt_statement
from entrenous.wire.relay_nouns import EnvelopeState


def send_receipts(device: Device) -> None:
    """Lay what is due into the outbox. Whoever can't be written to now gets hers the next time;
    whoever may not know any more gets none.
    """
    for whose in sorted({key.rsplit(" ", 2)[0] for key in device.vault.keys(OWED)}):
        with suppress(EntrenousError), device.vault.together():
            _send(whose, device)


def _send(whose: str, device: Device) -> None:
    keys = device.vault.keys(OWED, whose)[:RECEIPTS_MAX]
    owed = [one for key in keys if (one := load_record(OwedReceipt, OWED, key, device.vault))]
    person, key = (bytes.fromhex(part) for part in whose.split())
    to = addressee_of(PersonId(person), DeviceId(key), device)
    wanted = to is not None and device.receipts and may_know(PersonId(person), device)
    now = device.clock.now()
    if wanted and all(now < one.due_at <= now + LONGEST for one in owed):
        return
    if to is not None and wanted:
        have_session(to, device)
        receipts = tuple(_signed(one, PersonId(person), device) for one in owed)
        batch = signed_batch([one.leaf for one in receipts], None, sign_receipts, device)
        write_letter(Receipts(receipts, batch), to, plain_outer(device), device)
    for one_key in keys:
        device.vault.drop(OWED, one_key)


def _signed(owed: OwedReceipt, sender: PersonId, device: Device) -> Receipt:
    me = who_am_i(device)
    said = ReceiptStatement(
        sender=sender,
        message=owed.message,
        envelope=owed.envelope,
        recipient=me.person.id,
        device=me.key.device,
        head=me.person.head,
        event=owed.event,
        at=owed.at,
        manifest=owed.manifest,
        marks=owed.marks,
    )
    leaf = receipt_leaf(write_receipt_statement(said))
    return Receipt(owed.event, owed.message, owed.envelope, owed.at, owed.marks, leaf)


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
        copy = load_record(SealedCopy, SEALED, one.envelope.hex(), device.vault)
        covered = load_record(Covered, COVERED, one.envelope.hex(), device.vault)
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
    if not equal_in_constant_time(receipt_leaf(statement), one.leaf):
        raise BadSignature(what="receipt")
    proven = ProvenReceipt(one.event, one.at, statement, proof, said.head)
    store_record(proven, RECEIPT, f"{one.envelope.hex()} {int(one.event)}", device.vault)
    if one.event in {ReceiptEvent.OPENED, ReceiptEvent.EXPORTED}:
        # It may have been held to be over, as by a clock that was ahead.
        state = EnvelopeState.OPENED if copy.state is EnvelopeState.EXPIRED else copy.state
        opened = replace(copy, state=state, opened=True)
        if opened != copy:
            store_record(opened, SEALED, one.envelope.hex(), device.vault)
    _keep_card(person.id, head, device)


def _keep_card(person: PersonId, head: bytes, device: Device) -> None:
    """Keep the card that proves this list: the first that did, on which no device is missing that
    has signed under it since.
    """
    card = card_with(person, head, device)
    if card is not None and device.vault.get(RECEIPT_CARD, head.hex()) is None:
        device.vault.put(RECEIPT_CARD, head.hex(), card)
