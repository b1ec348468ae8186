"""Bytes that wait in a store for a person, sealed under a key that lies elsewhere.

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits; what the bytes are of is authenticated
beside them, so that a sealed upload opens under its own case alone. One key seals far fewer than
the 2^32 of its section 8.3.
"""

import hashlib
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from entrenous.model.letter import DoesNotOpen
from entrenous.model.secret import Secret

KEY_BYTES: Final = 32
NAME_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_NAME: Final = b"entrenous/1 held key\0"


def name_of(key: Secret) -> bytes:
    """By which it is known which key sealed something: eight bytes, which do not tell the key."""
    return hashlib.sha256(_NAME + key.reveal()).digest()[:NAME_BYTES]


def seal_held(key: Secret, data: bytes, about: bytes) -> bytes:
    """``data``, sealed: a nonce, ciphertext as long as the data, and a tag of 16 bytes.

    Raises:
        ValueError: the key has not 32 bytes.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, data, about)


def open_held(key: Secret, sealed: bytes, about: bytes) -> bytes:
    """What was sealed.

    Raises:
        DoesNotOpen: by another key, about something else, or changed since.
        ValueError: the key has not 32 bytes.
    """
    nonce, shut = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return _cipher(key).decrypt(nonce, shut, about)
    except (InvalidTag, ValueError):  # ValueError: a nonce that was cut short
        raise DoesNotOpen from None


def _cipher(key: Secret) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise ValueError("a key for held bytes has 32 bytes")
    return AESGCM(key.reveal())
