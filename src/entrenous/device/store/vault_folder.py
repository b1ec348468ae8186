"""The folder of a device: create a vault, unlock it, change its key.

The folder also contains the vault's head (how the key is derived), the offline window, and a note
that a recovery sheet allowed more attempts (docs/spec/lock.md).
"""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from hmac import compare_digest
from pathlib import Path
from typing import Final

import msgspec

from entrenous.base.errors import BadRecord
from entrenous.base.files import remove_unfinished_files, sync_folder, write_private_file
from entrenous.base.identifiers import ID_BYTES, MailboxId
from entrenous.base.limits import TOKEN_BYTES, UNLOCK_TOKENS_KEPT
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import decrypt_blob, encrypt_blob
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.crypto.vault_key import (
    DEVICE_SECRET_BYTES,
    NO_RELAY_SHARE,
    RELAY_SHARE_BYTES,
    SALT_BYTES,
    Argon2Cost,
    first_format_vault_key,
    offline_share_key,
    stretch_passphrase,
    vault_key,
)
from entrenous.device.lock_errors import (
    FewTriesLeft,
    VaultExists,
    VaultInUse,
    VaultNotFound,
    WeakPassphrase,
    WrongPassphrase,
)
from entrenous.device.store.database import is_right_key, lock_folder
from entrenous.device.store.sqlcipher_vault import LOCK_WAIT_S, SqlcipherVault
from entrenous.wire.cbor import BadCbor, as_bytes, as_list, as_time, decode, encode
from entrenous.wire.relay_nouns import Locked, RelayLock

PASSPHRASE_CHARACTERS_MIN: Final = 8  # characters, at least; NIST SP 800-63B section 5.1.1.2
_TRIES_LEFT_SHOWN_MAX: Final = 3  # with this many attempts left or fewer, the user is told how many


@dataclass(frozen=True, slots=True)
class RelayShare:
    """The relay's share of a vault's key (64 bytes, or none), and the number of attempts left.

    ``kept_here`` says that the share came from this device's offline window or from a recovery
    sheet, so no attempt was used.

    ``outdated`` means that the relay does not know the newest token yet, so an older copy of
    the vault's folder can still be unlocked.
    """

    output: Secret = NO_RELAY_SHARE
    tries_left: int | None = None
    kept_here: bool = False
    outdated: bool = False


#: Returns the relay's share of the key for a stretched passphrase.
AskRelayForShare = Callable[[RelayLock, Secret], RelayShare]


@dataclass(frozen=True, slots=True)
class KeyDerivationTerms:
    """How the key of a vault is derived.

    ``first`` means that the vault has the first format, without a relay.
    """

    salt: bytes
    cost: Argon2Cost
    lock: RelayLock | None = None
    first: bool = False

    def __post_init__(self) -> None:
        if len(self.salt) < SALT_BYTES:
            raise ValueError("a salt has 16 bytes")
        if self.first and self.lock is not None:
            raise ValueError("a vault of the first schema has no relay's lock")


@dataclass(frozen=True, slots=True)
class UnlockedVault:
    """An open vault, and the parts of its key.

    ``asked`` is the number of attempts that this unlock used. ``missed`` is the number of attempts
    that had failed since the previous unlock.
    """

    home: Path
    vault: SqlcipherVault
    terms: KeyDerivationTerms
    stretched: Secret
    part: RelayShare
    asked: int = 0
    missed: int = 0


def create_vault_in_folder(home: Path, passphrase: Secret) -> UnlockedVault:
    """Create an empty vault in ``home``, which need not exist. No relay has a share of its key.

    Until the vault's first change is stored, another set-up may still take over the folder.

    Raises VaultExists, WeakPassphrase, VaultInUse, DiskFull.
    """
    refuse_short_passphrase(passphrase)
    lock_descriptor = lock_folder(
        home, LOCK_WAIT_S
    )  # two set-ups at once must not overwrite each other's keys
    try:
        return _create_files(home, passphrase, lock_descriptor)
    except BaseException:
        with suppress(OSError):  # a vault that failed to open has closed the lock file already
            os.close(lock_descriptor)
        raise


def refuse_short_passphrase(passphrase: Secret) -> None:
    """Raise WeakPassphrase if the passphrase is too short for a vault."""
    if len(passphrase.reveal().decode(errors="replace")) < PASSPHRASE_CHARACTERS_MIN:
        raise WeakPassphrase(least=PASSPHRASE_CHARACTERS_MIN)


