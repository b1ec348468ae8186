"""Hashes, and comparisons that take the same time whatever they find.

The relay uses this file too, so nothing here can open anything.
"""

import hashlib
import hmac
from typing import Final

from entrenous.model.ids import PersonId
from entrenous.model.person import MasterKey
from entrenous.model.secret import Secret

_LOCK: Final = b"entrenous/1 lock\x00"
_PERSON: Final = b"entrenous/1 person\x00"


def sha256(data: bytes) -> bytes:
    """SHA-256 (FIPS 180-4), 32 bytes."""
    return hashlib.sha256(data).digest()


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
