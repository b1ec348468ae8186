"""What binds the messages of a linking to each other (docs/spec/devices.md section 2).

The strings that both devices show, and the old one's word, are those of short_string.py over the
transcript that is made here.
"""

from typing import Final

from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.crypto.xwing import open_with, seal_to
from entrenous.model.secret import Secret

_PROMISE: Final = b"entrenous/2 link commit\x00"
_LINK: Final = b"entrenous/2 link\x00"
_OFFER: Final = b"entrenous/2 link offer\x00"
_GRANT: Final = b"entrenous/2 link grant\x00"


def link_promise(public: bytes, offer: bytes) -> bytes:
    """What says, before the old device has shown its key, which key and offer will come; 32 bytes.

    The offer holds a token of 32 random bytes, so nobody finds it from its hash.
    """
    return sha256(_PROMISE + public + offer)


def link_transcript(ask: bytes, answer: bytes) -> bytes:
    """What both devices saw, from the first two messages as they travelled.

    The third is not in it: its key and its offer were promised in the first, and how the offer is
    sealed was not, so whoever seals it anew until the strings fit would have as many guesses as she
    likes.
    """
    return _LINK + sha256(ask) + sha256(answer)


def seal_offer(to: bytes, ask: bytes, answer: bytes, offer: bytes) -> bytes:
    """The offer, for whoever gave ``answer``.

    Raises:
        BadKey: ``to`` is no X-Wing key.
    """
    return seal_to(to, _offered(ask, answer), offer)


def open_offer(private: Secret, ask: bytes, answer: bytes, untrusted: bytes) -> bytes:
    """The offer; unproven before it is what was promised.

    Raises:
        NotBound: it was sealed to another key, or after other messages.
    """
    return open_with(private, _offered(ask, answer), untrusted)


def seal_grant(to: bytes, transcript: bytes, grant: bytes) -> bytes:
    """The grant, for the device of the offer.

    Raises:
        BadKey: ``to`` is no X-Wing key.
    """
    return seal_to(to, _GRANT + sha256(transcript), grant)


def open_grant(private: Secret, transcript: bytes, untrusted: bytes) -> bytes:
    """The grant.

    Raises:
        NotBound: it is for another device, or of another linking.
    """
    return open_with(private, _GRANT + sha256(transcript), untrusted)


def _offered(ask: bytes, answer: bytes) -> bytes:
    return _OFFER + sha256(ask) + sha256(answer)