def is_current_passphrase(words: Secret, unlocked: UnlockedVault) -> bool:
    """Return whether this passphrase opens the vault now."""
    terms = unlocked.terms
    stretched = stretch_passphrase(words, terms.salt, terms.cost)
    return compare_digest(stretched.reveal(), unlocked.stretched.reveal())


def discard_vault(home: Path) -> None:
    """Delete a new vault whose set-up failed; the folder itself stays."""
    for name in ("vault.json", "device.key"):
        (home / name).unlink(missing_ok=True)
    for place in home.glob("vault.db*"):
        place.unlink()


def delete_failed_set_up(home: Path, *, folder_too: bool) -> None:
    """Delete what a failed set-up left in the folder; the vault must be closed.

    With ``folder_too``, also delete the folder if it is empty. A complete device is left alone.
    """
    with suppress(OSError, VaultInUse):  # another set-up may be running in the folder
        lock_descriptor = lock_folder(home, 0)
        try:
            if has_vault(home):
                return
            with suppress(OSError):
                (home / "files").rmdir()
            (home / "lock").unlink()  # lock_folder notices that the lock file was deleted
        finally:
            os.close(lock_descriptor)
        if folder_too:
            home.rmdir()


def unlock_vault_in_folder(home: Path, passphrase: Secret, ask: AskRelayForShare) -> UnlockedVault:
    """Open the vault in ``home``; if a change of its key was interrupted, complete the change.

    Raises:
        VaultNotFound, WrongPassphrase, VaultInUse.
        BadRecord: the head is damaged.
        Locked, RevokedDeviceLocked, RelayUnreachable: raised by ``ask``.
    """
    if not has_vault(home):
        raise VaultNotFound(home=home)
    lock_descriptor = lock_folder(home, LOCK_WAIT_S)
    try:
        # Do this before the passphrase is checked, since an unfinished file may hold part of a key.
        remove_unfinished_files(home)
        return _unlock_locked_folder(home, passphrase, ask, lock_descriptor)
    except BaseException:
        with suppress(OSError):  # a vault that failed to open has closed the lock file already
            os.close(lock_descriptor)
        raise


def new_key_terms(lock: RelayLock | None) -> KeyDerivationTerms:
    """Return new terms: a fresh salt, and the current cost."""
    return KeyDerivationTerms(secrets.token_bytes(SALT_BYTES), Argon2Cost(), lock)


def change_vault_key(
    unlocked: UnlockedVault, terms: KeyDerivationTerms, stretched: Secret, part: RelayShare
) -> UnlockedVault:
    """Re-encrypt the vault under another key, and end its offline window.

    After a crash at any point, the vault can still be opened (docs/spec/lock.md section 3).
    """
    home = unlocked.home
    write_vault_head(home, VaultHead(unlocked.terms, terms))
    delete_offline_window(home)  # it holds the relay's share of the previous key
    unlocked.vault.rekey(_derive_key(home, terms, stretched, part.output))
    write_vault_head(home, VaultHead(terms))
    return replace(unlocked, terms=terms, stretched=stretched, part=part)


def change_empty_vault_key(
    unlocked: UnlockedVault, terms: KeyDerivationTerms, part: RelayShare
) -> UnlockedVault:
    """Like :func:`change_vault_key`, for an empty vault.

    The head, which names the relay's lock, is written at the vault's first change. Until then, the
    folder does not count as a device.
    """
    home = unlocked.home
    unlocked.vault.rekey(_derive_key(home, terms, unlocked.stretched, part.output))
    unlocked.vault.call_before_first_change(lambda: _write_first_vault_head(home, terms))
    return replace(unlocked, terms=terms, part=part)


def _create_files(home: Path, passphrase: Secret, lock_descriptor: int) -> UnlockedVault:
    if has_vault(home):
        raise VaultExists(home=home)
    remove_unfinished_files(home)
    terms = new_key_terms(None)
    write_private_file(home / "device.key", secrets.token_bytes(DEVICE_SECRET_BYTES))
    # left by a set-up that was interrupted before its head was written
    for left_over in home.glob("vault.db*"):
        left_over.unlink()
    stretched = stretch_passphrase(passphrase, terms.salt, terms.cost)
    vault = SqlcipherVault(
        home, _derive_key(home, terms, stretched, NO_RELAY_SHARE), lock_descriptor=lock_descriptor
    )
    vault.call_before_first_change(lambda: _write_first_vault_head(home, terms))
    return UnlockedVault(home, vault, terms, stretched, RelayShare())


