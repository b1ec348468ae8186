"""Vaults on disk, as tests open them."""

from pathlib import Path
from typing import Final

import pytest

from entrenous.base.secret import Secret
from entrenous.crypto.vault_key import Cost
from entrenous.device.store import vault_folder
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.device.store.vault_folder import no_relay, unlock

#: The least that a vault may ask for. It is written in vault.json, as any other cost is.
LEAST_COST: Final = Cost(memory_kib=19_456, passes=2, lanes=1)


def make_vaults_open_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make new vaults with the least cost of a guess, so that commands do not take long."""
    monkeypatch.setattr(vault_folder, "Cost", lambda *given: Cost(*given) if given else LEAST_COST)


def unlock_vault(home: Path, passphrase: Secret) -> SqlcipherVault:
    """Open a vault of which no relay has a part."""
    return unlock(home, passphrase, no_relay).vault
