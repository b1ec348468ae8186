"""Encrypt the bytes of quarantined uploads in the database, and read the file of keys."""

import binascii
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from entrenous.base.files import create_private_file, make_file_private
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import (
    STORED_VALUE_KEY_BYTES,
    STORED_VALUE_KEY_ID_BYTES,
    seal_stored_value,
    stored_value_key_id,
    unseal_stored_value,
)
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.stop.nouns import BadUploadKeys
from entrenous.stop.upload_record import UploadKeyMissing

_MAGIC: Final = b"entrenous/1 held"
_UNENCRYPTED_PREFIX: Final = _MAGIC + b"\0"
_ENCRYPTED_PREFIX: Final = _MAGIC + b"\1"
ENCRYPTION_PREFIX_BYTES: Final = len(_ENCRYPTED_PREFIX) + STORED_VALUE_KEY_ID_BYTES


@dataclass(frozen=True, slots=True)
class UploadCipher:
    """Encrypts with the first of ``keys`` (32 bytes each, newest first), and decrypts with any of
    them.

    Without keys, data is stored unencrypted.
    """

    keys: tuple[Secret, ...] = ()

    def encrypt(self, case: str, data: bytes) -> bytes:
        """Return ``data`` as it is stored for this case."""
        if not self.keys:
            return _UNENCRYPTED_PREFIX + data if data.startswith(_MAGIC) else data
        key = self.keys[0]
        return b"".join(
            (
                _ENCRYPTED_PREFIX,
                stored_value_key_id(key),
                seal_stored_value(key, data, case.encode()),
            )
        )

    def can_decrypt(self, stored: bytes) -> bool:
        """Return whether ``stored`` can be read: it is unencrypted, or encrypted with one of these
        keys.

        The first ``ENCRYPTION_PREFIX_BYTES`` of it suffice.
        """
        if not stored.startswith(_ENCRYPTED_PREFIX):
            return True
        return stored[len(_ENCRYPTED_PREFIX) : ENCRYPTION_PREFIX_BYTES] in map(
            stored_value_key_id, self.keys
        )

    def decrypt(self, case: str, stored: bytes) -> bytes:
        """Return the original bytes; raises UploadKeyMissing."""
        if stored.startswith(_UNENCRYPTED_PREFIX):
            return stored[len(_UNENCRYPTED_PREFIX) :]
        if not stored.startswith(_ENCRYPTED_PREFIX):
            return stored
        name, sealed = (
            stored[len(_ENCRYPTED_PREFIX) : ENCRYPTION_PREFIX_BYTES],
            stored[ENCRYPTION_PREFIX_BYTES:],
        )
        for key in self.keys:
            if stored_value_key_id(key) == name:
                try:
                    return unseal_stored_value(key, sealed, case.encode())
                except DecryptionFailed:
                    break
        raise UploadKeyMissing(case=case)


_KEY_FILE_BYTES_MAX: Final = 4096
_PERMISSIONS_OF_OTHERS: Final = 0o077
# systemd gives a service's account access to its credentials by an ACL, whose mask appears as the
# permissions of the group. No other account can enter the folder of a service's credentials.
_CREDENTIALS_FOLDER: Final = Path("/run/credentials")
_PERMISSIONS_OF_OTHERS_TO_CREDENTIALS: Final = 0o037


def read_or_create_upload_keys(path: Path) -> tuple[Secret, ...]:
    """Read the gate's own file of keys; raises BadUploadKeys.

    If the file is missing, it is created with one key. The file is made private.
    """
    if not path.exists():
        with suppress(FileExistsError):  # another process created it first; use its key
            create_private_file(
                path, binascii.b2a_base64(secrets.token_bytes(STORED_VALUE_KEY_BYTES))
            )
    with suppress(OSError):  # read_upload_keys will report the problem
        make_file_private(path)
    return read_upload_keys(path)


def read_upload_keys(path: Path) -> tuple[Secret, ...]:
    """Read a file of keys that the operator made.

    It is never created here: if its disk is not mounted yet, the new key would be known to this
    gate only.

    Raises:
        BadUploadKeys: it cannot be read, others can read it, or a line is not a key.
    """
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & _permissions_of_others(path):
                why = "other accounts can read it; make it private with chmod 600"
                raise BadUploadKeys(file=path, why=why)
            lines = file.read(_KEY_FILE_BYTES_MAX).split()
    except OSError:
        raise BadUploadKeys(file=path, why="it does not exist, or cannot be read") from None
    keys = tuple(_parse_key(line) for line in lines)
    if not keys or None in keys:
        raise BadUploadKeys(file=path, why="each line must be a key, 32 bytes in base64")
    return tuple(key for key in keys if key is not None)


def _permissions_of_others(path: Path) -> int:
    if path.is_relative_to(_CREDENTIALS_FOLDER):
        return _PERMISSIONS_OF_OTHERS_TO_CREDENTIALS
    return _PERMISSIONS_OF_OTHERS


def _parse_key(line: bytes) -> Secret | None:
    try:
        data = binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error:
        return None
    return Secret(data) if len(data) == STORED_VALUE_KEY_BYTES else None
