"""An oblivious pseudorandom function: OPRF(ristretto255, SHA-512) of RFC 9497.

Neither side learns the secret of the other.
"""

import hashlib
import importlib.util
import os
import re
import stat
import sys
import tempfile
from ctypes import CDLL
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time
from entrenous.crypto.nouns import NotAPoint

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
_LOOKED_FOR: Final = "_sodium"


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
    if not sized or equal_in_constant_time(untrusted_element, _IDENTITY):
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
    """``rbcl``, when it is first needed, over a libsodium that nobody else could have written.

    Left alone, rbcl takes any ``_sodium.py`` on the path for its own, and else unpacks libsodium
    into the folder for temporary files (docs/decisions/0039-libsodium-in-memory.md).
    """
    sodium = ModuleType(_LOOKED_FOR)
    vars(sodium)[_LOOKED_FOR] = _loaded(_bundled())
    sys.modules[_LOOKED_FOR] = sodium  # where rbcl looks first
    try:
        return importlib.import_module("rbcl")
    finally:
        sys.modules.pop(_LOOKED_FOR, None)


def _bundled() -> bytes:
    """The library in rbcl's own module, which is read and not run.

    Raises:
        ImportError: rbcl is not there, or carries it in another way.
    """
    spec = importlib.util.find_spec("rbcl")
    places = spec.submodule_search_locations if spec is not None else None
    source = b"".join((Path(place) / "_sodium.py").read_bytes() for place in places or ())
    found = re.search(rb"fromhex\('([0-9a-f]+)'\)", source)
    if found is None:
        raise ImportError("rbcl carries no libsodium that is known here")
    return bytes.fromhex(found[1].decode())


def _loaded(library: bytes) -> CDLL:
    """From memory alone, where the system knows that and allows it; else by a folder of our own.

    Raises:
        ImportError: that folder would not be safe.
    """
    try:
        with os.fdopen(os.memfd_create("libsodium"), "wb") as memory:
            memory.write(library)
            memory.flush()
            return CDLL(f"/proc/self/fd/{memory.fileno()}")
    except (AttributeError, OSError):  # no Linux; or forbidden to this process
        return _loaded_from_folder(library)


def _loaded_from_folder(library: bytes) -> CDLL:
    """By a new folder of mode 0700, which is gone when it is loaded (Windows keeps it).

    Raises:
        ImportError: others may put another folder in its place meanwhile.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as private:
        above = Path(private).parent.stat().st_mode
        if above & stat.S_IWOTH and not above & stat.S_ISVTX and os.name == "posix":
            raise ImportError(f"others can replace files in {tempfile.gettempdir()}: set TMPDIR")
        file = Path(private) / "libsodium"
        file.write_bytes(library)
        return CDLL(str(file))


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
