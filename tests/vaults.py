"""Vaults on disk, as tests open them."""

from pathlib import Path

from entrenous.adapters.vault.home import no_relay, unlock
from entrenous.adapters.vault.sqlcipher import SqlcipherVault
from entrenous.model.secret import Secret


def unlock_vault(home: Path, passphrase: Secret) -> SqlcipherVault:
    """Open a vault of which no relay has a part."""
    return unlock(home, passphrase, no_relay).vault
