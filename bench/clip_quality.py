"""Measure the visible difference of a clip's copy from its original: PSNR and flicker."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import Frame
from entrenous.media.clip_reader import read_clip
from entrenous.media.clip_writer import ClipWriter, mean_squared_copy_error

_WHOLE: Final = np.float32(255.0 / 219.0)  # from the narrow to the full range of luma
_CELL_PX: Final = 16
_FRAMES: Final = 5
_PEAK: Final = 255.0**2

Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CopyErrors:
    """The errors of a copy, as written, compared with the source clip.

    ``change`` and ``change_most`` are the root mean square of the error's change from one frame to
    the next, in grey levels: the mean of all pairs, and the worst pair. ``slow`` is the standard
    deviation over time of the error's average over cells of 16 x 16 pixels and 5 frames.
    """

    psnr_yuv_db: float
    psnr_rgb_db: float
    change: float
    change_most: float
    slow: float


def compare_copy(copy: bytes, original: bytes) -> CopyErrors:
    """Compare a copy with its original, frame by frame.

    Raises:
        ValueError: the numbers of frames differ.
    """
    squares: list[float] = []
    changes: list[float] = []
    cells: list[Plane] = []
    before: Plane | None = None
    with read_clip(copy) as one, read_clip(original) as other:
        for a, b in zip(one.frames, other.frames, strict=True):
            squares.append(float(np.mean((_planes(a) - _planes(b)) ** 2)))
            error = (np.asarray(a).astype(np.float32) - np.asarray(b)) * _WHOLE
            if before is not None:
                changes.append(float(np.sqrt(np.mean((error - before) ** 2))))
            cells.append(_cells(error))
            before = error
    with read_clip(original) as clip:
        rgb = mean_squared_copy_error(copy, clip.frames)
    change = float(np.mean(changes)), float(np.max(changes))
    return CopyErrors(_db(float(np.mean(squares))), _db(rgb), *change, _slow_flicker(cells))


def unmarked(original: bytes, crf: float) -> bytes:
    """Return the clip encoded like a copy, but without a mark and without sound."""
    with read_clip(original) as clip:
        writer = ClipWriter(clip.shown, crf)
        for frame in clip.frames:
            luma = np.asarray(frame)
            chroma = np.frombuffer(frame.planes, np.uint8)[luma.size :]
            writer.add(luma, chroma, frame.at_s, frame.coded)
        return writer.finish()


def _planes(frame: Frame) -> NDArray[np.int16]:
    return np.frombuffer(frame.planes, np.uint8).astype(np.int16)


def _cells(error: Plane) -> Plane:
    size = (error.shape[1] // _CELL_PX, error.shape[0] // _CELL_PX)
    return np.asarray(cv2.resize(error, size, interpolation=cv2.INTER_AREA), np.float32)


def _slow_flicker(cells: list[Plane]) -> float:
    sums = np.cumsum(np.stack(cells), axis=0, dtype=np.float64)
    steady = (sums[_FRAMES:] - sums[:-_FRAMES]) / _FRAMES
    return float(np.mean(np.std(steady, axis=0)))


def _db(error: float) -> float:
    return float(10.0 * np.log10(_PEAK / error))
