"""Encryption at rest: age files under a key or a passphrase, and single encrypted values.

Each blob of a copy and each large file in the vault has a separate key (docs/spec/content.md
sections 3 and 5). A passphrase protects a file as specified in age-encryption.org/v1 (recipient
scrypt); the file states the cost of each guess. The single values are quarantined uploads in a
platform's database; their key is stored elsewhere.
"""

import base64
import binascii
import hashlib
import hmac
import io
import re
import secrets
from contextlib import suppress
from typing import BinaryIO, Final

import pyrage
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time
from entrenous.crypto.key_derivation import derive
from entrenous.crypto.nouns import BadKey, BlobChanged, BlobRef, DecryptionFailed

_BECH32_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_HEADER_PATTERN: Final = re.compile(
    rb"age-encryption\.org/v1\n"
    rb"(?:-> [!-~]+(?: [!-~]+)*\n(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n)+"
    rb"--- "
)
_IDENTITY_PREFIX: Final = "age-secret-key-"
_READ_CHUNK_BYTES: Final = 1024 * 1024  # streams are read in pieces of this size
# the longest header that is accepted; this module writes headers of 200 bytes
_HEADER_BYTES_MAX: Final = 64 * 1024


def age_identity(key: Secret) -> Secret:
    """Return a 32-byte X25519 private key as an age identity, ``AGE-SECRET-KEY-1...`` in ASCII.

    The identity is bech32 (BIP 173) in upper case, as in the age specification.
    """
    if len(key) != 32:
        raise ValueError("an X25519 key has 32 bytes")
    groups = _five_bit_groups(key.reveal())
    letters = "".join(
        _BECH32_ALPHABET[group] for group in groups + _bech32_checksum(_IDENTITY_PREFIX, groups)
    )
    return Secret(f"{_IDENTITY_PREFIX}1{letters}".upper().encode())


def age_private_key(untrusted_identity: Secret) -> Secret:
    """Return the X25519 private key (32 bytes) that an age identity encodes.

    Raises ValueError if the text is not an age identity.
    """
    text = untrusted_identity.reveal().decode(errors="replace")
    try:
        # raises an error if the characters, the length or the checksum are wrong
        pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError:
        raise ValueError("this is no age identity") from None
    letters = text.lower().removeprefix(f"{_IDENTITY_PREFIX}1")[:-6]
    bits = "".join(f"{_BECH32_ALPHABET.index(letter):05b}" for letter in letters)
    return Secret(int(bits[:256], 2).to_bytes(32, "big"))


def encrypt_blob(key: Secret, data: bytes) -> bytes:
    """Encrypt to an age v1 file that only ``key`` decrypts."""
    return pyrage.encrypt(data, [_pyrage_identity(key).to_public()])  # type: ignore[no-any-return]


def decrypt_blob(key: Secret, untrusted_data: bytes) -> bytes:
    """Decrypt what :func:`encrypt_blob` wrote, all or nothing.

    This function is stricter than pyrage, which also accepts armored files, and stanzas without
    their last line.

    Raises:
        DecryptionFailed: the wrong key, or bytes that were changed, truncated or extended.
    """
    if not _HEADER_PATTERN.match(untrusted_data):
        raise DecryptionFailed
    try:
        return pyrage.decrypt(untrusted_data, [_pyrage_identity(key)])  # type: ignore[no-any-return]
    except pyrage.DecryptError:
        raise DecryptionFailed from None


def encrypt_to_recipient(untrusted_recipient: str, data: bytes) -> bytes:
    """Encrypt to an age v1 file for one recipient: ``age1...``, or an SSH public key.

    Raises ValueError for any other kind of recipient.
    """
    text = untrusted_recipient.strip()
    for kind in (pyrage.x25519.Recipient, pyrage.ssh.Recipient):
        try:
            return pyrage.encrypt(data, [kind.from_str(text)])  # type: ignore[no-any-return]
        except pyrage.RecipientError:
            continue
    raise ValueError("this is no age recipient")


def decrypt_as_recipient(untrusted_identities: Secret, untrusted_data: bytes) -> bytes:
    """Decrypt an age v1 file with an identity file: one age identity per line, or an SSH key.

    Raises:
        BadKey: the identity file contains no identity.
        DecryptionFailed: the encrypted file is for somebody else, or was changed.
    """
    identities = _parse_identities(untrusted_identities.reveal())
    if not identities:
        raise BadKey
    try:
        return pyrage.decrypt(untrusted_data, identities)  # type: ignore[no-any-return]
    except pyrage.DecryptError:
        raise DecryptionFailed from None


