"""Where the passphrase comes from: a file descriptor, the environment, or the terminal."""

import getpass
import os
import sys
import unicodedata
from typing import Final

from entrenous.model.secret import Secret
from entrenous.model.vault import NoPassphrase, NoSuchDescriptor, PassphrasesDiffer

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
