"""Signed statements: certificates, device lists, prekeys, receipts (docs/spec/identity.md).

A person's device lists form a hash chain, so no list can be omitted or replaced (section 3).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from entrenous.base.copies import ReceiptProof
from entrenous.base.identifiers import DeviceId, MailboxId
from entrenous.base.identity import (
    BadSignature,
    BatchPosition,
    CertifiedDevice,
    DeviceList,
    DeviceListHead,
    DeviceListHistoryRelation,
    DeviceListStatement,
    ForkedDeviceList,
    KeyBundle,
    ListedDevice,
    MasterPublicKeys,
    OutdatedDeviceList,
    Person,
    RevokedDevice,
    SignedBatch,
    SignedDeviceCertificate,
    SignedPrekey,
    WithheldDeviceList,
)
from entrenous.base.limits import REVOKED_DEVICES_MAX
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import (
    equal_in_constant_time,
    leaf_hash,
    merkle_root,
    root_from_proof,
    sha256,
)
from entrenous.crypto.identity_keys import (
    DeviceSigner,
    person_id,
    sign_with_device_keys,
    sign_with_master_keys,
    verify_batch,
    verify_both_signatures,
)

_DEVICE_LIST_HEAD_CONTEXT: Final = b"entrenous/2 list\x00"
_DEVICE_LIST_CONTEXT: Final = b"entrenous/2 list"


def device_list_head(statement: bytes) -> bytes:
    """Return the head of a device list: the hash, 32 bytes, that identifies it."""
    return sha256(_DEVICE_LIST_HEAD_CONTEXT + statement)


def sign_device_list(master: Secret, statement: bytes) -> bytes:
    """Sign a device list with both master keys; return both signatures, 3,373 bytes."""
    return sign_with_master_keys(master, _DEVICE_LIST_CONTEXT, statement)


def device_list_heads(lists: Sequence[DeviceListStatement]) -> tuple[DeviceListHead, ...]:
    """Return the heads of consecutive device lists, oldest first."""
    return tuple(DeviceListHead(one.said.epoch, device_list_head(one.statement)) for one in lists)


def verify_device_lists(
    lists: Sequence[DeviceListStatement], signature: bytes, master: MasterPublicKeys
) -> tuple[DeviceListHead, ...]:
    """Verify consecutive device lists and return their heads.

    Raises:
        BadSignature: the newest list is not signed by both master keys, or a list does not name its
            predecessor or breaks a rule of succession.
    """
    verify_both_signatures(
        master, _DEVICE_LIST_CONTEXT, lists[-1].statement, signature, what="device list"
    )
    heads = device_list_heads(lists)
    for before, after in zip(heads, lists[1:], strict=False):
        if after.said.previous is None or not equal_in_constant_time(
            after.said.previous, before.digest
        ):
            raise BadSignature(what="device list")
    for one, after in pairwise(lists):
        if not may_succeed_list(one.said, after.said):
            raise BadSignature(what="device list")
    if _relists_revoked_device(lists):
        raise BadSignature(what="device list")
    return heads


def may_succeed_list(older: DeviceList, newer: DeviceList) -> bool:
    """Return whether the list ``newer`` may succeed the list ``older``.

    A successor belongs to the same person, has the next epoch, and its protocol is not older.
    Remaining devices keep their certificates. Removed devices are recorded as revoked, and do not
    come back. The records of revoked devices stay while there is room.
    """
    listed = {now.device for now in newer.devices}
    revoked = {now.device for now in newer.revoked}
    removed = {was.device for was in older.devices} - listed
    return (
        newer.person == older.person
        and newer.epoch == older.epoch + 1
        and newer.speaks.floor >= older.speaks.floor
        and newer.speaks.newest >= older.speaks.newest
        and _same_certificates(older, newer)
        and removed <= revoked
        and not listed & {was.device for was in older.revoked}
        and _were_dropped_for_room(
            [was for was in older.revoked if was.device not in revoked], newer
        )
    )


def _same_certificates(older: DeviceList, newer: DeviceList) -> bool:
    """Return whether each device that is in both lists has the same certificate in both.

    The same certificate means the same keys.
    """
    proofs = {listed.device: listed.proof for listed in older.devices}
    return all(
        equal_in_constant_time(proofs.get(now.device, now.proof), now.proof)
        for now in newer.devices
    )


def _were_dropped_for_room(missing: list[RevokedDevice], after: DeviceList) -> bool:
    """Return whether these revocations were dropped because the list had no more room.

    Only the earliest revocations may be dropped.
    """
    if not missing:
        return True
    full = len(after.revoked) == REVOKED_DEVICES_MAX
    return full and max(was.at for was in missing) <= min(now.at for now in after.revoked)


def compare_heads(
    known: Sequence[DeviceListHead], shown: Sequence[DeviceListHead]
) -> DeviceListHistoryRelation:
    """Compare the device list heads shown to us against those that we know.

    Both arguments are sorted, oldest first, and neither is empty.

    Raises:
        OutdatedDeviceList: the newest list shown is older than the newest one known.
        ForkedDeviceList: a different list is shown for a known epoch.
    """
    check_heads_agree(known, shown)
    newest, offered = known[-1], shown[-1]
    if offered.epoch < newest.epoch:
        raise OutdatedDeviceList
    if offered.epoch == newest.epoch:
        return DeviceListHistoryRelation.SAME
    return (
        DeviceListHistoryRelation.NEWER
        if shown[0].epoch <= newest.epoch
        else DeviceListHistoryRelation.NEWER_UNPROVEN
    )


def compare_later_lists(
    known: DeviceListStatement, shown: Sequence[DeviceListStatement]
) -> DeviceListHistoryRelation:
    """Compare the lists shown to us against the newest list that we know, which is older than all
    of them.

    The history proves what happened in between only if it begins with the direct successor of the
    known list.

    Raises:
        ForkedDeviceList: the direct successor of the known list names a different predecessor.
        BadSignature: a revoked device is listed, a device has a different certificate, a list names
            an older protocol, or the direct successor may not succeed the known list.
    """
    first = shown[0].said
    is_next = first.epoch == known.said.epoch + 1
    if is_next:
        if first.previous is None or not equal_in_constant_time(
            first.previous, device_list_head(known.statement)
        ):
            raise ForkedDeviceList
        if not may_succeed_list(known.said, first):
            raise BadSignature(what="device list")
    older = (
        first.speaks.floor < known.said.speaks.floor
        or first.speaks.newest < known.said.speaks.newest
    )
    alike = all(_same_certificates(known.said, one.said) for one in shown)
    if older or not alike or _relists_revoked_device([known, *shown]):
        raise BadSignature(what="device list")
    return DeviceListHistoryRelation.NEWER if is_next else DeviceListHistoryRelation.NEWER_UNPROVEN


def check_heads_agree(known: Sequence[DeviceListHead], named: Sequence[DeviceListHead]) -> None:
    """Raise ForkedDeviceList if two different heads have the same epoch."""
    heads = {head.epoch: head.digest for head in known}
    for head in named:
        if not equal_in_constant_time(heads.get(head.epoch, head.digest), head.digest):
            raise ForkedDeviceList


def check_named_head(named: DeviceListHead, shown: Sequence[DeviceListHead]) -> None:
    """Check that a head named in a letter neither contradicts the heads ``shown``, nor is newer.

    Raises:
        ForkedDeviceList: a different head is shown for that epoch.
        WithheldDeviceList: the named head is newer than every head shown.
    """
    check_heads_agree(shown, [named])
    if named.epoch > shown[-1].epoch:
        raise WithheldDeviceList


def _relists_revoked_device(lists: Sequence[DeviceListStatement]) -> bool:
    """Return whether a newer list contains a device that an older one revoked."""
    revoked = set[DeviceId]()
    for one in lists:
        if any(now.device in revoked for now in one.said.devices):
            return True
        revoked |= {was.device for was in one.said.revoked}
    return False


_CERTIFICATE_CONTEXT: Final = b"entrenous/2 device"
# context of a single prekey's leaf; _PREKEY_BATCH_CONTEXT is the context of the whole batch
_PREKEY_LEAF_CONTEXT: Final = b"entrenous/2 prekey"
_PREKEY_BATCH_CONTEXT: Final = b"entrenous/2 prekeys"
_RECEIPT_LEAF_CONTEXT: Final = b"entrenous/2 receipt"
_RECEIPT_BATCH_CONTEXT: Final = b"entrenous/2 receipts"


def sign_certificate(master: Secret, certificate: bytes) -> bytes:
    """Sign a device certificate with both master keys; return both signatures, 3,373 bytes."""
    return sign_with_master_keys(master, _CERTIFICATE_CONTEXT, certificate)


def prekey_leaf(statement: bytes) -> bytes:
    """Return the leaf hash, 32 bytes, of a prekey in its batch."""
    return leaf_hash(_PREKEY_LEAF_CONTEXT, statement)


def receipt_leaf(statement: bytes) -> bytes:
    """Return the leaf hash, 32 bytes, of a receipt in its batch."""
    return leaf_hash(_RECEIPT_LEAF_CONTEXT, statement)


def sign_prekeys(signer: DeviceSigner, batch: bytes) -> bytes:
    """Sign a batch of prekeys with both device keys; return both signatures, 3,373 bytes."""
    return sign_with_device_keys(signer, _PREKEY_BATCH_CONTEXT, batch)


def sign_receipts(signer: DeviceSigner, batch: bytes) -> bytes:
    """Sign a batch of receipts with both device keys; return both signatures, 3,373 bytes."""
    return sign_with_device_keys(signer, _RECEIPT_BATCH_CONTEXT, batch)


def certificate_hash(signed: SignedDeviceCertificate) -> bytes:
    """Return the hash, 32 bytes, that identifies a certificate in device lists.

    See docs/spec/identity.md section 3.
    """
    return sha256(signed.statement + signed.signature)


def verify_key_bundle(bundle: KeyBundle) -> Person:
    """Verify a key bundle; return the person it describes, with all keys and devices.

    The caller must still check that this is the expected person, and that the lists agree with the
    known ones (:func:`compare_heads`).

    Raises:
        BadSignature: the lists are not a chain signed by both master keys, they name a person with
            different master keys, or a certificate is not the listed one.
    """
    said = bundle.newest.said
    if not equal_in_constant_time(person_id(bundle.master), said.person):
        raise BadSignature(what="key bundle")
    heads = verify_device_lists(bundle.lists, bundle.signature, bundle.master)
    devices = tuple(
        _verified_device_key(signed, listed, said, bundle.master)
        for signed, listed in zip(bundle.certificates, said.devices, strict=True)
    )
    return Person(
        id=said.person,
        name=said.name,
        master=bundle.master,
        relay_url=said.relay_url,
        epoch=said.epoch,
        head=heads[-1].digest,
        devices=devices,
    )


def devices_on_list(person: Person, bundle: KeyBundle, head: bytes) -> tuple[CertifiedDevice, ...]:
    """Return the devices that a bundle's list with this head has, and its newest list still has
    with the same certificate; none if the bundle has no such list. ``person`` is the one that
    :func:`verify_key_bundle` returned for the bundle.
    """
    listed = {device_list_head(one.statement): one.said for one in bundle.lists}.get(head)
    then = set() if listed is None else {(one.device, one.proof) for one in listed.devices}
    pairs = zip(person.devices, bundle.newest.said.devices, strict=True)
    return tuple(key for key, now in pairs if (now.device, now.proof) in then)


def verify_certificate(signed: SignedDeviceCertificate, master: MasterPublicKeys) -> None:
    """Verify that the owner of these master keys certified this device; raises BadSignature."""
    if not equal_in_constant_time(person_id(master), signed.certificate.person):
        raise BadSignature(what="device certificate")
    verify_both_signatures(
        master, _CERTIFICATE_CONTEXT, signed.statement, signed.signature, what="device certificate"
    )


def verify_prekey(
    signed: SignedPrekey, batch: SignedBatch, by: CertifiedDevice, mailbox: MailboxId
) -> None:
    """Verify a prekey and its batch; raises BadSignature.

    The device ``by`` must have signed the batch for this mailbox. The prekey must be in the batch,
    and must belong to that device.
    """
    said = batch.batch
    if said.mailbox is None or not equal_in_constant_time(said.mailbox, mailbox):
        raise BadSignature(what="message key")
    if not equal_in_constant_time(signed.prekey.device, by.device):
        raise BadSignature(what="message key")
    verify_batch(batch, by, _PREKEY_BATCH_CONTEXT, what="message key")
    _verify_inclusion(prekey_leaf(signed.statement), signed.place, batch, what="message key")


def verify_receipts(leaves: Sequence[bytes], batch: SignedBatch, by: CertifiedDevice) -> None:
    """Verify that the device ``by`` signed a batch of exactly these leaves, in this order.

    Raises BadSignature.
    """
    verify_batch(batch, by, _RECEIPT_BATCH_CONTEXT, what="receipt for a copy")
    said = batch.batch
    if (
        said.mailbox is not None
        or len(leaves) != said.size
        or not equal_in_constant_time(merkle_root(leaves), said.root)
    ):
        raise BadSignature(what="receipt for a copy")


def verify_receipt(statement: bytes, proof: ReceiptProof, by: CertifiedDevice) -> None:
    """Verify that the device ``by`` signed this receipt; raises BadSignature."""
    if proof.batch.batch.mailbox is not None:
        raise BadSignature(what="receipt for a copy")
    verify_batch(proof.batch, by, _RECEIPT_BATCH_CONTEXT, what="receipt for a copy")
    _verify_inclusion(receipt_leaf(statement), proof.place, proof.batch, what="receipt for a copy")


def _verify_inclusion(leaf: bytes, place: BatchPosition, signed: SignedBatch, *, what: str) -> None:
    root = root_from_proof(leaf, place.index, signed.batch.size, place.path)
    if root is None or not equal_in_constant_time(root, signed.batch.root):
        raise BadSignature(what=what)


def _verified_device_key(
    signed: SignedDeviceCertificate,
    listed: ListedDevice,
    said: DeviceList,
    master: MasterPublicKeys,
) -> CertifiedDevice:
    verify_certificate(signed, master)
    certificate = signed.certificate
    named = (certificate.person, certificate.device)
    if named != (said.person, listed.device) or not equal_in_constant_time(
        certificate_hash(signed), listed.proof
    ):
        raise BadSignature(what="device certificate")
    return CertifiedDevice(
        device=certificate.device,
        mailbox=listed.mailbox,
        ed25519=certificate.ed25519,
        curve25519=certificate.curve25519,
        mldsa65_hash=certificate.mldsa65_hash,
        created_at=certificate.created_at,
        enforces=certificate.enforces,
    )
