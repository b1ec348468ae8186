"""Write a letter to another device: seal it and put it into the outbox (docs/spec/letter.md)."""

from dataclasses import dataclass, replace
from datetime import datetime

from entrenous.base.identifiers import ID_BYTES, BlobId, DeviceId, EnvelopeId, MessageId, PersonId
from entrenous.base.identity import CertifiedDevice, Contact
from entrenous.base.limits import TOKEN_RANGE_SIZE, XWING_KEYS_PER_PEER_MAX
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256, token_hash
from entrenous.crypto.key_derivation import derive_send_token
from entrenous.crypto.seal import seal_letter
from entrenous.device.device import Device
from entrenous.device.identities import OwnIdentity, own_device, refuse_unconfirmed_unlock
from entrenous.device.sent_copies import RECEIPT_COVERAGE_TABLE, ReceiptCoverage
from entrenous.device.vault_tables import peer_key
from entrenous.send.clock_sanity import contentless_letter_expiry
from entrenous.send.formats.letter_format import (
    write_body,
    write_header,
    write_hpke_info,
    write_sealed_letter,
)
from entrenous.send.formats.message_format import write_manifest
from entrenous.send.letter.letter_nouns import (
    OWN_XWING_KEY_TABLE,
    PEER_TABLE,
    Body,
    Header,
    Hello,
    LetterAddress,
    Manifest,
    PeerDevice,
    PublicXWingKey,
    RecallNote,
    TokenRangeNote,
)
from entrenous.send.letter.prekeys import make_own_xwing_key
from entrenous.send.outbox import OutboxItem, next_outbox_order, store_outbox_item
from entrenous.send.people.keep_contacts import contact_by_id
from entrenous.send.tokens.use import IndexedToken, former_token_mailbox, use_token
from entrenous.wire.relay_nouns import BlobDeposit, Envelope, ShareDeposit


@dataclass(frozen=True, slots=True)
class Addressee:
    """A contact's device and how to write to it.

    If the contact has moved to another relay but the addressed device has not, the mailbox and the
    device list are those from before the move.
    """

    contact: Contact
    key: CertifiedDevice


@dataclass(frozen=True, slots=True)
class OuterLetterParts:
    """What belongs to a letter besides its body: the envelope in which it is posted, with a share
    and blobs if there are any; the id of its message, which only the recipient sees; and
    ``release_at``, the end of its undo window, until which the letter waits here.
    """

    envelope: EnvelopeId
    expires_at: datetime
    withdraw_token: Secret
    message: MessageId
    share: ShareDeposit | None = None
    blobs: tuple[tuple[BlobDeposit, BlobId], ...] = ()
    release_at: datetime | None = None


def addressees(contact: Contact, device: Device) -> tuple[Addressee, ...]:
    return tuple(_make_addressee(contact, key, device) for key in contact.person.devices)


def _make_addressee(contact: Contact, key: CertifiedDevice, device: Device) -> Addressee:
    place = former_token_mailbox(contact.person.id, key.device, device)
    if place is None:
        return Addressee(contact, key)
    person = replace(contact.person, relay_url=place.relay_url)
    if place.head is not None:
        person = replace(person, epoch=place.head.epoch, head=place.head.digest)
    return Addressee(replace(contact, person=person), replace(key, mailbox=place.mailbox))


def addressee_of(person: PersonId, key: DeviceId, device: Device) -> Addressee | None:
    """Return a contact's device; None if we no longer know the contact or the device."""
    contact = contact_by_id(person, device)
    every = () if contact is None else addressees(contact, device)
    return next((one for one in every if one.key.device == key), None)


def outer_parts_without_content(device: Device) -> OuterLetterParts:
    """Return the outer parts of a letter without content, such as a hello or a recall."""
    return OuterLetterParts(
        envelope=EnvelopeId(device.random_source.token(ID_BYTES)),
        expires_at=contentless_letter_expiry(device),
        withdraw_token=Secret(device.random_source.token(32)),
        message=MessageId(device.random_source.token(ID_BYTES)),
    )


