"""Key bundles, certificates, prekeys and receipts: every swap by a relay is refused."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from entrenous.base.copies import ReceiptEvent, ReceiptProof, ReceiptStatement
from entrenous.base.identifiers import DeviceId, EnvelopeId, MailboxId, MessageId, PersonId
from entrenous.base.identity import (
    BadSignature,
    BatchPosition,
    BatchRoot,
    DeviceCertificate,
    DeviceList,
    DeviceListStatement,
    KeyBundle,
    ListedDevice,
    Prekey,
    PrekeyKind,
    ProtocolRange,
    SignedBatch,
    SignedDeviceCertificate,
    SignedPrekey,
)
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import inclusion_proofs, merkle_root
from entrenous.crypto.identity_keys import (
    DeviceSigner,
    add_one_time_keys,
    curve25519_public_key,
    ed25519_public_key,
    master_keys_from_seed,
    mldsa65_hash,
    mldsa65_public_key,
    new_device_signer,
    person_id,
    public_master_keys,
)
from entrenous.crypto.statements import (
    certificate_hash,
    device_list_head,
    prekey_leaf,
    receipt_leaf,
    sign_certificate,
    sign_device_list,
    sign_prekeys,
    sign_receipts,
    verify_certificate,
    verify_key_bundle,
    verify_prekey,
    verify_receipt,
    verify_receipts,
)
from entrenous.send.formats.identity_formats import (
    read_prekey,
    write_prekey,
    write_prekey_statement,
)
from entrenous.wire.key_bundle import (
    read_device_list,
    read_key_bundle,
    write_batch,
    write_certificate,
    write_device_list,
    write_key_bundle,
)
from entrenous.wire.receipt import write_receipt_statement

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MASTER, OTHER_MASTER = master_keys_from_seed(bytes(range(64))), master_keys_from_seed(bytes(64))
SIGNER = new_device_signer(bytes(range(32)))
ACCOUNT = SIGNER.account


def who(master: Secret) -> PersonId:
    return person_id(public_master_keys(master))


def certified(
    master: Secret,
    device: bytes = b"d",
    person: PersonId | None = None,
    signer: DeviceSigner = SIGNER,
) -> SignedDeviceCertificate:
    certificate = DeviceCertificate(
        person or who(master),
        DeviceId(device * 16),
        ed25519_public_key(signer.account),
        curve25519_public_key(signer.account),
        mldsa65_hash(mldsa65_public_key(signer)),
        NOON,
        (1, 2, 3),
    )
    statement = write_certificate(certificate)
    return SignedDeviceCertificate(certificate, statement, sign_certificate(master, statement))


def listing(*certificates: SignedDeviceCertificate, person: PersonId) -> DeviceList:
    return DeviceList(
        person=person,
        epoch=1,
        previous=None,
        devices=tuple(
            ListedDevice(
                one.certificate.device, certificate_hash(one), MailboxId(one.certificate.device)
            )
            for one in certificates
        ),
        revoked=(),
        name="Ana",
        speaks=ProtocolRange(2, 2),
        issued_at=NOON,
        relay_url="https://relay.example",
    )


def listed(said: DeviceList) -> DeviceListStatement:
    return read_device_list(write_device_list(said))


def carded(
    said: DeviceList,
    *certificates: SignedDeviceCertificate,
    by: Secret = MASTER,
    keys: Secret = MASTER,
) -> KeyBundle:
    """Return a received key bundle: a list signed by ``by``, with the public half of ``keys``."""
    one = listed(said)
    card = KeyBundle(
        public_master_keys(keys), (one,), sign_device_list(by, one.statement), certificates
    )
    return read_key_bundle(write_key_bundle(card))


OURS = certified(MASTER)
ANA = listing(OURS, person=who(MASTER))
CARD = carded(ANA, OURS)


def test_a_card_travels_and_verifies() -> None:
    person = verify_key_bundle(CARD)
    assert (person.id, person.name, person.epoch) == (who(MASTER), "Ana", 1)
    assert person.head == device_list_head(write_device_list(ANA))
    (device,) = person.devices
    assert (device.device, device.mailbox) == (b"d" * 16, b"d" * 16)
    assert (device.ed25519, device.enforces) == (ed25519_public_key(ACCOUNT), (1, 2, 3))
    assert device.mldsa65_hash == mldsa65_hash(mldsa65_public_key(SIGNER))


def test_somebody_elses_signature_is_refused() -> None:
    with pytest.raises(BadSignature, match="device list"):
        verify_key_bundle(carded(ANA, OURS, by=OTHER_MASTER))


@pytest.mark.parametrize("half", [slice(0, 64), slice(64, None)], ids=["ed25519", "mldsa65"])
def test_one_of_two_signatures_is_not_enough(half: slice) -> None:
    mixed = bytearray(CARD.signature)
    mixed[half] = sign_device_list(OTHER_MASTER, CARD.newest.statement)[half]
    with pytest.raises(BadSignature, match="device list"):
        verify_key_bundle(replace(CARD, signature=bytes(mixed)))


@pytest.mark.parametrize(
    "change",
    [
        {"relay_url": "https://evil.example"},
        {"name": "Eve"},
        {"speaks": ProtocolRange(1, 2)},
        {"devices": (replace(ANA.devices[0], mailbox=MailboxId(bytes(16))),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_list_under_the_same_signature_is_refused(change: dict[str, object]) -> None:
    changed = listed(replace(ANA, **change))  # type: ignore[arg-type]
    with pytest.raises(BadSignature, match="device list"):
        verify_key_bundle(replace(CARD, lists=(changed,)))


def test_master_keys_that_are_not_the_named_person_are_refused() -> None:
    """Mallory signs, with her own keys, a list that names Ana."""
    posing = certified(OTHER_MASTER, person=who(MASTER))
    with pytest.raises(BadSignature, match="key bundle"):
        verify_key_bundle(
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
def test_a_device_that_the_master_key_did_not_certify_is_refused(
    added: SignedDeviceCertificate,
) -> None:
    """Even if a list that she signed names the device."""
    both = listing(OURS, added, person=who(MASTER))
    with pytest.raises(BadSignature, match="device certificate"):
        verify_key_bundle(carded(both, OURS, added))


def test_a_certificate_that_is_hers_and_not_the_listed_one_is_refused() -> None:
    """A relay could replay an earlier certificate of the same device."""
    earlier = certified(MASTER, signer=new_device_signer(bytes(32)))
    with pytest.raises(BadSignature, match="device certificate"):
        verify_key_bundle(replace(CARD, certificates=(earlier,)))


@pytest.mark.threat("key-confusion")
def test_a_list_signature_is_no_certificate() -> None:
    swapped = replace(OURS, signature=sign_device_list(MASTER, OURS.statement))
    with pytest.raises(BadSignature, match="device certificate"):
        verify_certificate(swapped, public_master_keys(MASTER))


BY = verify_key_bundle(CARD).devices[0]


BOX = MailboxId(b"m" * 16)
OTHER = DeviceSigner(ACCOUNT, Secret(bytes(32)))  # forges Ed25519, but has another ML-DSA key


def statements(signer: DeviceSigner, device: bytes = b"d") -> list[bytes]:
    """Return the statements of three new one-time keys."""
    _, keys = add_one_time_keys(signer.account, 3)
    return [
        write_prekey_statement(
            Prekey(PrekeyKind.ONE_TIME, name, DeviceId(device * 16), 1, bytes(32), NOON, public)
        )
        for name, public in keys.items()
    ]


def signed_by(
    signer: DeviceSigner,
    leaves: list[bytes],
    mailbox: MailboxId | None = BOX,
    device: bytes = b"d",
    sign: Callable[[DeviceSigner, bytes], bytes] = sign_prekeys,
) -> SignedBatch:
    batch = BatchRoot(DeviceId(device * 16), mailbox, len(leaves), merkle_root(leaves))
    encoded = write_batch(batch)
    return SignedBatch(batch, encoded, mldsa65_public_key(signer), sign(signer, encoded))


def prekey_at(index: int, said: list[bytes], tree: list[bytes] | None = None) -> SignedPrekey:
    """Return the prekey at ``index`` with its path in the tree of ``said``, or of ``tree``."""
    leaves = tree or [prekey_leaf(one) for one in said]
    place = BatchPosition(index, inclusion_proofs(leaves)[index])
    return read_prekey(write_prekey(said[index], place, None))


SAID_KEYS = statements(SIGNER)
LEAVES = [prekey_leaf(one) for one in SAID_KEYS]
KEYS = signed_by(SIGNER, LEAVES)


@pytest.mark.parametrize("index", range(3))
def test_each_prekey_of_a_batch_verifies(index: int) -> None:
    verify_prekey(prekey_at(index, SAID_KEYS), KEYS, BY, BOX)


@pytest.mark.threat("quantum-forger")
@pytest.mark.parametrize(
    "batch",
    [
        signed_by(OTHER, LEAVES),
        replace(signed_by(OTHER, LEAVES), mldsa65=KEYS.mldsa65),
        replace(KEYS, signature=KEYS.signature[:64] + signed_by(OTHER, LEAVES).signature[64:]),
        replace(
            KEYS,
            signature=signed_by(new_device_signer(bytes(32)), LEAVES).signature[:64]
            + KEYS.signature[64:],
        ),
        replace(KEYS, signature=KEYS.signature[:64]),
        replace(KEYS, signature=bytes(3373)),
        replace(KEYS, mldsa65=KEYS.mldsa65[:-1]),
        signed_by(SIGNER, LEAVES, MailboxId(b"n" * 16)),
        signed_by(SIGNER, LEAVES, None),
        signed_by(SIGNER, LEAVES, device=b"e"),
        signed_by(SIGNER, LEAVES, sign=sign_receipts),
        signed_by(new_device_signer(bytes(range(32))), LEAVES),
    ],
    ids=[
        "her own ML-DSA key",
        "the certified key, her own ML-DSA signature",
        "another ML-DSA signature",
        "another Ed25519 signature",
        "Ed25519 alone",
        "no signature",
        "a short key",
        "another mailbox",
        "no mailbox",
        "another device",
        "signed as receipts",
        "another Ed25519 key",
    ],
)
def test_a_batch_that_is_not_signed_by_both_keys_for_this_place_is_refused(
    batch: SignedBatch,
) -> None:
    with pytest.raises(BadSignature, match="message key"):
        verify_prekey(prekey_at(0, SAID_KEYS), batch, BY, BOX)


@pytest.mark.threat("quantum-forger")
def test_a_prekey_has_its_own_place_in_its_own_batch() -> None:
    true, others = prekey_at(0, SAID_KEYS), statements(SIGNER)
    wrong = (
        BatchPosition(1, true.place.path),
        BatchPosition(0, true.place.path[:-1]),
        BatchPosition(0, ()),
    )
    for moved in (
        prekey_at(0, others),
        prekey_at(0, [others[0], *SAID_KEYS[1:]], LEAVES),
        replace(true, statement=SAID_KEYS[1]),
        *(replace(true, place=place) for place in wrong),
        replace(true, place=BatchPosition(0, (*true.place.path, bytes(32)))),
    ):
        with pytest.raises(BadSignature, match="message key"):
            verify_prekey(moved, KEYS, BY, BOX)


def test_a_prekey_of_another_device_is_refused_in_an_honest_batch_too() -> None:
    said = statements(SIGNER, device=b"e")
    batch = signed_by(SIGNER, [prekey_leaf(one) for one in said])
    with pytest.raises(BadSignature, match="message key"):
        verify_prekey(prekey_at(0, said), batch, BY, BOX)


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


def receipts_of(*several: ReceiptStatement) -> tuple[list[bytes], SignedBatch]:
    leaves = [receipt_leaf(write_receipt_statement(one)) for one in several]
    return leaves, signed_by(SIGNER, leaves, None, sign=sign_receipts)


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
    leaves, batch = receipts_of(SAID, replace(SAID, event=ReceiptEvent.DELIVERED))
    proof = ReceiptProof(BatchPosition(0, inclusion_proofs(leaves)[0]), batch)
    verify_receipts(leaves, batch, BY)
    verify_receipt(write_receipt_statement(SAID), proof, BY)
    other = write_receipt_statement(replace(SAID, **change))  # type: ignore[arg-type]
    with pytest.raises(BadSignature, match="receipt"):
        verify_receipt(other, proof, BY)
    with pytest.raises(BadSignature, match="receipt"):
        verify_receipts([receipt_leaf(other), leaves[1]], batch, BY)


@pytest.mark.threat("quantum-forger")
def test_receipts_are_signed_by_both_keys_as_receipts() -> None:
    leaves, batch = receipts_of(SAID)
    statement = write_receipt_statement(SAID)
    for forged in (
        signed_by(OTHER, leaves, None, sign=sign_receipts),
        replace(batch, signature=batch.signature[:64] + bytes(3309)),
        replace(batch, signature=bytes(64) + batch.signature[64:]),
        signed_by(SIGNER, leaves, None),
        signed_by(SIGNER, leaves, BOX, sign=sign_receipts),
        signed_by(SIGNER, leaves, None, b"e", sign_receipts),
    ):
        with pytest.raises(BadSignature, match="receipt"):
            verify_receipts(leaves, forged, BY)
        with pytest.raises(BadSignature, match="receipt"):
            verify_receipt(statement, ReceiptProof(BatchPosition(0, ()), forged), BY)
    for more_or_less in ([], [*leaves, leaves[0]]):
        with pytest.raises(BadSignature, match="receipt"):
            verify_receipts(more_or_less, batch, BY)
