"""Errors of opening, locking and shutting a device (docs/spec/lock.md)."""

from entrenous.base.errors import NoSuchBlob, NotFound, Refused, Unproven, Unreachable
from entrenous.crypto.nouns import DoesNotOpen
from entrenous.wire.relay_nouns import Locked


class NoRelaysPart(Refused):
    """No relay has a part of this vault's lock, because the device was set up without a relay. So
    it opens anywhere, and there is nothing to allow.
    """


class DeviceShut(Refused):
    """This device's vault is shut: its relay's part of the lock was deleted, so no passphrase opens
    it any more. That happens when the device is revoked, for instance after it was lost. Your other
    devices are not affected; to write from here again, link a new device in another folder from one
    of them: entrenous device add
    """


class MailboxUnknown(Unreachable):
    """The relay does not know this device, nor that it was revoked, so it cannot help to open it.
    Nothing on this device was changed or lost. The relay's operator may have started it with
    another database, or restored a backup that is older than this device: tell the operator, and
    try again later. If this device was revoked more than 30 days ago, it stays shut. With a
    recovery sheet of this device you can go on at another relay: entrenous device move --relay URL
    --recovery FILE
    """


class OutdatedCopy(Refused):
    """The passphrase of this device was changed after this copy of its folder was made, as in a
    backup. The relay no longer helps to open the copy, so it stays shut. The device itself opens as
    always, with its new passphrase.
    """


class WrongPassphrase(Refused):
    """That passphrase does not open this device's vault. Nothing was changed. Try again, and mind
    Caps Lock and the keyboard's language.
    """


class FewTriesLeft(WrongPassphrase):
    """That passphrase does not open this device's vault. Nothing was changed. Tries left: {tries};
    then the vault stays locked until your recovery sheet allows more, and nothing else can. Take
    your time; mind Caps Lock and the keyboard's language.
    """


class OfflineWindowOver(Unreachable):
    """The time in which this device opens without its relay ended on {until}, and the relay does
    not answer. Nothing was lost. Connect to the network, then try again.
    """


class NotConfirmed(Unreachable):
    """This device was opened without its relay, so it shows what is here, but sends and fetches
    nothing yet: first the relay must hear that no copy of it went on elsewhere. Connect to the
    network, then try again.
    """


class OfflineDevice(Refused):
    """This device was set up without a relay (setup --offline), so it can mark and trace but not
    send or receive. Set up one with a relay in another folder: ENTRENOUS_HOME=DIR entrenous setup
    --name YOU --relay URL
    """


class NoVaultHere(NotFound):
    """There is no Entrenous device in {home} yet. Make one: entrenous setup --name YOU --offline,
    or to send and receive, too: entrenous setup --name YOU --relay URL
    """


class VaultExists(Refused):
    """There is already a device in {home}, and it was left as it is. For another one, choose
    another folder: ENTRENOUS_HOME=DIR entrenous setup --name YOU --relay URL
    """


class UnfinishedDevice(OfflineDevice):
    """Setting up this device was interrupted, so it holds nothing and cannot be used. Set it up in
    another folder, as a further device of yours: ENTRENOUS_HOME=DIR entrenous setup --link -, or as
    your first one: ENTRENOUS_HOME=DIR entrenous setup --name YOU --relay URL
    """


class VaultBusy(Refused):
    """Another Entrenous command is using this device's vault. Wait for it to end, then try again.
    If it is inbox --wait, which keeps waiting for letters, end it with Ctrl-C.
    """


class WeakPassphrase(Refused):
    """A passphrase needs at least {least} characters; four or five unrelated words are easy to
    remember and hard to guess.
    """


class NoPassphrase(Refused):
    """A passphrase is needed and there is no terminal to ask for it. Give it by {how}."""


class NoSuchDescriptor(NoPassphrase):
    """No passphrase can be read from file descriptor {number}, which was given by {how}: nothing
    that can be read is open there. In a shell: {number}< FILE opens it.
    """


class PassphrasesDiffer(Refused):
    """The two passphrases are not the same, so nothing was set up. Try again."""


class LockedOut(Locked):
    """Ten wrong passphrases were tried in a row, so the relay no longer helps to open this device's
    vault, and what is in it stays shut. With your recovery sheet you can allow ten more: entrenous
    device unlock --recovery FILE. Without the sheet nobody can open this vault again; another
    device of yours goes on as it is, and can link a new one: entrenous device add. If those tries
    were not yours, somebody may have a copy of this device's folder: once it is open again, another
    passphrase shuts every older copy: entrenous passphrase change
    """


class SheetOfAnother(Refused):
    """This recovery sheet is not for the device in {home}: it was written on another device, or
    before this one moved to another relay. So the relay was not asked, and nothing was changed; a
    device that is locked stays as it was. Try the newest sheet that was written on this device. If
    you want to unlock the other device, do it where that one is, or from an empty folder:
    ENTRENOUS_HOME=DIR entrenous device unlock --recovery FILE
    """


class SheetFreesNothing(Unproven):
    """The relay does not accept this recovery sheet: the token on it was replaced after the sheet
    was written, when another device of yours was revoked as lost. So nothing was changed; the
    device is still there, and opens as before once more tries are allowed. Try the newest sheet
    that was written on it.
    """


class SheetOfNoDevice(Refused):
    """The relay that this recovery sheet names no longer knows the device that it was written on,
    so there is nothing to unlock there: that device was revoked, its relay lost its data, or it
    moved to another relay after the sheet was written. Nothing was changed. If it moved, use the
    newest sheet that was written on it.
    """


class KeptFileGone(NoSuchBlob):
    """A file that this device kept is no longer in its folder, so this could not be done; nothing
    was changed. If you have a backup of your Entrenous folder, copy what is missing from the
    backup's folder "files" into yours, and try again.
    """


class KeptFileDamaged(DoesNotOpen):
    """A file that this device kept is damaged, so this could not be done; nothing was changed. If
    you have a backup of your Entrenous folder, copy what differs from the backup's folder "files"
    into yours, and try again.
    """
