"""Receipts: record those that this device owes, send them in batches, verify and store those that
arrive (docs/spec/receipts.md, section 1).
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.copies import Receipt, ReceiptEvent, ReceiptProof, Receipts, ReceiptStatement
from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import DeviceId, EnvelopeId, MessageId, PersonId
from entrenous.base.identity import BadSignature, CertifiedDevice, Contact, Person
from entrenous.base.limits import RECEIPTS_PER_LETTER_MAX
from entrenous.crypto.hashing import equal_in_constant_time, mark_commitments_hash, sha256
from entrenous.crypto.nouns import NotForThisMailbox
from entrenous.crypto.statements import receipt_leaf, sign_receipts, verify_receipts
from entrenous.device.device import Device
from entrenous.device.identities import CONTACT_TABLE, key_bundle_including_head, own_device
from entrenous.device.sent_copies import (
    RECEIPT_COVERAGE_TABLE,
    RECEIPT_TABLE,
    ProvenReceipt,
    ReceiptCoverage,
)
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, CopyDelivery
from entrenous.device.vault_tables import (
    OWED_RECEIPT,
    RECEIPT_KEY_BUNDLE,
    SENDING_DEVICE,
    Table,
    inbox_key,
    peer_key,
)
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.devices.own_key_bundle import batch_positions, sign_batch
from entrenous.send.formats.message_format import write_manifest, write_marks_hash_input
from entrenous.send.letter.letter_nouns import Header
from entrenous.send.letter.sessions import ensure_session
from entrenous.send.letter.write import (
    addressee_of,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.message.states import ReceivedMessage
from entrenous.wire.receipt import (
    write_mark_commitments,
    write_receipt_proof,
    write_receipt_statement,
)
from entrenous.wire.relay_nouns import EnvelopeState


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
#: If a receipt is due more than this long after now, a clock that was ahead recorded its time.
MAX_RECEIPT_DELAY: Final = timedelta(seconds=_RECEIPT_DELAY_S_MAX)


def owe_delivery_receipt(header: Header, received: ReceivedMessage, device: Device) -> None:
    """Record which device sent a message and, if its sender may get receipts, that a receipt is
    owed for its delivery.

    Call this function in the transaction that stores the message.
    """
    key = inbox_key(received.sender, received.id)
    device.vault.put(SENDING_DEVICE, key, header.from_device)
    _store_owed_receipt_if_allowed(ReceiptEvent.DELIVERED, received, device)


def owe_opening_receipt(received: ReceivedMessage, device: Device) -> None:
    """Record that a receipt is owed for an opening, if the sender may get receipts.

    Call this function in the transaction that records the opening, while the manifest is still
    stored.
    """
    _store_owed_receipt_if_allowed(ReceiptEvent.OPENED, received, device)


def owe_export_receipt(received: ReceivedMessage, device: Device) -> None:
    """Record that a receipt is owed for an export; call it like :func:`owe_opening_receipt`."""
    _store_owed_receipt_if_allowed(ReceiptEvent.EXPORTED, received, device)


def may_get_receipts(person: PersonId, device: Device) -> bool:
    """Return whether a person may get receipts.

    Either their keys have been compared, or only an invite link vouches for the keys and the user
    agreed to send receipts. The person must not be blocked, and their device lists must not
    contradict each other.
    """
    contact = CONTACT_TABLE.load(person.hex(), device.vault)
    if contact is None or contact.blocked or contact.forked:
        return False
    return contact.gets_receipts


def _store_owed_receipt_if_allowed(
    event: ReceiptEvent, received: ReceivedMessage, device: Device
) -> None:
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
        at=now_in_whole_seconds(device).replace(second=0),
        manifest=sha256(write_manifest(manifest)),
        marks=mark_commitments_hash(write_marks_hash_input(manifest)),
        due_at=_next_due_time(peer_id, device),
    )
    key = f"{peer_id} {received.envelope.hex()} {int(event)}"
    if not OWED_RECEIPT_TABLE.has(key, device.vault):
        OWED_RECEIPT_TABLE.store(owed, key, device.vault)


def _next_due_time(peer_id: str, device: Device) -> datetime:
    """Return when the receipts that are already owed to that device are due. If there are none,
    return a random time, 1 to 15 minutes from now.
    """
    for key in OWED_RECEIPT_TABLE.keys(device.vault, peer_id):
        owed = OWED_RECEIPT_TABLE.load(key, device.vault)
        if owed is not None:
            return owed.due_at
    delay_s = int.from_bytes(device.random_source.token(8), "big") % (
        _RECEIPT_DELAY_S_MAX - _RECEIPT_DELAY_S_MIN + 1
    )
    return now_in_whole_seconds(device) + timedelta(seconds=_RECEIPT_DELAY_S_MIN + delay_s)


def queue_due_receipts(device: Device) -> None:
    """Put the receipts that are due into the outbox.

    Receipts for devices that cannot be reached now are sent next time. Receipts for people who may
    no longer get any are dropped.
    """
    for peer_id in sorted({key.rsplit(" ", 2)[0] for key in OWED_RECEIPT_TABLE.keys(device.vault)}):
        with suppress(EntrenousError), device.vault.transaction():
            _queue_receipts_to(peer_id, device)


def _queue_receipts_to(peer_id: str, device: Device) -> None:
    keys = OWED_RECEIPT_TABLE.keys(device.vault, peer_id)[:RECEIPTS_PER_LETTER_MAX]
    owed = [one for key in keys if (one := OWED_RECEIPT_TABLE.load(key, device.vault))]
    person, key = (bytes.fromhex(part) for part in peer_id.split())
    to = addressee_of(PersonId(person), DeviceId(key), device)
    is_wanted = to is not None and device.receipts and may_get_receipts(PersonId(person), device)
    now = device.clock.now()
    if is_wanted and all(now < one.due_at <= now + MAX_RECEIPT_DELAY for one in owed):
        return
    if to is not None and is_wanted:
        ensure_session(to, device)
        receipts = tuple(_make_receipt(one, PersonId(person), device) for one in owed)
        batch = sign_batch([one.leaf for one in receipts], None, sign_receipts, device)
        seal_and_queue_letter(
            Receipts(receipts, batch), to, outer_parts_without_content(device), device
        )
    for one_key in keys:
        OWED_RECEIPT_TABLE.drop(one_key, device.vault)


def _make_receipt(owed: OwedReceipt, sender: PersonId, device: Device) -> Receipt:
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


def verify_and_store_receipts(
    receipts: Receipts, header: Header, sender: Contact, device: Device
) -> None:
    """Store a device's receipts for our copies; receipts for unknown copies are ignored.

    Raises:
        NotForThisMailbox: a receipt is for a copy that went to another device, or names another
            message or other marks than that copy has.
        BadSignature: the device that sent the letter did not sign these receipts, or the statement
            that it signed differs from ours, which names the letter's device list.
    """
    key = next(key for key in sender.person.devices if key.device == header.from_device)
    leaves = tuple(one.leaf for one in receipts.receipts)
    verify_receipts(leaves, receipts.batch, key)
    for one, place in zip(receipts.receipts, batch_positions(leaves), strict=True):
        copy = COPY_DELIVERY_TABLE.load(one.envelope.hex(), device.vault)
        expected = RECEIPT_COVERAGE_TABLE.load(one.envelope.hex(), device.vault)
        if copy is not None and expected is not None:
            proof = write_receipt_proof(ReceiptProof(place, receipts.batch))
            _verify_and_store_receipt(
                (one, proof), copy, expected, (sender.person, key, header.from_head), device
            )


def _verify_and_store_receipt(
    proven_by: tuple[Receipt, bytes],
    copy: CopyDelivery,
    expected: ReceiptCoverage,
    signer: tuple[Person, CertifiedDevice, bytes],
    device: Device,
) -> None:
    (one, proof), (person, key, head) = proven_by, signer
    destination = (copy.message, copy.person, copy.device)
    marks = mark_commitments_hash(write_mark_commitments(expected.marks))
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
            COPY_DELIVERY_TABLE.store(opened, one.envelope.hex(), device.vault)
    _store_proving_bundle(person.id, head, device)


def _store_proving_bundle(person: PersonId, head: bytes, device: Device) -> None:
    """Store the person's newest key bundle if it includes this device list, unless a bundle is
    stored for this list already.

    It proves which devices were on the list, and so which device signed a receipt.
    """
    card = key_bundle_including_head(person, head, device)
    if card is not None and device.vault.get(RECEIPT_KEY_BUNDLE, head.hex()) is None:
        device.vault.put(RECEIPT_KEY_BUNDLE, head.hex(), card)
