"""Fetch the relay's share of this vault's key, and keep the vault's lock up to date.

See docs/spec/lock.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from entrenous.base.environment import Clock, RandomSource, Settings
from entrenous.base.errors import (
    EntrenousError,
    NoSuchMailbox,
    NotFound,
    NotUnderstood,
    Refused,
    Unproven,
    Unreachable,
    WrongToken,
)
from entrenous.base.language import moment_in_words, translated
from entrenous.base.limits import OFFLINE_UNLOCK_HOURS_MAX, TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.crypto.nouns import NotAPoint
from entrenous.crypto.oprf import SCALAR_RANDOM_BYTES, blind, finalize, scalar_from_random
from entrenous.crypto.vault_key import oprf_input, stretch_passphrase
from entrenous.device.device import Courier, Device, open_courier
from entrenous.device.generation import (
    add_own_tries,
    confirm_unlock_at_relay,
    failed_attempts_by_others,
    forget_own_tries,
    mark_unlock_unconfirmed,
    report_unlock_to_relay_of,
)
from entrenous.device.identities import (
    SETUP_UNFINISHED_RECORD,
    MailboxAddress,
    clear_next_relay_lock,
    mailbox_address,
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
    read_vault_head,
    refuse_short_passphrase,
    write_offline_window,
    write_vault_head,
)
from entrenous.device.vault_tables import FORMER_ADDRESS, OWN_RECORDS, Table
from entrenous.wire.relay_nouns import NoLock, RelayLock, RolledBack, UnlockAnswer


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


def _report_unlock_to_old_relays(lock: RelayLock | None, device: Device) -> bool:
    """Report the unlock to the former relays, since one of them has counted it as an attempt.

    Returns: whether the relay that has the vault's lock has restored all attempts.
    """
    restored = False
    for old in former_addresses(device):
        with suppress(EntrenousError):
            with suppress(RolledBack):  # the relay restores the attempts nevertheless
                report_unlock_to_relay_of(old.home, 1, device)
            restored |= lock is not None and _is_lock_for_mailbox(lock, old.home)
    return restored


_OFFLINE_WINDOW_MAX: Final = timedelta(hours=OFFLINE_UNLOCK_HOURS_MAX)
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
        window, now = read_offline_window(self.home, stretched), self.clock.now()
        # a later end was recorded by a clock that has since been set back
        if window is not None and now < window[0] <= now + _OFFLINE_WINDOW_MAX:
            return RelayShare(window[1], kept_here=True)
        try:
            part = evaluate_at_relay(lock, stretched, self._courier_for(window), self.random_source)
        except Unreachable:
            if window is None and has_offline_window(self.home):
                raise WrongPassphrase from None
            if window is not None and window[0] <= now:
                raise OfflineWindowExpired(until=moment_or_earlier_day(window[0])) from None
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


_UNUSABLE_ANSWERS: Final = (Unreachable, Refused, NotFound, Unproven, NotUnderstood, NotAPoint)


@contextmanager
def _unusable_answers_ignored() -> Iterator[None]:
    """Ignore errors with which a relay answers, as if it had not answered.

    Raises:
        RevokedDeviceLocked: the relay has deleted this device's lock.
    """
    try:
        yield
    except RevokedDeviceLocked:
        raise
    except _UNUSABLE_ANSWERS:
        return


def complete_unlock(unlocked: UnlockedVault, device: Device, settings: Settings) -> UnlockedVault:
    """Finish unlocking: create the vault's lock if it has none, and report the unlock to the relay.

    The relay then resets its count of attempts, so the number of failed ones is read first. Without
    a usable answer the device still opens; commands that need the relay report that.

    Raises:
        RevokedDeviceLocked: the relay has deleted this device's lock.
    """
    if unlocked.part.tries_left is not None:
        missed = failed_attempts_by_others(unlocked.part.tries_left, unlocked.asked, device.vault)
        unlocked = replace(unlocked, missed=missed)
    with _unusable_answers_ignored():
        unlocked = revoke_earlier_unlock_tokens(_with_lock_at_own_relay(unlocked, device), device)
    moves = next_relay_lock(device) is not None
    if moves and _report_unlock_to_old_relays(unlocked.terms.lock, device):
        forget_own_tries(device.vault)
        unlocked = replace(unlocked, asked=0)
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


def _with_lock_at_own_relay(unlocked: UnlockedVault, device: Device) -> UnlockedVault:
    """Lock the vault at the relay of this device's mailbox; raises RelayUnreachable, and others."""
    return lock_at_first_relay(lock_at_new_relay(unlocked, device), device)


def lock_at_first_relay(unlocked: UnlockedVault, device: Device) -> UnlockedVault:
    """Lock a new vault at its relay, if any; safe to repeat after a crash; raises
    RelayUnreachable.
    """
    mail = mailbox_for_lock(device)
    if mail is None or unlocked.terms.lock is not None or unlocked.terms.first:
        return unlocked
    token = Secret(device.random_source.token(TOKEN_BYTES))
    begun = read_vault_head(unlocked.home).next  # the relay may know its token already
    lock = (begun and begun.lock) or RelayLock(mail.relay_url, mail.mailbox, token)
    terms = replace(unlocked.terms, lock=lock)
    write_vault_head(unlocked.home, VaultHead(unlocked.terms, terms))
    device.courier.create_lock(lock, mail.owner)
    part = _evaluate_counting_own_try(lock, unlocked.stretched, device)
    return change_vault_key(unlocked, terms, unlocked.stretched, part)


def lock_at_new_relay(unlocked: UnlockedVault, device: Device) -> UnlockedVault:
    """After a move, lock the vault at its new relay; safe to repeat after a crash.

    Raises RelayUnreachable.
    """
    lock = next_relay_lock(device)
    if lock is None:
        return unlocked
    if unlocked.terms.lock != lock:
        part = _evaluate_counting_own_try(lock, unlocked.stretched, device)
        terms = replace(unlocked.terms, lock=lock, first=False)
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

    A lock that was begun at a relay is made first, so that its token is not forgotten.

    If the relay fails before it locks the copies, the share in the returned vault is marked as
    ``outdated``, and the copies are locked when the vault is next opened.

    Raises WeakPassphrase, RelayUnreachable, Locked, DiskFull.
    """
    refuse_short_passphrase(words)
    if read_vault_head(unlocked.home).next is not None:
        unlocked = _with_lock_at_own_relay(unlocked, device)
    lock = unlocked.terms.lock
    terms = new_key_terms(with_new_unlock_token(lock, device))
    stretched = stretch_passphrase(words, terms.salt, terms.cost)
    part = _evaluate_counting_own_try(lock, stretched, device) if lock else RelayShare()
    part = replace(part, outdated=part.outdated or terms.lock != lock)
    changed = change_vault_key(unlocked, terms, stretched, part)
    with _unusable_answers_ignored():
        changed = revoke_earlier_unlock_tokens(changed, device)
    return changed  # noqa: RET504 - also if the relay did not answer


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
            _unusable_answers_ignored(),
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


def mailbox_for_lock(device: Device) -> MailboxAddress | None:
    """Return the address of the mailbox at which to make a lock; None if there is no mailbox, or
    the mailbox is incomplete.
    """
    unfinished = device.vault.get(OWN_RECORDS, SETUP_UNFINISHED_RECORD) is not None
    return None if unfinished else mailbox_address(device.vault)


def _is_lock_for_mailbox(lock: RelayLock, mail: MailboxAddress) -> bool:
    return (lock.relay_url, lock.mailbox) == (mail.relay_url, mail.mailbox)
