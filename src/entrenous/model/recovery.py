"""What a recovery sheet holds (docs/spec/lock.md section 6)."""

from dataclasses import dataclass

from entrenous.model.errors import Malformed, Refused, Unreachable
from entrenous.model.ids import ID_BYTES, MailboxId, PersonId
from entrenous.model.secret import Secret
from entrenous.spec import TOKEN_BYTES


@dataclass(frozen=True, slots=True)
class RecoverySheet:
    """The master key of a person, and what opens, frees or shuts one of her devices.

    ``master`` has 64 bytes (craft/crypto/master.py), ``output`` the 64 of the relay's part.
    """

    person: PersonId
    master: Secret
    relay_url: str
    mailbox: MailboxId
    close: Secret
    output: Secret

    def __post_init__(self) -> None:
        lengths = (len(self.person), len(self.master), len(self.mailbox))
        if lengths != (32, 64, ID_BYTES) or (len(self.close), len(self.output)) != (
            TOKEN_BYTES,
            64,
        ):
            raise ValueError("a recovery sheet has a part of another length")


class NotASheet(Malformed):
    """
    This is no recovery sheet, or a character of it is wrong or missing. It begins with
    entrenous-recovery:2: and nothing of what follows may be left out. Compare it with the paper,
    then try again.
    """


class MasterAway(Refused):
    """
    Your master key is not on this device: it is on the recovery sheet that you wrote. Give that
    one too: --recovery FILE
    """


class OthersSheet(Refused):
    """
    This recovery sheet belongs to somebody else, so nothing was changed.
    """


class EarlierSheet(Refused):
    """
    The relay does not answer, and this recovery sheet is not for the relay and the mailbox that
    this device has now, so it cannot open it: it belongs to another device, or was written before a
    move. Nothing was changed. Try the newest sheet that was written on this device.
    """


class SheetDoesNotOpen(Refused):
    """
    The relay does not answer, and with this recovery sheet and that passphrase the device does not
    open. Nothing was changed. Either the passphrase was mistyped, or the sheet was written before
    the passphrase was last changed. Mind Caps Lock and the keyboard's language; else try the newest
    sheet that was written on this device.
    """


class NothingToRecover(Refused):
    """
    This device has no relay, or was set up before there were recovery sheets, so there is nothing
    that a sheet could recover. Nothing was written.
    """


class CloseNotChangedYet(Unreachable):
    """
    Your relay has yet to hear what shuts this device from now on: that changes when another device
    of yours was lost. A sheet of now would not shut it, so none was written. Try again when the
    relay answers: entrenous device recovery --out FILE
    """


class LockNotMovedYet(Unreachable):
    """
    This device moved to another relay, and its lock has yet to follow. A sheet of now would not
    open it there, so none was written. The lock follows when this device next opens and that relay
    answers. Type the same again: entrenous device recovery --out FILE
    """
