"""Cards, certificates, prekeys and receipts: every swap that a relay could try is refused."""

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
from entrenous.craft.crypto.lists import head_of, sign_list
from entrenous.craft.crypto.master import new_master, public_master
from entrenous.craft.crypto.statements import (
    proof_of,
    sign_certificate,
    sign_prekeys,
    sign_receipt,
    verify_card,
    verify_certificate,
    verify_prekey,
    verify_receipt,
)
from entrenous.craft.wire.identity.card import read_card, write_card
from entrenous.craft.wire.identity.certificate import write_certificate
from entrenous.craft.wire.identity.device_list import read_device_list, write_device_list
from entrenous.craft.wire.identity.prekey import read_prekey, write_prekey, write_prekey_statement
from entrenous.craft.wire.letter.commitment import write_receipt_statement
from entrenous.model.card import (
    Card,
    Certificate,
    Prekey,
    PrekeyKind,
    SignedCertificate,
    SignedPrekey,
)
from entrenous.model.device_list import DeviceList, ListedDevice, ListStatement, Speaks
from entrenous.model.ids import DeviceId, EnvelopeId, MailboxId, MessageId, PersonId
from entrenous.model.person import BadSignature
from entrenous.model.receipt import ReceiptEvent, ReceiptStatement
from entrenous.model.secret import Secret

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MASTER, OTHER_MASTER = new_master(bytes(range(64))), new_master(bytes(64))
ACCOUNT = new_account()


def who(master: Secret) -> PersonId:
    return person_id(public_master(master))


def certified(
    master: Secret, device: bytes = b"d", person: PersonId | None = None, account: Secret = ACCOUNT
) -> SignedCertificate:
    certificate = Certificate(
        person or who(master),
        DeviceId(device * 16),
        signing_key(account),
        identity_key(account),
        NOON,
        (1, 2, 3),
    )
    statement = write_certificate(certificate)
    return SignedCertificate(certificate, statement, sign_certificate(master, statement))


def listing(*certificates: SignedCertificate, person: PersonId) -> DeviceList:
    return DeviceList(
        person=person,
        epoch=1,
        previous=None,
        devices=tuple(
            ListedDevice(one.certificate.device, proof_of(one), MailboxId(one.certificate.device))
            for one in certificates
        ),
        revoked=(),
        name="Ana",
        speaks=Speaks(2, 2),
        issued_at=NOON,
        relay_url="https://relay.example",
    )


def listed(said: DeviceList) -> ListStatement:
    return read_device_list(write_device_list(said))


def carded(
    said: DeviceList, *certificates: SignedCertificate, by: Secret = MASTER, keys: Secret = MASTER
) -> Card:
    """A card as it arrives: a list signed by ``by``, under the public half of ``keys``."""
    one = listed(said)
    card = Card(public_master(keys), (one,), sign_list(by, one.statement), certificates)
    return read_card(write_card(card))


OURS = certified(MASTER)
ANA = listing(OURS, person=who(MASTER))
CARD = carded(ANA, OURS)


def test_a_card_travels_and_verifies() -> None:
    person = verify_card(CARD)
    assert (person.id, person.name, person.epoch) == (who(MASTER), "Ana", 1)
    assert person.head == head_of(write_device_list(ANA))
    (device,) = person.devices
    assert (device.device, device.mailbox) == (b"d" * 16, b"d" * 16)
    assert (device.ed25519, device.enforces) == (signing_key(ACCOUNT), (1, 2, 3))


def test_somebody_elses_signature_is_refused() -> None:
    with pytest.raises(BadSignature, match="device list"):
        verify_card(carded(ANA, OURS, by=OTHER_MASTER))


@pytest.mark.parametrize("half", [slice(0, 64), slice(64, None)], ids=["ed25519", "mldsa65"])
def test_one_of_two_signatures_is_not_enough(half: slice) -> None:
    mixed = bytearray(CARD.signature)
    mixed[half] = sign_list(OTHER_MASTER, CARD.newest.statement)[half]
    with pytest.raises(BadSignature, match="device list"):
        verify_card(replace(CARD, signature=bytes(mixed)))


