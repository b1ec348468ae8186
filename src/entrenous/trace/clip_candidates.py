"""The sent clips that a found file might show, with the measurements made when they were sent."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import ClipMeasurements, Frame, FrameKeypoints, FrameSelection
from entrenous.crypto.hashing import sha256
from entrenous.device.device import Device
from entrenous.device.sent_messages import Message, SentClip
from entrenous.device.vault_tables import unpack
from entrenous.trace.outcome import MissingFiles
from entrenous.watermark.alignment.clip_timing import CameraMotion
from entrenous.watermark.alignment.features import (
    Features,
    extract_features_from_luma,
    flip_descriptors,
    match_features,
)
from entrenous.watermark.alignment.transforms import Homography, is_plausible
from entrenous.watermark.clip_mark import WORKING_SIDE_PX_MAX, ClipLayout, lay_out_clip

Grey = NDArray[np.uint8]
_FEATURES_SIDE_PX: Final = 1000
_FEATURES_MAX: Final = 1000
_ANCHORS_MAX: Final = 6  # at most this many anchors are tried
_MATCHES_MIN: Final = 12
_MATCH_TOLERANCE_SHARE: Final = 4.0 / 1000  # as a share of the found frame's longest side


@dataclass(frozen=True, slots=True, eq=False)
class ClipCandidate:
    """One sent clip, with its survey, which is what was measured in the clip when it was sent.

    ``thumbs`` (N, h, w) are thumbnails of its frames at the times ``thumb_times``.
    ``survey_sha256`` is the hash of the whole survey. ``others`` are further messages with the same
    clip. Each has its own copies and dither, and its survey may differ.
    """

    message: Message
    clip: SentClip
    keys: tuple[FrameKeypoints, ...]
    thumbs: Grey
    thumb_times: NDArray[np.float64]
    camera: CameraMotion
    layout: ClipLayout
    survey_sha256: bytes
    others: tuple["ClipCandidate", ...] = ()

    def decode_original_frames(
        self, start_s: float, stop_s: float, device: Device, lost: MissingFiles
    ) -> list[Frame]:
        """Decode the unmarked frames between two times, scaled down to about the working size.

        Returns: the frames; none if the clip cannot be read any more.
        """
        source = lost.read_or_record_missing(self.clip.original, self.message, device)
        if source is None:
            return []
        cut = FrameSelection(max(0.0, start_s), max(0.0, stop_s), side_px=WORKING_SIDE_PX_MAX)
        with device.read_clip(source, cut) as clip:
            return list(clip.frames)


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """A probe (a frame of the found clip) that seems to show the scene of a key frame.

    ``probe`` is the probe's index. ``homography`` is a first estimate; it maps the key frame's
    pixels to the probe's. ``agreeing`` is the number of feature matches that support it.
    """

    candidate: ClipCandidate
    probe: int
    key: FrameKeypoints
    homography: Homography
    agreeing: int


def clip_candidates(device: Device, lost: MissingFiles) -> list[ClipCandidate]:
    """Return every clip of which copies were sent; clips with equal originals are merged.

    An original is read only if another clip has the same size and, within 0.1 s, the same length.
    """
    alike = dict[tuple[int, int, float], list[ClipCandidate]]()
    for one in _sent_clips(device, lost):
        key = one.clip.width_px, one.clip.height_px, round(one.clip.length_s, 1)
        alike.setdefault(key, []).append(one)
    return [one for group in alike.values() for one in _merge_equal_originals(group, device)]


def _sent_clips(device: Device, lost: MissingFiles) -> Iterator[ClipCandidate]:
    for message in device.ledger.messages_with_clips():
        for clip in message.clips:
            measured = (
                lost.read_or_record_missing(clip.survey, message, device) if clip.copies else None
            )
            if measured is not None:
                yield _clip_candidate(message, clip, measured)


def _clip_candidate(message: Message, clip: SentClip, measured: bytes) -> ClipCandidate:
    survey = unpack(ClipMeasurements, measured)
    thumbs = np.frombuffer(survey.thumbs, np.uint8).reshape(-1, *survey.thumb_px[::-1])
    return ClipCandidate(
        message=message,
        clip=clip,
        keys=survey.keys,
        thumbs=thumbs,
        thumb_times=np.frombuffer(survey.thumb_times, np.float64),
        camera=CameraMotion.of(survey),
        layout=lay_out_clip(clip.width_px, clip.height_px),
        survey_sha256=sha256(measured),
    )


def _merge_equal_originals(alike: list[ClipCandidate], device: Device) -> list[ClipCandidate]:
    if len(alike) == 1:
        return alike
    same = dict[bytes, list[ClipCandidate]]()
    for one in alike:  # a missing original is reported only if the clip matches later
        source = MissingFiles().read_or_record_missing(one.clip.original, one.message, device)
        same.setdefault(one.clip.original if source is None else sha256(source), []).append(one)
    return [replace(first, others=tuple(rest)) for first, *rest in same.values()]


def find_anchors(
    probes: list[Grey], candidates: list[ClipCandidate], limit: int = _ANCHORS_MAX
) -> list[Anchor]:
    """Match probes with key frames by their features; return the best pairs, best first.

    A probe may be mirrored.
    """
    views = [
        (number, flip_descriptors(seen, mirrored=mirrored, inverted=False))
        for number, seen in enumerate(_luma_features(probe) for probe in probes)
        for mirrored in (False, True)
    ]
    found = [
        anchor
        for candidate in candidates
        for key, sent in ((key, _stored_features(key)) for key in candidate.keys)
        for view in views
        if (anchor := _match_probe_with_key_frame(candidate, key, sent, view)) is not None
    ]
    return sorted(found, key=lambda anchor: -anchor.agreeing)[:limit]


def _match_probe_with_key_frame(
    candidate: ClipCandidate, key: FrameKeypoints, sent: Features, view: tuple[int, Features]
) -> Anchor | None:
    number, features_seen = view
    at_sent, at_found = match_features(features_seen, sent)
    if len(at_sent) < _MATCHES_MIN:
        return None
    affine, agree = cv2.estimateAffine2D(
        at_sent, at_found, ransacReprojThreshold=_MATCH_TOLERANCE_SHARE * max(features_seen.size)
    )
    if not np.sum(agree) >= _MATCHES_MIN:  # if no map was found, ``agree`` is all zeros
        return None
    homography = np.vstack([affine, [0.0, 0.0, 1.0]])
    if not is_plausible(homography, sent.size, features_seen.size):
        return None
    return Anchor(candidate, number, key, homography, int(agree.sum()))


def luma_to_rgb(luma: Grey) -> Grey:
    """Turn a luma plane into a grey picture (H, W, 3)."""
    return np.asarray(cv2.merge([luma] * 3), np.uint8)


def _luma_features(luma: Grey) -> Features:
    return extract_features_from_luma(
        np.ascontiguousarray(luma), side_px=_FEATURES_SIDE_PX, limit=_FEATURES_MAX
    )


def _stored_features(key: FrameKeypoints) -> Features:
    points = np.frombuffer(key.points, np.float32).reshape(-1, 2).astype(np.float64)
    descriptors = np.frombuffer(key.descriptors, np.uint8).reshape(-1, 128).astype(np.float32)
    norms = np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), 1e-6)
    return Features(
        (key.width_px, key.height_px), points, np.asarray(descriptors / norms, np.float32)
    )
