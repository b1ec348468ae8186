"""What people and devices sign: cards, certificates, prekeys (docs/spec/identity.md 2 to 4)."""

from typing import Final

from entrenous.craft.crypto.device import sign_as_device, verify_device
from entrenous.craft.crypto.hashing import person_id, same
from entrenous.craft.crypto.master import sign_both, verify_both
from entrenous.model.card import Card, SignedPrekey
from entrenous.model.person import BadSignature, DeviceKey, Person
from entrenous.model.secret import Secret

_CARD: Final = b"entrenous/1 card"
_DEVICE: Final = b"entrenous/1 device"
_PREKEY: Final = b"entrenous/1 prekey"


def sign_card(master: Secret, statement: bytes) -> bytes:
    """Both master signatures over a card's statement, 3,373 bytes."""
    return sign_both(master, _CARD, statement)


def sign_certificate(master: Secret, certificate: bytes) -> bytes:
    """Both master signatures over a device certificate, 3,373 bytes."""
    return sign_both(master, _DEVICE, certificate)


def sign_prekey(account: Secret, statement: bytes) -> bytes:
    """The device's signature over a prekey's statement, 64 bytes."""
    return sign_as_device(account, _PREKEY, statement)


def verify_card(card: Card) -> Person:
    """The person of a card, once everything about her keys is proven.

    What is left to the caller: that she is the person expected, and the rule of epochs.

    Raises:
        BadSignature: the card or a certificate is not signed by both master keys, or the master
            keys are not those of the person that the certificates name.
    """
    person = card.person
    if not same(person_id(person.master), person.id):
        raise BadSignature(what="card")
    verify_both(person.master, _CARD, card.statement, card.signature, what="card")
    for device in person.devices:
        verify_certificate(person, device)
    return person


def verify_certificate(person: Person, device: DeviceKey) -> None:
    """Return only if the person's master keys certified this device.

    Raises:
        BadSignature: they did not.
    """
    verify_both(
        person.master, _DEVICE, device.certificate, device.signature, what="device certificate"
    )


def verify_prekey(signed: SignedPrekey, by: DeviceKey) -> None:
    """Return only if this device signed the prekey for itself.

    Raises:
        BadSignature: it did not, or it was made for another device.
    """
    if not same(signed.prekey.device, by.device):
        raise BadSignature(what="prekey")
    verify_device(by.ed25519, _PREKEY, signed.statement, signed.signature, what="prekey")
