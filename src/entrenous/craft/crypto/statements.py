"""What people and devices sign: certificates, cards, prekeys, receipts (docs/spec/identity.md)."""

from collections.abc import Iterable
from typing import Final

from entrenous.craft.crypto.device import sign_as_device, sign_each_as_device, verify_device
from entrenous.craft.crypto.hashing import person_id, same, sha256
from entrenous.craft.crypto.lists import verify_lists
from entrenous.craft.crypto.master import sign_both, verify_both
from entrenous.model.card import Card, SignedCertificate, SignedPrekey
from entrenous.model.device_list import DeviceList, ListedDevice
from entrenous.model.person import BadSignature, DeviceKey, MasterKey, Person
from entrenous.model.secret import Secret

_DEVICE: Final = b"entrenous/2 device"
_PREKEY: Final = b"entrenous/2 prekey"
_RECEIPT: Final = b"entrenous/2 receipt"


def sign_certificate(master: Secret, certificate: bytes) -> bytes:
    """Both master signatures over a device certificate, 3,373 bytes."""
    return sign_both(master, _DEVICE, certificate)


def sign_prekeys(account: Secret, statements: Iterable[bytes]) -> tuple[bytes, ...]:
    """The device's signature over each of these statements of prekeys, 64 bytes."""
    return sign_each_as_device(account, _PREKEY, statements)


def sign_receipt(account: Secret, statement: bytes) -> bytes:
    """The device's signature over a receipt's statement, 64 bytes."""
    return sign_as_device(account, _RECEIPT, statement)


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


def verify_prekey(signed: SignedPrekey, by: DeviceKey) -> None:
    """Return only if this device signed the prekey for itself.

    Raises:
        BadSignature: it did not, or it was made for another device.
    """
    if not same(signed.prekey.device, by.device):
        raise BadSignature(what="prekey")
    verify_device(by.ed25519, _PREKEY, signed.statement, signed.signature, what="prekey")


def verify_receipt(statement: bytes, signature: bytes, by: DeviceKey) -> None:
    """Return only if this device signed that receipt.

    Raises:
        BadSignature: it did not.
    """
    verify_device(by.ed25519, _RECEIPT, statement, signature, what="receipt")


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
        created_at=certificate.created_at,
        enforces=certificate.enforces,
    )
