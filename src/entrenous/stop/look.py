"""All the ways in which an upload is looked at before its uploader gets an answer.

Eight orientations of the whole picture and of what is left without a plain border, each also with
its colours inverted. What takes longer is in :mod:`.deep`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from entrenous.craft.fingerprint.border import without_borders
from entrenous.craft.fingerprint.deep.cuts import trimmed
from entrenous.craft.fingerprint.orientation import UPRIGHT, inverted, pixel_orientations, turn
from entrenous.craft.fingerprint.picture import Pixels, seen_pixels, to_bits
from entrenous.craft.fingerprint.thumbnail import thumbnail
from entrenous.model.picture import Picture
from entrenous.spec import PART_QUALITY_MIN, PDQ_BYTES

UNBORDERED = "border removed"
INVERTED = "colours inverted"
PART = "cut-out"

Seen = tuple[tuple[str, bytes], ...]
"""Hashes, each with what had been done to the registered picture if it matches."""


@dataclass(frozen=True, slots=True)
class Views:
    """Hashes of an upload with how each was made; ``bits`` is the hash of the upload as it is."""

    bits: bytes
    whole: Seen
    parts: Seen = ()


def views(picture: Picture) -> Views:
    """The fast look and the commonest of the slow ones. A flat upload has no windows."""
    fast = fast_views(picture)
    pixels = seen_pixels(picture)
    if pixel_orientations(pixels)[UPRIGHT].quality < PART_QUALITY_MIN:
        return fast
    frames = ((pixels, ""), *((inner, UNBORDERED) for inner in without_borders(pixels)))
    parts = tuple(view for frame, how in frames for view in _parts(frame, how))
    return Views(fast.bits, fast.whole, parts)


def fast_views(picture: Picture) -> Views:
    """The fast look alone: 16 hashes, and 16 more for each of at most three plain frames."""
    pixels = seen_pixels(picture)
    whole = [*_whole(pixels, "")]
    for inner in without_borders(pixels):
        whole += _whole(inner, UNBORDERED)
    return Views(whole[0][1], tuple(whole))


def said(turn: str, *more: str) -> str:
    """E.g. "mirror, border removed"; "as it is" only when nothing else was done."""
    done = [turn] if turn != UPRIGHT else []
    done += [one for one in more if one]
    return ", ".join(done) or UPRIGHT


def one_by_one(how: str, hashes: bytes) -> Iterator[tuple[str, bytes]]:
    """Hashes that follow each other, each with the same words."""
    for start in range(0, len(hashes), PDQ_BYTES):
        yield how, hashes[start : start + PDQ_BYTES]


def _whole(pixels: Pixels, frame: str) -> Iterator[tuple[str, bytes]]:
    for how, view in pixel_orientations(pixels).items():
        yield said(how, frame), view.bits
        yield said(how, frame, INVERTED), inverted(view.bits)


def _parts(pixels: Pixels, frame: str) -> Iterator[tuple[str, bytes]]:
    for how, spectrum in turn(trimmed(thumbnail(pixels))).items():
        yield from one_by_one(said(how, frame, PART), to_bits(spectrum))
