"""Report to the relay that the vault was opened, and count this vault's own attempts.

The relay counts how often a vault was opened (its generation), so that a copy and the original
cannot both continue (docs/spec/lock.md, section 5).
"""

from typing import Final

from entrenous.base.errors import NoSuchMailbox
from entrenous.base.limits import UNANSWERED_UNLOCKS_MAX, UNLOCK_NUMBER_BYTES, UNLOCK_TRIES_MAX
from entrenous.device.device import Device, Vault
from entrenous.device.identities import (
    OLM_ACCOUNT_RECORD,
    ROLLED_BACK_RECORD,
    SIGNING_SEED_RECORD,
    UNLOCK_UNCONFIRMED_RECORD,
    MailboxAddress,
    mailbox_address,
)
from entrenous.device.lock_errors import MailboxUnknown, RevokedDeviceLocked
from entrenous.device.vault_tables import OWN_RECORDS, TABLES_EMPTIED_AT_ROLLBACK, OwnRecord
from entrenous.wire.relay_nouns import NoLock, RolledBack, VaultUnlock

_GENERATION_KEY: Final = "generation"
_UNLOCK_RECORD: Final = OwnRecord(
    "opening", VaultUnlock
)  # unlocks reported to the relay, whose answer may have been lost
# attempts that this vault made itself since the relay last reset its count
_OWN_TRIES_KEY: Final = "asked"


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


def forget_own_tries(vault: Vault) -> None:
    """Begin to count again, since the relay has restored all attempts."""
    vault.drop(OWN_RECORDS, _OWN_TRIES_KEY)


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


def report_unlock_to_relay_of(home: MailboxAddress, generation: int, device: Device) -> None:
    """Tell the relay of a mailbox which generation of the vault was opened (docs/spec/lock.md)."""
    opening = VaultUnlock(generation, device.random_source.token(UNLOCK_NUMBER_BYTES))
    device.courier.report_vault_unlock(home.relay_url, home.mailbox, home.owner, opening)


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
        forget_own_tries(vault)
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
