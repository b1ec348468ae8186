"""An oblivious pseudorandom function: OPRF(ristretto255, SHA-512) of RFC 9497.

The relay has the key and the device has the input. Neither learns what the other has.
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
# random bytes from which a scalar is made: twice the scalar's size, so that the scalar is unbiased
SCALAR_RANDOM_BYTES: Final = 64
# the context string of RFC 9497, sections 3.1 and 4.1
_SUITE_CONTEXT: Final = b"OPRFV1-\x00-ristretto255-SHA512"
_HASH_TO_GROUP_CONTEXT: Final = b"HashToGroup-" + _SUITE_CONTEXT
_IDENTITY_ELEMENT: Final = bytes(ELEMENT_BYTES)
# In a canonical encoding, this bit of the last byte is zero (RFC 9496 section 4.3.1). libsodium
# 1.0.18 ignores the bit, so each element would have two encodings, and libsodium fails on one of
# the two encodings of the identity.
_UNUSED_BIT: Final = 0x80
_SHA512_BLOCK_BYTES: Final = 128  # the block size of SHA-512
_SODIUM_MODULE: Final = "_sodium"


def scalar_from_random(uniform: bytes) -> Secret:
    """Make a scalar, 32 bytes, from 64 random bytes: a key, or a factor for :func:`blind`.

    Raises ValueError if the scalar is zero, which happens with a probability of 2**-252.
    """
    if len(uniform) != SCALAR_RANDOM_BYTES:
        raise ValueError("a scalar is drawn from 64 random bytes")
    scalar = bytes(_load_rbcl().crypto_core_ristretto255_scalar_reduce(uniform))
    if not any(scalar):
        raise ValueError("a scalar is not zero")
    return Secret(scalar)


def blind(private_input: Secret, scalar: Secret) -> bytes:
    """Return the blinded element, 32 bytes, which reveals nothing about ``private_input``.

    ``scalar`` is new for every call, made by :func:`scalar_from_random`. :func:`finalize` needs the
    same scalar.
    """
    element = _load_rbcl().crypto_core_ristretto255_from_hash(
        _expand_message(private_input.reveal(), _HASH_TO_GROUP_CONTEXT, 64)
    )
    return _multiply_element(scalar, bytes(element))


def check_element(untrusted_element: bytes) -> None:
    """Raise NotAPoint unless these bytes are the canonical encoding of an element.

    The identity element is refused as well.
    """
    sized = len(untrusted_element) == ELEMENT_BYTES
    if not sized or equal_in_constant_time(untrusted_element, _IDENTITY_ELEMENT):
        raise NotAPoint
    if untrusted_element[-1] & _UNUSED_BIT:
        raise NotAPoint
    if not _load_rbcl().crypto_core_ristretto255_is_valid_point(untrusted_element):
        raise NotAPoint


def evaluate(key: Secret, untrusted_blinded: bytes) -> bytes:
    """Return the key holder's answer to a blinded element, 32 bytes; raises NotAPoint."""
    check_element(untrusted_blinded)
    return _multiply_element(key, untrusted_blinded)


def finalize(private_input: Secret, scalar: Secret, untrusted_evaluated: bytes) -> Secret:
    """Return the function's output, 64 bytes, from the evaluated element; raises NotAPoint.

    A dishonest key holder can cause a wrong output unnoticed (RFC 9497 section 7.1). Decryption
    with that output then fails.
    """
    check_element(untrusted_evaluated)
    inverse = Secret(bytes(_load_rbcl().crypto_core_ristretto255_scalar_invert(scalar.reveal())))
    element = _multiply_element(inverse, untrusted_evaluated)
    return Secret(
        hashlib.sha512(
            _length_prefixed(private_input.reveal()) + _length_prefixed(element) + b"Finalize"
        ).digest()
    )


@cache
def _load_rbcl() -> Any:
    """Load ``rbcl`` on first use, with a libsodium that nobody else can replace.

    By default, rbcl uses any ``_sodium.py`` on the path, or unpacks libsodium into the folder for
    temporary files (docs/decisions/0039-libsodium-in-memory.md).
    """
    sodium = ModuleType(_SODIUM_MODULE)
    vars(sodium)[_SODIUM_MODULE] = _load_from_memory(_bundled_library())
    sys.modules[_SODIUM_MODULE] = sodium  # rbcl looks for a loaded module of this name first
    try:
        return importlib.import_module("rbcl")
    finally:
        sys.modules.pop(_SODIUM_MODULE, None)


def _bundled_library() -> bytes:
    """Return the libsodium library embedded in rbcl's module, without running that module."""
    spec = importlib.util.find_spec("rbcl")
    places = spec.submodule_search_locations if spec is not None else None
    source = b"".join((Path(place) / "_sodium.py").read_bytes() for place in places or ())
    found = re.search(rb"fromhex\('([0-9a-f]+)'\)", source)
    if found is None:
        raise ImportError("rbcl carries no libsodium that is known here")
    return bytes.fromhex(found[1].decode())


def _load_from_memory(library: bytes) -> CDLL:
    """Load a library from memory if the system allows it, otherwise from a private folder."""
    try:
        with os.fdopen(os.memfd_create("libsodium"), "wb") as memory:
            memory.write(library)
            memory.flush()
            return CDLL(f"/proc/self/fd/{memory.fileno()}")
    except (AttributeError, OSError):  # this is not Linux, or the system does not allow it
        return _load_from_folder(library)


def _load_from_folder(library: bytes) -> CDLL:
    """Load the library from a new folder of mode 0700, which is deleted afterwards.

    On Windows the folder stays. Raises ImportError if somebody else could replace the folder.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as private:
        above = Path(private).parent.stat().st_mode
        if above & stat.S_IWOTH and not above & stat.S_ISVTX and os.name == "posix":
            raise ImportError(f"others can replace files in {tempfile.gettempdir()}: set TMPDIR")
        file = Path(private) / "libsodium"
        file.write_bytes(library)
        return CDLL(str(file))


def _multiply_element(scalar: Secret, element: bytes) -> bytes:
    return bytes(_load_rbcl().crypto_scalarmult_ristretto255(scalar.reveal(), element))


def _length_prefixed(part: bytes) -> bytes:
    return len(part).to_bytes(2, "big") + part


def _expand_message(message: bytes, separator: bytes, size: int) -> bytes:
    """Hash a message to ``size`` bytes (expand_message_xmd with SHA-512, RFC 9380 section 5.3.1).

    Here ``size`` is at most 64.
    """
    tail = separator + bytes([len(separator)])
    padded = bytes(_SHA512_BLOCK_BYTES) + message + size.to_bytes(2, "big") + b"\x00" + tail
    first = hashlib.sha512(padded).digest()
    return hashlib.sha512(first + b"\x01" + tail).digest()[:size]