def _parse_identities(untrusted_file: bytes) -> list[object]:
    found: list[object] = []
    for line in untrusted_file.decode(errors="replace").splitlines():
        with suppress(pyrage.IdentityError):
            found.append(pyrage.x25519.Identity.from_str(line.strip()))
    with suppress(pyrage.IdentityError):
        found.append(pyrage.ssh.Identity.from_buffer(untrusted_file))
    return found


def encrypt_stream(key: Secret, reader: BinaryIO, writer: BinaryIO) -> None:
    """Like :func:`encrypt_blob`, in chunks of 64 KiB; raises OSError if a stream fails."""
    source, kept = _ReadAheadReader(b"", reader), _ErrorKeepingWriter(writer)
    try:
        pyrage.encrypt_io(source, kept, [_pyrage_identity(key).to_public()])
    except (pyrage.EncryptError, OSError):
        kept.raise_deferred_error()
        source.raise_deferred_error()
        raise
    kept.raise_deferred_error()


def decrypt_stream(key: Secret, untrusted_reader: BinaryIO, writer: BinaryIO) -> None:
    """Like :func:`decrypt_blob`, in chunks of 64 KiB.

    Each chunk is authenticated before it is written, but only the last one shows that the file is
    complete. So after an error, discard what was written.

    Raises:
        DecryptionFailed: the wrong key, or bytes that were changed, truncated or extended.
        OSError: raised by the reader or by ``writer``.
    """
    untrusted_front = untrusted_reader.read(_HEADER_BYTES_MAX)
    if not _HEADER_PATTERN.match(untrusted_front):
        raise DecryptionFailed
    source = _ReadAheadReader(untrusted_front, untrusted_reader)
    kept = _ErrorKeepingWriter(writer)
    try:
        pyrage.decrypt_io(source, kept, [_pyrage_identity(key)])
    except pyrage.DecryptError:
        raise DecryptionFailed from None
    except OSError:
        kept.raise_deferred_error()
        source.raise_deferred_error()
        raise DecryptionFailed from None
    kept.raise_deferred_error()


def check_blob(expected: BlobRef, untrusted_reader: BinaryIO) -> None:
    """Raise BlobChanged unless a blob has the size and hash that the letter states."""
    seen, size = hashlib.sha256(), 0
    while chunk := untrusted_reader.read(_READ_CHUNK_BYTES):
        seen.update(chunk)
        size += len(chunk)
    if size != expected.size or not equal_in_constant_time(seen.digest(), expected.sha256):
        raise BlobChanged


class _ReadAheadReader:
    """A reader that returns the bytes already read from a stream, then the rest of the stream."""

    def __init__(self, front: bytes, rest: BinaryIO) -> None:
        self._front, self._rest = io.BytesIO(front), rest
        self.failed: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            return self._front.read(size) or self._rest.read(size)
        except OSError as why:
            self.failed = why
            raise

    def raise_deferred_error(self) -> None:
        """Raise the error that reading met earlier, if any."""
        if self.failed is not None:
            raise self.failed from None


