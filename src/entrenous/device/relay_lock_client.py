"""Fetch the relay's share of this vault's key, and keep the vault's lock up to date.

The relay counts how often a vault was unlocked (its generation), so that a copy and the original
cannot both continue (docs/spec/lock.md, section 5).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from entrenous.base.environment import Clock, RandomSource, Settings
from entrenous.base.errors import EntrenousError, NoSuchMailbox, Unreachable, WrongToken
from entrenous.base.language import moment_in_words, translated
from entrenous.base.limits import (
    TOKEN_BYTES,
    UNANSWERED_UNLOCKS_MAX,
    UNLOCK_NUMBER_BYTES,
    UNLOCK_TRIES_MAX,
)
from entrenous.base.secret import Secret
from entrenous.crypto.oprf import SCALAR_RANDOM_BYTES, blind, finalize, scalar_from_random
from entrenous.crypto.vault_key import oprf_input, stretch_passphrase
from entrenous.device.device import Courier, Device, Vault, open_courier
from entrenous.device.identities import (
    OLM_ACCOUNT_RECORD,
    OWN_IDENTITY,
    ROLLED_BACK_RECORD,
    SETUP_UNFINISHED_RECORD,
    SIGNING_SEED_RECORD,
    UNLOCK_UNCONFIRMED_RECORD,
    MailboxAddress,
    clear_next_relay_lock,
    next_relay_lock,
)
from entrenous.device.lock_errors import (
    MailboxUnknown,
    NotLockedAtRelay,
    OfflineWindowExpired,
    OutdatedCopy,
    RevokedDeviceLocked,
    UnlockNotConfirmed,
    WrongPassphrase,
)
from entrenous.device.store.vault_folder import (
    RelayShare,
    UnlockedVault,
    VaultHead,
    change_empty_vault_key,
    change_vault_key,
    delete_offline_window,
    has_offline_window,
    new_key_terms,
    read_offline_window,
    refuse_short_passphrase,
    write_offline_window,
    write_vault_head,
)
from entrenous.device.vault_tables import (
    FORMER_ADDRESS,
    OWN_RECORDS,
    TABLES_EMPTIED_AT_ROLLBACK,
    OwnRecord,
    Table,
)
from entrenous.wire.relay_nouns import NoLock, RelayLock, RolledBack, UnlockAnswer, VaultUnlock


def moment_or_earlier_day(moment: datetime | None) -> str:
    return translated("an earlier day") if moment is None else moment_in_words(moment)


@dataclass(frozen=True, slots=True)
class FormerAddress:
    """A former mailbox address, at which mail may still arrive until ``until``.

    If the relay did not answer, it is not asked again before ``ask_after``. ``overtaken`` says that
    the relay already refuses older copies of this device. ``next_close`` is the new token for
    deleting the mailbox, since a lost device knows the present one.
    """

    home: MailboxAddress
    until: datetime
    ask_after: datetime | None = None
    overtaken: bool = False
    next_close: Secret | None = None


FORMER_ADDRESS_TABLE: Final = Table(FORMER_ADDRESS, FormerAddress)


def former_addresses(device: Device) -> tuple[FormerAddress, ...]:
    """Return the former addresses, ordered by when they expire."""
    found = FORMER_ADDRESS_TABLE.all(device.vault)
    return tuple(sorted(found, key=lambda one: one.until))


def report_unlock_to_old_relays(device: Device) -> None:
    """Report the unlock to the former relays, since one of them has counted it as an attempt."""
    for old in former_addresses(device):
        with suppress(EntrenousError):
            report_unlock_to_relay_of(old.home, 1, device)


def report_unlock_to_relay_of(home: MailboxAddress, generation: int, device: Device) -> None:
    """Tell the relay of a mailbox which generation of the vault was opened (docs/spec/lock.md)."""
    opening = VaultUnlock(generation, device.random_source.token(UNLOCK_NUMBER_BYTES))
    device.courier.report_vault_unlock(home.relay_url, home.mailbox, home.owner, opening)


# timeout of a request while the vault may be opened offline, in seconds
_OFFLINE_WINDOW_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class RelayShareClient:
    """Gets the relay's share of a vault's key, from the relay or from an offline window.

    An offline window is a time for which the share is also stored on this device, encrypted under
    the passphrase. If a window exists but the passphrase does not open it, the courier
    ``impatient`` asks the relay, without retries: the passphrase is almost certainly wrong.
    """

    home: Path
    courier: Courier
    clock: Clock
    random_source: RandomSource
    impatient: Courier | None = None

    def __call__(self, lock: RelayLock, stretched: Secret) -> RelayShare:
        """Return the relay's share for a stretched passphrase.

        An expired window is closed only after the relay has answered, since this device's clock may
        be ahead.

        Raises:
            Locked, RevokedDeviceLocked, RelayUnreachable, OfflineWindowExpired.
            WrongPassphrase: the relay does not answer, and this passphrase does not open the
                offline window that there is.
        """
        window = read_offline_window(self.home, stretched)
        if window is not None and self.clock.now() < window[0]:
            return RelayShare(window[1], kept_here=True)
        try:
            part = evaluate_at_relay(lock, stretched, self._courier_for(window), self.random_source)
        except Unreachable:
            if window is not None:
                raise OfflineWindowExpired(until=moment_or_earlier_day(window[0])) from None
            if has_offline_window(self.home):
                raise WrongPassphrase from None
            raise
        except EntrenousError:
            self._close_offline_window(window)
            raise
        self._close_offline_window(window)
        return part

    def _courier_for(self, window: tuple[datetime, Secret] | None) -> Courier:
        if self.impatient is not None and window is None and has_offline_window(self.home):
            return self.impatient
        return self.courier

    def _close_offline_window(self, window: tuple[datetime, Secret] | None) -> None:
        if window is not None:
            delete_offline_window(self.home)


def evaluate_at_relay(
    lock: RelayLock, stretched: Secret, courier: Courier, random_source: RandomSource
) -> RelayShare:
    """Evaluate a stretched passphrase at the relay, which uses up one of ten attempts.

    The newest token that the relay accepts is used; a rejected one uses up no attempt.

    Raises:
        Locked, RevokedDeviceLocked, OutdatedCopy, NotAPoint.
        RelayUnreachable, MailboxUnknown: the relay may be able to answer later.
    """
    private_input, scalar = (
        oprf_input(stretched),
        scalar_from_random(random_source.token(SCALAR_RANDOM_BYTES)),
    )
    blinded = blind(private_input, scalar)
    for token in (lock.unlock_token, *lock.earlier):
        with suppress(WrongToken):
            answered = _evaluate_with_device_errors(
                replace(lock, unlock_token=token), blinded, courier
            )
            output = finalize(private_input, scalar, answered.evaluated)
            return RelayShare(output, answered.tries_left, outdated=token is not lock.unlock_token)
    raise OutdatedCopy


def _evaluate_with_device_errors(lock: RelayLock, blinded: bytes, courier: Courier) -> UnlockAnswer:
    try:
        return courier.unlock(lock, blinded)
    except NoLock:
        raise RevokedDeviceLocked from None
    except NoSuchMailbox:
        raise MailboxUnknown from None


def complete_unlock(unlocked: UnlockedVault, device: Device, settings: Settings) -> UnlockedVault:
    """Finish unlocking: create the vault's lock if it has none, and report the unlock to the relay.

    The relay then resets its count of attempts, so the number of failed ones is read first. Without
    an answer the device still opens; commands that need the relay report the error.

    Raises:
        RevokedDeviceLocked: the relay has deleted this device's lock.
    """
    if unlocked.part.tries_left is not None:
        missed = failed_attempts_by_others(unlocked.part.tries_left, unlocked.asked, device.vault)
        unlocked = replace(unlocked, missed=missed)
    with suppress(Unreachable):
        unlocked = revoke_earlier_unlock_tokens(
            lock_at_first_relay(lock_at_new_relay(unlocked, device), device), device
        )
    if next_relay_lock(device) is not None:
        report_unlock_to_old_relays(device)
    if unlocked.terms.lock is not None:
        _report_unlock(unlocked, device, settings)
    return unlocked


def lock_new_vault_at_mailbox(
    unlocked: UnlockedVault, mail: MailboxAddress, device: Device
) -> UnlockedVault:
    """Lock an empty vault at the mailbox that its device has created; raises RelayUnreachable."""
    lock = RelayLock(mail.relay_url, mail.mailbox, Secret(device.random_source.token(TOKEN_BYTES)))
    device.courier.create_lock(lock, mail.owner)
    part = evaluate_at_relay(lock, unlocked.stretched, device.courier, device.random_source)
    locked = change_empty_vault_key(unlocked, replace(unlocked.terms, lock=lock), part)
    return replace(locked, asked=unlocked.asked + 1)


def lock_at_first_relay(unlocked: UnlockedVault, device: Device) -> UnlockedVault:
    """Lock a new vault at its relay, if any; safe to repeat after a crash; raises
    RelayUnreachable.
    """
    mail = mailbox_for_lock(device)
    if mail is None or unlocked.terms.lock is not None or unlocked.terms.first:
        return unlocked
    token = Secret(device.random_source.token(TOKEN_BYTES))
    begun = unlocked.pending.lock if unlocked.pending is not None else None
    lock = begun or RelayLock(mail.relay_url, mail.mailbox, token)
    terms = replace(unlocked.terms, lock=lock)
    write_vault_head(unlocked.home, VaultHead(unlocked.terms, terms))
    device.courier.create_lock(lock, mail.owner)
    part = _evaluate_counting_own_try(lock, unlocked.stretched, device)
    return change_vault_key(unlocked, terms, unlocked.stretched, part)


def lock_at_new_relay(unlocked: UnlockedVault, device: Device) -> UnlockedVault:
    """After a move, lock the vault at its new relay; safe to repeat after a crash.

    An offline window is closed, since it holds the old relay's share.

    Raises RelayUnreachable.
    """
    lock = next_relay_lock(device)
    if lock is None:
        return unlocked
    if unlocked.terms.lock != lock and not unlocked.terms.first:
        delete_offline_window(unlocked.home)
        part = _evaluate_counting_own_try(lock, unlocked.stretched, device)
        terms = replace(unlocked.terms, lock=lock)
        unlocked = change_vault_key(unlocked, terms, unlocked.stretched, part)
    clear_next_relay_lock(device)
    return unlocked


def allow_offline_unlock(unlocked: UnlockedVault, hours: int, clock: Clock) -> datetime:
    """Let this vault open without its relay for some hours; return the end of that time.

    Raises:
        NotLockedAtRelay: no relay has a share of its key.
        UnlockNotConfirmed: the vault was itself unlocked in such a window, and only the relay may
            allow another window.
    """
    if unlocked.terms.lock is None:
        raise NotLockedAtRelay
    if unlocked.part.kept_here:
        raise UnlockNotConfirmed
    until = (clock.now() + timedelta(hours=hours)).replace(microsecond=0)
    write_offline_window(unlocked.home, unlocked.stretched, unlocked.part.output, until)
    return until


def forbid_offline_unlock(unlocked: UnlockedVault) -> None:
    delete_offline_window(unlocked.home)


def change_passphrase(unlocked: UnlockedVault, words: Secret, device: Device) -> UnlockedVault:
    """Encrypt the vault under another passphrase, close its offline window, and lock older copies.

    If the relay fails before it locks the copies, the share in the returned vault is marked as
    ``outdated``, and the copies are locked when the vault is next opened.

    Raises WeakPassphrase, RelayUnreachable, Locked, DiskFull.
    """
    refuse_short_passphrase(words)
    lock = unlocked.terms.lock
    terms = new_key_terms(with_new_unlock_token(lock, device))
    stretched = stretch_passphrase(words, terms.salt, terms.cost)
    part = _evaluate_counting_own_try(lock, stretched, device) if lock else RelayShare()
    part = replace(part, outdated=part.outdated or terms.lock != lock)
    changed = change_vault_key(unlocked, terms, stretched, part)
    delete_offline_window(unlocked.home)
    with suppress(Unreachable):
        changed = revoke_earlier_unlock_tokens(changed, device)
    return changed


def _evaluate_counting_own_try(lock: RelayLock, stretched: Secret, device: Device) -> RelayShare:
    """Like :func:`evaluate_at_relay`, for an open vault: the attempt is recorded as this vault's
    own.
    """
    add_own_tries(device.vault)
    return evaluate_at_relay(lock, stretched, device.courier, device.random_source)


def _report_unlock(unlocked: UnlockedVault, device: Device, settings: Settings) -> None:
    mark_unlock_unconfirmed(device.vault, unlocked.asked)
    try:
        with (
            suppress(Unreachable),
            _short_timeout_in_offline_window(unlocked, device, settings) as asked,
        ):
            confirm_unlock_at_relay(asked)
    except RevokedDeviceLocked:
        delete_offline_window(unlocked.home)
        raise


@contextmanager
def _short_timeout_in_offline_window(
    unlocked: UnlockedVault, device: Device, settings: Settings
) -> Iterator[Device]:
    """Yield the device; in an offline window, its courier has a short timeout."""
    if not unlocked.part.kept_here:
        yield device
        return
    with open_courier(settings, timeout_s=_OFFLINE_WINDOW_TIMEOUT_S) as courier:
        yield replace(device, courier=courier)


def revoke_earlier_unlock_tokens(unlocked: UnlockedVault, device: Device) -> UnlockedVault:
    """Invalidate all but the newest unlock token, so that older copies stay locked; safe to repeat.

    Raises RelayUnreachable.
    """
    lock, mail = unlocked.terms.lock, mailbox_address(device.vault)
    if (
        not unlocked.part.outdated
        or lock is None
        or mail is None
        or not _is_lock_for_mailbox(lock, mail)
    ):
        return unlocked
    device.courier.replace_unlock_token(lock, mail.owner)
    return replace(unlocked, part=replace(unlocked.part, outdated=False))


def with_new_unlock_token(lock: RelayLock | None, device: Device) -> RelayLock | None:
    """Return the vault's lock with a new unlock token; None if the vault has no lock.

    After a move, the lock at the old relay is returned unchanged.
    """
    mail = mailbox_address(device.vault)
    if lock is None or mail is None or not _is_lock_for_mailbox(lock, mail):
        return lock
    return lock.with_new_unlock_token(Secret(device.random_source.token(TOKEN_BYTES)))


def _is_lock_for_mailbox(lock: RelayLock, mail: MailboxAddress) -> bool:
    return (lock.relay_url, lock.mailbox) == (mail.relay_url, mail.mailbox)


_GENERATION_KEY: Final = "generation"
_UNLOCK_RECORD: Final = OwnRecord(
    "opening", VaultUnlock
)  # unlocks reported to the relay, whose answer may have been lost
# attempts that this vault made itself since the relay last reset its count
_OWN_TRIES_KEY: Final = "asked"


def mailbox_address(vault: Vault) -> MailboxAddress | None:
    """Return this device's mailbox address; None on a device without a relay."""
    identity = OWN_IDENTITY.load(vault)
    return identity.home if identity else None


