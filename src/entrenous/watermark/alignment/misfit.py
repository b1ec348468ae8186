"""The misfit of fine detail between a found picture and the sent one under a given pose.

A pose is a mapping between the two pictures (transforms.py). A scaled pair is the two pictures,
scaled down so that they show the same detail.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.watermark.alignment.features import Pixels
from entrenous.watermark.alignment.transforms import (
    Homography,
    Pose,
    Size,
    empty_second_map,
    invert_homography,
    resizing,
    scaling,
)

Grey = NDArray[np.float32]
_WINDOW_PX: Final = 17
# at finer scales, resampling smooths noise, which would favour inexact fits
_FINE_SIGMA: Final = 1.0
_COARSE_SIGMA: Final = 3.0
_QUIET_VARIANCE: Final = 1.0  # squared grey levels; windows with less variance hardly count
_COMPARED_PIXELS_MIN: Final = 200
# with more pixels than this, averages are computed in less memory but with rounding errors
_FLOAT_AVERAGED_PIXELS_MAX: Final = 8_000_000
# averaging is used only to reduce to at most this share of the size; otherwise it would only blur
_AVERAGING_SCALE_MAX: Final = 0.9
_FULL_COVERAGE_MIN: Final = 0.999


@dataclass(frozen=True, slots=True, eq=False)
class PicturePairWithVisibleBox:
    """Two grey pictures; ``seen`` is the part of the sent picture that the found picture shows.

    It is a box: (left, top, right, bottom) in whole pixels of the sent picture.
    """

    found: Pixels
    sent: Pixels
    seen: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class ScaledPair:
    """Two grey pictures, scaled down to sizes at which both show the same detail.

    ``sent`` shows the part of the sent picture that begins at ``origin`` (x, y) and has
    ``size_sent`` pixels. ``size_found`` is the full size of the found picture.
    """

    sent: Grey
    found: Grey
    origin: tuple[int, int]
    size_sent: Size
    size_found: Size

    @property
    def size(self) -> Size:
        """The width and height of the grid on which the pictures are compared."""
        return self.sent.shape[1], self.sent.shape[0]

    def to_scaled(self, pose: Pose) -> Pose:
        """Convert a pose from pixels of the full pictures to pixels of this scaled pair."""
        return pose.resized(*self._scalings())

    def from_scaled(self, pose: Pose) -> Pose:
        """Convert a pose from pixels of this scaled pair to pixels of the full pictures."""
        onto_sent, onto_found = self._scalings()
        return pose.resized(invert_homography(onto_sent), invert_homography(onto_found))

    def _scalings(self) -> tuple[Homography, Homography]:
        cut = np.array([[1.0, 0.0, -self.origin[0]], [0.0, 1.0, -self.origin[1]], [0.0, 0.0, 1.0]])
        small = self.found.shape[1], self.found.shape[0]
        return resizing(self.size_sent, self.size) @ cut, resizing(self.size_found, small)


def make_scaled_pair(pair: PicturePairWithVisibleBox, *, scale: float, side_px: int) -> ScaledPair:
    """Scale both pictures down to one resolution: that of the coarser picture, or the resolution
    given by ``side_px`` if that is coarser still.

    Args:
        pair: the pictures.
        scale: the number of found pixels per sent pixel.
        side_px: the longest side that the visible part of the sent picture should have.
    """
    left, top, right, bottom = pair.seen
    factor = min(1.0, side_px / max(right - left, bottom - top), scale)
    return ScaledPair(
        _shrink(pair.sent[top:bottom, left:right], factor),
        _shrink(pair.found, min(1.0, factor / scale)),
        (left, top),
        (right - left, bottom - top),
        (pair.found.shape[1], pair.found.shape[0]),
    )


def misfit(scaled: ScaledPair, pose: Pose) -> float:
    """Return one minus the squared correlation of fine detail.

    The correlation is averaged over windows, which are weighted by their contrast.
    """
    inward = scaled.to_scaled(pose)
    warped, inside = (
        warp_onto(scaled.found, inward, scaled.size),
        coverage_of(scaled.found, inward, scaled.size),
    )
    weight = cv2.erode(inside, np.ones((5, 5), np.uint8))
    if float(weight.sum()) < _COMPARED_PIXELS_MIN:
        return 1.0
    found, sent = (plane * weight for plane in _fine_details((warped, scaled.sent), inside))
    cross, power_found, power_sent = (
        cv2.blur(product, (_WINDOW_PX, _WINDOW_PX))
        for product in (found * sent, found * found, sent * sent)
    )
    power_found, power_sent = np.maximum(power_found, 0.0), np.maximum(power_sent, 0.0)
    dissimilarity = 1.0 - cross**2 / np.maximum(power_found * power_sent, 1e-9)
    contrast = power_sent / np.sqrt(power_sent + _QUIET_VARIANCE) * weight
    return float(
        (np.clip(dissimilarity, 0.0, 1.0) * contrast).sum() / max(float(contrast.sum()), 1e-9)
    )


def warp_onto(found: Grey, pose: Pose, size: Size) -> Grey:
    """Resample ``found`` on the sent picture's grid, with zeros where it has no pixels."""
    if pose.is_straight:
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpPerspective(found, pose.homography, size, flags=flags), np.float32
        )
    at = pose.map_grid(np.arange(size[0]), np.arange(size[1]))
    return np.asarray(cv2.remap(found, at, empty_second_map(), cv2.INTER_CUBIC), np.float32)


