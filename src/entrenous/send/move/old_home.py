"""The mailbox that this device moved out of: its mail still comes, for some days.

What lies there opens as before, since keys belong to the device and not to its mailbox. A relay
that is gone for good is asked once an hour, so that it does not keep anybody waiting.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from entrenous.craft.wire.identity.card import read_card
from entrenous.model.errors import EntrenousError
from entrenous.model.identity import Home
from entrenous.model.link import Closing
from entrenous.model.lock import NoLock, Opening, RolledBack
from entrenous.model.move import OldHome
from entrenous.model.relay_problem import NoSuchMailbox, WrongToken
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.devices.lists.at_relay import note_closed
from entrenous.send.devices.self import LOCK_TO_FOLLOW, who_am_i
from entrenous.send.drawers import OLD_HOME, SELF, lay, take_all
from entrenous.send.moment import this_second
from entrenous.send.odd_clock import believed_now
from entrenous.spec import GENERATION_MAX, OLD_HOME_DAYS, OPENING_BYTES, TOKEN_BYTES

_ASK_AGAIN: Final = timedelta(hours=1)
_GIVE_UP: Final = timedelta(days=OLD_HOME_DAYS)  # counted from when it should have been deleted


def leave(
    home: Home, device: Device, *, silent: bool, next_close: Secret | None = None
) -> datetime:
    """Remember where we were; until when mail may come there. Call it in a transaction.

    ``next_close`` is what the relay is still to hear that deletes it.
    """
    now = this_second(device)
    until = now + timedelta(days=OLD_HOME_DAYS)
    asked = now + _ASK_AGAIN if silent else None
    lay(
        OldHome(home, until, asked, next_close=next_close),
        OLD_HOME,
        home.mailbox.hex(),
        device.vault,
    )
    return until


def old_homes(device: Device) -> tuple[OldHome, ...]:
    """Where this device was, those first that it left first."""
    found = take_all(OldHome, OLD_HOME, device.vault)
    return tuple(sorted(found, key=lambda one: one.until))


def our_relays(device: Device) -> frozenset[str]:
    """The relays at which letters and files may lie for us."""
    left = {one.home.relay_url for one in old_homes(device)}
    return frozenset({who_am_i(device).home.relay_url, *left})


def were_elsewhere(epoch: int, device: Device) -> bool:
    """Whether by our list of this epoch, or the oldest that our card shows behind it, this device
    was at another mailbox than now.
    """
    me = who_am_i(device)
    if epoch >= me.person.epoch:
        return False
    said = next(one.said for one in read_card(me.card).lists if one.said.epoch >= epoch)
    then = {listed.mailbox for listed in said.devices if listed.device == me.key.device}
    return bool(then - {me.home.mailbox})


def homes_to_ask(device: Device) -> tuple[OldHome, ...]:
    """Old homes whose relays are to be asked now."""
    now = device.clock.now()
    return tuple(one for one in old_homes(device) if _is_due(one, now))


def _is_due(old: OldHome, now: datetime) -> bool:
    """One that is to be asked later than in an hour was noted by a clock that was ahead."""
    return old.ask_after is None or not now < old.ask_after <= now + _ASK_AGAIN


def draw_closes_anew(device: Device) -> None:
    """A lost device knows what deletes these mailboxes; call it in the transaction that shuts it
    out.
    """
    for old in old_homes(device):
        fresh = Secret(device.dice.token(TOKEN_BYTES))
        lay(replace(old, next_close=fresh), OLD_HOME, old.home.mailbox.hex(), device.vault)


def change_close(old: OldHome, device: Device) -> OldHome:
    """Have the relay know what deletes it from now on, if that is to be another token.

    Raises:
        RelayUnreachable, NoSuchMailbox, WrongToken: as for the mail.
    """
    home, fresh = old.home, old.next_close
    if fresh is None:
        return old
    device.courier.set_close_token(home.relay_url, home.mailbox, home.owner, fresh)
    changed = replace(old, home=replace(home, close=fresh), next_close=None)
    lay(changed, OLD_HOME, home.mailbox.hex(), device.vault)
    return changed


def let_go(old: OldHome, device: Device) -> None:
    """After its mail was fetched: no copy of this device goes on there, and when the time is over
    the mailbox is deleted. While the vault still opens through it, it stays.

    Raises:
        RelayUnreachable, NoSuchMailbox, WrongToken: as for the mail.
    """
    old = change_close(old, device)
    if device.vault.get(SELF, LOCK_TO_FOLLOW) is not None:
        return
    home, key = old.home, old.home.mailbox.hex()
    if not old.overtaken:
        _overtake(home, device)
        lay(replace(old, ask_after=None, overtaken=True), OLD_HOME, key, device.vault)
    if believed_now(device) >= old.until:
        device.courier.close_mailbox(home.relay_url, home.mailbox, home.owner)
        with device.vault.together():
            note_closed(Closing(home.relay_url, home.mailbox, home.owner), device)
            device.vault.drop(OLD_HOME, key)


def note_refused(old: OldHome, why: EntrenousError, device: Device) -> EntrenousError | None:
    """Its relay did not answer as it should; what is to be told of it.

    A relay that does not take our token any more is not asked again, nor one that is silent for
    long. One that does not know the mailbox may have another database for a while.
    """
    key, now = old.home.mailbox.hex(), this_second(device)
    if isinstance(why, WrongToken) or believed_now(device) >= old.until + _GIVE_UP:
        if device.vault.get(SELF, LOCK_TO_FOLLOW) is None:
            device.vault.drop(OLD_HOME, key)
        return None
    lay(replace(old, ask_after=now + _ASK_AGAIN), OLD_HOME, key, device.vault)
    return None if isinstance(why, NoSuchMailbox) else why


def give_tries_back(device: Device) -> None:
    """The vault opened through an old relay's part of its lock, which counted a try."""
    for old in old_homes(device):
        with suppress(EntrenousError):
            _note_opened(old.home, 1, device)


def _overtake(home: Home, device: Device) -> None:
    """A copy of this device from before the move would go on there: so its relay hears of the last
    generation that there can be. A mailbox that was just fetched from and yet is said to be unknown
    has no lock.
    """
    with suppress(RolledBack, NoLock, NoSuchMailbox):
        _note_opened(home, GENERATION_MAX, device)


def _note_opened(home: Home, generation: int, device: Device) -> None:
    opening = Opening(generation, device.dice.token(OPENING_BYTES))
    device.courier.note_opened(home.relay_url, home.mailbox, home.owner, opening)
