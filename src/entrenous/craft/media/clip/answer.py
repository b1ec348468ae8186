"""What the child that decodes clips is asked and answers, as bytes, and the strict reading of it.

A child that a clip has taken over is a stranger too: every number is checked, and how many bytes a
frame has is known before they are read. docs/spec/clip.md, section 2.
"""

import math
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final

from entrenous.model.clip import (
    Clip,
    ClipBroken,
    ClipCutShort,
    ClipTooLong,
    Coded,
    Colours,
    Cut,
    Frame,
    FramesTooLarge,
    FramesUnknown,
    NoFrames,
    Shown,
)
from entrenous.model.errors import EntrenousError
from entrenous.spec import CLIP_LENGTH_S_MAX, CLIP_PIXELS_MAX

QUESTION: Final = struct.Struct(">QddIIdI")  # length of the file that follows, and the cut
_SHOWN: Final = struct.Struct(">IIIIdBBBII")
_FRAME: Final = struct.Struct(">dB")
_SIZE: Final = struct.Struct(">II")
_FAILURES: Final[dict[bytes, type[EntrenousError]]] = {
    b"U": FramesUnknown,  # before the family that it belongs to
    b"N": NoFrames,
    b"C": ClipCutShort,
    b"G": ClipBroken,
}
_END: Final = b"E"

Read = Callable[[int], bytes]
"""Gives exactly that many bytes, or raises."""


def write_question(untrusted_data: bytes, cut: Cut) -> bytes:
    """The head of a question; the file follows it."""
    which = cut.start_s, cut.stop_s, cut.each, cut.side_px, cut.apart_s, cut.frames_max
    return QUESTION.pack(len(untrusted_data), *which)


def write_answer(clip: Clip) -> Iterator[bytes]:
    """The clip in parts: what its frames have in common, frame after frame, the end."""
    shown = clip.shown
    yield b"V" + _SHOWN.pack(
        shown.width_px,
        shown.height_px,
        shown.rate.numerator,
        shown.rate.denominator,
        shown.length_s,
        shown.colours.matrix,
        shown.colours.primaries,
        shown.colours.transfer,
        *_small(shown.pixel_aspect),
    )
    for frame in clip.frames:
        yield b"F" + _FRAME.pack(frame.at_s, frame.coded)
        yield frame.planes
    yield _END


def write_failure(failure: EntrenousError) -> bytes:
    """One letter for what went wrong; the size that was too much goes along."""
    if isinstance(failure, FramesTooLarge):
        sides = (failure.facts["width_px"], failure.facts["height_px"])
        return b"M" + _SIZE.pack(*(min(int(str(side)), 0xFFFFFFFF) for side in sides))
    if isinstance(failure, ClipTooLong):
        return b"L"
    letters = [letter for letter, kind in _FAILURES.items() if isinstance(failure, kind)]
    return letters[0] if letters else b"G"


def read_answer(read: Read) -> Clip:
    """The clip in an answer; its frames are read from the child as they are walked.

    Raises:
        NoFrames, ClipCutShort, FramesTooLarge, ClipTooLong, ClipBroken: what the child reported,
            also while frames are walked.
        ValueError: the answer itself is not sound, so neither is the child.
    """
    word = read(1)
    if word != b"V":
        raise _failure(word, read)
    width, height, up, down, length, *codes, across, along = _SHOWN.unpack(read(_SHOWN.size))
    if not 0 < width * height <= CLIP_PIXELS_MAX or 0 in (up, down, across, along):
        raise ValueError("frames of impossible size, rate or shape")
    if not 0.0 <= length <= CLIP_LENGTH_S_MAX:
        raise ValueError("a clip of impossible length")
    rate, aspect = Fraction(up, down), Fraction(across, along)
    shown = Shown(width, height, rate, length, Colours(*codes), aspect)
    return Clip(shown, _frames(read, shown))


def _frames(read: Read, shown: Shown) -> Iterator[Frame]:
    before = -math.inf
    while (word := read(1)) == b"F":
        at_s, coded = _FRAME.unpack(read(_FRAME.size))
        if not (before < at_s or before == at_s == 0.0) or not 0.0 <= at_s <= CLIP_LENGTH_S_MAX:
            raise ValueError("frames that do not run in the order of time")
        before = at_s
        planes = read(shown.frame_bytes)
        yield Frame(at_s, shown.width_px, shown.height_px, planes, Coded(coded))
    if word != _END:
        raise _failure(word, read)


def _failure(word: bytes, read: Read) -> EntrenousError:
    if word == b"M":
        width, height = _SIZE.unpack(read(_SIZE.size))
        return FramesTooLarge(
            width_px=width, height_px=height, limit_mp=round(CLIP_PIXELS_MAX / 1e6)
        )
    if word == b"L":
        return ClipTooLong(limit_minutes=round(CLIP_LENGTH_S_MAX / 60))
    if word in _FAILURES:
        return _FAILURES[word]()
    raise ValueError("the child said something else")


def _small(ratio: Fraction) -> tuple[int, int]:
    short = ratio.limit_denominator(10_000)
    return max(1, min(short.numerator, 100_000)), short.denominator
