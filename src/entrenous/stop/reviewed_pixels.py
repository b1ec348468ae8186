"""Decode what a reviewer sees of an upload (docs/spec/gate.md, 7.3)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import FrameSelection, NoVideoFound
from entrenous.base.picture import MediaKind
from entrenous.fingerprint.pdq import pixels_on_white, pixels_or_luma
from entrenous.media.file_kind import media_kind_of
from entrenous.media.png_animation import default_image, has_separate_default_image
from entrenous.media.resize import PREVIEW_SIDE_PX
from entrenous.stop.judge.decide import UNREADABLE_ERRORS
from entrenous.stop.judge.scan import decode_for_hashing
from entrenous.stop.platform import Platform

_FRAME_SELECTION: Final = FrameSelection(stop_s=10.0, side_px=PREVIEW_SIDE_PX, apart_s=1.0)
_WHITE: Final = 255


def decode_view_pixels(untrusted_upload: bytes, platform: Platform) -> NDArray[np.uint8]:
    """Return the pixels of an upload that a reviewer sees, in grey or colour.

    Raises what the platform's decoders raise, and NoVideoFound for a sound.
    """
    medium = media_kind_of(untrusted_upload)
    if medium is MediaKind.SOUND:
        raise NoVideoFound
    if medium is MediaKind.CLIP:
        return max(_first_frames(untrusted_upload, platform), key=lambda luma: float(luma.std()))
    if has_separate_default_image(untrusted_upload):
        return _both_images(untrusted_upload, platform)
    return pixels_or_luma(decode_for_hashing(untrusted_upload, PREVIEW_SIDE_PX, platform))


def _both_images(untrusted_png: bytes, platform: Platform) -> NDArray[np.uint8]:
    """Return the picture that some viewers of a PNG show, above the one that others show."""
    above, below = (
        pixels_on_white(decode_for_hashing(one, PREVIEW_SIDE_PX, platform))
        for one in (untrusted_png, default_image(untrusted_png))
    )
    size = len(above) + len(below), max(above.shape[1], below.shape[1]), 3
    both = np.full(size, _WHITE, dtype=np.uint8)
    both[: len(above), : above.shape[1]] = above
    both[len(above) :, : below.shape[1]] = below
    return both


def _first_frames(untrusted_upload: bytes, platform: Platform) -> list[NDArray[np.uint8]]:
    """Decode several first frames of a clip, since many begin with a black one.

    If decoding fails after the first frame, the frames so far are returned.
    """
    frames = list[NDArray[np.uint8]]()
    try:
        with platform.read_clip(untrusted_upload, _FRAME_SELECTION) as clip:
            frames.extend(np.asarray(frame) for frame in clip.frames)
    except UNREADABLE_ERRORS:
        if not frames:
            raise
    if not frames:
        raise NoVideoFound
    return frames
