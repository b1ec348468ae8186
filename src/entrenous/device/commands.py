"""Open the user's device for one command, and ask for its passphrase."""

import getpass
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import typer

from entrenous.base.language import translatable, translated
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.identities import MailboxAddress, own_name
from entrenous.device.lock_errors import NoPassphrase, NoSuchDescriptor, PassphrasesDiffer
from entrenous.device.open_device import (
    create_lockable_device,
    open_unlocked,
    take_failed_tries_warning,
)
from entrenous.device.recovery_sheet import RecoverySheet
from entrenous.device.store.vault_folder import UnlockedVault
from entrenous.terminal.interrupts import termination_signals_as_interrupt
from entrenous.terminal.output import hint
from entrenous.terminal.session import session_of


@contextmanager
def opened_device(context: typer.Context) -> Iterator[Device]:
    """Unlock the device in ENTRENOUS_HOME, and lock it again on exit.

    Raises:
        VaultNotFound, WrongPassphrase, NoPassphrase, VaultInUse, Locked, RevokedDeviceLocked.
        RelayUnreachable, OfflineWindowExpired: the relay's share of the vault's key is not
            available.
    """
    with unlocked_device_and_vault(context) as (device, _):
        yield device


@contextmanager
def unlocked_device_and_vault(
    context: typer.Context, sheet: RecoverySheet | None = None
) -> Iterator[tuple[Device, UnlockedVault]]:
    """Like :func:`opened_device`; also yields the parts of the vault's key, which are needed to
    change the vault's lock.

    A recovery sheet also opens a vault whose relay does not answer.
    """
    session = session_of(context)
    ask = partial(ask_passphrase, session.passphrase_fd)
    with open_unlocked(session.settings, ask, sheet) as opened:
        device, unlocked = opened
        for line in take_failed_tries_warning(unlocked, own_name(device)):
            hint(line)
        yield opened


@contextmanager
def new_device(context: typer.Context) -> Iterator[Device]:
    """Create an empty device in ENTRENOUS_HOME; it is removed if the set-up fails.

    Raises VaultExists, WeakPassphrase, NoPassphrase, PassphrasesDiffer.
    """
    with new_lockable_device(context) as (device, _):
        yield device


@contextmanager
def new_lockable_device(
    context: typer.Context,
) -> Iterator[tuple[Device, Callable[[MailboxAddress], None]]]:
    """Like :func:`new_device`; also yields the function that gives the relay of the new mailbox a
    share of the vault's key.
    """
    session = session_of(context)
    ask = partial(ask_new_passphrase, session.passphrase_fd)
    with termination_signals_as_interrupt(), create_lockable_device(session.settings, ask) as new:
        yield new


_HOW_TO_GIVE_VAULT_PASSPHRASE: Final = translatable(
    "--passphrase-fd N, or, in scripts, with ENTRENOUS_PASSPHRASE"
)
_HOW_TO_GIVE_ARCHIVE_PASSPHRASE: Final = "--archive-passphrase-fd N"  # noqa: S105


def ask_passphrase(descriptor: int | None) -> Secret:
    """Ask for the passphrase of an existing vault.

    Raises:
        NoPassphrase: none was given and there is no terminal.
        NoSuchDescriptor: the descriptor cannot be read.
    """
    given = _given_passphrase(descriptor)
    return (
        given
        if given is not None
        else _normalized_secret(
            _ask_hidden(translated("Passphrase: "), translated(_HOW_TO_GIVE_VAULT_PASSPHRASE))
        )
    )


def ask_new_passphrase(descriptor: int | None) -> Secret:
    """Ask for a new vault's passphrase; on a terminal, twice.

    Raises NoPassphrase, PassphrasesDiffer.
    """
    given = _given_passphrase(descriptor)
    return given if given is not None else _ask_twice(translated(_HOW_TO_GIVE_VAULT_PASSPHRASE))


def ask_replacement_passphrase(descriptor: int | None, option: str) -> Secret:
    """Ask for a new passphrase while the vault is open: the vault's next one, or one for an
    archive. On a terminal, ask twice.

    ``descriptor`` is the number of an open file from which the passphrase is read instead;
    ``option`` is the command-line option that passes this number, to be named in errors.

    Raises NoPassphrase, PassphrasesDiffer.
    """
    return (
        _read_from_descriptor(descriptor, option)
        if descriptor is not None
        else _ask_twice(f"{option} N")
    )


def ask_archive_passphrase(descriptor: int | None) -> Secret:
    """Ask for the passphrase of an archive to read; raises NoPassphrase."""
    if descriptor is not None:
        return _read_from_descriptor(descriptor, "--archive-passphrase-fd")
    return _normalized_secret(
        _ask_hidden(translated("Passphrase of the archive: "), _HOW_TO_GIVE_ARCHIVE_PASSPHRASE)
    )


def _given_passphrase(descriptor: int | None) -> Secret | None:
    if descriptor is not None:
        return _read_from_descriptor(descriptor, "--passphrase-fd")
    written = os.environ.get("ENTRENOUS_PASSPHRASE")
    return None if written is None else _normalized_secret(written)


def _read_from_descriptor(descriptor: int, option: str) -> Secret:
    try:
        with os.fdopen(os.dup(descriptor), "rb") as pipe:
            return _normalized_secret(
                pipe.readline().rstrip(b"\r\n").decode(errors="surrogateescape")
            )
    except (OSError, OverflowError):
        raise NoSuchDescriptor(number=descriptor, how=option) from None


def _ask_twice(how_else: str) -> Secret:
    first = _ask_hidden(translated("Choose a passphrase: "), how_else)
    if _ask_hidden(translated("Once more: "), how_else) != first:
        raise PassphrasesDiffer
    return _normalized_secret(first)


def _ask_hidden(prompt: str, how_else: str) -> str:
    if not sys.stdin.isatty():
        raise NoPassphrase(how=how_else)
    return getpass.getpass(prompt)


def _normalized_secret(words: str) -> Secret:
    """Normalize a secret to Unicode form C, since keyboards encode accents differently."""
    return Secret(unicodedata.normalize("NFC", words).encode(errors="surrogateescape"))
