"""Whether a picture is a frame of a sent clip, and of whose copy (docs/spec/clip.md)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import Frame
from entrenous.base.picture import Picture
from entrenous.device.device import Device
from entrenous.trace.clip import excused, said
from entrenous.trace.clip_candidates import Anchor, ClipCandidate, anchors, everybody, reels, rgb
from entrenous.trace.outcome import MissingFiles, answer
from entrenous.watermark.alignment.clip_timing import detail, enough, laid_small, likeness
from entrenous.watermark.alignment.features import grey_of
from entrenous.watermark.alignment.image_registration import Registration, register
from entrenous.watermark.alignment.transforms import Homography, inverse, visible_share
from entrenous.watermark.verdict import Span, Trace

Pixels = NDArray[np.uint8]
_ANCHORS: Final = 60  # key frames: a camera comes back to where it was
_REACH_S: Final = 3.0  # from an anchor's key frame
_AROUND_S: Final = 0.25  # of a moment found among small frames, which are 0.12 s apart
_APART_S: Final = 0.4
_TRIED: Final = 5  # moments that are looked at in full
_ROUNDS: Final = 3
_CERTAIN: Final = 0.01  # of misfit: a camera that comes back makes wrong moments of 0.03
_LEFT_WEIGHT: Final = 0.5  # of the share of the picture that a frame leaves unexplained


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """The sent frame that a picture shows, and how it lies on it."""

    reel: ClipCandidate
    frame: Frame
    registration: Registration


def trace_frame(found: Picture, untrusted_data: bytes, device: Device) -> Trace | None:
    """Say whose copy of a clip a picture was taken from, and keep the answer; None when it shows no
    clip that was sent.

    Args:
        found: the picture.
        untrusted_data: its file, whose hash the trace keeps.
        device: with the clips that were sent.
    """
    trace = look_at_frame(found, untrusted_data, device, MissingFiles())
    if trace is not None:
        device.ledger.note(trace)
    return trace


def look_at_frame(
    found: Picture, untrusted_data: bytes, device: Device, lost: MissingFiles
) -> Trace | None:
    """As :func:`trace_frame`, and the answer is not kept; clips that cannot be looked at any more
    are added to ``lost``.
    """
    luma = _narrow(grey_of(np.asarray(found)))
    shown = _shown(luma, device, lost)
    if shown is None:
        return None
    compared, span = everybody(device), Span(shown.frame.at_s, 0.0)
    heard = said([(luma, shown.frame)], shown.registration, shown.reel, compared)
    return answer(heard, untrusted_data, device, compared=compared, lost=lost, span=span)


def _shown(luma: Pixels, device: Device, lost: MissingFiles) -> _Shown | None:
    candidates = reels(device, lost)
    best: _Shown | None = None
    for anchor, at_s in _moments(luma, anchors([luma], candidates, _ANCHORS)):
        sent = anchor.reel.frames(at_s - _AROUND_S, at_s + _AROUND_S, device, lost)
        one = _very_one(luma, anchor.reel, sent, at_s)
        if one is not None and (best is None or _unfit(one) < _unfit(best)):
            best = one
        if best is not None and _unfit(best) < _CERTAIN:
            break
    return best


def _unfit(shown: _Shown) -> float:
    registration = shown.registration
    inside = visible_share(
        inverse(registration.homography), registration.found_size, registration.sent_size
    )
    return registration.misfit + _LEFT_WEIGHT * (1.0 - inside)


def _unexplained(homography: Homography, luma: Pixels, size: tuple[int, int]) -> float:
    """A frame shown at the very moment leaves nothing of the picture outside; one of a moment
    before or after, towards which the camera moved, fits as well, but leaves a margin.
    """
    inside = visible_share(inverse(homography), (luma.shape[1], luma.shape[0]), size)
    return _LEFT_WEIGHT * (1.0 - inside)


def _moments(luma: Pixels, likely: list[Anchor]) -> list[tuple[Anchor, float]]:
    """The likeliest moments among the small frames of all clips, each apart from the others."""
    judged = sorted(
        (
            (alike, number, at_s)
            for number, anchor in enumerate(likely)
            for alike, at_s in _alike(luma, anchor, likely)
        ),
        reverse=True,
    )
    chosen: list[tuple[Anchor, float]] = []
    for _, number, at_s in judged:
        anchor = likely[number]
        if all(
            anchor.reel is not other.reel or abs(at_s - taken) > _APART_S for other, taken in chosen
        ):
            chosen.append((anchor, at_s))
        if len(chosen) == _TRIED:
            break
    return chosen


def _alike(luma: Pixels, anchor: Anchor, likely: list[Anchor]) -> list[tuple[float, float]]:
    """Likeness and time of the small frames that are this anchor's to judge, each where the camera
    would have put it.
    """
    key, reel = anchor.key, anchor.reel
    own = _own(anchor, [one for one in likely if one.reel is reel])
    times, thumbs = reel.thumb_times[own], reel.thumbs[own]
    size = (key.width_px, key.height_px)
    ways = excused(anchor.homography, key.at_s, times, reel, size)
    judged = []
    for at_s, thumb, homography in zip(times, thumbs, ways, strict=True):
        row, covered = laid_small(luma, homography, size, (thumb.shape[0], thumb.shape[1]))
        if enough(covered):
            left = _unexplained(homography, luma, size)
            shown = likeness(row, thumb.ravel().astype(np.float32), covered)
            judged.append((shown - left, float(at_s)))
    return judged


def _own(anchor: Anchor, likely: list[Anchor]) -> NDArray[np.bool_]:
    """Which small frames an anchor judges, (N,): those to which it is the nearest of its clip's in
    time, or the surest within reach. So the work grows with the clip and not with its anchors.
    """
    times = anchor.reel.thumb_times
    far = np.abs(times[:, None] - np.array([one.key.at_s for one in likely]))
    sure = np.where(far <= _REACH_S, [one.agreeing for one in likely], -1)
    at = next(number for number, one in enumerate(likely) if one is anchor)
    mine = (far.argmin(axis=1) == at) | (sure.argmax(axis=1) == at)
    return np.asarray(mine & (far[:, at] <= _REACH_S))


def _very_one(luma: Pixels, reel: ClipCandidate, sent: list[Frame], at_s: float) -> _Shown | None:
    """The frame near this moment that fits best in fine detail, and how the picture lies on it."""
    frame = min(sent, key=lambda one: abs(one.at_s - at_s), default=None)
    best: _Shown | None = None
    for _ in range(_ROUNDS):
        if frame is None or (best is not None and frame is best.frame):
            break
        one = register(rgb(luma), rgb(np.asarray(frame)), thorough=False)
        if one is None or (best is not None and one.misfit >= best.registration.misfit):
            break
        best = _Shown(reel, frame, one)
        frame = _finest(luma, best, sent)
    return best


def _finest(luma: Pixels, shown: _Shown, sent: list[Frame]) -> Frame:
    size = (shown.frame.width_px, shown.frame.height_px)
    times = np.array([frame.at_s for frame in sent])
    ways = excused(shown.registration.homography, shown.frame.at_s, times, shown.reel, size)
    judged = []
    for frame, homography in zip(sent, ways, strict=True):
        own = detail(np.asarray(frame, np.float32))
        row, covered = laid_small(luma, homography, size, (own.shape[0], own.shape[1]))
        judged.append(likeness(detail(row.reshape(own.shape)).ravel(), own.ravel(), covered))
    return sent[int(np.argmax(judged))]


def _narrow(grey: Pixels) -> Pixels:
    """From the full range of pictures to the narrow one of frames (ITU-R BT.601)."""
    narrow = np.rint(grey * np.float32(219.0 / 255.0) + np.float32(16.0))
    return np.asarray(narrow, np.uint8)
