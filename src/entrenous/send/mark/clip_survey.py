"""Look through a clip once: when its frames come, how the camera moves, what it looks like."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.features import features
from entrenous.craft.align.moment import small
from entrenous.craft.align.timeline import Follower, Row
from entrenous.craft.mark.reel.motion import SIDE_PX_MAX
from entrenous.model.clip import Cut, Frame, KeyFrame, NoFrames, Shown, Survey
from entrenous.ports import Device
from entrenous.send.message.watch import Reached, share_of, unseen

_KEY_EACH_S: Final = 1.0
_THUMB_EACH_S: Final = 0.12
_THUMB_PX: Final = 96
_KEYS_MAX: Final = 240
_KEY_SIDE_PX: Final = 640
_KEY_POINTS: Final = 500
_LOOK_SCALE: Final = 512.0  # entries of a look are mostly below a half


@dataclass(slots=True)
class _Seen:
    times: list[float] = field(default_factory=list)
    motions: list[Row] = field(default_factory=list)
    keys: list[Future[KeyFrame]] = field(default_factory=list)
    key_times: list[float] = field(default_factory=list)
    thumbs: list[NDArray[np.uint8]] = field(default_factory=list)
    thumb_times: list[float] = field(default_factory=list)

    def packed(self) -> Survey:
        rows, columns = self.thumbs[0].shape
        return Survey(
            np.array(self.times, np.float64).tobytes(),
            np.array(self.motions, np.float64).tobytes(),
            tuple(key.result() for key in self.keys),
            np.stack(self.thumbs).tobytes(),
            np.array(self.thumb_times, np.float64).tobytes(),
            (columns, rows),
        )


def shown_in(untrusted_data: bytes, device: Device) -> Shown:
    """What all frames of a clip have in common, at their own size; none of them is walked.

    Raises:
        NoFrames, ClipCutShort, FramesTooLarge, ClipTooLong, ClipBroken.
    """
    with device.read_clip(untrusted_data, Cut(stop_s=0.0)) as clip:
        return clip.shown


def survey(untrusted_data: bytes, device: Device, reached: Reached = unseen) -> Survey:
    """Walk through the clip; ``reached`` is told how far that is.

    Raises:
        NoFrames, ClipCutShort, FramesTooLarge, ClipTooLong, ClipBroken.
    """
    seen, follower = _Seen(), Follower()
    cut = Cut(side_px=SIDE_PX_MAX)
    with ThreadPoolExecutor(1) as crew, device.read_clip(untrusted_data, cut) as clip:
        longer = max(1.0, clip.shown.length_s / _KEYS_MAX)
        for frame in clip.frames:
            reached(share_of(frame.at_s, clip.shown.length_s))
            luma: NDArray[np.uint8] = np.asarray(frame)
            seen.times.append(frame.at_s)
            seen.motions.append(follower.step(luma))
            if not seen.keys or frame.at_s - seen.key_times[-1] >= longer * _KEY_EACH_S:
                seen.keys.append(crew.submit(_key, frame))
                seen.key_times.append(frame.at_s)
            if not seen.thumbs or frame.at_s - seen.thumb_times[-1] >= longer * _THUMB_EACH_S:
                seen.thumbs.append(small(luma, _THUMB_PX))
                seen.thumb_times.append(frame.at_s)
    if not seen.times:
        raise NoFrames
    return seen.packed()


def _key(frame: Frame) -> KeyFrame:
    luma: NDArray[np.uint8] = np.asarray(frame)
    seen = features(np.asarray(cv2.merge([luma] * 3)), side_px=_KEY_SIDE_PX, limit=_KEY_POINTS)
    looks = np.clip(np.rint(seen.looks * _LOOK_SCALE), 0, 255).astype(np.uint8)
    points = seen.points.astype(np.float32)
    return KeyFrame(frame.at_s, frame.width_px, frame.height_px, points.tobytes(), looks.tobytes())
