"""Create and open vaults on disk quickly."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from entrenous.base.environment import Settings
from entrenous.base.secret import Secret
from entrenous.crypto.vault_key import DEFAULT_ARGON2_COST, Argon2Cost, stretch_passphrase
from entrenous.device import relay_lock_client
from entrenous.device.device import Device
from entrenous.device.open_device import create_lockable_device, open_unlocked
from entrenous.device.store import vault_folder
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.device.store.vault_folder import RelayShare, unlock_vault_in_folder
from entrenous.wire.relay_nouns import RelayLock

#: The lowest cost that a vault may have. It is stored in vault.json, like any other cost.
LOWEST_COST: Final = Argon2Cost(memory_kib=19_456, passes=2, lanes=1)


def make_vaults_open_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give new vaults the lowest Argon2 cost, and stretch a passphrase once for each salt."""
    monkeypatch.setattr(
        vault_folder, "Argon2Cost", lambda *given: Argon2Cost(*given) if given else LOWEST_COST
    )
    for module in (vault_folder, relay_lock_client):
        monkeypatch.setattr(module, "stretch_passphrase", _stretch_once)


def _stretch_once(
    passphrase: Secret, salt: bytes, cost: Argon2Cost = DEFAULT_ARGON2_COST
) -> Secret:
    return _stretch_cached(passphrase.reveal(), salt, cost)


@cache
def _stretch_cached(passphrase: bytes, salt: bytes, cost: Argon2Cost) -> Secret:
    return stretch_passphrase(Secret(passphrase), salt, cost)


def unlock_vault(home: Path, passphrase: Secret) -> SqlcipherVault:
    """Open a vault that has no lock at a relay."""
    return unlock_vault_in_folder(home, passphrase, return_no_share).vault


def return_no_share(_: RelayLock, __: Secret) -> RelayShare:
    """Return an empty share, so that only a vault without a lock at a relay can be opened."""
    return RelayShare()


@contextmanager
def open_device(settings: Settings, passphrase: Callable[[], Secret]) -> Iterator[Device]:
    """Open the device in ``settings.home``."""
    with open_unlocked(settings, passphrase) as (device, _):
        yield device


@contextmanager
def create_device(settings: Settings, passphrase: Callable[[], Secret]) -> Iterator[Device]:
    """Create an empty device in ``settings.home``."""
    with create_lockable_device(settings, passphrase) as (device, _):
        yield device
