"""Cards, certificates and prekeys: every swap that a relay could try is refused."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from entrenous.craft.crypto.device import (
    add_one_time_keys,
    identity_key,
    new_account,
    signing_key,
)
from entrenous.craft.crypto.hashing import person_id
from entrenous.craft.crypto.master import new_master, public_master
from entrenous.craft.crypto.statements import (
    sign_card,
    sign_certificate,
    sign_prekey,
    verify_card,
    verify_certificate,
    verify_prekey,
)
from entrenous.craft.wire.card import (
    device_key,
    read_card,
    write_card,
    write_card_statement,
    write_certificate,
)
from entrenous.craft.wire.prekey import read_prekey, write_prekey, write_prekey_statement
from entrenous.model.card import Card, Certificate, Prekey, PrekeyKind, SignedPrekey
from entrenous.model.ids import DeviceId, MailboxId, PersonId
from entrenous.model.person import BadSignature, DeviceKey, Person
from entrenous.model.secret import Secret

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MASTER, OTHER_MASTER = new_master(bytes(range(64))), new_master(bytes(64))
ACCOUNT = new_account()


def certified(master: Secret, account: Secret, device: bytes, person: PersonId) -> DeviceKey:
    certificate = Certificate(
        person, DeviceId(device * 16), signing_key(account), identity_key(account), NOON
    )
    signature = sign_certificate(master, write_certificate(certificate))
    return device_key(certificate, signature)


def someone(master: Secret, name: str) -> Person:
    public = public_master(master)
    who = person_id(public)
    device = certified(master, ACCOUNT, b"d", who)
    return Person(who, name, public, "https://relay.example", MailboxId(b"m" * 16), 1, (device,))


def carded(master: Secret, person: Person) -> Card:
    statement = write_card_statement(person, NOON)
    return read_card(write_card(statement, sign_card(master, statement)))


ANA, BEN = someone(MASTER, "Ana"), someone(OTHER_MASTER, "Ben")


def test_a_card_travels_and_verifies() -> None:
    assert verify_card(carded(MASTER, ANA)) == ANA


def test_somebody_elses_signature_is_refused() -> None:
    with pytest.raises(BadSignature, match="card"):
        verify_card(carded(OTHER_MASTER, ANA))


def test_another_address_under_the_same_signature_is_refused() -> None:
    card = carded(MASTER, ANA)
    moved = write_card_statement(replace(ANA, relay_url="https://evil.example"), NOON)
    with pytest.raises(BadSignature, match="card"):
        verify_card(read_card(write_card(moved, card.signature)))


def test_master_keys_that_are_not_the_named_person_are_refused() -> None:
    """Mallory signs, with her own keys, a card whose certificates name Ana."""
    posing = replace(
        BEN, id=ANA.id, devices=(certified(OTHER_MASTER, new_account(), b"x", ANA.id),)
    )
    with pytest.raises(BadSignature, match="card"):
        verify_card(carded(OTHER_MASTER, posing))


def test_a_device_that_the_master_key_did_not_certify_is_refused() -> None:
    """A relay adds a device of its own, certified by nobody that Ana trusts."""
    added = certified(OTHER_MASTER, new_account(), b"x", ANA.id)
    with pytest.raises(BadSignature, match="device certificate"):
        verify_card(carded(MASTER, replace(ANA, devices=(*ANA.devices, added))))


def test_a_card_signature_is_no_certificate() -> None:
    (device,) = ANA.devices
    with pytest.raises(BadSignature, match="device certificate"):
        verify_certificate(ANA, replace(device, signature=sign_card(MASTER, device.certificate)))


def signed_prekey(account: Secret, device: bytes = b"d") -> SignedPrekey:
    _, keys = add_one_time_keys(account, 1)
    ((key_id, public),) = keys.items()
    prekey = Prekey(PrekeyKind.ONE_TIME, key_id, DeviceId(device * 16), 1, public)
    statement = write_prekey_statement(prekey)
    return read_prekey(write_prekey(statement, sign_prekey(account, statement)))


def test_a_prekey_travels_and_verifies() -> None:
    verify_prekey(signed_prekey(ACCOUNT), by=ANA.devices[0])


def test_prekeys_of_another_device_are_refused() -> None:
    for swapped in (
        signed_prekey(new_account()),
        signed_prekey(ACCOUNT, device=b"e"),
        replace(signed_prekey(ACCOUNT), signature=signed_prekey(ACCOUNT).signature),
    ):
        with pytest.raises(BadSignature, match="prekey"):
            verify_prekey(swapped, by=ANA.devices[0])
