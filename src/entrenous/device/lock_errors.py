"""Errors of unlocking, locking and revoking a device (docs/spec/lock.md)."""

from entrenous.base.errors import NoSuchBlob, NotFound, Refused, Unproven, Unreachable
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.wire.relay_nouns import Locked


class NotLockedAtRelay(Refused):
    """
    No relay takes part in unlocking this device at the moment, so it unlocks without one and needs
    no permission to unlock offline. Nothing was changed.
    """


class RevokedDeviceLocked(Refused):
    """
    This device's vault can no longer be unlocked with any passphrase, because the relay deleted the
    secret that it needs to help unlock the vault. That happens when the device is revoked, for
    instance after it was lost. Your other devices are not affected. To write from here again, link
    a new device in another folder. Begin on one of your other devices: entrenous device add
    """


class MailboxUnknown(Unreachable):
    """
    The relay does not know this device, so the relay cannot help to unlock the device. Nothing on
    this device was changed or lost. The people who run the relay may have started it with a
    different database, or restored a backup that is older than this device: tell them, and try
    again later. If this device was revoked more than 30 days ago, it stays locked. With a recovery
    sheet of this device you can continue at another relay: entrenous device move --relay URL
    --recovery FILE
    """


class OutdatedCopy(Refused):
    """
    This is an older copy of the device's folder, for instance from a backup, and the passphrase of
    the device has been changed since. The relay no longer helps to unlock the older copy, so it
    stays locked. Nothing was changed. The device itself is not affected, and opens with its present
    passphrase. If you no longer have the device's newer folder, link a new device, beginning on one
    of your other devices: entrenous device add
    """


class WrongPassphrase(Refused):
    """
    That passphrase does not unlock this device's vault. Nothing was changed. Check Caps Lock and
    the keyboard's language, then try again.
    """


class FewTriesLeft(WrongPassphrase):
    """
    That passphrase does not unlock this device's vault. Nothing was changed. Tries left: {tries}.
    After the last one, only your recovery sheet can allow more. Take your time: check Caps Lock and
    the keyboard's language.
    """


class OfflineWindowExpired(Unreachable):
    """
    This device could be unlocked without its relay only until {until}, and the relay does not
    answer now. Nothing was lost. Connect to the network, then try again.
    """


class UnlockNotConfirmed(Unreachable):
    """
    This device was unlocked without its relay. It shows what is stored here, but does not send or
    fetch yet: the relay first has to confirm that no other copy of the device is in use. Connect to
    the network, then try again.
    """


class DeviceWithoutRelay(Refused):
    """
    This device was set up without a relay (setup --offline). It can mark and trace, but not send or
    receive. Nothing was changed. To send, connect it to a relay: entrenous device move --relay URL
    """


class VaultNotFound(NotFound):
    """
    There is no Entrenous device in {home} yet. Set one up: entrenous setup --name YOU --offline. To
    set up one that can also send and receive: entrenous setup --name YOU --relay URL
    """


class VaultExists(Refused):
    """
    There is already a device in {home}. It was not changed. To set up another one, choose another
    folder: ENTRENOUS_HOME=DIR entrenous setup --name YOU --relay URL
    """


class UnfinishedDevice(DeviceWithoutRelay):
    """
    The setup of this device was interrupted, so the device is empty and cannot be used. Start again
    in another folder. If it is your first device: ENTRENOUS_HOME=DIR entrenous setup --name YOU
    --relay URL. If you have other devices and want to add it to them: ENTRENOUS_HOME=DIR entrenous
    setup --link -
    """


class VaultInUse(Refused):
    """
    Another Entrenous command is using this device's vault. Nothing was changed. Wait until that
    command ends, then try again. If that command is inbox --wait, which keeps waiting for messages,
    end it with Ctrl-C. If it is case watch --once, which a timer may have started, it ends by
    itself within a few minutes.
    """


class WeakPassphrase(Refused):
    """
    A passphrase needs at least {least} characters. Nothing was changed. Four or five unrelated
    words are easy to remember and hard to guess.
    """


class NoPassphrase(Refused):
    """
    A passphrase is needed, but there is no terminal to ask for it. Nothing was changed. Provide the
    passphrase with {how}.
    """


class NoSuchDescriptor(NoPassphrase):
    """
    No passphrase can be read from file descriptor {number}, which was set with {how}, because it is
    not open for reading. Nothing was changed. To open it in a shell, add this to the command:
    {number}< FILE
    """


class PassphrasesDiffer(Refused):
    """The two passphrases are not the same. Nothing was changed. Try again."""


class RelayLockedOut(Locked):
    """
    There were ten wrong passphrases in a row, so the relay no longer helps to unlock this device's
    vault. With your recovery sheet you can allow ten more tries: entrenous device unlock --recovery
    FILE. Without the sheet, nobody can open this vault again. Your other devices are not affected,
    and you can link a new device from one of them: entrenous device add. If you did not make those
    tries, somebody may have a copy of this device's folder. In that case change the passphrase once
    the device is unlocked, because that locks every older copy for good: entrenous passphrase
    change
    """


class SheetForAnotherDevice(Refused):
    """
    This recovery sheet does not match the device in {home}: it was written on another device, or
    before this one moved to another relay. The relay was not asked, and nothing was changed; if the
    device was locked, it still is. Try the newest sheet that was written on this device. To unlock
    the other device, run the command on that device, or here with an empty folder as DIR:
    ENTRENOUS_HOME=DIR entrenous device unlock --recovery FILE
    """


class SheetTokenRejected(Unproven):
    """
    The relay does not accept this recovery sheet, so no further tries were allowed. After the sheet
    was written, another device of yours was revoked as lost; since then, only newer sheets are
    valid. Nothing was changed, and the device that you want to unlock is not revoked. To allow ten
    more tries on this device, run the same command with the newest sheet that was written on the
    device. If there is no newer sheet, link a new device from another device of yours: entrenous
    device add
    """


class SheetForUnknownDevice(Refused):
    """
    The relay named on this recovery sheet no longer knows the device for which the sheet was made,
    so there is nothing to unlock there. Either that device was revoked, or the relay lost its data,
    or the device moved to another relay after the sheet was written. Nothing was changed. If the
    device moved, use the newest sheet that was written on it.
    """


class VaultFileMissing(NoSuchBlob):
    """
    The file {name}, which this device stored, is missing from the folder "files" in this device's
    folder, so the command could not continue. Nothing was changed. If you have a backup of your
    Entrenous folder, copy {name} from the folder "files" of the backup to the same folder of this
    device, then try again.
    """


class VaultFileDamaged(DecryptionFailed):
    """
    The file {name}, which this device stored in its folder "files", is damaged, so the command
    could not continue. Nothing was changed. If you have a backup of your Entrenous folder, replace
    {name} with the file of that name from the backup's folder "files", then try again.
    """
