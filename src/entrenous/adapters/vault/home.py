"""The folder of a device: a head that says how its key is derived, the device secret, the vault.

``device.key`` is the part of the key that somebody with a copy of the database alone does not have;
``vault.json`` holds the salt and the cost of argon2id, so that the cost can be raised later, and
where the relay's part of the key is (docs/spec/lock.md). The head is written last, before the first
record: a folder without one is not yet a device, so a kill before it is anybody's bars no set-up.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from entrenous.adapters.private_file import sweep_unfinished, write_private
from entrenous.adapters.vault.database import opens
from entrenous.adapters.vault.hold import hold
from entrenous.adapters.vault.lock_head import Head, Terms, has_vault, read_head, write_head
from entrenous.adapters.vault.sqlcipher import WAIT_S, SqlcipherVault
from entrenous.craft.crypto.vault_key import (
    DEVICE_SECRET_BYTES,
    NO_OUTPUT,
    SALT_BYTES,
    Cost,
    first_vault_key,
    stretch,
    vault_key,
)
from entrenous.model.lock import FewTriesLeft, Locked, RelayLock
from entrenous.model.record import BadRecord
from entrenous.model.secret import Secret
from entrenous.model.vault import (
    NoVaultHere,
    VaultBusy,
    VaultExists,
    WeakPassphrase,
    WrongPassphrase,
)

PASSPHRASE_LEAST: Final = 8  # NIST SP 800-63B section 5.1.1.2
_FEW: Final = 3  # tries, from which on it is said how many are left


@dataclass(frozen=True, slots=True)
class RelayPart:
    """The relay's part of a key (64 bytes; none: 0), the tries left, or that it was kept here;
    ``outdated``: the relay does not know the newest token yet, so older copies still open.
    """

    output: Secret = NO_OUTPUT
    tries: int | None = None
    kept_here: bool = False
    outdated: bool = False


#: Gets the relay's part of the key for a stretched passphrase.
AskRelay = Callable[[RelayLock, Secret], RelayPart]


@dataclass(frozen=True, slots=True)
class Unlocked:
    """A vault that is open, and what its key was made of.

    ``asked`` is how many questions to the relay that took, ``missed`` how many tries had opened
    nothing since its last opening.
    """

    home: Path
    vault: SqlcipherVault
    terms: Terms
    stretched: Secret
    part: RelayPart
    pending: Terms | None = None
    asked: int = 0
    missed: int = 0


def create_vault(home: Path, passphrase: Secret) -> SqlcipherVault:
    """Make a new, empty vault in ``home``, which need not exist; no relay has a part of its key.

    Raises:
        VaultExists, WeakPassphrase, VaultBusy, DiskFull.
    """
    made = create(home, passphrase)
    _begin(home, made.terms)
    return made.vault


def create(home: Path, passphrase: Secret) -> Unlocked:
    """As :func:`create_vault`, with what its key was made of; but it is a device only from its
    first change on, and a folder that nothing came into is taken by the next set-up.
    """
    refuse_weak(passphrase)
    held = hold(home, WAIT_S)  # two set-ups at once must not write over each other's keys
    try:
        _refuse_existing(home)
        sweep_unfinished(home)
        return _make(home, passphrase, held)
    except BaseException:
        with suppress(OSError):  # a vault that failed to open has closed it
            os.close(held)
        raise


def refuse_weak(passphrase: Secret) -> None:
    """Raise WeakPassphrase unless this may protect a vault."""
    if len(passphrase.reveal().decode(errors="replace")) < PASSPHRASE_LEAST:
        raise WeakPassphrase(least=PASSPHRASE_LEAST)


def discard_vault(home: Path) -> None:
    """Remove a vault that was just made and could not be set up; the folder itself stays."""
    for name in ("vault.json", "device.key"):
        (home / name).unlink(missing_ok=True)
    for place in home.glob("vault.db*"):
        place.unlink()


def clear_away(home: Path, *, folder_too: bool) -> None:
    """Of a folder in which a set-up came to nothing, and whose vault is closed: what that left
    there; with ``folder_too`` the folder, if nothing else is in it. A device stays as it is.
    """
    with suppress(OSError, VaultBusy):  # somebody else is about to set one up
        held = hold(home, 0)
        try:
            if has_vault(home):
                return
            with suppress(OSError):
                (home / "files").rmdir()
            (home / "lock").unlink()  # whoever waits for it sees that (hold.py)
        finally:
            os.close(held)
        if folder_too:
            home.rmdir()


def no_relay(_: RelayLock, __: Secret) -> RelayPart:
    """What is known without asking: nothing, so only a vault without a relay's lock opens."""
    return RelayPart()


