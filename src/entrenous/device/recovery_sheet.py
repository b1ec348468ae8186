"""Open, unlock or revoke a device with its recovery sheet (docs/spec/lock.md, section 6)."""

from dataclasses import dataclass
from pathlib import Path

from entrenous.base.environment import Settings
from entrenous.base.errors import (
    Malformed,
    NoSuchMailbox,
    NotFound,
    Refused,
    Unproven,
    Unreachable,
    WrongToken,
)
from entrenous.base.files import translate_folder_errors
from entrenous.base.identifiers import ID_BYTES, MailboxId, PersonId
from entrenous.base.limits import TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.device.device import open_courier
from entrenous.device.lock_errors import (
    MailboxUnknown,
    RevokedDeviceLocked,
    SheetForAnotherDevice,
    SheetForUnknownDevice,
    SheetTokenRejected,
    WrongPassphrase,
)
from entrenous.device.store.vault_folder import (
    AskRelayForShare,
    RelayShare,
    UnlockedVault,
    has_vault,
    read_vault_head,
    record_tries_allowed,
    unlock_vault_in_folder,
)
from entrenous.wire.relay_nouns import NoLock, RelayLock


@dataclass(frozen=True, slots=True)
class RecoverySheet:
    """A person's master key, and the secrets that open, unlock or revoke one of their devices.

    ``master`` has 64 bytes (crypto/identity_keys.py), ``output`` the 64 bytes of the relay's share.
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


@dataclass(slots=True)
class ShareFromRelayOrSheet:
    """Asks the relay for its share of the vault's key, or takes it from the sheet.

    The sheet is used if the relay does not answer; ``used`` says whether it was.
    """

    ask: AskRelayForShare
    sheet: RecoverySheet
    used: bool = False

    def __call__(self, lock: RelayLock, stretched: Secret) -> RelayShare:
        """Return the relay's share for a stretched passphrase.

        Raises:
            OutdatedSheet: the relay does not answer, and this sheet is for another lock.
            Locked, RevokedDeviceLocked, WrongPassphrase.
            RelayUnreachable: the sheet was already used for one lock, and a second lock's relay
                does not answer.
        """
        try:
            return self.ask(lock, stretched)
        except Unreachable:
            if (lock.relay_url, lock.mailbox) == (self.sheet.relay_url, self.sheet.mailbox):
                self.used = True
                return RelayShare(self.sheet.output, kept_here=True)
            if self.used:
                raise
            raise OutdatedSheet from None


def unlock_by_sheet(
    home: Path, words: Secret, ask: AskRelayForShare, sheet: RecoverySheet
) -> UnlockedVault:
    """Open a vault with a recovery sheet if its relay does not answer.

    Raises SheetCannotUnlock, OutdatedSheet, and the errors of ``unlock_vault_in_folder`` in
    device/store/vault_folder.py.
    """
    by_sheet = ShareFromRelayOrSheet(ask, sheet)
    try:
        return unlock_vault_in_folder(home, words, by_sheet)
    except WrongPassphrase:
        if by_sheet.used:
            raise SheetCannotUnlock from None
        raise


def allow_more_tries(settings: Settings, sheet: RecoverySheet) -> bool:
    """Allow ten more attempts to unlock the device of a recovery sheet; this needs no vault.

    Returns:
        Whether that device is the one in ``settings.home``; False if there is no device.

    Raises:
        SheetForAnotherDevice: the sheet is not for the device there; the relay was not asked.
        RevokedDeviceLocked: the lock of the device there was deleted.
        MailboxUnknown: the relay does not know the device there.
        SheetForUnknownDevice: the lock was deleted or the relay does not know the device, and there
            is no device in the folder.
        SheetTokenRejected: the relay rejects this sheet's close token.
        RelayUnreachable.
    """
    with translate_folder_errors(settings.home):
        here = has_vault(settings.home)
        if here and not _is_sheet_of(settings.home, sheet):
            raise SheetForAnotherDevice(home=settings.home)
    with open_courier(settings, patience_s=settings.patience_s) as courier:
        try:
            courier.allow_more_tries(sheet.relay_url, sheet.mailbox, sheet.close)
        except NoLock:
            raise (RevokedDeviceLocked if here else SheetForUnknownDevice) from None
        except NoSuchMailbox:
            raise (MailboxUnknown if here else SheetForUnknownDevice) from None
        except WrongToken:
            raise SheetTokenRejected from None
    if here:
        with translate_folder_errors(settings.home):
            record_tries_allowed(settings.home)
    return here


def revoke_by_sheet(settings: Settings, sheet: RecoverySheet) -> None:
    """Delete the mailbox of the sheet's device, and with it the relay's share of the vault's key.

    Afterwards no passphrase opens that vault. Needs no vault; safe to repeat.

    Raises:
        SheetOfThisDevice: that device is the one in ``settings.home``.
        SheetCloseTokenRejected: the relay rejects this sheet's close token.
        DeviceUnknownToRelay: the relay knows neither the mailbox nor its deletion.
        RevocationIncomplete: the relay does not answer. TooMany, ProtocolTooOld.
    """
    with translate_folder_errors(settings.home):
        if has_vault(settings.home) and _is_sheet_of(settings.home, sheet):
            raise SheetOfThisDevice(home=settings.home)
    with open_courier(settings, patience_s=settings.patience_s) as courier:
        try:
            courier.close_mailbox(sheet.relay_url, sheet.mailbox, sheet.close)
        # after a restore the relay may know the mailbox again, so its lock may still exist
        except NoSuchMailbox:
            raise DeviceUnknownToRelay from None
        except WrongToken:
            raise SheetCloseTokenRejected from None
        except Unreachable as why:
            raise RevocationIncomplete(why=why) from None


def _is_sheet_of(home: Path, sheet: RecoverySheet) -> bool:
    """Check whether this folder's vault is locked at the sheet's mailbox; raises BadRecord."""
    head = read_vault_head(home)
    locks = (terms.lock for terms in (head.now, head.next) if terms is not None)
    return any(lock is not None and lock.mailbox == sheet.mailbox for lock in locks)


class NotARecoverySheet(Malformed):
    """
    This is not the text of a recovery sheet, or one of its characters is wrong or missing. Nothing
    was changed. The text must be complete and begin with "entrenous-recovery:2:" (without the
    quotation marks). Compare it with your sheet, then try again.
    """


class MasterKeyNotHere(Refused):
    """
    This command needs your master key, which is not on this device but on your recovery sheet.
    Nothing was changed. Add the sheet to the command: --recovery FILE
    """


class SheetOfAnotherPerson(Refused):
    """This recovery sheet belongs to somebody else. Nothing was changed. Use your own sheet."""


class OutdatedSheet(Refused):
    """
    The relay does not answer, and this recovery sheet cannot be used in its place. Either the sheet
    belongs to another device, or it was written before this device moved to its current relay or
    mailbox. Nothing was changed. Try the newest sheet that was written on this device, or try again
    when the relay answers.
    """


class SheetCannotUnlock(Refused):
    """
    The relay does not answer, and this recovery sheet with that passphrase does not unlock the
    device. Nothing was changed. Either the passphrase was mistyped, or it was changed after the
    sheet was written. Check Caps Lock and the keyboard's language. If that does not help, try the
    newest sheet that was written on this device.
    """


class NothingToRecover(Refused):
    """
    No relay takes part in unlocking this device, so a recovery sheet would be of no use now.
    Nothing was written. If the device has a relay, run this command again when the relay answers.
    """


class CloseTokenNotReplacedYet(Unreachable):
    """
    A recovery sheet contains a code that can revoke this device. Since another device of yours was
    revoked as lost, that code has to be replaced, and your relay has not confirmed the new code
    yet. A sheet written now would not work, so no sheet was written. Try again when the relay
    answers: entrenous device recovery --out FILE
    """


class LockNotMovedYet(Unreachable):
    """
    This device moved to another relay, but its old relay still takes part in unlocking it. A
    recovery sheet written now could not unlock the device at the new relay, so no sheet was
    written. The new relay takes over the next time that you unlock this device, if the new relay
    answers then. After that, run the command again: entrenous device recovery --out FILE
    """


class NoDeviceToRevokeFrom(NotFound):
    """
    There is no Entrenous device in {home}. The names of your devices are stored only on your
    devices, so {name} cannot be found from here. Nothing was changed. Run the command on another
    device of yours. If {name} was your only device, use its recovery sheet, on any machine. The
    sheet alone decides which device is revoked, so first make sure that it is the sheet of {name}:
    entrenous device revoke --lost --recovery FILE
    """


class SheetOfThisDevice(Refused):
    """
    This recovery sheet was written on the device in {home}. You are using that device now, so it is
    not lost, and nothing was changed. You can still revoke this device, but that cannot be undone,
    and every copy of its folder stays locked for good. First export its messages and cases:
    entrenous archive export --out DIR. Then revoke it, with the path of another, empty folder as
    EMPTY: ENTRENOUS_HOME=EMPTY entrenous device revoke --lost --recovery FILE
    """


class SheetCloseTokenRejected(Unproven):
    """
    The relay does not accept this recovery sheet, so the lost device is not revoked. The code on
    the sheet was replaced when another device of yours was revoked as lost. Try the newest sheet
    that was written on the lost device, or run this on another device of yours: entrenous device
    revoke NAME --lost
    """


class DeviceUnknownToRelay(NotFound):
    """
    The relay named on this recovery sheet does not know the device for which the sheet was made, so
    nothing was revoked. If that device was revoked more than 30 days ago, it stays locked. If it
    moved to another relay after the sheet was written, use the newest sheet that was written on it.
    Otherwise the people who run the relay may have started it with a different database, or
    restored a backup that is older than the device: tell them, and run the same command again
    later.
    """


class RevocationTokenOutdated(Unproven):
    """
    {name} is NOT revoked at your relay: the code that this device has for revoking {name} was
    replaced by a newer code, which {name} could not send here. Another device of yours may have the
    newer code, and will revoke {name} as soon as it learns that this attempt failed. Run this on
    each of your devices now: entrenous inbox. The newest recovery sheet that was written on {name}
    can revoke it too: entrenous device revoke --lost --recovery FILE
    """


class RevocationIncomplete(Unreachable):
    """
    It is not confirmed yet that the lost device is revoked. {why} Entrenous does not try again
    automatically. Run the same command again, on this machine or any other, until it says that the
    device is revoked.
    """
