"""Find initial homographies without local features, for pictures that have too few of them.

Such pictures are smooth pictures, thumbnails and flat graphics.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from entrenous.watermark.alignment.features import Pixels, resize_to_side
from entrenous.watermark.alignment.transforms import (
    Homography,
    Size,
    invert_homography,
    mirroring,
    resizing,
)

Plane = NDArray[np.float32]
Spectra = NDArray[np.complex64]  # 3 x rows x columns
_ASPECT_TOLERANCE: Final = 0.02
_SIDE_PX: Final = 64
_ROTATIONS_TRIED: Final = 36
_SCALES: Final = tuple(float(scale) for scale in np.geomspace(0.2, 3.0, 20))
# the pictures must overlap in at least this share of the smaller one
_OVERLAP_SHARE_MIN: Final = 0.25
_OVERLAP_PIXELS_MIN: Final = 144
_POWER_MIN: Final = 1.0  # squared grey levels; a patch with less variance has no content
_PLACES_MAX: Final = 8
# places closer together than this, in pixels of the small picture, count as one
_PLACE_DISTANCE_PX_MIN: Final = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class _SearchResult:
    """A homography between scaled-down pictures, and the confidence in it."""

    homography: Homography
    confidence: float


def whole_frame_homographies(sent: Size, found: Size) -> list[Homography]:
    """Return homographies that resize the whole sent picture, as it is and mirrored.

    There are none if the proportions of the two pictures differ.
    """
    if abs(sent[0] * found[1] / (sent[1] * found[0]) - 1.0) > _ASPECT_TOLERANCE:
        return []
    plain = resizing(sent, found)
    return [plain, mirroring(found) @ plain]


def search_all_poses(found_grey: Pixels, sent_grey: Pixels) -> list[Homography]:
    """Return at most eight homographies: the likeliest rotations, scales and positions."""
    sent, found = resize_to_side(sent_grey, _SIDE_PX), resize_to_side(found_grey, 2 * _SIDE_PX)
    search = _SpectralSearch(sent.astype(np.float32))
    places = sorted(
        _best_places(search, found.astype(np.float32)), key=lambda place: -place.confidence
    )
    onto_sent = resizing(_width_and_height(sent_grey), _width_and_height(sent))
    from_found = resizing(_width_and_height(found), _width_and_height(found_grey))
    return [from_found @ place.homography @ onto_sent for place in _distinct_places(places, sent)]


class _SpectralSearch:
    """The scaled-down sent picture, for correlation with many found ones."""

    def __init__(self, sent: Plane) -> None:
        self._sent = sent - sent.mean()
        self.shape: tuple[int, int] = (sent.shape[0], sent.shape[1])
        self._spectra: dict[tuple[int, int], Spectra] = {}

    def best_shift(self, found: Plane, mask: Plane) -> tuple[float, tuple[int, int]]:
        """Return the highest confidence that ``found`` matches the sent picture at some shift, and
        that shift: (row, column) of the first pixel of ``found`` in the sent picture.
        """
        level = float((found * mask).sum() / max(float(mask.sum()), 1.0))
        padded = self._padded_size(found)
        one, plane, square = np.conj(_spectra_of(found - level, mask, padded))
        ones, sent, squares = self._spectra_at(padded)
        products = (ones * one, sent * one, ones * plane, sent * plane, squares * one)
        count, sent_sum, found_sum, cross, sent_power, found_power = np.asarray(
            fft.irfft2(np.stack((*products, ones * square)), padded), np.float32
        )
        np.maximum(count, 1e-3, out=count)
        cross -= sent_sum * found_sum / count
        sent_power -= np.square(sent_sum) / count
        found_power -= np.square(found_sum) / count
        power = np.maximum(sent_power, 0.0) * np.maximum(found_power, 0.0)
        correlation = np.abs(cross) / np.sqrt(power + (_POWER_MIN * count) ** 2)
        least = max(
            _OVERLAP_PIXELS_MIN, _OVERLAP_SHARE_MIN * min(self._sent.size, float(mask.sum()))
        )
        confidence = (
            np.arctanh(np.clip(correlation, 0.0, 0.995)) * np.sqrt(count) * (count >= least)
        )
        row, column = np.unravel_index(int(confidence.argmax()), confidence.shape)
        return float(confidence[row, column]), self._shift_of_peak(int(row), int(column), padded)

    def _padded_size(self, found: Plane) -> tuple[int, int]:
        """Return the smallest size that is fast to transform and at least the sum of both sizes.

        At that size, no shift wraps around.
        """
        high, wide = (
            fft.next_fast_len(one + other, real=True)
            for one, other in zip(self.shape, found.shape, strict=True)
        )
        return high, wide

    def _spectra_at(self, padded: tuple[int, int]) -> Spectra:
        if padded not in self._spectra:
            self._spectra[padded] = _spectra_of(self._sent, np.ones_like(self._sent), padded)
        return self._spectra[padded]

    def _shift_of_peak(self, row: int, column: int, padded: tuple[int, int]) -> tuple[int, int]:
        high, wide = self.shape
        return (
            row if row < high else row - padded[0],
            column if column < wide else column - padded[1],
        )


def _spectra_of(plane: Plane, mask: Plane, padded: tuple[int, int]) -> Spectra:
    """Return the spectra of the mask, of the masked plane, and of its square."""
    planes = np.stack((mask, plane * mask, plane * plane * mask)).astype(np.float32)
    return np.asarray(fft.rfft2(planes, padded), np.complex64)


def _best_places(search: _SpectralSearch, found: Plane) -> Iterator[_SearchResult]:
    for mirrored in (False, True):
        for scale in _SCALES:
            for turn in range(_ROTATIONS_TRIED):
                grid = _rotated_grid(
                    _width_and_height(found), scale, 2 * math.pi * turn / _ROTATIONS_TRIED, mirrored
                )
                if grid is None:
                    continue
                onto, size = grid
                warped, mask = _warp_onto(found, onto, size)
                confidence, (row, column) = search.best_shift(warped, mask)
                back = np.array([[1.0, 0.0, -column], [0.0, 1.0, -row], [0.0, 0.0, 1.0]])
                yield _SearchResult(invert_homography(onto) @ back, confidence)


def _rotated_grid(
    size: Size,
    scale: float,
    turn: float,
    mirrored: bool,  # noqa: FBT001
) -> tuple[Homography, Size] | None:
    """Return the mapping of the found picture to the smallest grid that holds it.

    The picture is scaled and rotated.

    Returns: the homography and the grid's size; None if the grid would be too small or too large.
    """
    factor = scale * _SIDE_PX / max(size)
    cosine, sine = math.cos(turn), math.sin(turn)
    slope = factor * np.array([[cosine, -sine], [sine, cosine]])
    slope = slope @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    reach = np.abs(slope) @ np.array(size)
    wide, high = (math.ceil(side) for side in reach)
    if factor * min(size) < math.sqrt(_OVERLAP_PIXELS_MIN) or max(wide, high) > 2 * _SIDE_PX:
        return None
    middle = np.array([(wide - 1) / 2, (high - 1) / 2])
    shift = middle - slope @ ((np.array(size) - 1) / 2)
    return np.vstack([np.column_stack([slope, shift]), [0.0, 0.0, 1.0]]), (wide, high)


def _warp_onto(found: Plane, onto: Homography, size: Size) -> tuple[Plane, Plane]:
    scale = math.sqrt(abs(float(np.linalg.det(onto[:2, :2]))))
    soft = cv2.GaussianBlur(found, (0, 0), 0.4 / scale) if scale < 1.0 else found
    warped = cv2.warpAffine(soft, onto[:2], size, flags=cv2.INTER_LINEAR)
    mask = cv2.warpAffine(np.ones_like(found), onto[:2], size, flags=cv2.INTER_NEAREST)
    return np.asarray(warped, np.float32), np.asarray(mask, np.float32)


def _distinct_places(places: list[_SearchResult], sent: Pixels) -> list[_SearchResult]:
    """Return the places of highest confidence, at most eight.

    For any two of them, some corner's position differs by more than ``_PLACE_DISTANCE_PX_MIN``.
    """
    kept: list[_SearchResult] = []
    wide, high = _width_and_height(sent)
    frame = np.array([[0.0, 0, 1], [wide, 0, 1], [wide, high, 1], [0, high, 1]])
    for place in places:
        changes = [invert_homography(one.homography) @ place.homography for one in kept]
        moved = [np.abs((frame @ way.T - frame)[:, :2]).max() for way in changes]
        if all(distance > _PLACE_DISTANCE_PX_MIN for distance in moved):
            kept.append(place)
        if len(kept) == _PLACES_MAX:
            break
    return kept


def _width_and_height(grey: NDArray[np.uint8] | Plane) -> Size:
    return grey.shape[1], grey.shape[0]


_UPRIGHT_SIDE_PX: Final = 320
_SCALES_TRIED: Final = 25
_SCALE_RATIO: Final = 5.0 ** (1.0 / (_SCALES_TRIED - 1))  # ratio between successive scales
_FINER_SCALES_TRIED: Final = 13
_PATCH_PX_MIN: Final = 24


def search_upright(found_grey: Pixels, sent_grey: Pixels) -> list[Homography]:
    """Slide the found picture over the sent one at 25 scales, then at finer ones around the best.

    This finds an upright crop whose side is between a fifth of the sent picture's side and all of
    it. The finer scales are for pictures with few edges, in which later steps cannot correct a
    scale that is 3 % off.
    """
    sent = resize_to_side(sent_grey, _UPRIGHT_SIDE_PX)
    best = _best_upright_place(np.geomspace(1.0, 0.2, _SCALES_TRIED), found_grey, sent)
    if best is None:
        return []
    finer = _best_upright_place(
        best.share * np.geomspace(1.0 / _SCALE_RATIO, _SCALE_RATIO, _FINER_SCALES_TRIED),
        found_grey,
        sent,
    )
    return [_place_homography(finer or best, found_grey, sent, sent_grey)]


@dataclass(frozen=True, slots=True, eq=False)
class _UprightPlace:
    """Where a patch of the found picture correlates best with the scaled-down sent one."""

    share: float
    patch: Pixels
    at: Sequence[int]
    correlation: float


def _best_upright_place(
    shares: Iterable[float], found_grey: Pixels, sent: Pixels
) -> _UprightPlace | None:
    fit = min(sent.shape[1] / found_grey.shape[1], sent.shape[0] / found_grey.shape[0])
    best: _UprightPlace | None = None
    for share in shares:
        patch = _resize(found_grey, fit * min(share, 1.0))
        if min(patch.shape) < _PATCH_PX_MIN or float(patch.std()) < 1.0:
            continue
        _, correlation, _, at = cv2.minMaxLoc(cv2.matchTemplate(sent, patch, cv2.TM_CCOEFF_NORMED))
        if best is None or correlation > best.correlation:
            best = _UprightPlace(share, patch, at, correlation)
    return best


def _place_homography(
    place: _UprightPlace, found: Pixels, small: Pixels, sent: Pixels
) -> Homography:
    to_small = resizing(_width_and_height(sent), _width_and_height(small))
    shift = np.array([[1.0, 0.0, -place.at[0]], [0.0, 1.0, -place.at[1]], [0.0, 0.0, 1.0]])
    return np.asarray(
        resizing(_width_and_height(place.patch), _width_and_height(found)) @ shift @ to_small,
        np.float64,
    )


def _resize(grey: Pixels, factor: float) -> Pixels:
    size = (max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor)))
    how = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, size, interpolation=how), np.uint8)
