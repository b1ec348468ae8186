"""Blobs: age v1 files, sealed to a key that exists for one copy only (docs/spec/content.md 3).

The key *is* the private half of an age identity, so whoever has it can open the file with the
public ``age`` program as well.
"""

import hashlib
import io
import re
from typing import BinaryIO, Final

import pyrage

from entrenous.craft.crypto.hashing import same
from entrenous.model.letter import BlobChanged, BlobRef, DoesNotOpen
from entrenous.model.secret import Secret

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_HEADER: Final = re.compile(
    rb"age-encryption\.org/v1\n"
    rb"(?:-> [!-~]+(?: [!-~]+)*\n(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n)+"
    rb"--- "
)
_PREFIX: Final = "age-secret-key-"
_CHUNK: Final = 1024 * 1024  # bytes
_FRONT: Final = 64 * 1024  # a header of ours has 200 bytes; a longer one than this is refused


def identity_of(key: Secret) -> Secret:
    """The age identity, ``AGE-SECRET-KEY-1...`` in ASCII, whose X25519 private key is ``key``.

    This is bech32 (BIP 173) in upper case, as the age specification has it.

    Raises:
        ValueError: ``key`` has not 32 bytes.
    """
    if len(key) != 32:
        raise ValueError("an X25519 key has 32 bytes")
    groups = _fives(key.reveal())
    letters = "".join(_ALPHABET[group] for group in groups + _checksum(_PREFIX, groups))
    return Secret(f"{_PREFIX}1{letters}".upper().encode())


def key_of(untrusted_identity: Secret) -> Secret:
    """The X25519 private key, 32 bytes, of an age identity: what :func:`identity_of` wrote.

    Raises:
        ValueError: this is none.
    """
    text = untrusted_identity.reveal().decode(errors="replace")
    try:
        pyrage.x25519.Identity.from_str(text)  # knows the alphabet, the length and the check sum
    except pyrage.IdentityError:
        raise ValueError("this is no age identity") from None
    letters = text.lower().removeprefix(f"{_PREFIX}1")[:-6]
    bits = "".join(f"{_ALPHABET.index(letter):05b}" for letter in letters)
    return Secret(int(bits[:256], 2).to_bytes(32, "big"))


def encrypt_blob(key: Secret, padded: bytes) -> bytes:
    """An age v1 file whose only recipient is the public half of ``key``."""
    return pyrage.encrypt(padded, [_identity(key).to_public()])  # type: ignore[no-any-return]


def decrypt_blob(key: Secret, untrusted_data: bytes) -> bytes:
    """What :func:`encrypt_blob` encrypted; all of it or nothing.

    Stricter than pyrage, which also reads armored files, and stanzas whose last line is missing.

    Raises:
        DoesNotOpen: another key, or bytes that were changed, cut short or lengthened.
    """
    if not _HEADER.match(untrusted_data):
        raise DoesNotOpen
    try:
        return pyrage.decrypt(untrusted_data, [_identity(key)])  # type: ignore[no-any-return]
    except pyrage.DecryptError:
        raise DoesNotOpen from None


def encrypt_stream(key: Secret, reader: BinaryIO, writer: BinaryIO) -> None:
    """:func:`encrypt_blob` of all that ``reader`` yields, with a few chunks of 64 KiB in memory.

    Raises:
        OSError: what ``reader`` or ``writer`` raised.
    """
    source, kept = _Chained(b"", reader), _Noting(writer)
    try:
        pyrage.encrypt_io(source, kept, [_identity(key).to_public()])
    except (pyrage.EncryptError, OSError):
        kept.insist()
        source.insist()
        raise
    kept.insist()


def decrypt_stream(key: Secret, untrusted_reader: BinaryIO, writer: BinaryIO) -> None:
    """:func:`decrypt_blob`, a chunk of 64 KiB at a time.

    Each chunk is authenticated before it is written; that the last one is the last is only known at
    the end, so what was written before an error must not be used.

    Raises:
        DoesNotOpen: another key, or bytes that were changed, cut short or lengthened.
        OSError: what ``writer`` raised.
    """
    untrusted_front = untrusted_reader.read(_FRONT)
    if not _HEADER.match(untrusted_front):
        raise DoesNotOpen
    source = _Chained(untrusted_front, untrusted_reader)
    kept = _Noting(writer)
    try:
        pyrage.decrypt_io(source, kept, [_identity(key)])
    except pyrage.DecryptError:
        raise DoesNotOpen from None
    except OSError:
        kept.insist()
        source.insist()
        raise DoesNotOpen from None
    kept.insist()


def check_blob(expected: BlobRef, untrusted_reader: BinaryIO) -> None:
    """Return only if all that is read are the bytes that the letter named.

    Raises:
        BlobChanged: another size or hash.
    """
    seen, size = hashlib.sha256(), 0
    while chunk := untrusted_reader.read(_CHUNK):
        seen.update(chunk)
        size += len(chunk)
    if size != expected.size or not same(seen.digest(), expected.sha256):
        raise BlobChanged


class _Chained:
    """What was read ahead, then the rest."""

    def __init__(self, front: bytes, rest: BinaryIO) -> None:
        self._front, self._rest = io.BytesIO(front), rest
        self.failed: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            return self._front.read(size) or self._rest.read(size)
        except OSError as why:
            self.failed = why
            raise

    def insist(self) -> None:
        """Raise what the reader raised, if it did."""
        if self.failed is not None:
            raise self.failed from None


class _Noting:
    """Passes on, and notes a failure of the writer: pyrage's own are of the same kind, and it
    forgets one that comes with the last bytes.
    """

    def __init__(self, writer: BinaryIO) -> None:
        self._writer = writer
        self.failed: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._writer.write(data)
        except OSError as why:
            self.failed = why
            raise

    def flush(self) -> None:
        self._writer.flush()

    def insist(self) -> None:
        """Raise what the writer raised, if it did."""
        if self.failed is not None:
            raise self.failed from None


def _identity(key: Secret) -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.from_str(identity_of(key).reveal().decode())


def _fives(data: bytes) -> list[int]:
    """Groups of 5 bits, the last filled with zeros."""
    bits = "".join(f"{byte:08b}" for byte in data)
    return [int(bits[at : at + 5].ljust(5, "0"), 2) for at in range(0, len(bits), 5)]


def _checksum(prefix: str, groups: list[int]) -> list[int]:
    spread = [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix]
    rest = _polymod([*spread, *groups, 0, 0, 0, 0, 0, 0]) ^ 1
    return [rest >> 5 * (5 - at) & 31 for at in range(6)]


def _polymod(groups: list[int]) -> int:
    rest = 1
    for group in groups:
        top = rest >> 25
        rest = (rest & 0x1FFFFFF) << 5 ^ group
        for at, factor in enumerate(_GENERATOR):
            rest ^= factor if top >> at & 1 else 0
    return rest
