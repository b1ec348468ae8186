"""The file of keys that seal the bytes of uploads: base64, one a line, the newest first."""

import binascii
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from entrenous.adapters.private_file import add_private, shut_out
from entrenous.craft.crypto.held import KEY_BYTES
from entrenous.model.gate import BadHeldKeys
from entrenous.model.secret import Secret

_BYTES_MAX: Final = 4096
_OTHERS: Final = 0o077


def kept_held_keys(place: Path) -> tuple[Secret, ...]:
    """The keys in the gate's own file, made with one if it is missing, and from now on this
    account's alone; raises BadHeldKeys.
    """
    if not place.exists():
        with suppress(FileExistsError):  # another process was quicker; its key is the one
            add_private(place, binascii.b2a_base64(secrets.token_bytes(KEY_BYTES)))
    with suppress(OSError):  # held_keys says what is wrong
        shut_out(place)
    return held_keys(place)


def held_keys(place: Path) -> tuple[Secret, ...]:
    """The keys in a file of the operator's. It is never made: a disk that is not there yet must not
    become a key that only this gate has.

    Raises:
        BadHeldKeys: it cannot be read, others can read it, or a line is no key.
    """
    try:
        with place.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & _OTHERS:
                raise BadHeldKeys(file=place, why="others can read it; chmod 600 it")
            lines = file.read(_BYTES_MAX).split()
    except OSError:
        raise BadHeldKeys(file=place, why="it is not there, or cannot be read") from None
    keys = tuple(_key(line) for line in lines)
    if not keys or None in keys:
        raise BadHeldKeys(file=place, why="each line is a key: 32 bytes in base64")
    return tuple(key for key in keys if key is not None)


def _key(line: bytes) -> Secret | None:
    try:
        data = binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error:
        return None
    return Secret(data) if len(data) == KEY_BYTES else None
