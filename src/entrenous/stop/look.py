"""All the ways in which an upload is looked at, before it is compared with anything.

First look: eight orientations, of the whole picture and of what is left without a plain border,
each also with its colours inverted. Second look: 625 windows of each of these, in their own
colours, to find cut-outs of a registered picture (craft/fingerprint/parts.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from entrenous.craft.fingerprint.border import without_border
from entrenous.craft.fingerprint.orientation import UPRIGHT, inverted, pixel_orientations
from entrenous.craft.fingerprint.parts import part_views
from entrenous.craft.fingerprint.picture import Pixels, seen_pixels
from entrenous.model.picture import Picture
from entrenous.spec import PART_QUALITY_MIN, PDQ_BYTES

UNBORDERED = "border removed"
INVERTED = "colours inverted"
PART = "cut-out"


@dataclass(frozen=True, slots=True)
class Views:
    """Hashes of an upload with how each was made; ``bits`` is the hash of the upload as it is."""

    bits: bytes
    whole: tuple[tuple[str, bytes], ...]
    parts: tuple[tuple[str, bytes], ...]


def views(picture: Picture) -> Views:
    """Every view of an upload. A flat one has no windows: they would resemble anything flat."""
    pixels = seen_pixels(picture)
    frames = [(pixels, "")]
    if (inner := without_border(pixels)) is not None:
        frames.append((inner, UNBORDERED))
    whole = tuple(view for frame, how in frames for view in _whole(frame, how))
    flat = pixel_orientations(pixels)[UPRIGHT].quality < PART_QUALITY_MIN
    parts = () if flat else tuple(view for frame, how in frames for view in _parts(frame, how))
    return Views(whole[0][1], whole, parts)


def _whole(pixels: Pixels, frame: str) -> Iterator[tuple[str, bytes]]:
    for turn, view in pixel_orientations(pixels).items():
        yield _said(turn, frame), view.bits
        yield _said(turn, frame, INVERTED), inverted(view.bits)


def _parts(pixels: Pixels, frame: str) -> Iterator[tuple[str, bytes]]:
    for turn, hashes in part_views(pixels).items():
        how = _said(turn, frame, PART)
        for start in range(0, len(hashes), PDQ_BYTES):
            yield how, hashes[start : start + PDQ_BYTES]


def _said(turn: str, *more: str) -> str:
    """E.g. "mirror, border removed"; "as it is" only when nothing else was done."""
    done = [turn] if turn != UPRIGHT else []
    done += [one for one in more if one]
    return ", ".join(done) or UPRIGHT
