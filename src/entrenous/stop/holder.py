"""The holder's token: it alone can withdraw a claim, and it names the claim before it is made.

A device writes the token down before it asks, so that a claim whose answer was lost is never out of
reach; and a platform that is asked twice with one token makes one claim (docs/spec/gate.md
section 4).
"""

import hashlib

from entrenous.model.ids import ClaimId
from entrenous.model.secret import Secret
from entrenous.spec import CLAIM_ID_BYTES


def holder_hash(token: Secret) -> bytes:
    """What the platform keeps of a holder's token: its SHA-256."""
    return hashlib.sha256(token.reveal()).digest()


def claim_of(holder_sha256: bytes) -> ClaimId:
    """The name of the claim that this token's hash makes: its first 16 bytes, as hex digits.

    The token is random, so nobody can count or guess claims by it.
    """
    return ClaimId(holder_sha256[:CLAIM_ID_BYTES].hex())