def _write_first_vault_head(home: Path, terms: KeyDerivationTerms) -> None:
    """Write the head before the first change: without a head, nothing could open the vault."""
    if not has_vault(home):
        write_vault_head(home, VaultHead(terms))


def _unlock_locked_folder(
    home: Path, passphrase: Secret, ask: AskRelayForShare, lock_descriptor: int
) -> UnlockedVault:
    head, part, asked = read_vault_head(home), RelayShare(), 0
    for terms in filter(None, (head.now, head.next)):
        stretched = stretch_passphrase(passphrase, terms.salt, terms.cost)
        part = ask(terms.lock, stretched) if terms.lock else RelayShare()
        asked += part.tries_left is not None
        key = _derive_key(home, terms, stretched, part.output)
        if head.next is None or is_right_key(home, key):
            vault = _open_vault(home, key, lock_descriptor, part)
            _finish_key_change(home, terms, head)
            return UnlockedVault(home, vault, terms, stretched, part, asked=asked)
    raise _passphrase_error(part)


def _open_vault(home: Path, key: Secret, lock_descriptor: int, part: RelayShare) -> SqlcipherVault:
    try:
        return SqlcipherVault(home, key, lock_descriptor=lock_descriptor)
    except WrongPassphrase:
        raise _passphrase_error(part) from None


@dataclass(frozen=True, slots=True)
class VaultHead:
    """How the vault's key is derived now, and after a pending change of the key."""

    now: KeyDerivationTerms
    next: KeyDerivationTerms | None = None


def _finish_key_change(home: Path, used: KeyDerivationTerms, head: VaultHead) -> None:
    """Remove from the head the terms of the key that is no longer used.

    If the vault's first registration with a relay did not finish, the pending terms, which have the
    registration's token, are kept.
    """
    if head.next is None:
        return
    first_lock = head.now.lock is None and head.next.lock is not None
    if used is not head.now or not first_lock:
        write_vault_head(home, VaultHead(used))


def _passphrase_error(part: RelayShare) -> WrongPassphrase | Locked:
    if part.tries_left is None:
        return WrongPassphrase()
    if part.tries_left > _TRIES_LEFT_SHOWN_MAX:
        return WrongPassphrase(tries=part.tries_left)
    return FewTriesLeft(tries=part.tries_left) if part.tries_left else Locked()


def _derive_key(home: Path, terms: KeyDerivationTerms, stretched: Secret, output: Secret) -> Secret:
    try:
        secret = (home / "device.key").read_bytes()
        if terms.first:
            return first_format_vault_key(stretched, secret, terms.salt)
        return vault_key(stretched, output, secret, terms.salt)
    except (ValueError, FileNotFoundError):
        raise BadRecord(kind="vault head") from None


FIRST_VAULT_HEAD_SCHEMA: Final = "entrenous/vault/1"
VAULT_HEAD_SCHEMA: Final = "entrenous/vault/2"
_VAULT_HEAD_FILE_NAME: Final = "vault.json"


