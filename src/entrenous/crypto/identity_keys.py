"""A person's master keys and a device's keys.

A person has two master keys, Ed25519 and ML-DSA-65, and both signatures must verify. A device has
an ML-DSA-65 key and an Olm account, which these functions take and return in vodozemac's encoding
(a "pickle").
"""

import base64
from dataclasses import dataclass
from typing import Final

import vodozemac
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from entrenous.base.identifiers import PersonId
from entrenous.base.identity import BadSignature, CertifiedDevice, MasterPublicKeys, SignedBatch
from entrenous.base.limits import ONE_TIME_KEYS_MAX
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time, sha256

_PERSON_ID_CONTEXT: Final = b"entrenous/1 person\x00"


def person_id(master: MasterPublicKeys) -> PersonId:
    """Return the person's id, 32 bytes, from their master keys (docs/spec/identity.md section 1).

    Raises:
        ValueError: a key has the wrong length, which could let two pairs of keys have the same id.
    """
    if len(master.ed25519) != 32 or len(master.mldsa65) != 1952:
        raise ValueError("master keys have 32 and 1,952 bytes")
    return PersonId(sha256(_PERSON_ID_CONTEXT + master.ed25519 + master.mldsa65))


MASTER_SEED_BYTES: Final = 64  # the seed of the Ed25519 key, then the seed of the ML-DSA-65 key
BOTH_SIGNATURES_BYTES: Final = 64 + 3309


def master_keys_from_seed(seed: bytes) -> Secret:
    """Return the private master keys for these 64 random bytes."""
    if len(seed) != MASTER_SEED_BYTES:
        raise ValueError("master keys grow from 64 bytes")
    return Secret(seed)


def public_master_keys(master: Secret) -> MasterPublicKeys:
    """Return the public halves of private master keys."""
    ed25519, mldsa65 = _private_keys(master)
    return MasterPublicKeys(
        ed25519.public_key().public_bytes_raw(), mldsa65.public_key().public_bytes_raw()
    )


def sign_with_master_keys(master: Secret, context: bytes, statement: bytes) -> bytes:
    """Sign with both master keys; return Ed25519's 64 bytes, then ML-DSA-65's 3,309 bytes."""
    signed = _signed_bytes(context, statement)
    ed25519, mldsa65 = _private_keys(master)
    return ed25519.sign(signed) + mldsa65.sign(signed)


def verify_both_signatures(
    master: MasterPublicKeys, context: bytes, statement: bytes, signature: bytes, *, what: str
) -> None:
    """Verify both signatures; raises BadSignature, which names ``what`` was signed."""
    signed = _signed_bytes(context, statement)
    if len(signature) != BOTH_SIGNATURES_BYTES:
        raise BadSignature(what=what)
    try:
        Ed25519PublicKey.from_public_bytes(master.ed25519).verify(signature[:64], signed)
        MLDSA65PublicKey.from_public_bytes(master.mldsa65).verify(signature[64:], signed)
    except (InvalidSignature, ValueError):
        raise BadSignature(what=what) from None


def _private_keys(master: Secret) -> tuple[Ed25519PrivateKey, MLDSA65PrivateKey]:
    seed = master.reveal()
    return (
        Ed25519PrivateKey.from_private_bytes(seed[:32]),
        MLDSA65PrivateKey.from_seed_bytes(seed[32:]),
    )


def _signed_bytes(context: bytes, statement: bytes) -> bytes:
    if b"\x00" in context:
        raise ValueError("a context has no zero byte: it ends at the first one")
    return context + b"\x00" + statement


# FIPS 204 allows storing the seed in place of the private ML-DSA-65 key
MLDSA65_SEED_BYTES: Final = 32
# This key protects nothing: the vault encrypts pickles.
_PICKLE_KEY: Final = bytes(32)
_MLDSA65_HASH_CONTEXT: Final = b"entrenous/2 device mldsa65\x00"
_MLDSA65_BYTES: Final = 1952


@dataclass(frozen=True, slots=True)
class DeviceSigner:
    """A device's private signing keys.

    The Ed25519 key is part of an Olm account; the ML-DSA-65 key is stored as its seed.
    """

    account: Secret
    seed: Secret


def new_device_signer(seed: bytes) -> DeviceSigner:
    """Create a new device's keys: an Olm account, and an ML-DSA-65 key from 32 random bytes."""
    if len(seed) != MLDSA65_SEED_BYTES:
        raise ValueError("a device's ML-DSA-65 key grows from 32 bytes")
    return DeviceSigner(new_olm_account(), Secret(seed))


def mldsa65_public_key(signer: DeviceSigner) -> bytes:
    """Return the device's public ML-DSA-65 key, 1,952 bytes."""
    return _mldsa65_private_key(signer).public_key().public_bytes_raw()


