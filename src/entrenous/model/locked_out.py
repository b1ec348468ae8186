"""What somebody reads whose device is locked by wrong tries, and of the sheet that frees it
(docs/spec/lock.md section 6).
"""

from entrenous.model.errors import Refused, Unproven
from entrenous.model.lock import Locked


class LockedOut(Locked):
    """
    Ten wrong passphrases were tried in a row, so the relay answers no more questions about this
    device's vault, and what is in it stays shut. With your recovery sheet you can allow ten more:
    entrenous device unlock --recovery FILE. Without the sheet nobody can open this vault again;
    another device of yours goes on as it is, and can link a new one: entrenous device add. If those
    tries were not yours, somebody may have a copy of this device's folder: once it is open again,
    another passphrase shuts every copy from before: entrenous passphrase change
    """


class SheetOfAnother(Refused):
    """
    This recovery sheet is not for the device in {home}: it was written on another device, or before
    this one moved to another relay. So the relay was not asked, and nothing was changed; a device
    that is locked stays as it was. Try the newest sheet that was written on this device. If you
    mean the other device, do it where that one is, or from an empty folder:
    ENTRENOUS_HOME=DIR entrenous device unlock --recovery FILE
    """


class SheetFreesNothing(Unproven):
    """
    The relay does not take what this recovery sheet allows more tries with: that was replaced after
    the sheet was written, when another device of yours was revoked as lost. So nothing was changed;
    the device is still there, and opens as before once more tries are allowed. Try the newest sheet
    that was written on it.
    """


class SheetOfNoDevice(Refused):
    """
    The relay that this recovery sheet names knows the device that it was written on no more, so
    there is nothing to unlock there: that device was revoked, its relay lost its data, or it moved
    to another relay after the sheet was written. Nothing was changed. If it moved, the newest sheet
    that was written on it frees it.
    """
