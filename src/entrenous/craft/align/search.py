"""First homographies without features: for calm pictures, thumbnails and flat graphics.

Small copies are slid over each other at every turn, scale and mirror image; where both show
something, their normalised correlation counts (masked: Padfield 2012). Most of what comes out is
wrong, which the misfit will tell.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from entrenous.craft.align.features import Pixels, resized
from entrenous.craft.align.geometry import Homography, Size, inverse, mirroring, resizing

Plane = NDArray[np.float32]

_ASPECT_TOLERANCE: Final = 0.02
_SIDE_PX: Final = 64
_TURNS: Final = 36
_SCALES: Final = tuple(float(scale) for scale in np.geomspace(0.2, 3.0, 20))
_OVERLAP_MIN: Final = 0.25  # of the smaller picture
_PIXELS_MIN: Final = 144
_CALM: Final = 1.0  # squared grey levels: less is no picture
_KEPT: Final = 8
_APART_PX: Final = 4.0  # of the small picture: nearer ones are the same


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A homography between the small pictures, and how surely they are alike there."""

    homography: Homography
    sure: float


def whole_frame(sent: Size, found: Size) -> list[Homography]:
    """The sent picture resized, as it is and mirrored, when the proportions allow it."""
    if abs(sent[0] * found[1] / (sent[1] * found[0]) - 1.0) > _ASPECT_TOLERANCE:
        return []
    plain = resizing(sent, found)
    return [plain, mirroring(found) @ plain]


def searched(found_grey: Pixels, sent_grey: Pixels) -> list[Homography]:
    """The likeliest places at all turns and scales, mirrored or not; at most eight."""
    sent, found = resized(sent_grey, _SIDE_PX), resized(found_grey, 2 * _SIDE_PX)
    over = _Over(sent.astype(np.float32))
    places = sorted(_places(over, found.astype(np.float32)), key=lambda place: -place.sure)
    onto_sent = resizing(_size(sent_grey), _size(sent))
    from_found = resizing(_size(found), _size(found_grey))
    return [from_found @ place.homography @ onto_sent for place in _distinct(places, sent)]


class _Over:
    """The small sent picture's spectra, for many found ones."""

    def __init__(self, sent: Plane) -> None:
        self._sent = sent - sent.mean()
        self.shape: tuple[int, int] = (sent.shape[0], sent.shape[1])
        side = fft.next_fast_len(3 * max(sent.shape), real=True)
        self._padded = (side, side)
        self._spectra = [self._spectrum(plane) for plane in self._planes(self._sent, None)]

    def best(self, found: Plane, mask: Plane) -> tuple[float, tuple[int, int]]:
        """How surely ``found`` lies on the sent picture at best, and at which (row, column)."""
        level = float((found * mask).sum() / max(float(mask.sum()), 1.0))
        one, own, square = (
            np.conj(self._spectrum(plane)) for plane in self._planes(found - level, mask)
        )
        ones, sent, squares = self._spectra
        count = np.maximum(self._back(ones * one), 1e-3)
        sums = self._back(sent * one), self._back(ones * own)
        cross = self._back(sent * own) - sums[0] * sums[1] / count
        power_sent = self._back(squares * one) - sums[0] ** 2 / count
        power_found = self._back(ones * square) - sums[1] ** 2 / count
        power = np.maximum(power_sent, 0.0) * np.maximum(power_found, 0.0)
        like = np.abs(cross) / np.sqrt(power + (_CALM * count) ** 2)
        least = max(_PIXELS_MIN, _OVERLAP_MIN * min(self._sent.size, float(mask.sum())))
        sure = np.arctanh(np.clip(like, 0.0, 0.995)) * np.sqrt(count) * (count >= least)
        row, column = np.unravel_index(int(sure.argmax()), sure.shape)
        return float(sure[row, column]), self._shift(int(row), int(column))

    def _shift(self, row: int, column: int) -> tuple[int, int]:
        high, wide = self.shape
        side = self._padded[0]
        return (row if row < high else row - side), (column if column < wide else column - side)

    def _planes(self, plane: Plane, mask: Plane | None) -> tuple[Plane, Plane, Plane]:
        mask = np.ones_like(plane) if mask is None else mask
        return mask, plane * mask, plane * plane * mask

    def _spectrum(self, plane: Plane) -> NDArray[np.complex64]:
        return np.asarray(fft.rfft2(plane.astype(np.float32), self._padded), np.complex64)

    def _back(self, spectrum: NDArray[np.complex64]) -> Plane:
        return np.asarray(fft.irfft2(spectrum, self._padded), np.float32)


def _places(over: _Over, found: Plane) -> Iterator[_Place]:
    for mirrored in (False, True):
        for scale in _SCALES:
            for turn in range(_TURNS):
                turned = _turned(_size(found), scale, 2 * math.pi * turn / _TURNS, mirrored)
                if turned is None:
                    continue
                onto, size = turned
                laid, mask = _laid(found, onto, size)
                sure, (row, column) = over.best(laid, mask)
                back = np.array([[1.0, 0.0, -column], [0.0, 1.0, -row], [0.0, 0.0, 1.0]])
                yield _Place(inverse(onto) @ back, sure)


def _turned(
    size: Size,
    scale: float,
    turn: float,
    mirrored: bool,  # noqa: FBT001
) -> tuple[Homography, Size] | None:
    """The found picture, so many times as large as the small sent one, turned, on a grid of its
    own; None when that would be too small or too large.
    """
    factor = scale * _SIDE_PX / max(size)
    cosine, sine = math.cos(turn), math.sin(turn)
    slope = factor * np.array([[cosine, -sine], [sine, cosine]])
    slope = slope @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    reach = np.abs(slope) @ np.array(size)
    wide, high = (math.ceil(side) for side in reach)
    if factor * min(size) < math.sqrt(_PIXELS_MIN) or max(wide, high) > 2 * _SIDE_PX:
        return None
    middle = np.array([(wide - 1) / 2, (high - 1) / 2])
    shift = middle - slope @ ((np.array(size) - 1) / 2)
    return np.vstack([np.column_stack([slope, shift]), [0.0, 0.0, 1.0]]), (wide, high)


def _laid(found: Plane, onto: Homography, size: Size) -> tuple[Plane, Plane]:
    scale = math.sqrt(abs(float(np.linalg.det(onto[:2, :2]))))
    soft = cv2.GaussianBlur(found, (0, 0), 0.4 / scale) if scale < 1.0 else found
    laid = cv2.warpAffine(soft, onto[:2], size, flags=cv2.INTER_LINEAR)
    mask = cv2.warpAffine(np.ones_like(found), onto[:2], size, flags=cv2.INTER_NEAREST)
    return np.asarray(laid, np.float32), np.asarray(mask, np.float32)


def _distinct(places: list[_Place], sent: Pixels) -> list[_Place]:
    """The surest ones that differ by more than a few pixels somewhere in the found picture."""
    kept: list[_Place] = []
    wide, high = _size(sent)
    frame = np.array([[0.0, 0, 1], [wide, 0, 1], [wide, high, 1], [0, high, 1]])
    for place in places:
        ways = [inverse(one.homography) @ place.homography for one in kept]
        moved = [np.abs((frame @ way.T - frame)[:, :2]).max() for way in ways]
        if all(off > _APART_PX for off in moved):
            kept.append(place)
        if len(kept) == _KEPT:
            break
    return kept


def _size(grey: NDArray[np.uint8] | Plane) -> Size:
    return grey.shape[1], grey.shape[0]