class _ErrorKeepingWriter:
    """A writer that passes bytes on to another writer, and remembers that writer's last error.

    Pyrage turns all errors into one type, and drops an error of the last write.
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

    def raise_deferred_error(self) -> None:
        """Raise the error that writing met earlier, if any."""
        if self.failed is not None:
            raise self.failed from None


def _pyrage_identity(key: Secret) -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.from_str(age_identity(key).reveal().decode())


def _five_bit_groups(data: bytes) -> list[int]:
    """Split bytes into groups of 5 bits, as numbers; pad the last group with zero bits."""
    bits = "".join(f"{byte:08b}" for byte in data)
    return [int(bits[at : at + 5].ljust(5, "0"), 2) for at in range(0, len(bits), 5)]


def _bech32_checksum(prefix: str, groups: list[int]) -> list[int]:
    spread = [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix]
    rest = _bech32_polymod([*spread, *groups, 0, 0, 0, 0, 0, 0]) ^ 1
    return [rest >> 5 * (5 - at) & 31 for at in range(6)]


def _bech32_polymod(groups: list[int]) -> int:
    rest = 1
    for group in groups:
        top = rest >> 25
        rest = (rest & 0x1FFFFFF) << 5 ^ group
        for at, factor in enumerate(_BECH32_GENERATOR):
            rest ^= factor if top >> at & 1 else 0
    return rest


_SEALED_FILE_CONTEXT: Final = b"entrenous/1 sealed file\x00"


def seal_file(key: Secret, data: bytes, name: bytes = b"") -> bytes:
    """Encrypt to an age file under a key derived from ``key`` and ``name``.

    Decryption needs the same name. The result is longer than the data by about 200 bytes, and by 16
    bytes for every 64 KiB.
    """
    return encrypt_blob(derive(key, _SEALED_FILE_CONTEXT + name), data)


def unseal_file(key: Secret, untrusted_sealed: bytes, name: bytes = b"") -> bytes:
    """Decrypt what :func:`seal_file` wrote under the same key and name.

    Raises DecryptionFailed if the key or the name is wrong, or the file was changed or truncated.
    """
    return decrypt_blob(derive(key, _SEALED_FILE_CONTEXT + name), untrusted_sealed)


def seal_stream(key: Secret, reader: BinaryIO, writer: BinaryIO, name: bytes = b"") -> None:
    """Like :func:`seal_file`, in chunks; raises OSError if reading or writing fails."""
    encrypt_stream(derive(key, _SEALED_FILE_CONTEXT + name), reader, writer)


def unseal_stream(
    key: Secret, untrusted_sealed: BinaryIO, writer: BinaryIO, name: bytes = b""
) -> None:
    """Like :func:`unseal_file`, in chunks; after an error, discard what was written.

    Raises:
        DecryptionFailed: the wrong key or name, or the file was changed or truncated.
        OSError: raised by the reader or by ``writer``.
    """
    decrypt_stream(derive(key, _SEALED_FILE_CONTEXT + name), untrusted_sealed, writer)


PASSPHRASE_FILE_RANDOM_BYTES: Final = 48
# age's default: scrypt's parameter N is 2**18, so one guess takes 256 MiB and about a second
SCRYPT_WORK_FACTOR: Final = 18
# a file with a larger N than 2**20, which takes 1 GiB of memory, is refused
_WORK_FACTOR_MAX: Final = 20
_FILE_KEY_BYTES: Final = 16  # a file key, a salt and a nonce each have this many bytes
_PASSPHRASE_FILE_DATA_BYTES_MAX: Final = 64 * 1024
_SCRYPT_SALT_PREFIX: Final = b"age-encryption.org/v1/scrypt"
_FIRST_CHUNK_NONCE: Final = bytes(12)
_ONLY_CHUNK_NONCE: Final = bytes(11) + b"\1"  # nonce of the first chunk of a file that has only one
_PASSPHRASE_FILE_PATTERN: Final = re.compile(
    rb"(age-encryption\.org/v1\n"
    rb"-> scrypt (?P<salt>[A-Za-z0-9+/]{22}) (?P<work_factor>[1-9][0-9]?)\n"
    rb"(?P<body>[A-Za-z0-9+/]{43})\n"
    rb"---) (?P<mac>[A-Za-z0-9+/]{43})\n"
    rb"(?P<nonce>.{16})(?P<chunk>.{16,65552})",
    re.DOTALL,
)


def encrypt_with_passphrase(
    passphrase: Secret, data: bytes, random_bytes: bytes, work_factor: int
) -> bytes:
    """Encrypt up to 64 KiB to an age file under a passphrase.

    ``random_bytes`` has 48 fresh random bytes: the file key, the salt and the nonce.
    ``work_factor`` is the binary logarithm of scrypt's parameter N.
    """
    if (
        len(random_bytes) != PASSPHRASE_FILE_RANDOM_BYTES
        or len(data) > _PASSPHRASE_FILE_DATA_BYTES_MAX
    ):
        raise ValueError("a small file under a passphrase needs 48 random bytes")
    file_key, salt, nonce = (
        random_bytes[at : at + _FILE_KEY_BYTES]
        for at in range(0, PASSPHRASE_FILE_RANDOM_BYTES, _FILE_KEY_BYTES)
    )
    body = ChaCha20Poly1305(_wrapping_key(passphrase, salt, work_factor)).encrypt(
        _FIRST_CHUNK_NONCE, file_key, None
    )
    stanza = b"-> scrypt %b %d\n%b\n" % (_encode_base64(salt), work_factor, _encode_base64(body))
    header = b"age-encryption.org/v1\n" + stanza + b"---"
    chunk = ChaCha20Poly1305(_payload_key(file_key, nonce)).encrypt(_ONLY_CHUNK_NONCE, data, None)
    return header + b" " + _encode_base64(_header_mac(file_key, header)) + b"\n" + nonce + chunk


def decrypt_with_passphrase(passphrase: Secret, untrusted_file: bytes) -> bytes:
    """Decrypt what :func:`encrypt_with_passphrase` wrote, all or nothing.

    Raises:
        BadKey: the wrong passphrase.
        DecryptionFailed: this is not such a file, it was changed, or it requires more than 1 GiB of
            memory.
    """
    found = _PASSPHRASE_FILE_PATTERN.fullmatch(untrusted_file)
    if found is None or int(found["work_factor"]) > _WORK_FACTOR_MAX:
        raise DecryptionFailed
    salt, body, mac = (_decode_base64(found[name]) for name in ("salt", "body", "mac"))
    try:
        wrapping = ChaCha20Poly1305(_wrapping_key(passphrase, salt, int(found["work_factor"])))
        file_key = wrapping.decrypt(_FIRST_CHUNK_NONCE, body, None)
    except InvalidTag:
        raise BadKey from None
    if not equal_in_constant_time(_header_mac(file_key, found[1]), mac):
        raise DecryptionFailed
    try:
        payload = ChaCha20Poly1305(_payload_key(file_key, found["nonce"]))
        return payload.decrypt(_ONLY_CHUNK_NONCE, found["chunk"], None)
    except InvalidTag:
        raise DecryptionFailed from None


def _wrapping_key(passphrase: Secret, salt: bytes, work_factor: int) -> bytes:
    words, block = passphrase.reveal(), 8
    room = 128 * block * 2**work_factor + 1024**2
    return hashlib.scrypt(
        words,
        salt=_SCRYPT_SALT_PREFIX + salt,
        n=2**work_factor,
        r=block,
        p=1,
        maxmem=room,
        dklen=32,
    )


def _header_mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(derive(Secret(file_key), b"header").reveal(), header, "sha256")


def _payload_key(file_key: bytes, nonce: bytes) -> bytes:
    return derive(Secret(file_key), b"payload", salt=nonce).reveal()


def _encode_base64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _decode_base64(text: bytes) -> bytes:
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise DecryptionFailed from None
    if _encode_base64(data) != text:  # otherwise the same bytes would have several encodings
        raise DecryptionFailed
    return data


STORED_VALUE_KEY_BYTES: Final = 32
STORED_VALUE_KEY_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_KEY_ID_CONTEXT: Final = b"entrenous/1 held key\0"


def stored_value_key_id(key: Secret) -> bytes:
    """Return eight bytes that identify a key without revealing it."""
    return hashlib.sha256(_KEY_ID_CONTEXT + key.reveal()).digest()[:STORED_VALUE_KEY_ID_BYTES]


def seal_stored_value(key: Secret, data: bytes, about: bytes) -> bytes:
    """Encrypt ``data`` with a 32-byte key; decryption needs the same ``about``.

    Return the nonce, the ciphertext and the 16-byte authentication tag, joined.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _aes_gcm_cipher(key).encrypt(nonce, data, about)


def unseal_stored_value(key: Secret, sealed: bytes, about: bytes) -> bytes:
    """Decrypt what :func:`seal_stored_value` wrote.

    Raises DecryptionFailed if the key or ``about`` is wrong, or the bytes were changed.
    """
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return _aes_gcm_cipher(key).decrypt(nonce, ciphertext, about)
    except (InvalidTag, ValueError):  # ValueError means that the nonce is truncated
        raise DecryptionFailed from None


def _aes_gcm_cipher(key: Secret) -> AESGCM:
    if len(key) != STORED_VALUE_KEY_BYTES:
        raise ValueError("a key for held bytes has 32 bytes")
    return AESGCM(key.reveal())
