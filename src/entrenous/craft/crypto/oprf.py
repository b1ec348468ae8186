"""A function of two secrets that neither side shows to the other: OPRF(ristretto255, SHA-512).

RFC 9497 in its plain mode (``modeOPRF``): who knows an input asks, blinded, whoever holds the key,
and unblinds what comes back. The holder learns nothing about the input; who asks learns nothing
about the key, and can try one input per question. So the holder can count guesses, and a holder
who forgets the key has ended them for ever (docs/spec/lock.md).

The group is ristretto255 (RFC 9496), from libsodium by way of ``rbcl``. Elements and scalars are 32
bytes, as those documents write them.
"""

import contextlib
import hashlib
import importlib
from functools import cache
from pathlib import Path
from typing import Any, Final

from entrenous.craft.crypto.hashing import same
from entrenous.model.lock import NotAPoint
from entrenous.model.secret import Secret

ELEMENT_BYTES: Final = 32
OUTPUT_BYTES: Final = 64
UNIFORM_BYTES: Final = 64  # that a scalar is drawn from: 259 bits more than it has, so no bias

_CONTEXT: Final = b"OPRFV1-\x00-ristretto255-SHA512"  # RFC 9497 sections 3.1 and 4.1
_HASH_TO_GROUP: Final = b"HashToGroup-" + _CONTEXT
_IDENTITY: Final = bytes(ELEMENT_BYTES)
# Of the last byte: set, the number is beyond the field, and the spelling none (RFC 9496 section
# 4.3.1). libsodium 1.0.18 overlooks it, so each element had two spellings, and the identity one
# with which it then fails.
_UNUSED_BIT: Final = 0x80
_BLOCK_BYTES: Final = 128  # of SHA-512


def draw_scalar(uniform: bytes) -> Secret:
    """A key or a blind, 32 bytes, from 64 random ones.

    Raises:
        ValueError: fewer or more than 64 bytes, or they happen to make zero (once in 2**252).
    """
    if len(uniform) != UNIFORM_BYTES:
        raise ValueError("a scalar is drawn from 64 random bytes")
    scalar = bytes(_group().crypto_core_ristretto255_scalar_reduce(uniform))
    if not any(scalar):
        raise ValueError("a scalar is not zero")
    return Secret(scalar)


def blind(untold: Secret, scalar: Secret) -> bytes:
    """The question: a random-looking element, 32 bytes, whatever the input ``untold`` is.

    ``scalar`` is a fresh :func:`draw_scalar`, needed again by :func:`finalize`.
    """
    element = _group().crypto_core_ristretto255_from_hash(
        _expand(untold.reveal(), _HASH_TO_GROUP, 64)
    )
    return _times(scalar, bytes(element))


def refuse_no_element(untrusted_element: bytes) -> None:
    """Return only if these bytes are one element of the group, and not the identity.

    Raises:
        NotAPoint.
    """
    sized = len(untrusted_element) == ELEMENT_BYTES
    if not sized or same(untrusted_element, _IDENTITY):
        raise NotAPoint
    if untrusted_element[-1] & _UNUSED_BIT:
        raise NotAPoint
    if not _group().crypto_core_ristretto255_is_valid_point(untrusted_element):
        raise NotAPoint


def evaluate(key: Secret, untrusted_blinded: bytes) -> bytes:
    """The answer of whoever holds ``key``: an element, 32 bytes; raises NotAPoint."""
    refuse_no_element(untrusted_blinded)
    return _times(key, untrusted_blinded)


def finalize(untold: Secret, scalar: Secret, untrusted_evaluated: bytes) -> Secret:
    """The function's value, 64 bytes, from the answer to :func:`blind`'s question.

    A holder who answers something else makes it another value; nothing tells (RFC 9497 section
    7.1), but what was sealed under the true one does not open.

    Raises:
        NotAPoint: the answer is no element.
    """
    refuse_no_element(untrusted_evaluated)
    inverse = Secret(bytes(_group().crypto_core_ristretto255_scalar_invert(scalar.reveal())))
    element = _times(inverse, untrusted_evaluated)
    return Secret(hashlib.sha512(_sized(untold.reveal()) + _sized(element) + b"Finalize").digest())


@cache
def _group() -> Any:
    """``rbcl``, when it is first needed. It unpacks libsodium into a temporary file and leaves that
    there; once it is loaded, the file is not needed any more (Windows keeps it).
    """
    group = importlib.import_module("rbcl")
    unpacked = importlib.import_module("rbcl._sodium").lib_path
    with contextlib.suppress(OSError):
        Path(unpacked).unlink()
    return group


def _times(scalar: Secret, element: bytes) -> bytes:
    return bytes(_group().crypto_scalarmult_ristretto255(scalar.reveal(), element))


def _sized(part: bytes) -> bytes:
    return len(part).to_bytes(2, "big") + part


def _expand(message: bytes, separator: bytes, size: int) -> bytes:
    """expand_message_xmd with SHA-512 (RFC 9380 section 5.3.1); ``size`` is at most 64 here."""
    tail = separator + bytes([len(separator)])
    padded = bytes(_BLOCK_BYTES) + message + size.to_bytes(2, "big") + b"\x00" + tail
    first = hashlib.sha512(padded).digest()
    return hashlib.sha512(first + b"\x01" + tail).digest()[:size]
