"""A person's master keys: Ed25519 and ML-DSA-65, and both must verify.

One protects against a break of the other: Ed25519 (RFC 8032) is old and trusted and falls to a
quantum computer, ML-DSA-65 (FIPS 204) does not and is young (docs/spec/identity.md section 1).
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from entrenous.model.person import BadSignature, MasterKey
from entrenous.model.secret import Secret

MASTER_BYTES: Final = 64  # Ed25519 seed, then ML-DSA-65 seed: the private form is its own seed
SIGNATURE_BYTES: Final = 64 + 3309


def new_master(seed: bytes) -> Secret:
    """The private master keys that grow from 64 random bytes.

    Raises:
        ValueError: ``seed`` has another length.
    """
    if len(seed) != MASTER_BYTES:
        raise ValueError("master keys grow from 64 bytes")
    return Secret(seed)


def public_master(master: Secret) -> MasterKey:
    """The public half of what :func:`new_master` made."""
    ed25519, mldsa65 = _open(master)
    return MasterKey(
        ed25519.public_key().public_bytes_raw(), mldsa65.public_key().public_bytes_raw()
    )


def sign_both(master: Secret, context: bytes, statement: bytes) -> bytes:
    """Both signatures, Ed25519's 64 bytes and then ML-DSA-65's 3,309, over the same bytes."""
    signed = _said(context, statement)
    ed25519, mldsa65 = _open(master)
    return ed25519.sign(signed) + mldsa65.sign(signed)


def verify_both(
    master: MasterKey, context: bytes, statement: bytes, signature: bytes, *, what: str
) -> None:
    """Return only if both signatures hold.

    Raises:
        BadSignature: one of them does not, or a key or signature has the wrong form; ``what`` tells
            the reader what was signed.
    """
    signed = _said(context, statement)
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignature(what=what)
    try:
        Ed25519PublicKey.from_public_bytes(master.ed25519).verify(signature[:64], signed)
        MLDSA65PublicKey.from_public_bytes(master.mldsa65).verify(signature[64:], signed)
    except (InvalidSignature, ValueError):
        raise BadSignature(what=what) from None


def _open(master: Secret) -> tuple[Ed25519PrivateKey, MLDSA65PrivateKey]:
    seed = master.reveal()
    return (
        Ed25519PrivateKey.from_private_bytes(seed[:32]),
        MLDSA65PrivateKey.from_seed_bytes(seed[32:]),
    )


def _said(context: bytes, statement: bytes) -> bytes:
    if b"\x00" in context:
        raise ValueError("a context has no zero byte: it ends at the first one")
    return context + b"\x00" + statement