def mldsa65_hash(public: bytes) -> bytes:
    """Return the hash, 32 bytes, that identifies an ML-DSA-65 key in certificates.

    See docs/spec/identity.md section 2.
    """
    if len(public) != _MLDSA65_BYTES:
        raise ValueError("an ML-DSA-65 key has 1,952 bytes")
    return sha256(_MLDSA65_HASH_CONTEXT + public)


def new_olm_account() -> Secret:
    """Create an Olm account with keys from the system's random generator."""
    return pickle_olm_account(vodozemac.Account())


def ed25519_public_key(account: Secret) -> bytes:
    """Return the device's public Ed25519 key, 32 bytes."""
    return _unbase64(unpickle_olm_account(account).ed25519_key.to_base64())


def curve25519_public_key(account: Secret) -> bytes:
    """Return the device's public Curve25519 key, 32 bytes."""
    return unpickle_olm_account(account).curve25519_key.to_bytes()


def add_one_time_keys(account: Secret, count: int) -> tuple[Secret, dict[bytes, bytes]]:
    """Create ``count`` (1 to 50) one-time keys.

    Returns: the account with these keys, and their public halves by key id (8 bytes).
    """
    if not 1 <= count <= ONE_TIME_KEYS_MAX:  # a relay stores no more
        raise ValueError("1 to 50 one-time keys at once")
    opened = unpickle_olm_account(account)
    opened.generate_one_time_keys(count)
    fresh = {_unbase64(name): key.to_bytes() for name, key in opened.one_time_keys.items()}
    opened.mark_keys_as_published()
    return pickle_olm_account(opened), fresh


def replace_fallback_key(account: Secret) -> tuple[Secret, bytes, bytes]:
    """Create a new fallback key.

    Return the account with the new key, the key's id (8 bytes) and its public half (32 bytes). The
    previous fallback key can still decrypt letters; older ones are deleted.
    """
    opened = unpickle_olm_account(account)
    opened.generate_fallback_key()  # type: ignore[attr-defined]  # missing in its .pyi
    ((name, key),) = opened.fallback_key.items()  # type: ignore[attr-defined]
    opened.mark_keys_as_published()
    return pickle_olm_account(opened), _unbase64(name), key.to_bytes()


def sign_with_device_ed25519(account: Secret, context: bytes, statement: bytes) -> bytes:
    """Return the device's Ed25519 signature, 64 bytes, over ``context || 0x00 || statement``."""
    opened = unpickle_olm_account(account)
    return _unbase64(opened.sign(context + b"\x00" + statement).to_base64())


def sign_with_device_keys(signer: DeviceSigner, context: bytes, statement: bytes) -> bytes:
    """Sign ``context || 0x00 || statement`` with both of a device's keys.

    Return Ed25519's 64 bytes, then ML-DSA-65's 3,309 bytes.
    """
    ed25519 = sign_with_device_ed25519(signer.account, context, statement)
    return ed25519 + _mldsa65_private_key(signer).sign(context + b"\x00" + statement)


def verify_batch(signed: SignedBatch, by: CertifiedDevice, context: bytes, *, what: str) -> None:
    """Verify a signed batch with both signing keys that the device's certificate names.

    Raises BadSignature if a signature is not valid or a different device signed the batch.
    """
    mldsa65 = signed.mldsa65
    ours = len(mldsa65) == _MLDSA65_BYTES and equal_in_constant_time(
        mldsa65_hash(mldsa65), by.mldsa65_hash
    )
    if not ours or not equal_in_constant_time(signed.batch.device, by.device):
        raise BadSignature(what=what)
    keys = MasterPublicKeys(by.ed25519, mldsa65)
    verify_both_signatures(keys, context, signed.statement, signed.signature, what=what)


def verify_device_ed25519_signature(
    ed25519: bytes, context: bytes, statement: bytes, signature: bytes, *, what: str
) -> None:
    """Verify a device's Ed25519 signature; raise BadSignature if it is not valid."""
    try:
        key = Ed25519PublicKey.from_public_bytes(ed25519)
        key.verify(signature, context + b"\x00" + statement)
    except (InvalidSignature, ValueError):
        raise BadSignature(what=what) from None


def pickle_olm_account(account: vodozemac.Account) -> Secret:
    """Return an account in vodozemac's encoding, to store it in the vault."""
    return Secret(account.pickle(_PICKLE_KEY).encode())


def unpickle_olm_account(account: Secret) -> vodozemac.Account:
    return vodozemac.Account.from_pickle(account.reveal().decode(), _PICKLE_KEY)


def _mldsa65_private_key(signer: DeviceSigner) -> MLDSA65PrivateKey:
    return MLDSA65PrivateKey.from_seed_bytes(signer.seed.reveal())


def _unbase64(text: str) -> bytes:
    """Decode base64 without padding, as vodozemac writes it."""
    return base64.b64decode(text + "=" * (-len(text) % 4))
