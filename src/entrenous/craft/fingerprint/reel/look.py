"""All the ways in which an uploaded video is looked at: eight orientations, with and without bars.

What was done to a video was done to all of its frames alike, so a view is one way for all of them,
and only frames that match in the same view count together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from entrenous.craft.fingerprint.orientation import UPRIGHT, turn
from entrenous.craft.fingerprint.picture import frequencies, quality, to_bits
from entrenous.craft.fingerprint.reel.bars import Bars
from entrenous.craft.fingerprint.reel.blocks import blocks_of
from entrenous.craft.fingerprint.reel.pace import looked_at
from entrenous.craft.fingerprint.reel.register import apart
from entrenous.craft.fingerprint.reel.trim import Trims
from entrenous.craft.fingerprint.spectrum import Floats
from entrenous.model.clip import Frame
from entrenous.model.print import VideoLook, View
from entrenous.spec import PDQ_BYTES, PDQ_QUALITY_MIN

NO_BARS: Final = "bars removed"
SAME_BITS: Final = 4  # what coding alone changes in a scene that does not move


@dataclass(frozen=True, slots=True)
class _Seen:
    """A frame that is looked at: ``whole`` and ``inner`` are 16 x 16 spectra."""

    at_ms: int
    bits: bytes
    whole: Floats
    inner: Floats


def video_look(frames: Iterable[Frame], length_s: float = 0.0) -> VideoLook:
    """Every view of an uploaded video; one without any detail has no frame in them.

    Frames are taken four times a second by time. Those with little detail are left out, and those
    within SAME_BITS of the one before them; with bars around, what counts is inside them.

    Args:
        frames: upright, in the order of time; read once.
        length_s: what the file announces (``Shown.length_s``).
    """
    bars, kept, trims = Bars(), list[_Seen](), Trims.over(length_s)
    barred = False
    for frame in looked_at(frames, length_s):
        luma = np.asarray(frame)
        blocks = blocks_of(luma)
        cut = bars.without(luma)
        inner = blocks if cut is None else blocks_of(cut)
        barred |= cut is not None
        if quality(inner) < PDQ_QUALITY_MIN:
            continue
        trims.see(luma if cut is None else cut, round(1000 * frame.at_s))
        spectrum = frequencies(inner)
        bits = to_bits(spectrum)
        if not kept or apart(bits, kept[-1].bits) > SAME_BITS:
            whole = spectrum if cut is None else frequencies(blocks)
            kept.append(_Seen(round(1000 * frame.at_s), bits, whole, spectrum))
    views = [*_views([one.whole for one in kept], ""), *_barred(kept, barred=barred)]
    times = tuple(one.at_ms for one in kept)
    return VideoLook(times, tuple(views), tuple(trims.views))


def _barred(kept: list[_Seen], *, barred: bool) -> list[View]:
    return _views([one.inner for one in kept], NO_BARS) if barred else []


def _views(spectra: list[Floats], done: str) -> list[View]:
    """The eight orientations of all frames; nothing when there is no frame."""
    if not spectra:
        return []
    views = []
    for how, turned in turn(np.stack(spectra)).items():
        hashes = to_bits(turned)
        cut = tuple(hashes[at : at + PDQ_BYTES] for at in range(0, len(hashes), PDQ_BYTES))
        views.append(View(_said(how, done), cut))
    return views


def _said(turned: str, done: str) -> str:
    """E.g. "mirror, bars removed"; "as it is" only when nothing was done."""
    return ", ".join(one for one in (turned if turned != UPRIGHT else "", done) if one) or UPRIGHT
