"""Open this person's device: her vault, her relay, a jail for what strangers made."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from entrenous.adapters.courier.http import HttpCourier, new_client
from entrenous.adapters.system import SystemClock, SystemDice
from entrenous.adapters.vault.home import create_vault, discard_vault, has_vault, unlock_vault
from entrenous.adapters.vault.ledger import VaultLedger
from entrenous.adapters.vault.sqlcipher import SqlcipherVault
from entrenous.craft.media.clip.jail import decode_clip_untrusted
from entrenous.craft.media.jail import decode_untrusted
from entrenous.craft.media.sound.jail import decode_sound_untrusted
from entrenous.model.secret import Secret
from entrenous.model.vault import NoVaultHere, VaultExists
from entrenous.ports import Device
from entrenous.settings import Settings
from entrenous.wiring.folders import kept_in


@contextmanager
def open_device(settings: Settings, passphrase: Callable[[], Secret]) -> Iterator[Device]:
    """The device in ``settings.home``, unlocked; the passphrase is asked for once there is one.

    Raises:
        NoVaultHere, WrongPassphrase, VaultBusy, UnusableFolder.
    """
    with kept_in(settings.home):
        if not has_vault(settings.home):
            raise NoVaultHere(home=settings.home)
    words = passphrase()
    with kept_in(settings.home):
        opened = unlock_vault(settings.home, words)
    with closing(opened) as vault:
        yield _device(vault, settings)


@contextmanager
def create_device(settings: Settings, passphrase: Callable[[], Secret]) -> Iterator[Device]:
    """A new, empty device in ``settings.home``.

    Raises:
        VaultExists, WeakPassphrase, VaultBusy, UnusableFolder, DiskFull.
    """
    with kept_in(settings.home):
        if has_vault(settings.home):
            raise VaultExists(home=settings.home)
    words = passphrase()
    with kept_in(settings.home):
        made = create_vault(settings.home, words)
    with closing(made) as vault:
        try:
            yield _device(vault, settings)
        except BaseException:
            discard_vault(settings.home)  # half a device would be in the way of the next attempt
            raise


def _device(vault: SqlcipherVault, settings: Settings) -> Device:
    return Device(
        clock=SystemClock(),
        dice=SystemDice(),
        vault=vault,
        ledger=VaultLedger(vault),
        courier=HttpCourier(new_client(), settings.patience_s),
        read_picture=decode_untrusted,
        read_clip=decode_clip_untrusted,
        read_sound=decode_sound_untrusted,
    )
