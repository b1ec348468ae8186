"""The sent clips that a found file might show, and what they look like."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.features import Features, features, matches
from entrenous.craft.align.geometry import Homography, mirroring, plausible
from entrenous.craft.align.timeline import Camera
from entrenous.craft.mark.reel.motion import SIDE_PX_MAX, Stage, stage
from entrenous.craft.wire.record import unpack
from entrenous.model.clip import Cut, Frame, KeyFrame, Survey
from entrenous.model.message import Message, SentClip
from entrenous.ports import Device

Grey = NDArray[np.uint8]

_SIDE_PX: Final = 1000
_POINTS: Final = 1000
_ANCHORS: Final = 6  # tried at most
_MATCHES_MIN: Final = 12
_TOLERANCE: Final = 4.0 / 1000  # of the found frame's longest side


@dataclass(frozen=True, slots=True, eq=False)
class Reel:
    """One sent clip; ``thumbs`` (N, h, w) are small frames of it, at ``thumb_times``."""

    message: Message
    clip: SentClip
    keys: tuple[KeyFrame, ...]
    thumbs: Grey
    thumb_times: NDArray[np.float64]
    camera: Camera
    stage: Stage

    def frames(self, start_s: float, stop_s: float, device: Device) -> list[Frame]:
        """Its frames between these times, unmarked, reduced to about the working size."""
        cut = Cut(max(0.0, start_s), max(0.0, stop_s), side_px=SIDE_PX_MAX)
        with device.read_clip(device.vault.kept(self.clip.original), cut) as clip:
            return list(clip.frames)


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """A found frame, by its number among the probes, that seems to show the scene of a key frame.

    ``homography`` is a first idea of how it lies there, from the key frame's pixels to the found
    one's; ``agreeing`` counts the points that share it.
    """

    reel: Reel
    probe: int
    key: KeyFrame
    homography: Homography
    agreeing: int


def reels(device: Device) -> Iterator[Reel]:
    """Every clip that was sent from here."""
    for message in device.ledger.messages():
        for clip in message.clips:
            survey = unpack(Survey, device.vault.kept(clip.survey))
            plan = stage(clip.width_px, clip.height_px)
            thumbs = np.frombuffer(survey.thumbs, np.uint8).reshape(-1, *survey.thumb_px[::-1])
            times = np.frombuffer(survey.thumb_times, np.float64)
            yield Reel(message, clip, survey.keys, thumbs, times, Camera.of(survey), plan)


def everybody(device: Device) -> int:
    """How many copies of anything were sent from here: all that a finding must be corrected for."""
    return sum(
        sum(len(picture.copies) for picture in message.pictures)
        + sum(len(clip.copies) for clip in message.clips)
        + sum(len(sound.copies) for sound in message.sounds)
        for message in device.ledger.messages()
    )


def anchors(probes: list[Grey], candidates: list[Reel], most: int = _ANCHORS) -> list[Anchor]:
    """The likeliest pairs of a probe and a key frame, by matching points; the best first, at most
    ``most``.
    """
    looks = [
        (number, flipped, _features(probe[:, ::-1] if flipped else probe))
        for number, probe in enumerate(probes)
        for flipped in (False, True)
    ]
    found = [
        anchor
        for reel in candidates
        for key, sent in ((key, _kept(key)) for key in reel.keys)
        for number, flipped, seen in looks
        if (anchor := _anchor(reel, key, sent, (number, flipped, seen))) is not None
    ]
    return sorted(found, key=lambda anchor: -anchor.agreeing)[:most]


def _anchor(
    reel: Reel, key: KeyFrame, sent: Features, look: tuple[int, bool, Features]
) -> Anchor | None:
    number, flipped, seen = look
    at_sent, at_found = matches(seen, sent)
    if len(at_sent) < _MATCHES_MIN:
        return None
    affine, agree = cv2.estimateAffine2D(
        at_sent, at_found, ransacReprojThreshold=_TOLERANCE * max(seen.size)
    )
    if not np.sum(agree) >= _MATCHES_MIN:  # OpenCV gives no mask when there is no map
        return None
    homography = np.vstack([affine, [0.0, 0.0, 1.0]])
    if flipped:
        homography = mirroring(seen.size) @ homography
    if not plausible(homography, sent.size, seen.size):
        return None
    return Anchor(reel, number, key, homography, int(agree.sum()))


def rgb(luma: Grey) -> Grey:
    """A luma plane as a grey picture, (H, W, 3)."""
    return np.asarray(cv2.merge([luma] * 3), np.uint8)


def _features(luma: Grey) -> Features:
    return features(rgb(np.ascontiguousarray(luma)), side_px=_SIDE_PX, limit=_POINTS)


def _kept(key: KeyFrame) -> Features:
    points = np.frombuffer(key.points, np.float32).reshape(-1, 2).astype(np.float64)
    looks = np.frombuffer(key.looks, np.uint8).reshape(-1, 128).astype(np.float32)
    norms = np.maximum(np.linalg.norm(looks, axis=1, keepdims=True), 1e-6)
    return Features((key.width_px, key.height_px), points, np.asarray(looks / norms, np.float32))
