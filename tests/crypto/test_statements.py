"""Key bundles, prekeys and receipts that were swapped, changed or forged are refused."""

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


def person_of(master: Secret) -> PersonId:
    return person_id(public_master_keys(master))


def signed_certificate(
    master: Secret,
    device: bytes = b"d",
    person: PersonId | None = None,
    signer: DeviceSigner = SIGNER,
) -> SignedDeviceCertificate:
    certificate = DeviceCertificate(
        person or person_of(master),
        DeviceId(device * 16),
        ed25519_public_key(signer.account),
        curve25519_public_key(signer.account),
        mldsa65_hash(mldsa65_public_key(signer)),
        NOON,
        (1, 2, 3),
    )
    statement = write_certificate(certificate)
    return SignedDeviceCertificate(certificate, statement, sign_certificate(master, statement))


def device_list_of(*certificates: SignedDeviceCertificate, person: PersonId) -> DeviceList:
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


def statement_of(devices: DeviceList) -> DeviceListStatement:
    return read_device_list(write_device_list(devices))


def signed_key_bundle(
    devices: DeviceList,
    *certificates: SignedDeviceCertificate,
    signing_master: Secret = MASTER,
    named_master: Secret = MASTER,
) -> KeyBundle:
    """Return a key bundle that may name another master key than the one that signs its list."""
    one = statement_of(devices)
    bundle = KeyBundle(
        public_master_keys(named_master),
        (one,),
        sign_device_list(signing_master, one.statement),
        certificates,
    )
    return read_key_bundle(write_key_bundle(bundle))


SIGNED_CERTIFICATE = signed_certificate(MASTER)
DEVICE_LIST = device_list_of(SIGNED_CERTIFICATE, person=person_of(MASTER))
KEY_BUNDLE = signed_key_bundle(DEVICE_LIST, SIGNED_CERTIFICATE)


def test_key_bundle_is_read_back_and_verifies() -> None:
    person = verify_key_bundle(KEY_BUNDLE)
    assert (person.id, person.name, person.epoch) == (person_of(MASTER), "Ana", 1)
    assert person.head == device_list_head(write_device_list(DEVICE_LIST))
    (device,) = person.devices
    assert (device.device, device.mailbox) == (b"d" * 16, b"d" * 16)
    assert (device.ed25519, device.enforces) == (ed25519_public_key(ACCOUNT), (1, 2, 3))
    assert device.mldsa65_hash == mldsa65_hash(mldsa65_public_key(SIGNER))


def test_signature_by_other_master_keys_is_refused() -> None:
    with pytest.raises(BadSignature, match="device list"):
        verify_key_bundle(
            signed_key_bundle(DEVICE_LIST, SIGNED_CERTIFICATE, signing_master=OTHER_MASTER)
        )


@pytest.mark.parametrize(
    "signature_part", [slice(0, 64), slice(64, None)], ids=["ed25519", "mldsa65"]
)
def test_one_of_two_signatures_is_not_enough(signature_part: slice) -> None:
    mixed = bytearray(KEY_BUNDLE.signature)
    mixed[signature_part] = sign_device_list(OTHER_MASTER, KEY_BUNDLE.newest.statement)[
        signature_part
    ]
    with pytest.raises(BadSignature, match="device list"):
        verify_key_bundle(replace(KEY_BUNDLE, signature=bytes(mixed)))


