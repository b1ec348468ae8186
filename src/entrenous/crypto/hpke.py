"""HPKE (RFC 9180, base mode) with X-Wing, the hybrid of ML-KEM-768 and X25519."""

import hashlib
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from entrenous.base.secret import Secret
from entrenous.crypto.nouns import BadKey, NotForThisMailbox

XWING_PRIVATE_KEY_BYTES: Final = 32
XWING_PUBLIC_KEY_BYTES: Final = 1216
SEAL_OVERHEAD_BYTES: Final = 1136  # the encapsulated key has 1,120 bytes, the authentication tag 16
_MLKEM_PUBLIC_KEY_BYTES: Final = 1184


class NoPostQuantum(RuntimeError):
    """The installed package ``cryptography`` has no ML-KEM-768; nothing weaker is used."""


def xwing_private_key_from_seed(seed: bytes) -> Secret:
    """Return the private key for these 32 random bytes (X-Wing draft)."""
    if len(seed) != XWING_PRIVATE_KEY_BYTES:
        raise ValueError("an X-Wing key grows from 32 bytes")
    return Secret(seed)


def xwing_public_key(private: Secret) -> bytes:
    """Return the public key, 1,216 bytes: the ML-KEM-768 key, then the X25519 key."""
    mlkem, x25519 = _expand_private_key(private)
    return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def seal_to(untrusted_public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Encrypt for the holder of a private key; decryption needs the same ``info``.

    Return the encapsulated key and the ciphertext, together 1,136 bytes longer than ``plaintext``.

    Raises:
        BadKey: this is not an X-Wing key, or its X25519 half gives no shared secret.
        NoPostQuantum: the installed library lacks ML-KEM-768.
    """
    if len(untrusted_public) != XWING_PUBLIC_KEY_BYTES:
        raise BadKey
    suite = _hpke_suite()
    try:
        key = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(untrusted_public[:_MLKEM_PUBLIC_KEY_BYTES]),
            X25519PublicKey.from_public_bytes(untrusted_public[_MLKEM_PUBLIC_KEY_BYTES:]),
        )
        return suite.encrypt(plaintext, key, info)
    except ValueError:
        raise BadKey from None


def open_sealed(private: Secret, info: bytes, untrusted_sealed: bytes) -> bytes:
    """Decrypt what :func:`seal_to` encrypted for this key with this ``info``.

    Raises:
        NotForThisMailbox: the key or ``info`` is wrong, or the bytes were changed.
        NoPostQuantum: the installed library lacks ML-KEM-768.
    """
    suite = _hpke_suite()
    try:
        return suite.decrypt(
            untrusted_sealed, hpke.MLKEM768X25519PrivateKey(*_expand_private_key(private)), info
        )
    except (InvalidTag, ValueError):
        raise NotForThisMailbox(
            what="it was encrypted for another device or key, or by somebody else"
        ) from None


def _hpke_suite() -> hpke.Suite:
    try:
        return hpke.Suite(
            hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305
        )
    except (AttributeError, UnsupportedAlgorithm) as why:
        raise NoPostQuantum("update the package cryptography, or its OpenSSL") from why


def _expand_private_key(private: Secret) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    """Derive both private keys from 32 bytes (ExpandDecapsulationKey, X-Wing draft section 5.2)."""
    both = hashlib.shake_256(private.reveal()).digest(96)
    try:
        mlkem = MLKEM768PrivateKey.from_seed_bytes(both[:64])
    except UnsupportedAlgorithm as why:
        raise NoPostQuantum("update the package cryptography, or its OpenSSL") from why
    return mlkem, X25519PrivateKey.from_private_bytes(both[64:])
