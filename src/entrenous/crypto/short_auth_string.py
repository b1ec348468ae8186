"""Short authentication strings, which two people compare (docs/spec/people.md section 3).

They use X25519, HKDF, and the emoji of the Matrix specification.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.crypto.key_derivation import derive
from entrenous.crypto.nouns import BadKey


class NamedEmoji(NamedTuple):
    """An emoji and its English name."""

    emoji: str
    name: str


@dataclass(frozen=True, slots=True)
class ShortAuthString:
    """The string that both people compare, in two forms: seven emoji, and three numbers."""

    named_emoji: tuple[NamedEmoji, ...]
    numbers: tuple[int, int, int]


_COMMITMENT_CONTEXT: Final = b"entrenous/2 sas commit\x00"
_STRING_CONTEXT: Final = b"entrenous/2 sas\x00"
_AGREEMENT_CONTEXT: Final = b"entrenous/2 sas mac\x00"


def x25519_public_key(private: Secret) -> bytes:
    """Return the X25519 public key, 32 bytes, for a private key of 32 random bytes."""
    return _private_key(private).public_key().public_bytes_raw()


def key_commitment(public: bytes) -> bytes:
    """Return the commitment, 32 bytes, to a public key.

    The key itself is revealed only after the other side has sent its key.
    """
    return sha256(_COMMITMENT_CONTEXT + public)


def short_auth_string(private: Secret, public: bytes, transcript: bytes) -> ShortAuthString:
    """Return the string that both sides compare.

    ``transcript`` is encoded by send/formats/letter_format.py, or by send/formats/linking.py if a
    device is being linked. Raises BadKey if the other side's key is invalid.
    """
    info = _STRING_CONTEXT + sha256(transcript).hex().encode()
    bits = derive(_shared_secret(private, public), info, 6).reveal()
    number = int.from_bytes(bits, "big")
    signs = tuple(SAS_EMOJI[number >> 42 - 6 * place & 63] for place in range(7))
    first, second, third = (1000 + (number >> 35 - 13 * place & 8191) for place in range(3))
    return ShortAuthString(signs, (first, second, third))


def agreement_proof(private: Secret, public: bytes, transcript: bytes, by: bytes) -> bytes:
    """Return the proof, 32 bytes, that the side ``by`` saw this transcript and confirmed it.

    ``by`` is a person's id, or a label if a device is being linked. Raises BadKey if the other
    side's key is invalid.
    """
    return derive(
        _shared_secret(private, public), _AGREEMENT_CONTEXT + sha256(transcript) + by
    ).reveal()


def _shared_secret(private: Secret, public: bytes) -> Secret:
    try:
        return Secret(_private_key(private).exchange(X25519PublicKey.from_public_bytes(public)))
    except ValueError:
        raise BadKey from None


def _private_key(private: Secret) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(private.reveal())


SAS_EMOJI: Final = tuple(
    NamedEmoji(*line.split(maxsplit=1))
    for line in """
    🐶 dog
    🐱 cat
    🦁 lion
    🐎 horse
    🦄 unicorn
    🐷 pig
    🐘 elephant
    🐰 rabbit
    🐼 panda
    🐓 rooster
    🐧 penguin
    🐢 turtle
    🐟 fish
    🐙 octopus
    🦋 butterfly
    🌷 flower
    🌳 tree
    🌵 cactus
    🍄 mushroom
    🌏 globe
    🌙 moon
    ☁️ cloud
    🔥 fire
    🍌 banana
    🍎 apple
    🍓 strawberry
    🌽 corn
    🍕 pizza
    🎂 cake
    ❤️ heart
    😀 smiley
    🤖 robot
    🎩 hat
    👓 glasses
    🔧 spanner
    🎅 santa
    👍 thumbs up
    ☂️ umbrella
    ⌛ hourglass
    ⏰ clock
    🎁 gift
    💡 light bulb
    📕 book
    ✏️ pencil
    📎 paperclip
    ✂️ scissors
    🔒 lock
    🔑 key
    🔨 hammer
    ☎️ telephone
    🏁 flag
    🚂 train
    🚲 bicycle
    ✈️ aeroplane
    🚀 rocket
    🏆 trophy
    ⚽ ball
    🎸 guitar
    🎺 trumpet
    🔔 bell
    ⚓ anchor
    🎧 headphones
    📁 folder
    📌 pin
    """.strip().splitlines()
)