def mailbox_for_lock(device: Device) -> MailboxAddress | None:
    """Return the address of the mailbox at which to make a lock; None if there is no mailbox, or
    the mailbox is incomplete.
    """
    unfinished = device.vault.get(OWN_RECORDS, SETUP_UNFINISHED_RECORD) is not None
    return None if unfinished else mailbox_address(device.vault)


def mark_unlock_unconfirmed(vault: Vault, used_tries: int = 0) -> None:
    """Keep ratchets from advancing until the relay confirms this unlock.

    ``used_tries`` is the number of attempts that the unlock used.
    """
    with vault.transaction():
        vault.put(OWN_RECORDS, UNLOCK_UNCONFIRMED_RECORD, b"")
        add_own_tries(vault, used_tries)


def add_own_tries(vault: Vault, used_tries: int = 1) -> None:
    """Count attempts that this vault made itself; :func:`failed_attempts_by_others`
    excludes them.
    """
    vault.put(
        OWN_RECORDS, _OWN_TRIES_KEY, (_count_of_own_tries(vault) + used_tries).to_bytes(4, "big")
    )


def failed_attempts_by_others(tries_left: int, used_tries: int, vault: Vault) -> int:
    """Return how many failed attempts somebody else has made since the relay last reset its count.

    ``tries_left`` is what the relay reports after this unlock, which used ``used_tries`` attempts.
    """
    return max(0, UNLOCK_TRIES_MAX - tries_left - used_tries - _count_of_own_tries(vault))


