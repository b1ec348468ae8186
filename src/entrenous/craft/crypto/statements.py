"""What people and devices sign: certificates, cards, prekeys, receipts (docs/spec/identity.md).

A device signs many prekeys, or receipts, at once: the root of a Merkle tree whose leaves they are.
"""

from collections.abc import Sequence
from typing import Final

from entrenous.craft.crypto.device import DeviceSigner, sign_twice_as_device, verify_batch
from entrenous.craft.crypto.hashing import person_id, same, sha256
from entrenous.craft.crypto.lists import verify_lists
from entrenous.craft.crypto.master import sign_both, verify_both
from entrenous.craft.crypto.merkle import leaf_of, root_from, root_of
from entrenous.model.card import Card, SignedCertificate, SignedPrekey
from entrenous.model.device_list import DeviceList, ListedDevice
from entrenous.model.ids import MailboxId
from entrenous.model.person import BadSignature, DeviceKey, MasterKey, Person
from entrenous.model.receipt import ReceiptProof
from entrenous.model.secret import Secret
from entrenous.model.signed_batch import Place, SignedBatch

_DEVICE: Final = b"entrenous/2 device"
_PREKEY: Final = b"entrenous/2 prekey"  # of a leaf; the batch has a context of its own
_PREKEYS: Final = b"entrenous/2 prekeys"
_RECEIPT: Final = b"entrenous/2 receipt"
_RECEIPTS: Final = b"entrenous/2 receipts"


def sign_certificate(master: Secret, certificate: bytes) -> bytes:
    """Both master signatures over a device certificate, 3,373 bytes."""
    return sign_both(master, _DEVICE, certificate)


def prekey_leaf(statement: bytes) -> bytes:
    """The leaf of a prekey in its batch, 32 bytes."""
    return leaf_of(_PREKEY, statement)


def receipt_leaf(statement: bytes) -> bytes:
    """The leaf of a receipt in its batch, 32 bytes."""
    return leaf_of(_RECEIPT, statement)


def sign_prekeys(signer: DeviceSigner, batch: bytes) -> bytes:
    """Both signatures of a device over the statement of a batch of prekeys, 3,373 bytes."""
    return sign_twice_as_device(signer, _PREKEYS, batch)


def sign_receipts(signer: DeviceSigner, batch: bytes) -> bytes:
    """Both signatures of a device over the statement of a batch of receipts, 3,373 bytes."""
    return sign_twice_as_device(signer, _RECEIPTS, batch)


def proof_of(signed: SignedCertificate) -> bytes:
    """What a device list names a certificate by, 32 bytes (docs/spec/identity.md section 3)."""
    return sha256(signed.statement + signed.signature)


def verify_card(card: Card) -> Person:
    """The person of a card, once everything about her keys and devices is proven.

    What is left to the caller: that she is the person expected, and what her lists are to those
    that were known (craft/crypto/lists.py ``extends``).

    Raises:
        BadSignature: the lists are not a chain signed by both master keys, the master keys are not
            those of the person that the lists name, or a certificate is not the one that is listed.
    """
    said = card.newest.said
    if not same(person_id(card.master), said.person):
        raise BadSignature(what="card")
    heads = verify_lists(card.lists, card.signature, card.master)
    devices = tuple(
        _proven(signed, listed, said, card.master)
        for signed, listed in zip(card.certificates, said.devices, strict=True)
    )
    return Person(
        id=said.person,
        name=said.name,
        master=card.master,
        relay_url=said.relay_url,
        epoch=said.epoch,
        head=heads[-1].digest,
        devices=devices,
    )


def verify_certificate(signed: SignedCertificate, master: MasterKey) -> None:
    """Return only if these master keys certified this device for their own person.

    Raises:
        BadSignature: they did not.
    """
    if not same(person_id(master), signed.certificate.person):
        raise BadSignature(what="device certificate")
    verify_both(master, _DEVICE, signed.statement, signed.signature, what="device certificate")


def verify_prekey(
    signed: SignedPrekey, batch: SignedBatch, by: DeviceKey, mailbox: MailboxId
) -> None:
    """Return only if this device signed the batch for this mailbox, and the prekey is one of that
    batch and made for this device.

    Raises:
        BadSignature: one of these is not so.
    """
    said = batch.batch
    if said.mailbox is None or not same(said.mailbox, mailbox):
        raise BadSignature(what="prekey")
    if not same(signed.prekey.device, by.device):
        raise BadSignature(what="prekey")
    verify_batch(batch, by, _PREKEYS, what="prekey")
    _verify_place(prekey_leaf(signed.statement), signed.place, batch, what="prekey")


def verify_receipts(leaves: Sequence[bytes], batch: SignedBatch, by: DeviceKey) -> None:
    """Return only if this device signed receipts with just these leaves, in this order.

    Raises:
        BadSignature: it did not.
    """
    verify_batch(batch, by, _RECEIPTS, what="receipt")
    said = batch.batch
    if said.mailbox is not None or len(leaves) != said.size or not same(root_of(leaves), said.root):
        raise BadSignature(what="receipt")


def verify_receipt(statement: bytes, proof: ReceiptProof, by: DeviceKey) -> None:
    """Return only if this device signed that receipt.

    Raises:
        BadSignature: it did not.
    """
    if proof.batch.batch.mailbox is not None:
        raise BadSignature(what="receipt")
    verify_batch(proof.batch, by, _RECEIPTS, what="receipt")
    _verify_place(receipt_leaf(statement), proof.place, proof.batch, what="receipt")


def _verify_place(leaf: bytes, place: Place, signed: SignedBatch, *, what: str) -> None:
    root = root_from(leaf, place.index, signed.batch.size, place.path)
    if root is None or not same(root, signed.batch.root):
        raise BadSignature(what=what)


def _proven(
    signed: SignedCertificate, listed: ListedDevice, said: DeviceList, master: MasterKey
) -> DeviceKey:
    verify_certificate(signed, master)
    certificate = signed.certificate
    named = (certificate.person, certificate.device)
    if named != (said.person, listed.device) or not same(proof_of(signed), listed.proof):
        raise BadSignature(what="device certificate")
    return DeviceKey(
        device=certificate.device,
        mailbox=listed.mailbox,
        ed25519=certificate.ed25519,
        curve25519=certificate.curve25519,
        mldsa65_hash=certificate.mldsa65_hash,
        created_at=certificate.created_at,
        enforces=certificate.enforces,
    )
