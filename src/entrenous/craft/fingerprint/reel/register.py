"""The hashes of a video that its owner registers."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from entrenous.craft.fingerprint.picture import frequencies, quality, to_bits
from entrenous.craft.fingerprint.reel.blocks import blocks_of
from entrenous.craft.fingerprint.reel.pace import registered
from entrenous.craft.fingerprint.reel.trim import inner_hash
from entrenous.model.clip import Frame
from entrenous.model.print import FramePrint, VideoPrint, VideoTooFlat
from entrenous.spec import PDQ_QUALITY_MIN

NEIGHBOUR_BITS: Final = 10  # what the same scene differs by from one frame to the next


def video_print(
    frames: Iterable[Frame], length_s: float = 0.0, *, parts: bool = False
) -> VideoPrint:
    """What is registered of a video: at most 1,200 frames, of one hash each, or two.

    Frames are taken eight times a second by time. Flat ones are left out, for they resemble
    anything flat, and so is what lies within 10 bits of the frame that was kept before it.

    Args:
        frames: upright, in the order of time; they are read once.
        length_s: what the file announces (``Shown.length_s``).
        parts: its owner agrees to send a second hash of each frame, without the edges.

    Raises:
        VideoTooFlat: no frame has enough detail.
    """
    kept = tuple(distinct(_prints(registered(frames, length_s), parts=parts)))
    if not kept:
        raise VideoTooFlat
    return VideoPrint(kept)


def distinct(prints: Iterable[FramePrint]) -> Iterator[FramePrint]:
    """Those that differ by more than 10 bits from the one before them that was given."""
    before: FramePrint | None = None
    for one in prints:
        if before is None or apart(one.bits, before.bits) > NEIGHBOUR_BITS:
            before = one
            yield one


def apart(one: bytes, other: bytes) -> int:
    """In how many of 256 bits two hashes differ."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def _prints(frames: Iterable[Frame], *, parts: bool) -> Iterator[FramePrint]:
    for frame in frames:
        luma = np.asarray(frame)
        blocks = blocks_of(luma)
        detail = quality(blocks)
        if detail >= PDQ_QUALITY_MIN:
            bits, inner = to_bits(frequencies(blocks)), inner_hash(luma) if parts else None
            yield FramePrint(round(1000 * frame.at_s), bits, detail, inner)
