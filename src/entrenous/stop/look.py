"""All the ways in which an upload is looked at before its uploader gets an answer.

Eight orientations of the whole picture and of what is left without a plain border, each also with
its colours inverted. What takes longer is in :mod:`.deep`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat
from struct import iter_unpack

from entrenous.craft.fingerprint.border import without_borders
from entrenous.craft.fingerprint.deep.cuts import trimmed
from entrenous.craft.fingerprint.orientation import UPRIGHT, inverted, pixel_orientations, turn
from entrenous.craft.fingerprint.picture import Pixels, looked_pixels, to_bits
from entrenous.craft.fingerprint.spectrum import Floats
from entrenous.craft.fingerprint.thumbnail import thumbnail
from entrenous.model.fingerprint import Fingerprint
from entrenous.model.picture import FullSize, Picture
from entrenous.spec import PART_QUALITY_MIN, PDQ_BYTES

UNBORDERED = "border removed"
INVERTED = "colours inverted"
PART = "cut-out"
_OF_ONE_FRAME = 16  # hashes

Turned = Mapping[str, Fingerprint]
Seen = tuple[tuple[str, bytes], ...]
"""Hashes, each with what had been done to the registered picture if it matches."""


@dataclass(frozen=True, slots=True)
class Views:
    """Hashes of an upload with how each was made; ``bits`` and ``quality`` are those of the upload
    as it is.
    """

    bits: bytes
    whole: Seen
    quality: int

    @property
    def framed(self) -> bool:
        """Whether something is around it, without which it was hashed too."""
        return len(self.whole) > _OF_ONE_FRAME

    @property
    def flat(self) -> bool:
        """Whether its windows would fit other pictures."""
        return self.quality < PART_QUALITY_MIN


def part_views(picture: Picture, fast: Views) -> Seen:
    """The second look: windows of the whole picture, and of what is left without each plain frame.
    A flat upload has none; ``fast`` are its :func:`fast_views`.
    """
    if fast.flat:
        return ()
    pixels = looked_pixels(picture)
    grey = thumbnail(pixels)
    inside = without_borders(pixels, grey) if fast.framed else ()
    frames = ((grey, ""), *((thumbnail(inner), UNBORDERED) for inner in inside))
    return tuple(chain.from_iterable(_parts(frame, how) for frame, how in frames))


def fast_views(picture: Picture) -> Views:
    """The fast look alone: 16 hashes, and 16 more for each of at most three plain frames."""
    pixels, by = looked_pixels(picture), picture.shrunk_by
    turned = pixel_orientations(pixels, picture.shrunk_from, by)
    return _fast(turned, without_borders(pixels), by)


@lru_cache(maxsize=256)  # there are fewer words than that
def said(turn: str, *more: str) -> str:
    """E.g. "mirror, border removed"; "as it is" only when nothing else was done."""
    done = [turn] if turn != UPRIGHT else []
    done += [one for one in more if one]
    return ", ".join(done) or UPRIGHT


def one_by_one(how: str, hashes: bytes) -> Iterator[tuple[str, bytes]]:
    """Hashes that follow each other, each with the same words."""
    return zip(repeat(how), (one for (one,) in iter_unpack(f"{PDQ_BYTES}s", hashes)), strict=False)


def _fast(turned: Turned, inside: tuple[Pixels, ...], shrunk_by: int) -> Views:
    whole = [*_whole(turned, "")]
    for inner in inside:
        high, wide = (shrunk_by * side for side in inner.shape[:2])
        full = FullSize(wide, high)
        whole += _whole(pixel_orientations(inner, full, shrunk_by), UNBORDERED)
    return Views(whole[0][1], tuple(whole), turned[UPRIGHT].quality)


def _whole(turned: Turned, frame: str) -> Iterator[tuple[str, bytes]]:
    for how, view in turned.items():
        yield said(how, frame), view.bits
        yield said(how, frame, INVERTED), inverted(view.bits)


def _parts(grey: Floats, frame: str) -> Iterator[tuple[str, bytes]]:
    turned = turn(trimmed(grey)).items()
    return chain.from_iterable(
        one_by_one(said(how, frame, PART), to_bits(spectrum)) for how, spectrum in turned
    )