def confirm_unlock_at_relay(device: Device) -> None:
    """Report this unlock of the vault to the relay, unless the relay has confirmed it.

    If a copy of the vault is in use elsewhere, this one is marked as rolled back, and the state of
    its sessions is deleted; functions that need sessions then raise RolledBack.

    Raises:
        RevokedDeviceLocked: the mailbox was deleted.
        RelayUnreachable, MailboxUnknown: this unlock is not confirmed.
    """
    home = mailbox_address(device.vault)
    if home is None or device.vault.get(OWN_RECORDS, UNLOCK_UNCONFIRMED_RECORD) is None:
        return
    opening = _store_unlock_report(device)
    try:
        device.courier.report_vault_unlock(home.relay_url, home.mailbox, home.owner, opening)
    except RolledBack:
        _mark_rolled_back_and_forget_ratchets(device.vault)
    except NoLock:
        raise RevokedDeviceLocked from None
    except NoSuchMailbox:
        raise MailboxUnknown from None
    _record_confirmation(opening, device.vault)


def _store_unlock_report(device: Device) -> VaultUnlock:
    """Store the report of this unlock, and return it. Because the relay's answer may be lost, the
    report is stored before it is sent.

    A rolled-back vault reports generation 1 (and stores no report). The relay has already
    accepted at least this generation from the copy in use, so it refuses this report, and the vault
    never overtakes that copy. The relay still resets its count of attempts.
    """
    number = device.random_source.token(UNLOCK_NUMBER_BYTES)
    if device.vault.get(OWN_RECORDS, ROLLED_BACK_RECORD) is not None:
        return VaultUnlock(1, number)
    last = _UNLOCK_RECORD.load(device.vault)
    before = () if last is None else (*last.before, last.number)[-UNANSWERED_UNLOCKS_MAX:]
    opening = VaultUnlock(_confirmed_generation(device.vault) + 1, number, before)
    _UNLOCK_RECORD.store(opening, device.vault)
    return opening


