"""The folder of a device: a head that says how its key is derived, the device secret, the vault.

``device.key`` is the part of the key that somebody with a copy of the database alone does not have;
``vault.json`` holds the salt and the cost of argon2id, so that the cost can be raised later. Both
are written before the vault is made, and the head last: a folder without a head is not yet a
device.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from entrenous.adapters.private_file import write_private
from entrenous.adapters.vault.hold import hold
from entrenous.adapters.vault.sqlcipher import WAIT_S, SqlcipherVault
from entrenous.craft.crypto.vault_key import DEVICE_SECRET_BYTES, SALT_BYTES, Cost, vault_key
from entrenous.model.record import BadRecord
from entrenous.model.secret import Secret
from entrenous.model.vault import NoVaultHere, VaultExists, WeakPassphrase

SCHEMA: Final = "entrenous/vault/1"
PASSPHRASE_LEAST: Final = 8  # NIST SP 800-63B section 5.1.1.2


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    salt: bytes
    memory_kib: int
    passes: int
    lanes: int


def has_vault(home: Path) -> bool:
    """Whether a device was set up in this folder."""
    return (home / "vault.json").is_file()


def create_vault(home: Path, passphrase: Secret) -> SqlcipherVault:
    """Make a new, empty vault in ``home``, which need not exist.

    Raises:
        VaultExists, WeakPassphrase, VaultBusy, DiskFull.
    """
    if len(passphrase.reveal().decode(errors="replace")) < PASSPHRASE_LEAST:
        raise WeakPassphrase(least=PASSPHRASE_LEAST)
    held = hold(home, WAIT_S)  # two set-ups at once must not write over each other's keys
    try:
        _refuse_existing(home)
        return _make(home, passphrase, held)
    except BaseException:
        with suppress(OSError):  # a vault that failed to open has closed it
            os.close(held)
        raise


def _refuse_existing(home: Path) -> None:
    if has_vault(home):
        raise VaultExists(home=home)


def _make(home: Path, passphrase: Secret, held: int) -> SqlcipherVault:
    cost = Cost()
    head = _Head(SCHEMA, secrets.token_bytes(SALT_BYTES), cost.memory_kib, cost.passes, cost.lanes)
    write_private(home / "device.key", secrets.token_bytes(DEVICE_SECRET_BYTES))
    for left_over in home.glob("vault.db*"):  # of a set-up that was interrupted before its head
        left_over.unlink()
    vault = SqlcipherVault(home, _key(home, head, passphrase), held=held)
    write_private(home / "vault.json", msgspec.json.encode(head))
    return vault


def discard_vault(home: Path) -> None:
    """Remove a vault that was just made and could not be set up; the folder itself stays."""
    for name in ("vault.json", "device.key"):
        (home / name).unlink(missing_ok=True)
    for place in home.glob("vault.db*"):
        place.unlink()


def unlock_vault(home: Path, passphrase: Secret) -> SqlcipherVault:
    """Open the vault in ``home``.

    Raises:
        NoVaultHere, WrongPassphrase, VaultBusy, BadRecord (the head is damaged).
    """
    if not has_vault(home):
        raise NoVaultHere(home=home)
    return SqlcipherVault(home, _key(home, _read_head(home), passphrase))


def _read_head(home: Path) -> _Head:
    try:
        head = msgspec.json.decode((home / "vault.json").read_bytes(), type=_Head)
    except msgspec.MsgspecError:
        raise BadRecord(kind="vault head") from None
    if head.schema != SCHEMA:
        raise BadRecord(kind="vault head")
    return head


def _key(home: Path, head: _Head, passphrase: Secret) -> Secret:
    try:
        cost = Cost(head.memory_kib, head.passes, head.lanes)
        return vault_key(passphrase, head.salt, (home / "device.key").read_bytes(), cost)
    except (ValueError, FileNotFoundError):
        raise BadRecord(kind="vault head") from None
