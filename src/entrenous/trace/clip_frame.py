"""Detect whether a picture is a frame of a sent clip, and from whose copy (docs/spec/clip.md).

An anchor is a key frame, stored when the clip was sent, whose features match the picture.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import Frame
from entrenous.base.picture import Picture
from entrenous.device.device import Device
from entrenous.trace.clip import clip_verdicts, homographies_over_time
from entrenous.trace.clip_candidates import (
    Anchor,
    ClipCandidate,
    clip_candidates,
    find_anchors,
    luma_to_rgb,
)
from entrenous.trace.outcome import MissingFiles, build_trace, count_all_sent_copies
from entrenous.watermark.alignment.clip_timing import (
    covers_enough,
    fine_detail,
    frame_correlation,
    warp_to_thumbnail,
)
from entrenous.watermark.alignment.features import FoundPictureFeatures, to_grey, wrap_found_picture
from entrenous.watermark.alignment.image_registration import Registration, register
from entrenous.watermark.alignment.transforms import Homography, invert_homography, visible_share
from entrenous.watermark.verdict import MatchedSpan, Trace

Pixels = NDArray[np.uint8]
_ANCHORS_MAX: Final = 60  # anchors tried; they are many because a camera may return to a view
# an anchor's key frame stands for this much of the clip before it and after it
_ANCHOR_RANGE_S: Final = 3.0
# full frames are compared this far before and after a thumbnail; thumbnails are 0.12 s apart
_SEARCH_RADIUS_S: Final = 0.25
_TIME_GAP_S_MIN: Final = 0.4
_TIMES_TRIED_MAX: Final = 5  # full frames are tried at no more than this many points in time
_FRAME_ROUNDS_MAX: Final = 3
# The search stops at a frame whose misfit, plus the penalty for uncovered parts, is below this.
# The misfit of wrong frames with the same view is at least about 0.03.
_CERTAIN_MISFIT_MAX: Final = 0.01
_UNCOVERED_WEIGHT: Final = 0.5  # weight of the share of the picture that lies outside the frame


@dataclass(frozen=True, slots=True, eq=False)
class _FrameMatch:
    """A sent frame, and the registration of the picture to it."""

    candidate: ClipCandidate
    frame: Frame
    registration: Registration


def trace_frame(
    found: Picture, untrusted_data: bytes, device: Device, lost: MissingFiles | None = None
) -> Trace | None:
    """Trace a picture as a frame of a sent clip; the result is not recorded.

    Args:
        found: the decoded picture.
        untrusted_data: the picture's file; the trace stores its SHA-256.
        device: the device that sent the clips.
        lost: records the clips that cannot be read any more.

    Returns: the trace, or None if the picture is not a frame of a sent clip.
    """
    lost = lost or MissingFiles()
    luma = _to_limited_range(to_grey(np.asarray(found)))
    shown = _best_frame_match(luma, device, lost)
    if shown is None:
        return None
    compared, span = count_all_sent_copies(device), MatchedSpan(shown.frame.at_s, 0.0)
    verdicts = clip_verdicts([(luma, shown.frame)], shown.registration, shown.candidate, compared)
    return build_trace(verdicts, untrusted_data, device, compared=compared, lost=lost, span=span)


def _best_frame_match(luma: Pixels, device: Device, lost: MissingFiles) -> _FrameMatch | None:
    candidates = clip_candidates(device, lost)
    found = wrap_found_picture(luma_to_rgb(luma))
    best: _FrameMatch | None = None
    for anchor, at_s in _likely_times(luma, find_anchors([luma], candidates, _ANCHORS_MAX)):
        sent = anchor.candidate.decode_original_frames(
            at_s - _SEARCH_RADIUS_S, at_s + _SEARCH_RADIUS_S, device, lost
        )
        one = _best_frame(found, anchor.candidate, sent, at_s)
        if one is not None and (best is None or _mismatch_of(one) < _mismatch_of(best)):
            best = one
        if best is not None and _mismatch_of(best) < _CERTAIN_MISFIT_MAX:
            break
    return best


def _mismatch_of(match: _FrameMatch) -> float:
    registration = match.registration
    inside = visible_share(
        invert_homography(registration.homography), registration.found_size, registration.sent_size
    )
    return registration.misfit + _UNCOVERED_WEIGHT * (1.0 - inside)


def _uncovered_penalty(homography: Homography, luma: Pixels, size: tuple[int, int]) -> float:
    """Return the penalty for the share of the picture that lies outside the frame.

    The frame that the picture shows covers the whole picture. If the camera moved, a frame from
    shortly before or after matches just as well, but leaves a margin of the picture uncovered.
    """
    inside = visible_share(invert_homography(homography), (luma.shape[1], luma.shape[0]), size)
    return _UNCOVERED_WEIGHT * (1.0 - inside)


def _likely_times(luma: Pixels, likely: list[Anchor]) -> list[tuple[Anchor, float]]:
    """Return the likeliest points in time in all clips, each with the anchor that led to it.

    Two points in the same clip are more than ``_TIME_GAP_S_MIN`` apart.
    """
    judged = sorted(
        (
            (alike, number, at_s)
            for number, anchor in enumerate(likely)
            for alike, at_s in _thumbnail_likenesses_and_times(luma, anchor, likely)
        ),
        reverse=True,
    )
    chosen: list[tuple[Anchor, float]] = []
    for _, number, at_s in judged:
        anchor = likely[number]
        if all(
            anchor.candidate is not other.candidate or abs(at_s - taken) > _TIME_GAP_S_MIN
            for other, taken in chosen
        ):
            chosen.append((anchor, at_s))
        if len(chosen) == _TIMES_TRIED_MAX:
            break
    return chosen


def _thumbnail_likenesses_and_times(
    luma: Pixels, anchor: Anchor, likely: list[Anchor]
) -> list[tuple[float, float]]:
    """Return the likeness and the time of each thumbnail that this anchor is responsible for.

    The picture is warped onto each thumbnail by the anchor's homography and the camera motion.
    """
    key, candidate = anchor.key, anchor.candidate
    own = _anchor_thumbnail_mask(anchor, [one for one in likely if one.candidate is candidate])
    times, thumbs = candidate.thumb_times[own], candidate.thumbs[own]
    size = (key.width_px, key.height_px)
    homographies = homographies_over_time(anchor.homography, key.at_s, times, candidate, size)
    judged = []
    for at_s, thumb, homography in zip(times, thumbs, homographies, strict=True):
        row, covered = warp_to_thumbnail(luma, homography, size, (thumb.shape[0], thumb.shape[1]))
        if covers_enough(covered):
            penalty = _uncovered_penalty(homography, luma, size)
            correlation = frame_correlation(row, thumb.ravel().astype(np.float32), covered)
            judged.append((correlation - penalty, float(at_s)))
    return judged


def _anchor_thumbnail_mask(anchor: Anchor, likely: list[Anchor]) -> NDArray[np.bool_]:
    """Return the mask (N,) of the thumbnails that this anchor is responsible for.

    Of the clip's anchors within ``_ANCHOR_RANGE_S`` of a thumbnail, two are responsible for it: the
    nearest one in time, and the one with the most matches (these may be the same). So the work
    grows with the length of the clip, not with the number of anchors.
    """
    times = anchor.candidate.thumb_times
    time_distance = np.abs(times[:, None] - np.array([one.key.at_s for one in likely]))
    near_matches = np.where(time_distance <= _ANCHOR_RANGE_S, [one.agreeing for one in likely], -1)
    at = next(number for number, one in enumerate(likely) if one is anchor)
    is_own = (time_distance.argmin(axis=1) == at) | (near_matches.argmax(axis=1) == at)
    return np.asarray(is_own & (time_distance[:, at] <= _ANCHOR_RANGE_S))


def _best_frame(
    found: FoundPictureFeatures, candidate: ClipCandidate, sent: list[Frame], at_s: float
) -> _FrameMatch | None:
    """Return the frame near this time that matches best, with the picture's registration to it."""
    frame = min(sent, key=lambda one: abs(one.at_s - at_s), default=None)
    best: _FrameMatch | None = None
    for _ in range(_FRAME_ROUNDS_MAX):
        if frame is None or (best is not None and frame is best.frame):
            break
        one = register(found, luma_to_rgb(np.asarray(frame)), thorough=False)
        if one is None or (best is not None and one.misfit >= best.registration.misfit):
            break
        best = _FrameMatch(candidate, frame, one)
        frame = _best_frame_by_fine_detail(found.grey, best, sent)
    return best


def _best_frame_by_fine_detail(luma: Pixels, match: _FrameMatch, sent: list[Frame]) -> Frame:
    size = (match.frame.width_px, match.frame.height_px)
    times = np.array([frame.at_s for frame in sent])
    homographies = homographies_over_time(
        match.registration.homography, match.frame.at_s, times, match.candidate, size
    )
    judged = []
    for frame, homography in zip(sent, homographies, strict=True):
        own = fine_detail(np.asarray(frame, np.float32))
        row, covered = warp_to_thumbnail(luma, homography, size, (own.shape[0], own.shape[1]))
        judged.append(
            frame_correlation(fine_detail(row.reshape(own.shape)).ravel(), own.ravel(), covered)
        )
    return sent[int(np.argmax(judged))]


def _to_limited_range(grey: Pixels) -> Pixels:
    """Convert full-range picture samples to the limited range of video (ITU-R BT.601)."""
    narrow = np.rint(grey * np.float32(219.0 / 255.0) + np.float32(16.0))
    return np.asarray(narrow, np.uint8)
