"""Open a vault whose relay may be gone, with its recovery sheet (lock.md section 6)."""

from dataclasses import dataclass
from pathlib import Path

from entrenous.adapters.vault.home import AskRelay, RelayPart, Unlocked, unlock
from entrenous.model.errors import Unreachable
from entrenous.model.lock import RelayLock
from entrenous.model.recovery import EarlierSheet, RecoverySheet, SheetDoesNotOpen
from entrenous.model.secret import Secret
from entrenous.model.vault import WrongPassphrase


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
