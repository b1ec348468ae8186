"""Signed statements: certificates, device lists, prekeys, receipts (docs/spec/identity.md).

Device lists are chains of hashes, so that no list can be left out or replaced (section 3).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from entrenous.base.copies import ReceiptProof
from entrenous.base.identifiers import DeviceId, MailboxId
from entrenous.base.identity import (
    BadSignature,
    Card,
    DeviceKey,
    DeviceList,
    ForkedList,
    Head,
    HeldBackList,
    ListedDevice,
    ListStatement,
    MasterKey,
    OldList,
    Person,
    Place,
    RevokedDevice,
    SignedBatch,
    SignedCertificate,
    SignedPrekey,
    Standing,
)
from entrenous.base.limits import REVOKED_MAX
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time, leaf_of, root_from, root_of, sha256
from entrenous.crypto.identity_keys import (
    DeviceSigner,
    person_id,
    sign_both,
    sign_twice_as_device,
    verify_batch,
    verify_both,
)

_HEAD: Final = b"entrenous/2 list\x00"
_LIST: Final = b"entrenous/2 list"


def head_of(statement: bytes) -> bytes:
    """The head of a list, 32 bytes."""
    return sha256(_HEAD + statement)


def sign_list(master: Secret, statement: bytes) -> bytes:
    """Both master signatures over a list's statement, 3,373 bytes."""
    return sign_both(master, _LIST, statement)


def heads_of(lists: Sequence[ListStatement]) -> tuple[Head, ...]:
    """The heads of consecutive lists, the oldest first."""
    return tuple(Head(one.said.epoch, head_of(one.statement)) for one in lists)


def verify_lists(
    lists: Sequence[ListStatement], signature: bytes, master: MasterKey
) -> tuple[Head, ...]:
    """The heads of consecutive lists, once the newest is proven and each leads to the next.

    Raises:
        BadSignature: the newest is not signed by both master keys, or one does not name the list
            before it, or breaks a rule from one list to the next.
    """
    verify_both(master, _LIST, lists[-1].statement, signature, what="device list")
    heads = heads_of(lists)
    for before, after in zip(heads, lists[1:], strict=False):
        if after.said.previous is None or not equal_in_constant_time(
            after.said.previous, before.digest
        ):
            raise BadSignature(what="device list")
    for one, after in pairwise(lists):
        if not follows(one.said, after.said):
            raise BadSignature(what="device list")
    if _comes_back(lists):
        raise BadSignature(what="device list")
    return heads


def follows(one: DeviceList, after: DeviceList) -> bool:
    """Whether ``after`` may be the list behind ``one``: same person, next epoch, no older protocol,
    whoever stays keeps her certificate, whoever left the devices is among the revoked ones, and
    those who were stay there while there is room.
    """
    listed = {now.device for now in after.devices}
    revoked = {now.device for now in after.revoked}
    gone = {was.device for was in one.devices} - listed
    return (
        after.person == one.person
        and after.epoch == one.epoch + 1
        and after.speaks.floor >= one.speaks.floor
        and after.speaks.newest >= one.speaks.newest
        and _certified_alike(one, after)
        and gone <= revoked
        and not listed & {was.device for was in one.revoked}
        and _made_room([was for was in one.revoked if was.device not in revoked], after)
    )


def _certified_alike(one: DeviceList, another: DeviceList) -> bool:
    """Whether every device that both list has the same certificate, and so the same keys."""
    proofs = {listed.device: listed.proof for listed in one.devices}
    return all(
        equal_in_constant_time(proofs.get(now.device, now.proof), now.proof)
        for now in another.devices
    )


def _made_room(missing: list[RevokedDevice], after: DeviceList) -> bool:
    """Whether these were left out because there was no room, as the ones revoked earliest."""
    if not missing:
        return True
    full = len(after.revoked) == REVOKED_MAX
    return full and max(was.at for was in missing) <= min(now.at for now in after.revoked)


