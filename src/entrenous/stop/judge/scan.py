"""The scans of an upload that finish before its uploader gets an answer."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat
from struct import iter_unpack

from entrenous.base.limits import GATE_SIDE_PX, PART_QUALITY_MIN, PDQ_BYTES, WHOLE_SIDE_PX
from entrenous.base.picture import FullSize, Picture
from entrenous.fingerprint.borders import thumbnail, without_borders
from entrenous.fingerprint.crops import trimmed
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.fingerprint.pdq import (
    UPRIGHT,
    Floats,
    Pixels,
    inverted,
    looked_pixels,
    pixel_orientations,
    to_bits,
    turn,
)
from entrenous.stop.platform import Platform

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


def first_scan(untrusted_data: bytes, platform: Platform) -> tuple[Picture, Views]:
    """The upload, and its fast look.

    Raises what :meth:`entrenous.stop.platform.Platform.read_upload` raises.
    """
    side_px = GATE_SIDE_PX if _looks_at_parts(platform) else WHOLE_SIDE_PX
    return fast_scan(lambda at_least_px: platform.read_upload(untrusted_data, at_least_px), side_px)


def fast_scan(read: Callable[[int], Picture], side_px: int) -> tuple[Picture, Views]:
    """An upload's fast look, on a picture ``read`` with so many pixels left on its sides, or, if
    there is a frame around it, with more.
    """
    picture = read(side_px)
    seen = fast_views(picture)
    if not seen.framed or _is_fine(picture):
        return picture, seen
    picture = read(GATE_SIDE_PX)
    return picture, fast_views(picture)


def second_scan(untrusted_data: bytes, picture: Picture, fast: Views, platform: Platform) -> Seen:
    """What to look up among parts before the answer, after the look among wholes: nothing in a bank
    without parts, nor in one with so many that it takes long, where slow looks are made. What the
    upload fits has no say in it, so that an answer's time does not tell that.

    Raises what :meth:`entrenous.stop.platform.Platform.read_upload` raises.
    """
    if not _looks_at_parts(platform):
        return ()
    if not _is_fine(picture):
        picture = platform.read_upload(untrusted_data, GATE_SIDE_PX)
    return part_views(picture, fast)


def _looks_at_parts(platform: Platform) -> bool:
    count, limits = platform.index.parts(), platform.limits
    return count > 0 and (count <= limits.second_look_hashes or limits.slow_looks == 0)


def _is_fine(picture: Picture) -> bool:
    """Whether another reading would not show more."""
    return picture.shrunk_by == 1 or min(picture.width_px, picture.height_px) >= GATE_SIDE_PX