def seal_and_queue_letter(
    body: Body, to: Addressee, outer: OuterLetterParts, device: Device
) -> None:
    """In one transaction, seal a letter and put it into the outbox. A session with the addressee
    must exist (send/letter/sessions.py).

    Raises:
        LetterTooLong, DeviceWithoutRelay, RolledBack, UnlockNotConfirmed.
    """
    me = own_device(device)
    refuse_unconfirmed_unlock(device)
    with device.vault.transaction():
        peer_id = peer_key(to.contact.person.id, to.key.device)
        peer = PEER_TABLE.load(peer_id, device.vault)
        if peer is None or not peer.sessions:
            raise LookupError("a letter is written to a device that there is a session with")
        next_key = make_own_xwing_key(peer_id, me, device)
        info = write_hpke_info(_letter_address(peer, to, me))
        encoded = write_body(body)
        token = use_token(to.contact, to.key.device, device, greets=isinstance(body, Hello))
        header = _letter_header(encoded, peer, to, outer, me, next_key)
        encoded_header = write_header(replace(header, token=token.index))
        sealed, session = seal_letter(
            peer.sessions[0], peer.seal_to.public, info, encoded_header, encoded
        )
        _store_advanced_peer(peer, session, next_key, device)
        item = _outbox_item(write_sealed_letter(peer.seal_to.id, sealed), to, outer, token, device)
        item = replace(item, needs=_last_token_hash_in(body), release_at=outer.release_at)
        store_outbox_item(replace(item, recalls=isinstance(body, RecallNote)), device)
        if isinstance(body, Manifest):
            _record_receipt_coverage(body, outer.envelope, device)


def _record_receipt_coverage(manifest: Manifest, envelope: EnvelopeId, device: Device) -> None:
    """Store the data against which a receipt will be checked.

    Call it in the transaction that writes the letter.
    """
    covered = ReceiptCoverage(sha256(write_manifest(manifest)), manifest.marks)
    RECEIPT_COVERAGE_TABLE.store(covered, envelope.hex(), device.vault)


def _last_token_hash_in(body: Body) -> bytes | None:
    """Return the hash of the last token that a letter hands out, or None. The token must be
    registered before the letter is sent.
    """
    if isinstance(body, Hello | TokenRangeNote):
        return token_hash(derive_send_token(body.seed, body.first + TOKEN_RANGE_SIZE - 1))
    return None


def _letter_address(peer: PeerDevice, to: Addressee, me: OwnIdentity) -> LetterAddress:
    return LetterAddress(
        to_person=to.contact.person.id,
        to_device=to.key.device,
        key=peer.seal_to.id,
        epoch=peer.key_epoch,
        head=peer.key_head,
        from_person=me.person.id if peer.made_for_me else None,
        from_device=me.key.device if peer.made_for_me else None,
    )


def _letter_header(  # noqa: PLR0913, PLR0917 - a header binds this many things
    encoded: bytes,
    peer: PeerDevice,
    to: Addressee,
    outer: OuterLetterParts,
    me: OwnIdentity,
    next_key: PublicXWingKey,
) -> Header:
    return Header(
        from_person=me.person.id,
        from_device=me.key.device,
        to_person=to.contact.person.id,
        to_device=to.key.device,
        from_epoch=me.person.epoch,
        to_epoch=to.contact.person.epoch,
        prekey=None if peer.made_for_me else peer.prekey,
        message=outer.message,
        counter=peer.sent + 1,
        next_key=next_key,
        curve25519=me.key.curve25519,
        envelope=outer.envelope,
        body_sha256=sha256(encoded),
        from_head=me.person.head,
        to_head=to.contact.person.head,
        token=None,
    )


def _store_advanced_peer(
    peer: PeerDevice, session: Secret, next_key: PublicXWingKey, device: Device
) -> None:
    mine = (*peer.mine, next_key.id)
    for forgotten in mine[:-XWING_KEYS_PER_PEER_MAX]:
        OWN_XWING_KEY_TABLE.drop(forgotten.hex(), device.vault)
    moved = replace(
        peer,
        sessions=(session, *peer.sessions[1:]),
        mine=mine[-XWING_KEYS_PER_PEER_MAX:],
        sent=peer.sent + 1,
    )
    PEER_TABLE.store(moved, peer_key(peer.person, peer.device), device.vault)


def _outbox_item(
    sealed: bytes, to: Addressee, outer: OuterLetterParts, token: IndexedToken, device: Device
) -> OutboxItem:
    person = to.contact.person
    envelope = Envelope(
        id=outer.envelope,
        mailbox=to.key.mailbox,
        sealed=sealed,
        expires_at=outer.expires_at,
        withdraw_lock=token_hash(outer.withdraw_token),
        share=outer.share,
        blobs=tuple(deposit.id for deposit, _ in outer.blobs),
    )
    item = OutboxItem(
        next_outbox_order(device), person.relay_url, token.token, envelope, outer.blobs
    )
    return replace(item, index=token.index, peer=peer_key(person.id, to.key.device))
