"""Send the receipts that are due, many in one letter; verify and store the receipts that arrive."""

from contextlib import suppress
from dataclasses import replace

from entrenous.base.copies import Receipt, ReceiptEvent, ReceiptProof, Receipts, ReceiptStatement
from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import DeviceId, PersonId
from entrenous.base.identity import BadSignature, Contact, DeviceKey, Person
from entrenous.base.limits import RECEIPTS_MAX
from entrenous.crypto.hashing import equal_in_constant_time, marks_hash
from entrenous.crypto.nouns import NotForThisMailbox
from entrenous.crypto.statements import receipt_leaf, sign_receipts, verify_receipts
from entrenous.device.device import Device
from entrenous.device.identities import key_bundle_with_head, own_device
from entrenous.device.sent_copies import (
    RECEIPT_COVERAGE_TABLE,
    RECEIPT_TABLE,
    ProvenReceipt,
    ReceiptCoverage,
)
from entrenous.device.sent_messages import SEALED_COPY_TABLE, SealedCopy
from entrenous.device.vault_tables import (
    RECEIPT_KEY_BUNDLE,
)
from entrenous.send.devices.own_key_bundle import batch_positions, sign_batch
from entrenous.send.letter.letter_nouns import Header
from entrenous.send.letter.receipts_owed import (
    MAX_RECEIPT_DELAY,
    OWED_RECEIPT_TABLE,
    OwedReceipt,
    may_get_receipts,
)
from entrenous.send.letter.sessions import ensure_session
from entrenous.send.letter.write import addressee_of, outer_parts_without_content, write_letter
from entrenous.wire.receipt import write_commitments, write_receipt_proof, write_receipt_statement
from entrenous.wire.relay_nouns import EnvelopeState


def send_receipts(device: Device) -> None:
    """Put the receipts that are due into the outbox.

    Receipts for devices that cannot be reached now are sent next time. Receipts for people who may
    no longer get any are dropped.
    """
    for peer_id in sorted({key.rsplit(" ", 2)[0] for key in OWED_RECEIPT_TABLE.keys(device.vault)}):
        with suppress(EntrenousError), device.vault.transaction():
            _send_receipts_to(peer_id, device)


def _send_receipts_to(peer_id: str, device: Device) -> None:
    keys = OWED_RECEIPT_TABLE.keys(device.vault, peer_id)[:RECEIPTS_MAX]
    owed = [one for key in keys if (one := OWED_RECEIPT_TABLE.load(key, device.vault))]
    person, key = (bytes.fromhex(part) for part in peer_id.split())
    to = addressee_of(PersonId(person), DeviceId(key), device)
    is_wanted = to is not None and device.receipts and may_get_receipts(PersonId(person), device)
    now = device.clock.now()
    if is_wanted and all(now < one.due_at <= now + MAX_RECEIPT_DELAY for one in owed):
        return
    if to is not None and is_wanted:
        ensure_session(to, device)
        receipts = tuple(_sign_receipts(one, PersonId(person), device) for one in owed)
        batch = sign_batch([one.leaf for one in receipts], None, sign_receipts, device)
        write_letter(Receipts(receipts, batch), to, outer_parts_without_content(device), device)
    for one_key in keys:
        OWED_RECEIPT_TABLE.drop(one_key, device.vault)


def _sign_receipts(owed: OwedReceipt, sender: PersonId, device: Device) -> Receipt:
    me = own_device(device)
    statement = ReceiptStatement(
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
    leaf = receipt_leaf(write_receipt_statement(statement))
    return Receipt(owed.event, owed.message, owed.envelope, owed.at, owed.marks, leaf)


def store_receipts(receipts: Receipts, header: Header, sender: Contact, device: Device) -> None:
    """Store a device's receipts for our copies; receipts for unknown copies are ignored.

    Raises:
        NotForThisMailbox, BadSignature: a receipt is for a copy sent to another device, names
            a message other than that copy's, or lacks a valid signature by the sending device that
            also covers the letter's device list.
    """
    key = next(key for key in sender.person.devices if key.device == header.from_device)
    leaves = tuple(one.leaf for one in receipts.receipts)
    verify_receipts(leaves, receipts.batch, key)
    for one, place in zip(receipts.receipts, batch_positions(leaves), strict=True):
        copy = SEALED_COPY_TABLE.load(one.envelope.hex(), device.vault)
        expected = RECEIPT_COVERAGE_TABLE.load(one.envelope.hex(), device.vault)
        if copy is not None and expected is not None:
            proof = write_receipt_proof(ReceiptProof(place, receipts.batch))
            _store_receipt(
                (one, proof), copy, expected, (sender.person, key, header.from_head), device
            )


def _store_receipt(
    proven_by: tuple[Receipt, bytes],
    copy: SealedCopy,
    expected: ReceiptCoverage,
    signer: tuple[Person, DeviceKey, bytes],
    device: Device,
) -> None:
    (one, proof), (person, key, head) = proven_by, signer
    destination = (copy.message, copy.person, copy.device)
    marks = marks_hash(write_commitments(expected.marks))
    if (one.message, person.id, key.device) != destination or one.marks != marks:
        raise NotForThisMailbox(what="its receipt is for another copy")
    statement = ReceiptStatement(
        sender=own_device(device).person.id,
        message=one.message,
        envelope=one.envelope,
        recipient=person.id,
        device=key.device,
        head=head,
        event=one.event,
        at=one.at,
        manifest=expected.manifest,
        marks=marks,
    )
    encoded = write_receipt_statement(statement)
    if not equal_in_constant_time(receipt_leaf(encoded), one.leaf):
        raise BadSignature(what="receipt for a copy")
    proven = ProvenReceipt(one.event, one.at, encoded, proof, head)
    RECEIPT_TABLE.store(proven, f"{one.envelope.hex()} {int(one.event)}", device.vault)
    if one.event in {ReceiptEvent.OPENED, ReceiptEvent.EXPORTED}:
        # The copy may have been marked as expired by a clock that was ahead.
        state = EnvelopeState.OPENED if copy.state is EnvelopeState.EXPIRED else copy.state
        opened = replace(copy, state=state, opened=True)
        if opened != copy:
            SEALED_COPY_TABLE.store(opened, one.envelope.hex(), device.vault)
    _store_proving_bundle(person.id, head, device)


def _store_proving_bundle(person: PersonId, head: bytes, device: Device) -> None:
    """Store the first key bundle that proves this list.

    The bundle contains every device whose receipts name this list.
    """
    card = key_bundle_with_head(person, head, device)
    if card is not None and device.vault.get(RECEIPT_KEY_BUNDLE, head.hex()) is None:
        device.vault.put(RECEIPT_KEY_BUNDLE, head.hex(), card)
