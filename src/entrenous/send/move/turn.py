"""What a list that has this device at another relay turns, in the transaction that takes it."""

from entrenous.model.changed import Moving
from entrenous.model.move import NewHome
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.acquaintance.notices import note_moving
from entrenous.send.acquaintance.people import contacts
from entrenous.send.devices.lists.greet_devices import greet_one
from entrenous.send.devices.self import CARD_TO_SHOW, NEXT_CLOSE, UNFINISHED, Me, is_ready
from entrenous.send.devices.siblings import ourselves
from entrenous.send.drawers import GREET_DEVICE, SELF, peer_key
from entrenous.send.letter.prekeys import forget_unpublished
from entrenous.send.letter.sessions import has_session
from entrenous.send.letter.write import addressees
from entrenous.send.move.lock import keep_lock_to_follow
from entrenous.send.move.next_home import let_go_of_next, lock_at
from entrenous.send.move.old_home import leave
from entrenous.send.outbox import drop_every_promise
from entrenous.send.tokens.place import note_moved
from entrenous.send.tokens.use import has_way
from entrenous.send.tokens.windows import forget_given


def turn(before: Me, new: NewHome, device: Device, *, led: bool) -> None:
    """Live at ``new``, once who we are says so: the old home is read for some days more, and
    everybody is to hear of it, our own devices where they were. Our person is told, unless it was
    ``led`` from here.
    """
    untold = device.vault.get(SELF, NEXT_CLOSE)
    next_close = None if untold is None else Secret(untold)
    leave(before.home, device, silent=not is_ready(device), next_close=next_close)
    keep_lock_to_follow(lock_at(new), device)
    drop_every_promise(device)
    forget_given(device)
    forget_unpublished(device)
    for mark in (NEXT_CLOSE, CARD_TO_SHOW):
        device.vault.drop(SELF, mark)
    let_go_of_next(new, device)
    device.vault.put(SELF, UNFINISHED, b"")
    _have_all_greeted(device)
    if not led:
        note_moving(new.home.relay_url, Moving.MOVED, device)
    _greet_siblings(before, device)


def _have_all_greeted(device: Device) -> None:
    for contact in contacts(device):
        for key in () if contact.blocked else contact.person.devices:
            device.vault.put(GREET_DEVICE, peer_key(contact.person.id, key.device), b"")


def _greet_siblings(before: Me, device: Device) -> None:
    """Each where it was until now: it reads that before and after it comes along, and tells us in
    its turn with what we may write to it elsewhere.
    """
    us = ourselves(device)
    if us is None:
        return
    note_moved(before.person, us.person, device)
    for to in addressees(us, device):
        whose = peer_key(us.person.id, to.key.device)
        if has_session(to, device) and has_way(us, to.key.device, device):
            greet_one(to, None, device)
        else:
            device.vault.put(GREET_DEVICE, whose, b"")
