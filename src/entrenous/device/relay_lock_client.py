"""The relay's part of this device's lock: ask for its part of the vault's key, and keep that part
up to date.

A device's state has a number that the relay keeps, its generation, so that a copy of the state and
the original never both go on (docs/spec/lock.md, section 5).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from entrenous.base.environment import Clock, Dice, Settings
from entrenous.base.errors import EntrenousError, NoSuchMailbox, Unreachable, WrongToken
from entrenous.base.limits import OPENING_BYTES, OPENINGS_MAX, TOKEN_BYTES, UNLOCK_TRIES
from entrenous.base.secret import Secret
from entrenous.crypto.oprf import UNIFORM_BYTES, blind, draw_scalar, finalize
from entrenous.crypto.vault_key import asked_of_relay, stretch
from entrenous.device.device import Courier, Device, Vault, courier_of
from entrenous.device.identities import (
    ACCOUNT,
    IDENTITY,
    ROLLED_BACK,
    SIGNING_SEED,
    UNCONFIRMED,
    UNFINISHED,
    Home,
    Identity,
    lock_followed,
    lock_to_follow,
)
from entrenous.device.lock_errors import (
    DeviceShut,
    MailboxUnknown,
    NoRelaysPart,
    NotConfirmed,
    OfflineWindowOver,
    OutdatedCopy,
    WrongPassphrase,
)
from entrenous.device.store.vault_folder import (
    Head,
    RelayPart,
    Unlocked,
    change_key,
    close_window,
    has_window,
    lock_empty,
    new_terms,
    open_window,
    read_window,
    refuse_weak,
    write_head,
)
from entrenous.device.vault_tables import (
    BATCH,
    CHORE,
    FINISH,
    GREET,
    INVITE,
    LATE,
    OLD_HOME,
    OUTBOX,
    OWN_KEY,
    PEER,
    SELF,
    WINDOW_IN,
    WINDOW_OLD,
    WINDOW_OUT,
    WINDOW_TOLD,
    WITHDRAW,
    load_record,
    load_records,
    store_record,
)
from entrenous.wire.relay_nouns import Answered, NoLock, Opening, RelayLock, RolledBack


def when_in_words(moment: datetime | None) -> str:
    """A moment for a sentence."""
    return "an earlier day" if moment is None else moment.strftime("%d %B %Y, %H:%M UTC")


@dataclass(frozen=True, slots=True)
class OldHome:
    """Where this device's mail was, and may still come until ``until``.

    Not asked before ``ask_after``, when its relay did not answer. ``overtaken`` tells whether it
    has heard that no copy of this device may go on there, and ``next_close`` is what is to delete
    it from now on, since a lost device knew the token before.
    """

    home: Home
    until: datetime
    ask_after: datetime | None = None
    overtaken: bool = False
    next_close: Secret | None = None


def old_homes(device: Device) -> tuple[OldHome, ...]:
    """Where this device was, those first that it left first."""
    found = load_records(OldHome, OLD_HOME, device.vault)
    return tuple(sorted(found, key=lambda one: one.until))


def give_tries_back(device: Device) -> None:
    """The vault opened through an old relay's part of its lock, which counted a try."""
    for old in old_homes(device):
        with suppress(EntrenousError):
            note_opened_at(old.home, 1, device)


def note_opened_at(home: Home, generation: int, device: Device) -> None:
    """Tell the relay of a mailbox which generation of the vault was opened (docs/spec/lock.md)."""
    """Tell the relay of a mailbox which generation of the vault was opened (docs/spec/lock.md)."""
    opening = Opening(generation, device.dice.token(OPENING_BYTES))
    device.courier.note_opened(home.relay_url, home.mailbox, home.owner, opening)


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


def complete_unlock(unlocked: Unlocked, device: Device, settings: Settings) -> Unlocked:
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


def shut_copies(unlocked: Unlocked, device: Device) -> Unlocked:
    """Where the relay does not know the newest token yet, tell it: what asks with an earlier one
    opens nothing any more. May be repeated.

    Raises:
        RelayUnreachable.
    """
    lock, mail = unlocked.terms.lock, home_of(device.vault)
    if not unlocked.part.outdated or lock is None or mail is None or not _is_at(lock, mail):
        return unlocked
    device.courier.renew_lock(lock, mail.owner)
    return replace(unlocked, part=replace(unlocked.part, outdated=False))


def renewed(lock: RelayLock | None, device: Device) -> RelayLock | None:
    """With another token, unless its relay is one that the device moves away from."""
    mail = home_of(device.vault)
    if lock is None or mail is None or not _is_at(lock, mail):
        return lock
    return lock.renewed(Secret(device.dice.token(TOKEN_BYTES)))