@pytest.mark.parametrize(
    "change",
    [
        {"relay_url": "https://evil.example"},
        {"name": "Eve"},
        {"speaks": Speaks(1, 2)},
        {"devices": (replace(ANA.devices[0], mailbox=MailboxId(bytes(16))),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_list_under_the_same_signature_is_refused(change: dict[str, object]) -> None:
    changed = listed(replace(ANA, **change))  # type: ignore[arg-type]
    with pytest.raises(BadSignature, match="device list"):
        verify_card(replace(CARD, lists=(changed,)))


def test_master_keys_that_are_not_the_named_person_are_refused() -> None:
    """Mallory signs, with her own keys, a list that names Ana."""
    posing = certified(OTHER_MASTER, person=who(MASTER))
    with pytest.raises(BadSignature, match="card"):
        verify_card(
            carded(listing(posing, person=who(MASTER)), posing, by=OTHER_MASTER, keys=OTHER_MASTER)
        )


@pytest.mark.threat("server-adds-device")
@pytest.mark.parametrize(
    "added",
    [
        certified(OTHER_MASTER, b"x"),
        certified(OTHER_MASTER, b"x", who(MASTER)),
        certified(MASTER, b"x", who(OTHER_MASTER)),
    ],
    ids=["of another person", "by another person", "for another person"],
)
def test_a_device_that_the_master_key_did_not_certify_is_refused(added: SignedCertificate) -> None:
    """Even if it got onto a list that she signed."""
    both = listing(OURS, added, person=who(MASTER))
    with pytest.raises(BadSignature, match="device certificate"):
        verify_card(carded(both, OURS, added))


def test_a_certificate_that_is_hers_and_not_the_listed_one_is_refused() -> None:
    """As when a relay brings an earlier certificate of the same device back."""
    earlier = certified(MASTER, account=new_account())
    with pytest.raises(BadSignature, match="device certificate"):
        verify_card(replace(CARD, certificates=(earlier,)))


@pytest.mark.threat("key-confusion")
def test_a_list_signature_is_no_certificate() -> None:
    swapped = replace(OURS, signature=sign_list(MASTER, OURS.statement))
    with pytest.raises(BadSignature, match="device certificate"):
        verify_certificate(swapped, public_master(MASTER))


BY = verify_card(CARD).devices[0]


def signed_prekey(account: Secret, device: bytes = b"d") -> SignedPrekey:
    _, keys = add_one_time_keys(account, 1)
    ((key_id, public),) = keys.items()
    prekey = Prekey(PrekeyKind.ONE_TIME, key_id, DeviceId(device * 16), 1, bytes(32), NOON, public)
    statement = write_prekey_statement(prekey)
    return read_prekey(write_prekey(statement, *sign_prekeys(account, [statement])))


def test_each_statement_has_its_own_signature_in_order() -> None:
    statements = [b"one", b"two", b"three"]
    several = sign_prekeys(ACCOUNT, iter(statements))
    assert list(several) == [sign_prekeys(ACCOUNT, [one])[0] for one in statements]
    assert len(set(several)) == 3
    assert sign_prekeys(ACCOUNT, []) == ()


def test_a_prekey_travels_and_verifies() -> None:
    verify_prekey(signed_prekey(ACCOUNT), by=BY)


def test_prekeys_of_another_device_are_refused() -> None:
    for swapped in (
        signed_prekey(new_account()),
        signed_prekey(ACCOUNT, device=b"e"),
        replace(signed_prekey(ACCOUNT), signature=signed_prekey(ACCOUNT).signature),
    ):
        with pytest.raises(BadSignature, match="prekey"):
            verify_prekey(swapped, by=BY)


SAID = ReceiptStatement(
    sender=who(OTHER_MASTER),
    message=MessageId(b"m" * 16),
    envelope=EnvelopeId(b"e" * 16),
    recipient=who(MASTER),
    device=BY.device,
    head=b"h" * 32,
    event=ReceiptEvent.OPENED,
    at=NOON,
    manifest=b"f" * 32,
    marks=b"k" * 32,
)


@pytest.mark.parametrize(
    "change",
    [
        {"sender": bytes(32)},
        {"message": bytes(16)},
        {"envelope": bytes(16)},
        {"recipient": bytes(32)},
        {"device": bytes(16)},
        {"head": bytes(32)},
        {"event": ReceiptEvent.DELIVERED},
        {"at": NOON.replace(minute=1)},
        {"manifest": bytes(32)},
        {"marks": bytes(32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_receipt_is_for_one_message_device_and_list(change: dict[str, object]) -> None:
    signature = sign_receipt(ACCOUNT, write_receipt_statement(SAID))
    verify_receipt(write_receipt_statement(SAID), signature, BY)
    other = write_receipt_statement(replace(SAID, **change))  # type: ignore[arg-type]
    with pytest.raises(BadSignature, match="receipt"):
        verify_receipt(other, signature, BY)
    with pytest.raises(BadSignature, match="receipt"):
        verify_receipt(other, sign_prekeys(ACCOUNT, [other])[0], BY)