def extends(known: Sequence[Head], shown: Sequence[Head]) -> Standing:
    """What a shown history is to one who knows these heads; both the oldest first, neither empty.

    Raises:
        OldList: its newest list is older than the newest known one.
        ForkedList: a list of an epoch that is known is another.
    """
    check_agree(known, shown)
    newest, offered = known[-1], shown[-1]
    if offered.epoch < newest.epoch:
        raise OldList
    if offered.epoch == newest.epoch:
        return Standing.SAME
    return Standing.NEWER if shown[0].epoch <= newest.epoch else Standing.NEWER_UNPROVEN


def continues(known: ListStatement, shown: Sequence[ListStatement]) -> Standing:
    """What a shown history that begins behind the newest list that is known is to it. It proves
    what happened in between when it begins with the very next one.

    Raises:
        ForkedList: the very next one names another list as the one before it.
        BadSignature: it breaks a rule that holds across any number of lists: a device that was
            revoked is listed, or one that was listed with another certificate, or an older protocol
            is spoken; or one from a list to the next.
    """
    first = shown[0].said
    is_next = first.epoch == known.said.epoch + 1
    if is_next:
        if first.previous is None or not equal_in_constant_time(
            first.previous, head_of(known.statement)
        ):
            raise ForkedList
        if not follows(known.said, first):
            raise BadSignature(what="device list")
    older = (
        first.speaks.floor < known.said.speaks.floor
        or first.speaks.newest < known.said.speaks.newest
    )
    alike = all(_certified_alike(known.said, one.said) for one in shown)
    if older or not alike or _comes_back([known, *shown]):
        raise BadSignature(what="device list")
    return Standing.NEWER if is_next else Standing.NEWER_UNPROVEN


def check_agree(known: Sequence[Head], named: Sequence[Head]) -> None:
    """Return only if no epoch has two heads.

    Raises:
        ForkedList: one has.
    """
    heads = {head.epoch: head.digest for head in known}
    for head in named:
        if not equal_in_constant_time(heads.get(head.epoch, head.digest), head.digest):
            raise ForkedList


def check_named(named: Head, shown: Sequence[Head]) -> None:
    """Return only if a head that a letter names is in the history that the relay shows.

    Raises:
        ForkedList: another head has that epoch.
        HeldBackList: it is newer than everything that the relay shows.
    """
    check_agree(shown, [named])
    if named.epoch > shown[-1].epoch:
        raise HeldBackList


def _comes_back(lists: Sequence[ListStatement]) -> bool:
    """Whether a device is listed after it was revoked, however long ago."""
    revoked = set[DeviceId]()
    for one in lists:
        if any(now.device in revoked for now in one.said.devices):
            return True
        revoked |= {was.device for was in one.said.revoked}
    return False


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
    that were known (crypto/statements.py ``extends``).

    Raises:
        BadSignature: the lists are not a chain signed by both master keys, the master keys are not
            those of the person that the lists name, or a certificate is not the one that is listed.
    """
    said = card.newest.said
    if not equal_in_constant_time(person_id(card.master), said.person):
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
    if not equal_in_constant_time(person_id(master), signed.certificate.person):
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
    if said.mailbox is None or not equal_in_constant_time(said.mailbox, mailbox):
        raise BadSignature(what="prekey")
    if not equal_in_constant_time(signed.prekey.device, by.device):
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
    if (
        said.mailbox is not None
        or len(leaves) != said.size
        or not equal_in_constant_time(root_of(leaves), said.root)
    ):
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
    if root is None or not equal_in_constant_time(root, signed.batch.root):
        raise BadSignature(what=what)


def _proven(
    signed: SignedCertificate, listed: ListedDevice, said: DeviceList, master: MasterKey
) -> DeviceKey:
    verify_certificate(signed, master)
    certificate = signed.certificate
    named = (certificate.person, certificate.device)
    if named != (said.person, listed.device) or not equal_in_constant_time(
        proof_of(signed), listed.proof
    ):
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
