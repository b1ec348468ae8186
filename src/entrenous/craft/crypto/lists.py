"""Device lists as chains of hashes (docs/spec/identity.md section 3).

Only the newest list of a card is signed; that it names the head of the one before it, and so on,
makes that signature prove all of them.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from entrenous.craft.crypto.hashing import same, sha256
from entrenous.craft.crypto.master import sign_both, verify_both
from entrenous.model.device_list import (
    DeviceList,
    ForkedList,
    Head,
    HeldBackList,
    ListStatement,
    OldList,
    RevokedDevice,
    Standing,
)
from entrenous.model.ids import DeviceId
from entrenous.model.person import BadSignature, MasterKey
from entrenous.model.secret import Secret
from entrenous.spec import REVOKED_MAX

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
        if after.said.previous is None or not same(after.said.previous, before.digest):
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
    return all(same(proofs.get(now.device, now.proof), now.proof) for now in another.devices)


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
        if first.previous is None or not same(first.previous, head_of(known.statement)):
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
        if not same(heads.get(head.epoch, head.digest), head.digest):
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
