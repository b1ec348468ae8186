"""The two age files of an archive (docs/spec/archive.md section 1).

age encrypts what it reads and decrypts into what it writes, while a tar is written and read piece
by piece; so each runs in a thread of its own, at the other end of a pipe.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import BinaryIO, Final

from entrenous.craft.crypto.blob import decrypt_stream, encrypt_stream, identity_of, key_of
from entrenous.craft.crypto.passphrase_file import PRICE, open_under, seal_under
from entrenous.model.archive import BadArchive, WrongArchivePassphrase
from entrenous.model.errors import EntrenousError
from entrenous.model.letter import BadKey, DoesNotOpen
from entrenous.model.secret import Secret

_CHUNK: Final = 1024 * 1024


def lock_key(key: Secret, passphrase: Secret, noise: bytes) -> bytes:
    """An age identity file of ``key`` (32 bytes), itself an age file under a passphrase.

    ``noise`` are 48 random bytes (craft/crypto/passphrase_file.py).
    """
    return seal_under(passphrase, identity_of(key).reveal() + b"\n", noise, PRICE)


def unlock_key(untrusted_file: bytes, passphrase: Secret) -> Secret:
    """The key in an age identity file that a passphrase protects.

    Raises:
        WrongArchivePassphrase: it is another one.
        BadArchive: no such file, or there is not one X25519 identity in it.
    """
    try:
        text = open_under(passphrase, untrusted_file)
    except BadKey:
        raise WrongArchivePassphrase from None
    except DoesNotOpen:
        raise BadArchive from None
    lines = [line.strip() for line in text.splitlines()]
    identities = [line for line in lines if line and not line.startswith(b"#")]
    if len(identities) != 1:
        raise BadArchive
    try:
        return key_of(Secret(identities[0]))
    except ValueError:
        raise BadArchive from None


@contextmanager
def sealing(key: Secret, writer: BinaryIO) -> Iterator[BinaryIO]:
    """A file; all that is written to it is encrypted into ``writer``, whole when this is left.

    When it is left by an error, what ``writer`` got is to be thrown away.

    Raises:
        OSError: what ``writer`` raised.
    """
    source, sink = os.pipe()
    with ThreadPoolExecutor(1) as beside:
        done = beside.submit(_encrypt, key, source, writer)
        try:
            with os.fdopen(sink, "wb") as pipe:
                yield pipe
        except BrokenPipeError:
            done.result()  # it says why nobody reads any more
            raise
        done.result()


@contextmanager
def opening(key: Secret, untrusted_reader: BinaryIO) -> Iterator[BinaryIO]:
    """A file from which to read what :func:`sealing` encrypted.

    Whether all of it is right is known when this is left and not before; so nothing that was read
    may have had an effect by then that cannot be undone.

    Raises:
        DoesNotOpen: another key, or bytes that were changed, cut short or lengthened.
    """
    source, sink = os.pipe()
    with ThreadPoolExecutor(1) as beside:
        done = beside.submit(_decrypt, key, untrusted_reader, sink)
        try:
            with os.fdopen(source, "rb") as pipe:
                yield pipe
                while pipe.read(_CHUNK):
                    pass
        except EntrenousError:
            if isinstance(done.exception(), DoesNotOpen):
                raise DoesNotOpen from None  # which is why there was too little to read
            raise
        done.result()


def _encrypt(key: Secret, source: int, writer: BinaryIO) -> None:
    with os.fdopen(source, "rb") as reader:
        encrypt_stream(key, reader, writer)


def _decrypt(key: Secret, untrusted_reader: BinaryIO, sink: int) -> None:
    with os.fdopen(sink, "wb") as writer:
        decrypt_stream(key, untrusted_reader, writer)