def _is_at(lock: RelayLock, mail: Home) -> bool:
    return (lock.relay_url, lock.mailbox) == (mail.relay_url, mail.mailbox)


_GENERATION: Final = "generation"
_OPENING: Final = "opening"  # that the relay was told of, and whose answer may be lost
_ASKED: Final = "asked"  # tries that this vault used up itself since the relay gave all back
#: What a state that went on elsewhere must not act on any more.
_RATCHETS: Final = (
    *(PEER, OWN_KEY, OUTBOX, GREET, FINISH, INVITE, LATE),
    *(CHORE, BATCH, WITHDRAW, WINDOW_IN, WINDOW_OLD, WINDOW_OUT, WINDOW_TOLD),
)


def home_of(vault: Vault) -> Home | None:
    """Where this device's mail is; None if it was set up without a relay."""
    identity = load_record(Identity, SELF, IDENTITY, vault)
    return identity.home if identity else None


def home_to_lock(device: Device) -> Home | None:
    """Where a lock for this device is to be made; None before its mailbox is there, or without."""
    unfinished = device.vault.get(SELF, UNFINISHED) is not None
    return None if unfinished else home_of(device.vault)


def begin_opening(vault: Vault, asked: int = 0) -> None:
    """From here on, nothing moves a ratchet until the relay has confirmed this state, which
    opened after so many questions to it.
    """
    with vault.together():
        vault.put(SELF, UNCONFIRMED, b"")
        note_asked(vault, asked)


def note_asked(vault: Vault, asked: int = 1) -> None:
    """Count questions that this very vault asked, so that :func:`tries_of_others` leaves them
    out.
    """
    vault.put(SELF, _ASKED, (_generation_asked(vault) + asked).to_bytes(4, "big"))


def tries_of_others(left: int, asked: int, vault: Vault) -> int:
    """How many tries opened nothing since the relay last gave all back, by how many it says are
    ``left`` after this opening, which took ``asked`` of them.
    """
    return max(0, UNLOCK_TRIES - left - asked - _generation_asked(vault))


def confirm_opening(device: Device) -> None:
    """Tell the relay that the vault opened in this state. Does nothing if it knows.

    A state that went on elsewhere is marked, and forgets its ratchets; what needs them says
    RolledBack from then on.

    Raises:
        DeviceShut: the mailbox was deleted.
        RelayUnreachable, MailboxUnknown: this state is not confirmed.
    """
    home = home_of(device.vault)
    if home is None or device.vault.get(SELF, UNCONFIRMED) is None:
        return
    opening = _opening(device)
    try:
        device.courier.note_opened(home.relay_url, home.mailbox, home.owner, opening)
    except RolledBack:
        _forget_ratchets(device.vault)
    except NoLock:
        raise DeviceShut from None
    except NoSuchMailbox:
        raise MailboxUnknown from None
    _confirmed(opening, device.vault)


def _opening(device: Device) -> Opening:
    """This opening, on disk before the relay hears of it: its answer may be lost.

    A state that was refused once tells the first generation, which is refused again, so that the
    number of the copy that goes on is never overtaken; the relay gives back its tries for it.
    """
    number = device.dice.token(OPENING_BYTES)
    if device.vault.get(SELF, ROLLED_BACK) is not None:
        return Opening(1, number)
    told = load_record(Opening, SELF, _OPENING, device.vault)
    before = () if told is None else (*told.before, told.number)[-OPENINGS_MAX:]
    opening = Opening(_generation(device.vault) + 1, number, before)
    store_record(opening, SELF, _OPENING, device.vault)
    return opening


def _confirmed(opening: Opening, vault: Vault) -> None:
    with vault.together():
        vault.put(SELF, _GENERATION, opening.generation.to_bytes(8, "big"))
        vault.drop(SELF, _OPENING)
        vault.drop(SELF, _ASKED)
        vault.drop(SELF, UNCONFIRMED)


def _generation(vault: Vault) -> int:
    """The last one that the relay confirmed to this vault."""
    return int.from_bytes(vault.get(SELF, _GENERATION) or b"", "big")


def _generation_asked(vault: Vault) -> int:
    return int.from_bytes(vault.get(SELF, _ASKED) or b"", "big")


def _forget_ratchets(vault: Vault) -> None:
    with vault.together():
        vault.put(SELF, ROLLED_BACK, b"")
        vault.drop(SELF, ACCOUNT)
        vault.drop(SELF, SIGNING_SEED)
        for drawer in _RATCHETS:
            for key in vault.keys(drawer):
                vault.drop(drawer, key)
