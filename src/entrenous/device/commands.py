"""Open this person's device for the length of one command, and ask for its passphrase."""

import getpass
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import typer

from entrenous.base.errors import as_typed
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.identities import Home, own_name
from entrenous.device.lock_errors import NoPassphrase, NoSuchDescriptor, PassphrasesDiffer
from entrenous.device.open_device import create_to_link, open_unlocked
from entrenous.device.recovery_sheet import RecoverySheet
from entrenous.device.store.vault_folder import Unlocked, forget_freed, was_freed
from entrenous.terminal.interrupts import terminate_like_interrupt
from entrenous.terminal.output import hint
from entrenous.terminal.session import session_of


@contextmanager
def device_of(context: typer.Context) -> Iterator[Device]:
    """The device in ENTRENOUS_HOME, unlocked; locked again afterwards.

    Raises:
        NoVaultHere, WrongPassphrase, NoPassphrase, VaultBusy, Locked, DeviceShut.
        RelayUnreachable, OfflineWindowOver: its relay's part of the lock is not to be had.
    """
    with unlocked_of(context) as (device, _):
        yield device


@contextmanager
def unlocked_of(
    context: typer.Context, sheet: RecoverySheet | None = None
) -> Iterator[tuple[Device, Unlocked]]:
    """The same, with what its vault's key was made of, for the commands that change its lock; with
    a recovery sheet also where its relay is silent.
    """
    session = session_of(context)
    ask = partial(ask_passphrase, session.passphrase_fd)
    with open_unlocked(session.settings, ask, sheet) as opened:
        device, unlocked = opened
        freed = was_freed(unlocked.home)
        if freed or unlocked.missed:
            _tell_of_missed(unlocked.missed, own_name(device), freed=freed)
            forget_freed(unlocked.home)
        yield opened


@contextmanager
def new_device(context: typer.Context) -> Iterator[Device]:
    """A new, empty device in ENTRENOUS_HOME; what stops it before it is anybody's leaves none.

    Raises:
        VaultExists, WeakPassphrase, NoPassphrase, PassphrasesDiffer.
    """
    with device_to_link(context) as (device, _):
        yield device


@contextmanager
def device_to_link(context: typer.Context) -> Iterator[tuple[Device, Callable[[Home], None]]]:
    """As :func:`new_device`, with what locks it at a mailbox of its own before it is anybody's."""
    session = session_of(context)
    ask = partial(new_passphrase, session.passphrase_fd)
    with terminate_like_interrupt(), create_to_link(session.settings, ask) as new:
        yield new


def _tell_of_missed(tries: int, name: str, *, freed: bool) -> None:
    """``freed``: a recovery sheet gave tries back, of which nobody knows how many were left."""
    if freed:
        hint(
            "Since you last opened this device its recovery sheet allowed ten more tries. Before, "
            "up to ten at its passphrase had opened nothing."
        )
    if tries:
        count = "1 try" if tries == 1 else f"{tries} tries"
        since = "after that" if freed else "since you last opened it"
        hint(f"{count} at this device's passphrase opened nothing {since}.")
    hint("A mistyped word counts, and so does a command that was cut short.")
    hint(
        "If that was not you, somebody may have a copy of this device's folder. Another passphrase "
        "shuts every copy from before: entrenous passphrase change. If the device itself is gone, "
        f"revoke it from another one of yours: entrenous device revoke {as_typed(name)} --lost"
    )


_DEVICES: Final = "--passphrase-fd N, or, in scripts, by ENTRENOUS_PASSPHRASE"
_ARCHIVES: Final = "--archive-passphrase-fd N"


def ask_passphrase(descriptor: int | None) -> Secret:
    """The passphrase of an existing vault.

    Raises:
        NoPassphrase: none was given and there is no terminal to ask on.
        NoSuchDescriptor: it cannot be read.
    """
    given = _given(descriptor)
    return given if given is not None else _secret(_typed("Passphrase: ", _DEVICES))


def new_passphrase(descriptor: int | None) -> Secret:
    """A passphrase for a new vault; typed twice on a terminal.

    Raises:
        NoPassphrase, PassphrasesDiffer.
    """
    given = _given(descriptor)
    if given is not None:
        return given
    return _typed_twice(_DEVICES)


def another_passphrase(descriptor: int | None, option: str) -> Secret:
    """A passphrase besides the one that opened the vault; typed twice on a terminal. ``option`` is
    what gives the descriptor.

    Raises:
        NoPassphrase, PassphrasesDiffer.
    """
    how = f"{option} N"
    return _read_from(descriptor, option) if descriptor is not None else _typed_twice(how)


def archive_passphrase(descriptor: int | None) -> Secret:
    """The passphrase of an archive that is read.

    Raises:
        NoPassphrase: none was given and there is no terminal to ask on.
    """
    if descriptor is not None:
        return _read_from(descriptor, "--archive-passphrase-fd")
    return _secret(_typed("Passphrase of the archive: ", _ARCHIVES))


def _given(descriptor: int | None) -> Secret | None:
    if descriptor is not None:
        return _read_from(descriptor, "--passphrase-fd")
    written = os.environ.get("ENTRENOUS_PASSPHRASE")
    return None if written is None else _secret(written)


def _read_from(descriptor: int, option: str) -> Secret:
    try:
        with os.fdopen(os.dup(descriptor), "rb") as pipe:
            return _secret(pipe.readline().rstrip(b"\r\n").decode(errors="surrogateescape"))
    except (OSError, OverflowError):
        raise NoSuchDescriptor(number=descriptor, how=option) from None


def _typed_twice(how: str) -> Secret:
    first = _typed("Choose a passphrase: ", how)
    if _typed("Once more: ", how) != first:
        raise PassphrasesDiffer
    return _secret(first)


def _typed(prompt: str, how: str) -> str:
    if not sys.stdin.isatty():
        raise NoPassphrase(how=how)
    return getpass.getpass(prompt)


def _secret(words: str) -> Secret:
    """One form for what looks the same: keyboards differ in how they write an accent (NFC)."""
    return Secret(unicodedata.normalize("NFC", words).encode(errors="surrogateescape"))
