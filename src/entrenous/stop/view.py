"""What a reviewer sees of a held upload, and that they saw it (docs/spec/gate.md, 7.3)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.picture import looked_pixels
from entrenous.craft.media.kind import medium_of
from entrenous.craft.media.veil import SIDE_PX, veiled
from entrenous.model.clip import Cut, FramesTooLarge, NoFrames
from entrenous.model.medium import Medium
from entrenous.model.picture import NotAPicture, TooManyPixels
from entrenous.model.review import NoView
from entrenous.ports import Platform
from entrenous.stop.gate import UNREAD

_BEGINNING: Final = Cut(stop_s=10.0, side_px=SIDE_PX, apart_s=1.0)
_NOTHING_SEEN: Final = (*UNREAD, NotAPicture, TooManyPixels, NoFrames, FramesTooLarge)


def blurred_view(case: str, by: str, platform: Platform) -> bytes:
    """A small, grey, blurred PNG of a held upload; the log says that this person saw it.

    Raises:
        NoSuchReview, UploadNotKept.
        NoView: there is nothing to be seen in it, or it cannot be read.
    """
    upload = platform.reviews.upload(case)
    try:
        view = veiled(_pixels(upload, platform))
    except _NOTHING_SEEN:
        raise NoView(case=case) from None
    _note(case, by, "view", platform)
    return view


def clear_upload(case: str, by: str, platform: Platform) -> bytes:
    """The bytes of a held upload (untrusted), for who asks for just these; likewise.

    Raises:
        NoSuchReview, UploadNotKept.
    """
    upload = platform.reviews.upload(case)
    _note(case, by, "bytes", platform)
    return upload


def _pixels(untrusted_upload: bytes, platform: Platform) -> NDArray[np.uint8]:
    medium = medium_of(untrusted_upload)
    if medium is Medium.SOUND:
        raise NoFrames
    if medium is Medium.PICTURE:
        return looked_pixels(platform.read_upload(untrusted_upload, SIDE_PX))
    return max(_frames(untrusted_upload, platform), key=lambda luma: float(luma.std()))


def _frames(untrusted_upload: bytes, platform: Platform) -> list[NDArray[np.uint8]]:
    """Some of its beginning, since many begin with a black one; at least one, however it ends."""
    frames = list[NDArray[np.uint8]]()
    try:
        with platform.read_clip(untrusted_upload, _BEGINNING) as clip:
            frames.extend(np.asarray(frame) for frame in clip.frames)
    except UNREAD:
        if not frames:
            raise
    if not frames:
        raise NoFrames
    return frames


def _note(case: str, by: str, what: str, platform: Platform) -> None:
    platform.bank.note("upload seen", case, {"by": by, "as": what})
