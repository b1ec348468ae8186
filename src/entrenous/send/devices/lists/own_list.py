"""The next list of one's own devices: who may sign it, and what follows from it on this device."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from entrenous.craft.crypto.hashing import same
from entrenous.craft.crypto.lists import continues, extends, head_of, heads_of
from entrenous.craft.crypto.statements import proof_of, verify_card
from entrenous.craft.wire.identity.card import read_card, write_card
from entrenous.craft.wire.identity.device_list import read_device_list, write_device_list
from entrenous.model.card import Card, SignedCertificate
from entrenous.model.device_list import (
    DeviceList,
    ForkedList,
    ListedDevice,
    RevokedAs,
    RevokedDevice,
    Standing,
)
from entrenous.model.identity import Identity
from entrenous.model.ids import DeviceId, MailboxId
from entrenous.model.link import Sibling, TooManyDevices
from entrenous.model.person import BadSignature, Person
from entrenous.model.recovery import MasterAway, OthersSheet, RecoverySheet
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.devices.lists.at_relay import close_later
from entrenous.send.devices.lists.forked import fork_of
from entrenous.send.devices.lists.gone import forget_devices, left_behind
from entrenous.send.devices.own_card import signed_card
from entrenous.send.devices.self import (
    CARD_TO_SHOW,
    IDENTITY,
    NEXT_CLOSE,
    Me,
    keep_identity,
    who_am_i,
)
from entrenous.send.devices.siblings import (
    free_device_name,
    keep_sibling,
    mailbox_of,
    own_name,
    sibling_of,
    siblings,
)
from entrenous.send.drawers import SELF, SIBLING, take
from entrenous.send.moment import this_second
from entrenous.send.move.next_home import begin_anew, closings_of, forget_elsewhere, next_home
from entrenous.send.move.old_home import draw_closes_anew
from entrenous.send.move.turn import turn
from entrenous.send.tokens.use import take_told
from entrenous.spec import DEVICES_MAX, REVOKED_MAX, TOKEN_BYTES

_LOST: Final = RevokedAs.LOST


def master_at_hand(sheet: RecoverySheet | None, device: Device) -> Secret:
    """The key that signs lists: from the vault, or from the sheet that it was written on.

    Raises:
        MasterAway: it is on a sheet, and none was given.
        OthersSheet: the sheet is somebody else's.
        OfflineDevice, RolledBack.
    """
    me, identity = who_am_i(device), take(Identity, SELF, IDENTITY, device.vault)
    if sheet is not None and sheet.person != me.person.id:
        raise OthersSheet
    master = (identity.master if identity else None) or (sheet and sheet.master)
    if not master:
        raise MasterAway
    return master


def list_with(
    master: Secret, signed: SignedCertificate, mailbox: MailboxId, device: Device
) -> Card:
    """The card whose newest list has one device more.

    Raises:
        TooManyDevices.
    """
    card = read_card(who_am_i(device).card)
    listed = ListedDevice(signed.certificate.device, proof_of(signed), mailbox)
    devices = (*card.newest.said.devices, listed)
    if len(devices) > DEVICES_MAX:
        raise TooManyDevices
    following = replace(card.newest.said, devices=_sorted(devices))
    return _signed(master, card, following, (*card.certificates, signed), device)


def list_without(master: Secret, gone: DeviceId, kind: RevokedAs, device: Device) -> Card:
    """The card whose newest list has this device among the revoked ones."""
    card = read_card(who_am_i(device).card)
    said = card.newest.said
    revoked = (*said.revoked, RevokedDevice(gone, this_second(device), kind))
    following = replace(
        said,
        devices=tuple(one for one in said.devices if one.device != gone),
        revoked=_with_room(revoked),
    )
    return _signed(master, card, following, card.certificates, device)


def list_at(
    master: Secret, relay_url: str, mailboxes: Mapping[DeviceId, MailboxId], device: Device
) -> Card:
    """The card whose newest list has a person, with each of her devices, at another relay."""
    card = read_card(who_am_i(device).card)
    said = card.newest.said
    devices = tuple(replace(one, mailbox=mailboxes[one.device]) for one in said.devices)
    following = replace(said, devices=devices, relay_url=relay_url)
    return _signed(master, card, following, card.certificates, device)


def take_own_card(card: Card, device: Device, *, signed_here: bool = False) -> bool:
    """Go on as one of the devices of a newer card of ours; call it in a transaction.

    Devices that left it are forgotten; where it has us at another relay, we move. Returns whether
    it was newer; a card that does not list this device is not taken: nobody can revoke herself.
    Neither is one that has it at a mailbox which it did not make.

    Raises:
        OldList, ForkedList; BadSignature, also of a card that is somebody else's.
    """
    me, person = who_am_i(device), verify_card(card)
    if not same(person.id, me.person.id):
        raise BadSignature(what="card")
    if _standing(card, me) is Standing.SAME:
        return False
    identity = take(Identity, SELF, IDENTITY, device.vault)
    if identity is None or not _lists_us(person, me):
        return False
    here = person.relay_url, mailbox_of(me.key.device, person)
    moves = here != (me.home.relay_url, me.home.mailbox)
    new = next_home(person.relay_url, device) if moves else None
    if moves and (new is None or new.home.mailbox != here[1]):
        return False
    listed, gone = {key.device for key in person.devices}, left_behind(me.person, person)
    home = me.home if new is None else new.home
    updated = replace(identity, name=person.name, home=home, person=person, card=write_card(card))
    keep_identity(updated, device)
    device.vault.put(SELF, CARD_TO_SHOW, b"")
    _have_closed(gone, me, device)
    forget_devices(person.id, gone, device)
    _know_siblings(listed - {me.key.device}, gone, device)
    if new is not None:
        turn(me, new, device, led=signed_here)
        forget_elsewhere(person, device)
    take_told(person.id, device)
    _shut_out(read_card(me.card).newest.said, card.newest.said, person, device)
    return True


def _lists_us(person: Person, me: Me) -> bool:
    keys = (replace(key, mailbox=me.key.mailbox) for key in person.devices)
    return me.key in keys


def _standing(card: Card, me: Me) -> Standing:
    known = read_card(me.card)
    try:
        standing = extends(heads_of(known.lists), heads_of(card.lists))
        unproven = standing is Standing.NEWER_UNPROVEN
        return continues(known.newest, card.lists) if unproven else standing
    except ForkedList:
        raise fork_of(me.person.id, heads_of(card.lists)[-1], write_card(card)) from None


def _have_closed(gone: Collection[DeviceId], me: Me, device: Device) -> None:
    """Whoever knows what deletes the mailbox of a device that is none any more has it deleted: the
    one that revoked it may not.
    """
    for key in me.person.devices:
        one = sibling_of(key.device, device) if key.device in gone else None
        for closing in () if one is None else closings_of(one, me.home.relay_url, key, device):
            close_later(closing, device)


def _know_siblings(
    listed: Collection[DeviceId], gone: Collection[DeviceId], device: Device
) -> None:
    """Let go of those that are gone; one that another device of ours linked has a name from it."""
    for one in gone:
        device.vault.drop(SIBLING, one.hex())
    for one in sorted(listed):
        if sibling_of(one, device) is None:
            names = [own_name(device), *(known.name for known in siblings(device))]
            keep_sibling(Sibling(one, free_device_name(None, names), None), device)


def _shut_out(before: DeviceList, said: DeviceList, person: Person, device: Device) -> None:
    """A lost device knows the token that deletes our mailbox, so that is to be another one; so are
    mailboxes that we may move to.
    """
    known = {was.device for was in before.revoked}
    if any(was.device not in known and was.kind is _LOST for was in said.revoked):
        begin_anew(person, device)
        draw_closes_anew(device)
        device.vault.put(SELF, NEXT_CLOSE, device.dice.token(TOKEN_BYTES))


def _signed(
    master: Secret,
    card: Card,
    following: DeviceList,
    certificates: tuple[SignedCertificate, ...],
    device: Device,
) -> Card:
    said = replace(
        following,
        epoch=card.newest.said.epoch + 1,
        previous=head_of(card.newest.statement),
        issued_at=_not_before(card.newest.said.issued_at, device),
    )
    statement = read_device_list(write_device_list(said))
    return signed_card(master, (*card.lists, statement), certificates)


def _not_before(last: datetime, device: Device) -> datetime:
    return max(last, this_second(device))


def _with_room(revoked: tuple[RevokedDevice, ...]) -> tuple[RevokedDevice, ...]:
    """Those revoked last, as many as a list holds, in its order."""
    newest = sorted(revoked, key=lambda one: one.at)[-REVOKED_MAX:]
    return tuple(sorted(newest, key=lambda one: one.device))


def _sorted(devices: Sequence[ListedDevice]) -> tuple[ListedDevice, ...]:
    return tuple(sorted(devices, key=lambda one: one.device))
