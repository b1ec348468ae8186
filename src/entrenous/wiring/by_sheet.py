"""What a recovery sheet does by itself: open a vault whose relay may be gone, or shut one for good
(lock.md section 6).
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from entrenous.adapters.courier.http import HttpCourier, new_client
from entrenous.adapters.vault.home import AskRelay, RelayPart, Unlocked, unlock
from entrenous.adapters.vault.lock_head import has_vault, read_head
from entrenous.model.errors import Unreachable
from entrenous.model.lock import RelayLock
from entrenous.model.lost import NotShutYet, SheetOfThisDevice, SheetShutsNothing
from entrenous.model.recovery import EarlierSheet, RecoverySheet, SheetDoesNotOpen
from entrenous.model.relay_problem import NoSuchMailbox, WrongToken
from entrenous.model.secret import Secret
from entrenous.model.vault import WrongPassphrase
from entrenous.settings import Settings
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


def shut_by_sheet(settings: Settings, sheet: RecoverySheet) -> None:
    """Delete the mailbox of the sheet's device, and with it its part of its vault's lock; needs no
    vault. When this returns no passphrase opens that one any more. May be repeated.

    Raises:
        SheetOfThisDevice: it is the device in ``settings.home``.
        SheetShutsNothing: the relay does not take this sheet's close token.
        NotShutYet: the relay does not answer; TooMany, ProtocolTooOld.
    """
    with kept_in(settings.home):
        if has_vault(settings.home):
            _refuse_own(settings.home, sheet)
    with new_client(settings.relay_ca) as client:
        courier = HttpCourier(client, settings.patience_s)
        try:
            with suppress(NoSuchMailbox):  # then there is no lock either
                courier.close_mailbox(sheet.relay_url, sheet.mailbox, sheet.close)
        except WrongToken:
            raise SheetShutsNothing from None
        except Unreachable as why:
            raise NotShutYet(why=why) from None


def _refuse_own(home: Path, sheet: RecoverySheet) -> None:
    head = read_head(home)
    for terms in (head.now, head.next):
        if terms is not None and terms.lock is not None and terms.lock.mailbox == sheet.mailbox:
            raise SheetOfThisDevice(home=home)