@pytest.mark.parametrize(
    "change",
    [
        {"relay_url": "https://evil.example"},
        {"name": "Eve"},
        {"speaks": ProtocolRange(1, 2)},
        {"devices": (replace(DEVICE_LIST.devices[0], mailbox=MailboxId(bytes(16))),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_list_under_the_same_signature_is_refused(change: dict[str, object]) -> None:
    changed = statement_of(replace(DEVICE_LIST, **change))  # type: ignore[arg-type]
    with pytest.raises(BadSignature, match="device list"):
        verify_key_bundle(replace(KEY_BUNDLE, lists=(changed,)))


def test_master_keys_of_another_person_are_refused() -> None:
    """With her own keys, Mallory signs a certificate and a device list in Ana's name."""
    posing = signed_certificate(OTHER_MASTER, person=person_of(MASTER))
    with pytest.raises(BadSignature, match="key bundle"):
        verify_key_bundle(
            signed_key_bundle(
                device_list_of(posing, person=person_of(MASTER)),
                posing,
                signing_master=OTHER_MASTER,
                named_master=OTHER_MASTER,
            )
        )


@pytest.mark.threat("server-adds-device")
@pytest.mark.parametrize(
    "added",
    [
        signed_certificate(OTHER_MASTER, b"x"),
        signed_certificate(OTHER_MASTER, b"x", person_of(MASTER)),
        signed_certificate(MASTER, b"x", person_of(OTHER_MASTER)),
    ],
    ids=["of another person", "by another person", "for another person"],
)
def test_a_device_that_the_master_key_did_not_certify_is_refused(
    added: SignedDeviceCertificate,
) -> None:
    """A device list signed by the master key does not replace the missing certificate."""
    both = device_list_of(SIGNED_CERTIFICATE, added, person=person_of(MASTER))
    with pytest.raises(BadSignature, match="device certificate"):
        verify_key_bundle(signed_key_bundle(both, SIGNED_CERTIFICATE, added))


def test_certificate_other_than_the_listed_one_is_refused() -> None:
    """A relay could replay an earlier certificate of the same device."""
    earlier = signed_certificate(MASTER, signer=new_device_signer(bytes(32)))
    with pytest.raises(BadSignature, match="device certificate"):
        verify_key_bundle(replace(KEY_BUNDLE, certificates=(earlier,)))


@pytest.mark.threat("key-confusion")
def test_a_list_signature_is_no_certificate() -> None:
    swapped = replace(
        SIGNED_CERTIFICATE, signature=sign_device_list(MASTER, SIGNED_CERTIFICATE.statement)
    )
    with pytest.raises(BadSignature, match="device certificate"):
        verify_certificate(swapped, public_master_keys(MASTER))


SIGNING_DEVICE = verify_key_bundle(KEY_BUNDLE).devices[0]


MAILBOX = MailboxId(b"m" * 16)
# The forger has the signer's Ed25519 key, but another ML-DSA key.
FORGER = DeviceSigner(ACCOUNT, Secret(bytes(32)))


def prekey_statements(signer: DeviceSigner, device: bytes = b"d") -> list[bytes]:
    """Return the statements of three new one-time keys."""
    _, keys = add_one_time_keys(signer.account, 3)
    return [
        write_prekey_statement(
            Prekey(PrekeyKind.ONE_TIME, name, DeviceId(device * 16), 1, bytes(32), NOON, public)
        )
        for name, public in keys.items()
    ]


def signed_batch(
    signer: DeviceSigner,
    leaves: list[bytes],
    mailbox: MailboxId | None = MAILBOX,
    device: bytes = b"d",
    sign: Callable[[DeviceSigner, bytes], bytes] = sign_prekeys,
) -> SignedBatch:
    batch = BatchRoot(DeviceId(device * 16), mailbox, len(leaves), merkle_root(leaves))
    encoded = write_batch(batch)
    return SignedBatch(batch, encoded, mldsa65_public_key(signer), sign(signer, encoded))


def prekey_at(
    index: int, statements: list[bytes], tree_leaves: list[bytes] | None = None
) -> SignedPrekey:
    """Return the prekey of the statement at ``index``, with the prekey's path in a hash tree.

    The leaves of the tree are ``tree_leaves``, or by default the leaves of all statements.
    """
    leaves = tree_leaves or [prekey_leaf(one) for one in statements]
    place = BatchPosition(index, inclusion_proofs(leaves)[index])
    return read_prekey(write_prekey(statements[index], place, None))


KEY_STATEMENTS = prekey_statements(SIGNER)
LEAVES = [prekey_leaf(one) for one in KEY_STATEMENTS]
KEY_BATCH = signed_batch(SIGNER, LEAVES)


@pytest.mark.parametrize("index", range(3))
def test_each_prekey_of_a_batch_verifies(index: int) -> None:
    verify_prekey(prekey_at(index, KEY_STATEMENTS), KEY_BATCH, SIGNING_DEVICE, MAILBOX)


@pytest.mark.threat("quantum-forger")
@pytest.mark.parametrize(
    "batch",
    [
        signed_batch(FORGER, LEAVES),
        replace(signed_batch(FORGER, LEAVES), mldsa65=KEY_BATCH.mldsa65),
        replace(
            KEY_BATCH,
            signature=KEY_BATCH.signature[:64] + signed_batch(FORGER, LEAVES).signature[64:],
        ),
        replace(
            KEY_BATCH,
            signature=signed_batch(new_device_signer(bytes(32)), LEAVES).signature[:64]
            + KEY_BATCH.signature[64:],
        ),
        replace(KEY_BATCH, signature=KEY_BATCH.signature[:64]),
        replace(KEY_BATCH, signature=bytes(3373)),
        replace(KEY_BATCH, mldsa65=KEY_BATCH.mldsa65[:-1]),
        signed_batch(SIGNER, LEAVES, MailboxId(b"n" * 16)),
        signed_batch(SIGNER, LEAVES, None),
        signed_batch(SIGNER, LEAVES, device=b"e"),
        signed_batch(SIGNER, LEAVES, sign=sign_receipts),
        signed_batch(new_device_signer(bytes(range(32))), LEAVES),
    ],
    ids=[
        "the forger's ML-DSA key",
        "the certified key, the forger's ML-DSA signature",
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
def test_a_prekey_batch_needs_both_signatures_for_its_device_and_mailbox(
    batch: SignedBatch,
) -> None:
    with pytest.raises(BadSignature, match="message key"):
        verify_prekey(prekey_at(0, KEY_STATEMENTS), batch, SIGNING_DEVICE, MAILBOX)


@pytest.mark.threat("quantum-forger")
def test_a_prekey_is_bound_to_its_batch_and_position() -> None:
    genuine, others = prekey_at(0, KEY_STATEMENTS), prekey_statements(SIGNER)
    wrong = (
        BatchPosition(1, genuine.place.path),
        BatchPosition(0, genuine.place.path[:-1]),
        BatchPosition(0, ()),
    )
    for moved in (
        prekey_at(0, others),
        prekey_at(0, [others[0], *KEY_STATEMENTS[1:]], LEAVES),
        replace(genuine, statement=KEY_STATEMENTS[1]),
        *(replace(genuine, place=place) for place in wrong),
        replace(genuine, place=BatchPosition(0, (*genuine.place.path, bytes(32)))),
    ):
        with pytest.raises(BadSignature, match="message key"):
            verify_prekey(moved, KEY_BATCH, SIGNING_DEVICE, MAILBOX)


def test_prekey_of_another_device_is_refused_in_a_valid_batch() -> None:
    statements = prekey_statements(SIGNER, device=b"e")
    batch = signed_batch(SIGNER, [prekey_leaf(one) for one in statements])
    with pytest.raises(BadSignature, match="message key"):
        verify_prekey(prekey_at(0, statements), batch, SIGNING_DEVICE, MAILBOX)


RECEIPT = ReceiptStatement(
    sender=person_of(OTHER_MASTER),
    message=MessageId(b"m" * 16),
    envelope=EnvelopeId(b"e" * 16),
    recipient=person_of(MASTER),
    device=SIGNING_DEVICE.device,
    head=b"h" * 32,
    event=ReceiptEvent.OPENED,
    at=NOON,
    manifest=b"f" * 32,
    marks=b"k" * 32,
)


def receipt_batch(*several: ReceiptStatement) -> tuple[list[bytes], SignedBatch]:
    leaves = [receipt_leaf(write_receipt_statement(one)) for one in several]
    return leaves, signed_batch(SIGNER, leaves, None, sign=sign_receipts)


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
def test_a_receipt_with_one_changed_field_is_refused(change: dict[str, object]) -> None:
    leaves, batch = receipt_batch(RECEIPT, replace(RECEIPT, event=ReceiptEvent.DELIVERED))
    proof = ReceiptProof(BatchPosition(0, inclusion_proofs(leaves)[0]), batch)
    verify_receipts(leaves, batch, SIGNING_DEVICE)
    verify_receipt(write_receipt_statement(RECEIPT), proof, SIGNING_DEVICE)
    other = write_receipt_statement(replace(RECEIPT, **change))  # type: ignore[arg-type]
    with pytest.raises(BadSignature, match="receipt"):
        verify_receipt(other, proof, SIGNING_DEVICE)
    with pytest.raises(BadSignature, match="receipt"):
        verify_receipts([receipt_leaf(other), leaves[1]], batch, SIGNING_DEVICE)


@pytest.mark.threat("quantum-forger")
def test_receipts_are_signed_by_both_keys_as_receipts() -> None:
    leaves, batch = receipt_batch(RECEIPT)
    statement = write_receipt_statement(RECEIPT)
    for forged in (
        signed_batch(FORGER, leaves, None, sign=sign_receipts),
        replace(batch, signature=batch.signature[:64] + bytes(3309)),
        replace(batch, signature=bytes(64) + batch.signature[64:]),
        signed_batch(SIGNER, leaves, None),
        signed_batch(SIGNER, leaves, MAILBOX, sign=sign_receipts),
        signed_batch(SIGNER, leaves, None, b"e", sign_receipts),
    ):
        with pytest.raises(BadSignature, match="receipt"):
            verify_receipts(leaves, forged, SIGNING_DEVICE)
        with pytest.raises(BadSignature, match="receipt"):
            verify_receipt(statement, ReceiptProof(BatchPosition(0, ()), forged), SIGNING_DEVICE)
    for more_or_less in ([], [*leaves, leaves[0]]):
        with pytest.raises(BadSignature, match="receipt"):
            verify_receipts(more_or_less, batch, SIGNING_DEVICE)