def unlock(home: Path, passphrase: Secret, ask: AskRelay) -> Unlocked:
    """Open the vault in ``home``; a change of its key that a crash cut short is completed.

    Raises:
        NoVaultHere, WrongPassphrase, VaultBusy, BadRecord (the head is damaged).
        Locked, DeviceShut, RelayUnreachable: what ``ask`` raises.
    """
    if not has_vault(home):
        raise NoVaultHere(home=home)
    held = hold(home, WAIT_S)
    try:
        sweep_unfinished(home)  # before the passphrase is right: part of a key may be in it
        return _opened(home, passphrase, ask, held)
    except BaseException:
        with suppress(OSError):  # a vault that failed to open has closed it
            os.close(held)
        raise


def new_terms(lock: RelayLock | None) -> Terms:
    """A fresh salt at today's cost."""
    return Terms(secrets.token_bytes(SALT_BYTES), Cost(), lock)


def change_key(unlocked: Unlocked, terms: Terms, stretched: Secret, part: RelayPart) -> Unlocked:
    """Encrypt the vault under another key; it opens after a crash at any point (lock.md 3)."""
    home = unlocked.home
    write_head(home, Head(unlocked.terms, terms))
    unlocked.vault.rekey(_key(home, terms, stretched, part.output))
    write_head(home, Head(terms))
    return replace(unlocked, terms=terms, stretched=stretched, part=part, pending=None)


def lock_empty(unlocked: Unlocked, terms: Terms, part: RelayPart) -> Unlocked:
    """As :func:`change_key`, for a vault that nothing came into: it stays no device until its first
    change, and its head says from the first on how it is locked.
    """
    home = unlocked.home
    unlocked.vault.rekey(_key(home, terms, unlocked.stretched, part.output))
    unlocked.vault.before_first_change(lambda: _begin(home, terms))
    return replace(unlocked, terms=terms, part=part)


def _refuse_existing(home: Path) -> None:
    if has_vault(home):
        raise VaultExists(home=home)


def _make(home: Path, passphrase: Secret, held: int) -> Unlocked:
    terms = new_terms(None)
    write_private(home / "device.key", secrets.token_bytes(DEVICE_SECRET_BYTES))
    for left_over in home.glob("vault.db*"):  # of a set-up that was interrupted before its head
        left_over.unlink()
    stretched = stretch(passphrase, terms.salt, terms.cost)
    vault = SqlcipherVault(home, _key(home, terms, stretched, NO_OUTPUT), held=held)
    vault.before_first_change(lambda: _begin(home, terms))
    return Unlocked(home, vault, terms, stretched, RelayPart())


def _begin(home: Path, terms: Terms) -> None:
    """Before anything is in the vault: what is in one without a head would be lost."""
    if not has_vault(home):
        write_head(home, Head(terms))


def _opened(home: Path, passphrase: Secret, ask: AskRelay, held: int) -> Unlocked:
    head, part, asked = read_head(home), RelayPart(), 0
    for terms in filter(None, (head.now, head.next)):
        stretched = stretch(passphrase, terms.salt, terms.cost)
        part = ask(terms.lock, stretched) if terms.lock else RelayPart()
        asked += part.tries is not None
        key = _key(home, terms, stretched, part.output)
        if head.next is None or opens(home, key):
            vault = _vault(home, key, held, part)
            return _settled(Unlocked(home, vault, terms, stretched, part, asked=asked), head)
    raise _wrong(part)


def _vault(home: Path, key: Secret, held: int, part: RelayPart) -> SqlcipherVault:
    try:
        return SqlcipherVault(home, key, held=held)
    except WrongPassphrase:
        raise _wrong(part) from None


def _settled(unlocked: Unlocked, head: Head) -> Unlocked:
    """Drop the other key from the head; but a first lock is still made with the same token."""
    first_lock = head.now.lock is None and head.next is not None and head.next.lock is not None
    if unlocked.terms is head.now and first_lock:
        return replace(unlocked, pending=head.next)
    if head.next is not None:
        write_head(unlocked.home, Head(unlocked.terms))
    return unlocked


def _wrong(part: RelayPart) -> WrongPassphrase | Locked:
    if part.tries is None or part.tries > _FEW:
        return WrongPassphrase()
    return FewTriesLeft(tries=part.tries) if part.tries else Locked()


def _key(home: Path, terms: Terms, stretched: Secret, output: Secret) -> Secret:
    try:
        secret = (home / "device.key").read_bytes()
        if terms.first:
            return first_vault_key(stretched, secret, terms.salt)
        return vault_key(stretched, output, secret, terms.salt)
    except (ValueError, FileNotFoundError):
        raise BadRecord(kind="vault head") from None
