"""A device's own keys: an Olm account (vodozemac), as pickles that are passed in and given back.

A pickle holds private keys. It is "encrypted" under a key of zeros: vodozemac makes no other
form, and the vault that keeps it is what protects it; a second key beside it would add nothing.
"""

import base64
from collections.abc import Iterable
from typing import Final

import vodozemac
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from entrenous.model.person import BadSignature
from entrenous.model.secret import Secret
from entrenous.spec import ONE_TIME_KEYS

_NO_KEY: Final = bytes(32)


def new_account() -> Secret:
    """A fresh Olm account; its randomness is vodozemac's own (the system's)."""
    return pickled_account(vodozemac.Account())


def signing_key(account: Secret) -> bytes:
    """The device's public Ed25519 key, 32 bytes."""
    return _unbase64(unpickled_account(account).ed25519_key.to_base64())


def identity_key(account: Secret) -> bytes:
    """The device's public Curve25519 key, 32 bytes."""
    return unpickled_account(account).curve25519_key.to_bytes()


def add_one_time_keys(account: Secret, count: int) -> tuple[Secret, dict[bytes, bytes]]:
    """The account with ``count`` more one-time keys, and these: key id (8 bytes) to public (32).

    Raises:
        ValueError: more than 50 at once, or none.
    """
    if not 1 <= count <= ONE_TIME_KEYS:  # vodozemac remembers the newest 5,000
        raise ValueError("1 to 50 one-time keys at once")
    opened = unpickled_account(account)
    opened.generate_one_time_keys(count)
    fresh = {_key_id(name): key.to_bytes() for name, key in opened.one_time_keys.items()}
    opened.mark_keys_as_published()
    return pickled_account(opened), fresh


def replace_fallback_key(account: Secret) -> tuple[Secret, bytes, bytes]:
    """The account with a new fallback key, its id (8 bytes) and its public half (32 bytes).

    The one before it still opens letters; the one before that is gone.
    """
    opened = unpickled_account(account)
    opened.generate_fallback_key()  # type: ignore[attr-defined]  # missing in its .pyi
    ((name, key),) = opened.fallback_key.items()  # type: ignore[attr-defined]
    opened.mark_keys_as_published()
    return pickled_account(opened), _key_id(name), key.to_bytes()


def sign_as_device(account: Secret, context: bytes, statement: bytes) -> bytes:
    """The device's Ed25519 signature, 64 bytes, over ``context || 0x00 || statement``."""
    (signature,) = sign_each_as_device(account, context, [statement])
    return signature


def sign_each_as_device(
    account: Secret, context: bytes, statements: Iterable[bytes]
) -> tuple[bytes, ...]:
    """As :func:`sign_as_device`, for each of these: an account that remembers thousands of one-time
    keys takes longer to read than to sign with.
    """
    opened = unpickled_account(account)
    return tuple(
        _unbase64(opened.sign(context + b"\x00" + statement).to_base64())
        for statement in statements
    )


def verify_device(
    ed25519: bytes, context: bytes, statement: bytes, signature: bytes, *, what: str
) -> None:
    """Return only if the signature holds.

    Raises:
        BadSignature: it does not, or has the wrong form.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(ed25519)
        key.verify(signature, context + b"\x00" + statement)
    except (InvalidSignature, ValueError):
        raise BadSignature(what=what) from None


def pickled_account(account: vodozemac.Account) -> Secret:
    """The account's bytes, for the vault."""
    return Secret(account.pickle(_NO_KEY).encode())


def unpickled_account(account: Secret) -> vodozemac.Account:
    """The account from its bytes."""
    return vodozemac.Account.from_pickle(account.reveal().decode(), _NO_KEY)


def _key_id(name: str) -> bytes:
    return _unbase64(name)


def _unbase64(text: str) -> bytes:
    """Base64 without padding, as vodozemac writes it."""
    return base64.b64decode(text + "=" * (-len(text) % 4))
