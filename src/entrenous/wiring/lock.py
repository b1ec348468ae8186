"""What stands between a passphrase and an open vault: the relay's part of its key (lock.md)."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from entrenous.adapters.vault.home import (
    RelayPart,
    Unlocked,
    change_key,
    lock_empty,
    new_terms,
    refuse_weak,
)
from entrenous.adapters.vault.lock_head import Head, write_head
from entrenous.adapters.vault.offline import close_window, has_window, open_window, read_window
from entrenous.craft.crypto.oprf import UNIFORM_BYTES, blind, draw_scalar, finalize
from entrenous.craft.crypto.vault_key import asked_of_relay, stretch
from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.identity import Home
from entrenous.model.lock import (
    Answered,
    DeviceShut,
    MailboxUnknown,
    NoLock,
    NoRelaysPart,
    NotConfirmed,
    OfflineWindowOver,
    OutdatedCopy,
    RelayLock,
)
from entrenous.model.relay_problem import NoSuchMailbox, WrongToken
from entrenous.model.secret import Secret
from entrenous.model.vault import WrongPassphrase
from entrenous.ports import Clock, Courier, Device, Dice
from entrenous.send.devices.generation import (
    begin_opening,
    confirm_opening,
    home_to_lock,
    note_asked,
    tries_of_others,
)
from entrenous.send.inbox import when_in_words
from entrenous.send.move.lock import lock_followed, lock_to_follow
from entrenous.send.move.old_home import give_tries_back
from entrenous.settings import Settings
from entrenous.spec import TOKEN_BYTES
from entrenous.wiring.copies import renewed, shut_copies
from entrenous.wiring.courier import courier_of

_BRIEFLY_S: Final = 2.0  # in a window, a relay that is not there is not waited for


@dataclass(frozen=True, slots=True)
class Asking:
    """Gets the relay's part of a vault's key: kept here in an offline window, or by asking."""

    home: Path
    courier: Courier
    clock: Clock
    dice: Dice

    def __call__(self, lock: RelayLock, stretched: Secret) -> RelayPart:
        """The relay's part for a stretched passphrase. A window whose time is over is closed once
        the relay has answered: this device's clock may be ahead.

        Raises:
            Locked, DeviceShut, RelayUnreachable, OfflineWindowOver.
            WrongPassphrase: the relay does not answer, and the window opens to another one.
        """
        window = read_window(self.home, stretched)
        if window is not None and self.clock.now() < window[0]:
            return RelayPart(window[1], kept_here=True)
        try:
            part = ask_relay(lock, stretched, self.courier, self.dice)
        except Unreachable:
            if window is not None:
                raise OfflineWindowOver(until=when_in_words(window[0])) from None
            if has_window(self.home):
                raise WrongPassphrase from None
            raise
        except EntrenousError:
            self._end(window)
            raise
        self._end(window)
        return part

    def _end(self, window: tuple[datetime, Secret] | None) -> None:
        if window is not None:
            close_window(self.home)


def ask_relay(lock: RelayLock, stretched: Secret, courier: Courier, dice: Dice) -> RelayPart:
    """One question, of ten.

    The newest token that the relay knows asks it; one that it does not know costs no try.

    Raises:
        Locked, DeviceShut, OutdatedCopy, NotAPoint.
        RelayUnreachable; MailboxUnknown: as good as that, for it may know better later.
    """
    untold, scalar = asked_of_relay(stretched), draw_scalar(dice.token(UNIFORM_BYTES))
    blinded = blind(untold, scalar)
    for token in (lock.unlock_token, *lock.earlier):
        with suppress(WrongToken):
            answered = _answered(replace(lock, unlock_token=token), blinded, courier)
            output = finalize(untold, scalar, answered.evaluated)
            return RelayPart(output, answered.tries, outdated=token is not lock.unlock_token)
    raise OutdatedCopy


def _answered(lock: RelayLock, blinded: bytes, courier: Courier) -> Answered:
    try:
        return courier.unlock(lock, blinded)
    except NoLock:
        raise DeviceShut from None
    except NoSuchMailbox:
        raise MailboxUnknown from None


def settle(unlocked: Unlocked, device: Device, settings: Settings) -> Unlocked:
    """After the vault opened: give it its lock if it has none yet, and tell the relay, which then
    gives all tries back. So how many opened nothing is seen here or never.

    When the relay does not answer, the device opens all the same; what needs the relay says so.

    Raises:
        DeviceShut: the relay has forgotten this device.
    """
    unlocked = replace(unlocked, missed=_missed(unlocked, device))
    with suppress(Unreachable):
        unlocked = shut_copies(lock_up(follow_move(unlocked, device), device), device)
    if lock_to_follow(device) is not None:
        give_tries_back(device)
    if unlocked.terms.lock is not None:
        _tell(unlocked, device, settings)
    return unlocked


def lock_first(unlocked: Unlocked, mail: Home, device: Device) -> Unlocked:
    """Give a vault that holds nothing yet its lock, at a mailbox that it made: so nothing that
    comes into it is ever there without.

    Raises:
        RelayUnreachable.
    """
    lock = RelayLock(mail.relay_url, mail.mailbox, Secret(device.dice.token(TOKEN_BYTES)))
    device.courier.make_lock(lock, mail.owner)
    part = ask_relay(lock, unlocked.stretched, device.courier, device.dice)
    locked = lock_empty(unlocked, replace(unlocked.terms, lock=lock), part)
    return replace(locked, asked=unlocked.asked + 1)


def lock_up(unlocked: Unlocked, device: Device) -> Unlocked:
    """Give a new vault its relay's lock, if it has a relay; may be repeated after a crash.

    Raises:
        RelayUnreachable.
    """
    mail = home_to_lock(device)
    if mail is None or unlocked.terms.lock is not None or unlocked.terms.first:
        return unlocked
    token = Secret(device.dice.token(TOKEN_BYTES))
    begun = unlocked.pending.lock if unlocked.pending is not None else None
    lock = begun or RelayLock(mail.relay_url, mail.mailbox, token)
    terms = replace(unlocked.terms, lock=lock)
    write_head(unlocked.home, Head(unlocked.terms, terms))
    device.courier.make_lock(lock, mail.owner)
    part = _ask_ourselves(lock, unlocked.stretched, device)
    return change_key(unlocked, terms, unlocked.stretched, part)


def follow_move(unlocked: Unlocked, device: Device) -> Unlocked:
    """After a move, lock the vault with its new relay's part; may be repeated after a crash.

    An offline window ends, since it keeps the old relay's.

    Raises:
        RelayUnreachable.
    """
    lock = lock_to_follow(device)
    if lock is None:
        return unlocked
    if unlocked.terms.lock != lock and not unlocked.terms.first:
        close_window(unlocked.home)
        part = _ask_ourselves(lock, unlocked.stretched, device)
        terms = replace(unlocked.terms, lock=lock)
        unlocked = change_key(unlocked, terms, unlocked.stretched, part)
    lock_followed(device)
    return unlocked


def allow_offline(unlocked: Unlocked, hours: int, clock: Clock) -> datetime:
    """Let this vault open without its relay for so many hours; until when.

    Raises:
        NoRelaysPart: it opens without one anyhow.
        NotConfirmed: it was opened in such a window, and only the relay may allow another.
    """
    if unlocked.terms.lock is None:
        raise NoRelaysPart
    if unlocked.part.kept_here:
        raise NotConfirmed
    until = (clock.now() + timedelta(hours=hours)).replace(microsecond=0)
    open_window(unlocked.home, unlocked.stretched, unlocked.part.output, until)
    return until


def forbid_offline(unlocked: Unlocked) -> None:
    """Close the window, whether or not there is one."""
    close_window(unlocked.home)


def change_passphrase(unlocked: Unlocked, words: Secret, device: Device) -> Unlocked:
    """Encrypt the vault under another passphrase. An offline window ends with the old one, and
    copies of the folder from before are shut; if the relay does not answer that any more, its part
    is ``outdated``, and they are shut when the vault opens next.

    Raises:
        WeakPassphrase, RelayUnreachable, Locked, DiskFull.
    """
    refuse_weak(words)
    lock = unlocked.terms.lock
    terms = new_terms(renewed(lock, device))
    stretched = stretch(words, terms.salt, terms.cost)
    part = _ask_ourselves(lock, stretched, device) if lock else RelayPart()
    part = replace(part, outdated=part.outdated or terms.lock != lock)
    changed = change_key(unlocked, terms, stretched, part)
    close_window(unlocked.home)
    with suppress(Unreachable):
        changed = shut_copies(changed, device)
    return changed


def _ask_ourselves(lock: RelayLock, stretched: Secret, device: Device) -> RelayPart:
    """As :func:`ask_relay`, of a vault that is open: nobody is to be told of that try."""
    note_asked(device.vault)
    return ask_relay(lock, stretched, device.courier, device.dice)


def _missed(unlocked: Unlocked, device: Device) -> int:
    left = unlocked.part.tries
    return 0 if left is None else tries_of_others(left, unlocked.asked, device.vault)


def _tell(unlocked: Unlocked, device: Device, settings: Settings) -> None:
    begin_opening(device.vault, unlocked.asked)
    try:
        with suppress(Unreachable), _asked(unlocked, device, settings) as asked:
            confirm_opening(asked)
    except DeviceShut:
        close_window(unlocked.home)
        raise


@contextmanager
def _asked(unlocked: Unlocked, device: Device, settings: Settings) -> Iterator[Device]:
    """The device as it asks its relay now: in a window, without patience."""
    if not unlocked.part.kept_here:
        yield device
        return
    with courier_of(settings, timeout_s=_BRIEFLY_S) as courier:
        yield replace(device, courier=courier)
