"""What a recovery sheet does by itself: open a vault whose relay may be gone, allow one more tries,
or shut it for good (lock.md section 6).
"""

from dataclasses import dataclass
from pathlib import Path

from entrenous.adapters.vault.freed import note_freed
from entrenous.adapters.vault.home import AskRelay, RelayPart, Unlocked, unlock
from entrenous.adapters.vault.lock_head import has_vault, read_head
from entrenous.model.errors import Unreachable
from entrenous.model.lock import DeviceShut, MailboxUnknown, NoLock, RelayLock
from entrenous.model.locked_out import SheetFreesNothing, SheetOfAnother, SheetOfNoDevice
from entrenous.model.lost import NotShutYet, SheetOfThisDevice, SheetShutsNothing, UnknownToRelay
from entrenous.model.recovery import EarlierSheet, RecoverySheet, SheetDoesNotOpen
from entrenous.model.relay_problem import NoSuchMailbox, WrongToken
from entrenous.model.secret import Secret
from entrenous.model.vault import WrongPassphrase
from entrenous.settings import Settings
from entrenous.wiring.courier import courier_of
from entrenous.wiring.folders import kept_in


@dataclass(slots=True)
class BySheet:
    """Gets the relay's part by asking, or from the recovery sheet where the relay is silent; the
    sheet was ``used`` then.
    """

    ask: AskRelay
    sheet: RecoverySheet
    used: bool = False

    def __call__(self, lock: RelayLock, stretched: Secret) -> RelayPart:
        """The relay's part for a stretched passphrase.

        Raises:
            EarlierSheet: the relay is silent, and this sheet is for another lock.
            Locked, DeviceShut, WrongPassphrase; RelayUnreachable, of a lock after the sheet's.
        """
        try:
            return self.ask(lock, stretched)
        except Unreachable:
            if (lock.relay_url, lock.mailbox) == (self.sheet.relay_url, self.sheet.mailbox):
                self.used = True
                return RelayPart(self.sheet.output, kept_here=True)
            if self.used:
                raise
            raise EarlierSheet from None


def unlock_by_sheet(home: Path, words: Secret, ask: AskRelay, sheet: RecoverySheet) -> Unlocked:
    """Open a vault whose relay may be gone, with what a recovery sheet holds of its part.

    Raises:
        SheetDoesNotOpen, EarlierSheet; and as adapters/vault/home.py unlock does.
    """
    by_sheet = BySheet(ask, sheet)
    try:
        return unlock(home, words, by_sheet)
    except WrongPassphrase:
        if by_sheet.used:
            raise SheetDoesNotOpen from None
        raise


def allow_more_tries(settings: Settings, sheet: RecoverySheet) -> bool:
    """Give the device of a recovery sheet ten more tries; needs no vault.

    Returns:
        Whether that is the device in ``settings.home``; False where there is none.

    Raises:
        SheetOfAnother: it is not the device that is there; the relay was not asked.
        DeviceShut, SheetOfNoDevice: its lock was deleted; that of the device there, or of another.
        MailboxUnknown, SheetOfNoDevice: the relay knows nothing of it.
        SheetFreesNothing: the relay does not take this sheet's close token.
        RelayUnreachable.
    """
    with kept_in(settings.home):
        here = has_vault(settings.home)
        if here and not _is_of(settings.home, sheet):
            raise SheetOfAnother(home=settings.home)
    with courier_of(settings, patience_s=settings.patience_s) as courier:
        try:
            courier.allow_more_tries(sheet.relay_url, sheet.mailbox, sheet.close)
        except NoLock:
            raise (DeviceShut if here else SheetOfNoDevice) from None
        except NoSuchMailbox:
            raise (MailboxUnknown if here else SheetOfNoDevice) from None
        except WrongToken:
            raise SheetFreesNothing from None
    if here:
        with kept_in(settings.home):
            note_freed(settings.home)
    return here


def shut_by_sheet(settings: Settings, sheet: RecoverySheet) -> None:
    """Delete the mailbox of the sheet's device, and with it its part of its vault's lock; needs no
    vault. When this returns no passphrase opens that one any more. May be repeated.

    Raises:
        SheetOfThisDevice: it is the device in ``settings.home``.
        SheetShutsNothing: the relay does not take this sheet's close token.
        UnknownToRelay: it knows nothing of that mailbox, nor that it was deleted.
        NotShutYet: the relay does not answer; TooMany, ProtocolTooOld.
    """
    with kept_in(settings.home):
        if has_vault(settings.home) and _is_of(settings.home, sheet):
            raise SheetOfThisDevice(home=settings.home)
    with courier_of(settings, patience_s=settings.patience_s) as courier:
        try:
            courier.close_mailbox(sheet.relay_url, sheet.mailbox, sheet.close)
        except NoSuchMailbox:  # which does not show that there is no lock: it may be back later
            raise UnknownToRelay from None
        except WrongToken:
            raise SheetShutsNothing from None
        except Unreachable as why:
            raise NotShutYet(why=why) from None


def _is_of(home: Path, sheet: RecoverySheet) -> bool:
    """Whether the vault in this folder is locked at the sheet's mailbox; raises BadRecord."""
    head = read_head(home)
    locks = (terms.lock for terms in (head.now, head.next) if terms is not None)
    return any(lock is not None and lock.mailbox == sheet.mailbox for lock in locks)