def coverage_of(found: Grey, pose: Pose, size: Size) -> Grey:
    """Return 1 where ``found``, resampled with this pose, has pixels, and 0 elsewhere."""
    inside = warp_onto(np.ones_like(found), pose, size) > _FULL_COVERAGE_MIN
    return inside.astype(np.float32)


def _fine_details(planes: Iterable[Grey], inside: Grey) -> Iterator[Grey]:
    """Yield each plane's fine detail, computed only from pixels in the mask ``inside``."""
    sigmas = (_FINE_SIGMA, _COARSE_SIGMA)
    shares: list[Grey] = []
    if float(inside.min()) < 1.0:
        shares = [np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), 1e-3) for sigma in sigmas]
    for plane in planes:
        visible = plane * inside
        fine, coarse = (cv2.GaussianBlur(visible, (0, 0), sigma) for sigma in sigmas)
        if shares:
            fine, coarse = fine / shares[0], coarse / shares[1]
        yield np.asarray(fine - coarse, np.float32)


def _shrink(grey: Pixels, factor: float) -> Grey:
    """Shrink a picture with the same blur everywhere.

    With uneven blur, two pictures that were shrunk on different grids would differ because
    different pixels were averaged.
    """
    if factor > _AVERAGING_SCALE_MAX:
        return np.asarray(grey, np.float32)
    height, width = grey.shape
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    whole = int(1.0 / factor)
    coarse = _average_squares(grey, whole)
    onto = invert_homography(resizing((width, height), size))
    onto = scaling(1.0 / whole, 1.0 / whole) @ onto
    rest = max(1.0, 1.0 / (factor * whole))
    soft = cv2.GaussianBlur(coarse, (0, 0), 0.3 + 0.5 * math.sqrt(rest**2 - 1.0))
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    small = cv2.warpAffine(soft, onto[:2], size, flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(small, np.float32)


def _average_squares(grey: Pixels, whole: int) -> Grey:
    """Return the means over squares with sides of ``whole`` pixels.

    Incomplete squares are padded with border pixels.
    """
    if whole == 1:
        return grey.astype(np.float32)
    high, wide = (-side % whole for side in grey.shape)
    full = cv2.copyMakeBorder(grey, 0, high, 0, wide, cv2.BORDER_REPLICATE)
    size = full.shape[1] // whole, full.shape[0] // whole
    if full.size <= _FLOAT_AVERAGED_PIXELS_MAX:
        full = full.astype(np.float32)
    return np.asarray(cv2.resize(full, size, interpolation=cv2.INTER_AREA), np.float32)
