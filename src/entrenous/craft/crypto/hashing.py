"""Hashes, and comparisons that take the same time whatever they find.

The relay uses this file too, so nothing here can open anything.
"""

import hashlib
import hmac
from typing import BinaryIO, Final

from entrenous.model.ids import PersonId
from entrenous.model.person import MasterKey
from entrenous.model.secret import Secret

_LOCK: Final = b"entrenous/1 lock\x00"
_PERSON: Final = b"entrenous/1 person\x00"


def sha256(data: bytes) -> bytes:
    """SHA-256 (FIPS 180-4), 32 bytes."""
    return hashlib.sha256(data).digest()


class Hashing:
    """Passes on what is written, and knows the size and the SHA-256 of all of it."""

    def __init__(self, writer: BinaryIO) -> None:
        self._writer, self._hash = writer, hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write all of it."""
        self._writer.write(data)
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Let nothing wait."""
        self._writer.flush()

    def digest(self) -> bytes:
        """SHA-256 of what was written, 32 bytes."""
        return self._hash.digest()


class HashingReader:
    """Passes on what is read, and knows the SHA-256 of all of it."""

    def __init__(self, reader: BinaryIO) -> None:
        self._reader, self._hash = reader, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """As much as the reader gives."""
        data = self._reader.read(size)
        self._hash.update(data)
        return data

    def rest(self) -> bytes:
        """Read on to the end; the SHA-256 of everything, 32 bytes."""
        while self.read(1024 * 1024):
            pass
        return self._hash.digest()


def lock_of(token: Secret) -> bytes:
    """What a relay keeps of a token, 32 bytes (docs/spec/content.md section 4)."""
    return sha256(_LOCK + token.reveal())


def person_id(master: MasterKey) -> PersonId:
    """Who these master keys are, 32 bytes (docs/spec/identity.md section 1).

    Raises:
        ValueError: a key has not the length of its kind, so that two pairs could hash alike.
    """
    if len(master.ed25519) != 32 or len(master.mldsa65) != 1952:
        raise ValueError("master keys have 32 and 1,952 bytes")
    return PersonId(sha256(_PERSON + master.ed25519 + master.mldsa65))


def same(one: bytes, other: bytes) -> bool:
    """Whether both are equal, in a time that depends on their lengths only."""
    return hmac.compare_digest(one, other)
