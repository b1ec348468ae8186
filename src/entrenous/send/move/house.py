"""Move this device, and with it its person, to another relay (docs/spec/devices.md section 7).

First a mailbox and a lock are made there, which changes nothing for anybody. Then one transaction
turns: a list that names the new relay, the old home to be read for some days more, and everybody to
be told. What follows may be cut short at any point, and is done by a later command.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from entrenous.craft.crypto.statements import verify_card
from entrenous.craft.wire.identity.card import write_card
from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.identity import Home, Identity
from entrenous.model.ids import ID_BYTES, MailboxId
from entrenous.model.lock import RelayLock
from entrenous.model.move import AlreadyThere, NewHome, OldHome, OtherDevicesFirst
from entrenous.model.recovery import RecoverySheet
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contacts
from entrenous.send.devices.generation import confirm_opening
from entrenous.send.devices.lists.greet_devices import greet_devices
from entrenous.send.devices.lists.own_list import list_at, master_at_hand
from entrenous.send.devices.self import (
    CARD_TO_SHOW,
    IDENTITY,
    NEW_HOME,
    NEXT_CLOSE,
    UNFINISHED,
    is_ready,
    keep_identity,
    refuse_unready,
    who_am_i,
)
from entrenous.send.devices.siblings import siblings
from entrenous.send.drawers import GREET_DEVICE, OUTBOX, SELF, lay, peer_key, take
from entrenous.send.letter.prekeys import forget_unpublished
from entrenous.send.move.lock import keep_lock_to_follow
from entrenous.send.move.old_home import leave, old_homes
from entrenous.send.outbox import drop_every_promise, flush
from entrenous.send.setup import relay_address
from entrenous.send.tokens.windows import forget_given
from entrenous.spec import TOKEN_BYTES


@dataclass(frozen=True, slots=True)
class Moved:
    """From where to where, until when the old mailbox is read, and how many letters still wait for
    a relay.
    """

    before: str
    relay_url: str
    until: datetime
    letters: int


def move_house(relay_url: str, sheet: RecoverySheet | None, device: Device) -> Moved:
    """Be at another relay from now on, with everybody told how to write there. May be repeated.

    With a ``sheet``, the old relay need not answer: it cannot confirm then that no copy of this
    device went on (lock.md section 5), and the new one does.

    Raises:
        OtherDevicesFirst, AlreadyThere, BadRelayAddress, MasterAway, OthersSheet, OfflineDevice,
        RolledBack, NotConfirmed (without a sheet).
        RelayUnreachable, NotEncrypted, ProtocolTooOld, MailboxesClosed: from the new relay; then
        nothing has changed.
    """
    home, url = who_am_i(device).home, relay_address(relay_url)
    if home.relay_url != url:
        _refuse_several(device)
        master = master_at_hand(sheet, device)
        if sheet is None:
            refuse_unready(device)
        new = _made(url, device)
        with device.vault.together():
            _turn(new, master, device)
    elif not old_homes(device):
        raise AlreadyThere
    return _told(old_homes(device)[-1], device)


def _refuse_several(device: Device) -> None:
    me = who_am_i(device)
    if len(me.person.devices) > 1:
        raise OtherDevicesFirst(names=", ".join(one.name for one in siblings(device)))


def _made(url: str, device: Device) -> NewHome:
    """A mailbox and a lock at another relay; the same ones when this was cut short before."""
    new = take(NewHome, SELF, NEW_HOME, device.vault)
    if new is None or new.home.relay_url != url:
        if new is not None:
            _give_up(new.home, device)
        new = _drawn(url, device)
        lay(new, SELF, NEW_HOME, device.vault)
    home = new.home
    device.courier.create_mailbox(url, home.mailbox, home.owner, home.close)
    device.courier.make_lock(_lock(new), home.owner)
    return new


def _drawn(url: str, device: Device) -> NewHome:
    owner, close, unlock = (Secret(device.dice.token(TOKEN_BYTES)) for _ in range(3))
    return NewHome(Home(url, MailboxId(device.dice.token(ID_BYTES)), owner, close), unlock)


def _lock(new: NewHome) -> RelayLock:
    return RelayLock(new.home.relay_url, new.home.mailbox, new.unlock)


def _give_up(home: Home, device: Device) -> None:
    """An empty mailbox that nobody heard of."""
    with suppress(EntrenousError):
        device.courier.close_mailbox(home.relay_url, home.mailbox, home.owner)


def _turn(new: NewHome, master: Secret, device: Device) -> None:
    """Be at the new relay; call it in a transaction."""
    before, card = who_am_i(device).home, list_at(master, new.home, device)
    identity = take(Identity, SELF, IDENTITY, device.vault)
    if identity is not None:
        person, written = verify_card(card), write_card(card)
        keep_identity(replace(identity, home=new.home, person=person, card=written), device)
    leave(before, device, silent=not is_ready(device))
    keep_lock_to_follow(_lock(new), device)
    drop_every_promise(device)
    forget_given(device)
    forget_unpublished(device)
    for mark in (NEW_HOME, NEXT_CLOSE, CARD_TO_SHOW):
        device.vault.drop(SELF, mark)
    device.vault.put(SELF, UNFINISHED, b"")
    _have_all_greeted(device)


def _have_all_greeted(device: Device) -> None:
    for contact in contacts(device):
        for key in () if contact.blocked else contact.person.devices:
            device.vault.put(GREET_DEVICE, peer_key(contact.person.id, key.device), b"")


def _told(old: OldHome, device: Device) -> Moved:
    """Say so to whoever can be reached now; the others hear it with a later command."""
    with suppress(Unreachable):
        confirm_opening(device)
    greet_devices(device)
    flush(device)
    waiting = len(device.vault.keys(OUTBOX)) + len(device.vault.keys(GREET_DEVICE))
    return Moved(old.home.relay_url, who_am_i(device).home.relay_url, old.until, waiting)
