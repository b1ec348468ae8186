"""Short authentication strings (docs/spec/people.md section 3).

X25519 between keys that are made for one comparing, HKDF over what both sides saw, and the bits as
emoji and numbers as in the Matrix specification; vodozemac's objects do the same, and can't be put
away between two commands.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from entrenous.craft.crypto.derive import derive
from entrenous.craft.crypto.hashing import sha256
from entrenous.model.compare import ShortString
from entrenous.model.letter import BadKey
from entrenous.model.secret import Secret
from entrenous.model.signs import SIGNS

_COMMIT: Final = b"entrenous/2 sas commit\x00"
_STRING: Final = b"entrenous/2 sas\x00"
_AGREE: Final = b"entrenous/2 sas mac\x00"


def public_of(private: Secret) -> bytes:
    """The public key, 32 bytes, of a private one of 32 random bytes."""
    return _opened(private).public_key().public_bytes_raw()


def commitment_to(public: bytes) -> bytes:
    """What says, before the other side has shown its own, which key this will be; 32 bytes."""
    return sha256(_COMMIT + public)


def short_string(private: Secret, public: bytes, transcript: bytes) -> ShortString:
    """What both sides compare, after ``transcript`` (craft/wire/identity/compare.py).

    Raises:
        BadKey: the other side's key is none.
    """
    info = _STRING + sha256(transcript).hex().encode()
    bits = derive(_shared(private, public), info, 6).reveal()
    number = int.from_bytes(bits, "big")
    signs = tuple(SIGNS[number >> 42 - 6 * place & 63] for place in range(7))
    first, second, third = (1000 + (number >> 35 - 13 * place & 8191) for place in range(3))
    return ShortString(signs, (first, second, third))


def agreement(private: Secret, public: bytes, transcript: bytes, by: bytes) -> bytes:
    """The proof, 32 bytes, that whoever ``by`` names saw this transcript and agreed.

    Raises:
        BadKey: the other side's key is none.
    """
    return derive(_shared(private, public), _AGREE + sha256(transcript) + by).reveal()


def _shared(private: Secret, public: bytes) -> Secret:
    try:
        return Secret(_opened(private).exchange(X25519PublicKey.from_public_bytes(public)))
    except ValueError:
        raise BadKey from None


def _opened(private: Secret) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(private.reveal())