def _record_confirmation(opening: VaultUnlock, vault: Vault) -> None:
    with vault.transaction():
        vault.put(OWN_RECORDS, _GENERATION_KEY, opening.generation.to_bytes(8, "big"))
        _UNLOCK_RECORD.drop(vault)
        vault.drop(OWN_RECORDS, _OWN_TRIES_KEY)
        vault.drop(OWN_RECORDS, UNLOCK_UNCONFIRMED_RECORD)


def _confirmed_generation(vault: Vault) -> int:
    """Return the last generation of this vault that the relay confirmed."""
    return int.from_bytes(vault.get(OWN_RECORDS, _GENERATION_KEY) or b"", "big")


def _count_of_own_tries(vault: Vault) -> int:
    return int.from_bytes(vault.get(OWN_RECORDS, _OWN_TRIES_KEY) or b"", "big")


def _mark_rolled_back_and_forget_ratchets(vault: Vault) -> None:
    with vault.transaction():
        vault.put(OWN_RECORDS, ROLLED_BACK_RECORD, b"")
        vault.drop(OWN_RECORDS, OLM_ACCOUNT_RECORD)
        vault.drop(OWN_RECORDS, SIGNING_SEED_RECORD)
        for table in TABLES_EMPTIED_AT_ROLLBACK:
            for key in vault.keys(table):
                vault.drop(table, key)
