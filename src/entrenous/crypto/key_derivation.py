"""Keys, key streams and send tokens derived from secrets, each under its own context string."""

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from entrenous.base.identifiers import ID_BYTES, EnvelopeId, MessageId, PersonId
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256

_CONTENT_CONTEXT: Final = b"entrenous/2 content\x00"
_BLOB_CONTEXT: Final = b"entrenous/2 blob\x00"
_SHARE_GROUP_CONTEXT: Final = b"entrenous/2 share group\x00"
_ZERO_NONCE: Final = bytes(16)  # the nonce may be constant, since no two streams have the same key


def derive(secret: Secret, context: bytes, size: int = 32, *, salt: bytes = b"") -> Secret:
    """Derive ``size`` bytes, at most 8,160, with HKDF-SHA256 (RFC 5869).

    ``context`` names the purpose of the bytes.
    """
    kdf = HKDF(algorithm=SHA256(), length=size, salt=salt or None, info=context)
    return Secret(kdf.derive(secret.reveal()))


def derive_key_stream(seed: Secret, context: bytes, size: int) -> bytes:
    """Return ``size`` bytes of ChaCha20 key stream for the purpose ``context``.

    The stream's key is derived from ``seed``. For the same seed and context, a shorter stream is
    the beginning of a longer one.
    """
    key = derive(seed, b"entrenous/1 stream\x00" + context).reveal()
    cipher = Cipher(algorithms.ChaCha20(key, _ZERO_NONCE), mode=None)
    return cipher.encryptor().update(bytes(size))


def content_key(
    secret: Secret, share: Secret, message: MessageId, envelope: EnvelopeId, manifest: bytes
) -> Secret:
    """Derive the key of one copy's content from its two halves (docs/spec/content.md section 3).

    ``secret`` is the half in the letter and ``share`` the relay's half, 32 bytes each; ``manifest``
    is encoded by ``write_manifest`` (send/formats/message_format.py).

    Raises:
        ValueError: a half has the wrong length, which could let two pairs of halves give the same
            key.
    """
    if len(secret) != 32 or len(share) != 32:
        raise ValueError("both halves of a content key have 32 bytes")
    both = Secret(secret.reveal() + share.reveal())
    return derive(both, _CONTENT_CONTEXT + sha256(manifest), salt=message + envelope)


def blob_key(content: Secret, place: int) -> Secret:
    """Derive the key of blob number ``place`` of a copy (docs/spec/content.md section 3).

    Blob 0 is the frame, which lists the files. The number has 32 bits.
    """
    return derive(content, _BLOB_CONTEXT + place.to_bytes(4, "big"))


def share_group_id(secret: Secret, person: PersonId) -> bytes:
    """Return the id (16 bytes) under which the relay counts one person's openings of one message.

    See docs/spec/relay.md section 6. ``secret`` are 32 random bytes that only the message's sender
    knows. They keep the id secret: anybody who knew the id could use up the openings.
    """
    return derive(secret, _SHARE_GROUP_CONTEXT + person, ID_BYTES).reveal()


_SEND_TOKEN_CONTEXT: Final = b"entrenous/2 send token\x00"


def derive_send_token(seed: Secret, index: int) -> Secret:
    """Derive the send token with this index (64 bits) from the seed of its range.

    The token's 32 bytes look random to everybody who does not know the seed.
    """
    if len(seed) != 32:
        raise ValueError("a window of tokens grows from 32 bytes")
    return derive(seed, _SEND_TOKEN_CONTEXT + index.to_bytes(8, "big"))
