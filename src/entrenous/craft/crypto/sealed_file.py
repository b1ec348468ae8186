"""Large things at rest: age v1 files under a key that the vault holds.

age was chosen over a bare ChaCha20-Poly1305 because it is authenticated in chunks of 64 KiB (a
video need not fit in memory one day), tells a truncated file from a whole one, and is what blobs
already are: one format, one test kit. Each file's key is derived from the vault's and the file's
name, so a file that is put in another's place does not open. The X25519 recipient never leaves
the vault, so a stolen disk gives a quantum computer nothing to work on (docs/spec/content.md 3).
"""

from typing import BinaryIO, Final

from entrenous.craft.crypto.blob import (
    decrypt_blob,
    decrypt_stream,
    encrypt_blob,
    encrypt_stream,
)
from entrenous.craft.crypto.derive import derive
from entrenous.model.secret import Secret

_CONTEXT: Final = b"entrenous/1 sealed file\x00"


def seal_file(key: Secret, data: bytes, name: bytes = b"") -> bytes:
    """An age file, about 200 bytes plus 16 for each 64 KiB longer; ``name`` is bound to it."""
    return encrypt_blob(derive(key, _CONTEXT + name), data)


def unseal_file(key: Secret, untrusted_sealed: bytes, name: bytes = b"") -> bytes:
    """What :func:`seal_file` sealed under the same key and name.

    Raises:
        DoesNotOpen: another key or name, or the file was changed or cut short.
    """
    return decrypt_blob(derive(key, _CONTEXT + name), untrusted_sealed)


def seal_stream(key: Secret, reader: BinaryIO, writer: BinaryIO, name: bytes = b"") -> None:
    """:func:`seal_file` of all that ``reader`` yields, a chunk at a time.

    Raises:
        OSError: what ``reader`` or ``writer`` raised.
    """
    encrypt_stream(derive(key, _CONTEXT + name), reader, writer)


def unseal_stream(
    key: Secret, untrusted_sealed: BinaryIO, writer: BinaryIO, name: bytes = b""
) -> None:
    """:func:`unseal_file`, a chunk at a time; after an error, what was written is not to be used.

    Raises:
        DoesNotOpen: another key or name, or the file was changed or cut short.
        OSError: what ``writer`` raised.
    """
    decrypt_stream(derive(key, _CONTEXT + name), untrusted_sealed, writer)