class _LockJson(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    relay_url: str
    mailbox: bytes
    unlock_token: bytes
    earlier: tuple[bytes, ...] = ()


class _KeyTermsJson(msgspec.Struct, forbid_unknown_fields=True):
    salt: bytes
    memory_kib: int
    passes: int
    lanes: int
    lock: _LockJson | None


class _VaultHeadJson(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    salt: bytes
    memory_kib: int
    passes: int
    lanes: int
    lock: _LockJson | None = None
    next: _KeyTermsJson | None = None


def has_vault(home: Path) -> bool:
    """Return whether a device was set up in this folder."""
    return (home / _VAULT_HEAD_FILE_NAME).is_file()


def read_vault_head(home: Path) -> VaultHead:
    """Read the head of the vault in ``home``; raises BadRecord."""
    try:
        read = msgspec.json.decode((home / _VAULT_HEAD_FILE_NAME).read_bytes(), type=_VaultHeadJson)
        if read.schema not in (FIRST_VAULT_HEAD_SCHEMA, VAULT_HEAD_SCHEMA):
            raise BadRecord(kind="vault head")
        now = _decode_terms(read, first=read.schema == FIRST_VAULT_HEAD_SCHEMA)
        return VaultHead(now, None if read.next is None else _decode_terms(read.next))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise BadRecord(kind="vault head") from None


def write_vault_head(home: Path, head: VaultHead) -> None:
    """Replace the head atomically; durable on return."""
    now, after = _encode_terms(head.now), None if head.next is None else _encode_terms(head.next)
    cost = (now.memory_kib, now.passes, now.lanes)
    schema = FIRST_VAULT_HEAD_SCHEMA if head.now.first else VAULT_HEAD_SCHEMA
    shape = _VaultHeadJson(schema, now.salt, *cost, now.lock, after)
    write_private_file(home / _VAULT_HEAD_FILE_NAME, msgspec.json.encode(shape))


def _decode_terms(
    read: _VaultHeadJson | _KeyTermsJson, *, first: bool = False
) -> KeyDerivationTerms:
    """Decode how a key is derived; raises ValueError if a field is invalid."""
    cost = Argon2Cost(read.memory_kib, read.passes, read.lanes)
    return KeyDerivationTerms(
        read.salt, cost, None if read.lock is None else _decode_lock(read.lock), first
    )


def _decode_lock(read: _LockJson) -> RelayLock:
    tokens = (read.unlock_token, *read.earlier)
    if len(read.mailbox) != ID_BYTES or {len(token) for token in tokens} != {TOKEN_BYTES}:
        raise ValueError("a lock names a mailbox of 16 bytes and tokens of 32")
    if len(read.earlier) > UNLOCK_TOKENS_KEPT:
        raise ValueError("a lock keeps eight earlier tokens")
    newest, *earlier = map(Secret, tokens)
    return RelayLock(read.relay_url, MailboxId(read.mailbox), newest, tuple(earlier))


def _encode_terms(terms: KeyDerivationTerms) -> _KeyTermsJson:
    cost, lock = terms.cost, terms.lock
    shape = None
    if lock is not None:
        newest, *earlier = (one.reveal() for one in (lock.unlock_token, *lock.earlier))
        shape = _LockJson(lock.relay_url, lock.mailbox, newest, tuple(earlier))
    return _KeyTermsJson(terms.salt, cost.memory_kib, cost.passes, cost.lanes, shape)


_OFFLINE_WINDOW_FILE_NAME: Final = "offline.key"


def has_offline_window(home: Path) -> bool:
    """Return whether an offline window exists, even an expired one."""
    return (home / _OFFLINE_WINDOW_FILE_NAME).is_file()


def write_offline_window(home: Path, stretched: Secret, output: Secret, until: datetime) -> None:
    """Let the passphrase open the vault without the relay until ``until``."""
    plain = encode([int(until.timestamp()), output.reveal()])
    write_private_file(
        home / _OFFLINE_WINDOW_FILE_NAME, encrypt_blob(offline_share_key(stretched), plain)
    )


def read_offline_window(home: Path, stretched: Secret) -> tuple[datetime, Secret] | None:
    """Return the offline window's end and the relay's share.

    None if the passphrase is wrong or there is no window.
    """
    try:
        plain = decrypt_blob(
            offline_share_key(stretched), (home / _OFFLINE_WINDOW_FILE_NAME).read_bytes()
        )
        until, output = as_list(decode(plain), 2, 2)
        return as_time(until), Secret(as_bytes(output, RELAY_SHARE_BYTES))
    except (FileNotFoundError, DecryptionFailed, BadCbor):
        return None


def delete_offline_window(home: Path) -> None:
    """Delete the offline window and temporary files; the caller must hold the vault's lock."""
    (home / _OFFLINE_WINDOW_FILE_NAME).unlink(missing_ok=True)
    sync_folder(home)
    remove_unfinished_files(home)


_TRIES_ALLOWED_FILE_NAME: Final = "unlocked-by-sheet"


def record_tries_allowed(home: Path) -> None:
    """Record that a recovery sheet allowed more attempts; durable on return, raises OSError."""
    write_private_file(home / _TRIES_ALLOWED_FILE_NAME, b"")


def has_unreported_allowed_tries(home: Path) -> bool:
    """Return whether a recovery sheet allowed more attempts and the user was not notified yet."""
    return (home / _TRIES_ALLOWED_FILE_NAME).is_file()


def mark_allowed_tries_as_reported(home: Path) -> None:
    """Record that the user was notified of the attempts that a recovery sheet allowed."""
    (home / _TRIES_ALLOWED_FILE_NAME).unlink(missing_ok=True)
