"""The record of one sent picture's looks: its fingerprint and its points.

One byte of version, 32 bytes of PDQ hash, then 14 bytes a point (packed.py). It stays in the vault
of the person who sent the picture; a record that cannot be read is made anew from the original.
"""

from dataclasses import dataclass
from typing import Final

from entrenous.craft.fingerprint.landmarks.packed import ENTRY, packed
from entrenous.craft.fingerprint.landmarks.words import Vocabulary
from entrenous.craft.fingerprint.picture import fingerprint, seen_pixels
from entrenous.model.picture import Picture
from entrenous.spec import PDQ_BYTES

_VERSION: Final = b"\x01"  # of the vocabulary, the signs and the layout of an entry
_START: Final = len(_VERSION) + PDQ_BYTES


@dataclass(frozen=True, slots=True)
class Kept:
    """``bits`` is the PDQ hash, ``points`` the packed entries."""

    bits: bytes
    points: bytes


def record_of(picture: Picture) -> bytes:
    """What to keep of a picture that is sent: 5.6 kB at most."""
    bits = fingerprint(picture).bits or bytes(PDQ_BYTES)
    return _VERSION + bits + packed(seen_pixels(picture), Vocabulary.shipped())


def kept_of(record: bytes) -> Kept | None:
    """What a record holds; None when it was damaged, or made by another version."""
    whole = len(record) >= _START and (len(record) - _START) % ENTRY.itemsize == 0
    if not whole or not record.startswith(_VERSION):
        return None
    return Kept(record[len(_VERSION) : _START], record[_START:])
