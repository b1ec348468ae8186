"""Find and match local features that survive cropping, rotation, resizing and recoding."""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.watermark.alignment.transforms import Points, Size, apply_homography, resizing

Pixels = NDArray[np.uint8]
FEATURE_SIDE_PX_MAX: Final = 1200
_FEATURE_SIDE_PX_MIN: Final = (
    1000  # smaller pictures are enlarged, because SIFT finds little in few pixels
)
_POINTS_MAX: Final = 3000
_ENOUGH_POINTS: Final = 1500
# if the darkest and the brightest hundredth differ by fewer grey levels, contrast is stretched
_CONTRAST_LEVELS_MIN: Final = 120.0
_SIFT_CONTRAST_THRESHOLD: Final = 0.04
_SIFT_EDGE_THRESHOLD: Final = 10.0
_SIFT_LAYERS: Final = 3  # per octave; SIFT divides its contrast threshold by this number
# thresholds for skies, nights and skin; they admit points as faint as noise, but such points are
# discarded when features are matched
_SIFT_CONTRAST_THRESHOLD_POOR: Final = 0.003
_SIFT_EDGE_THRESHOLD_POOR: Final = 30.0
# The mean difference, in grey levels, between a picture at half its size and the same picture
# blurred. Below this, few points reach the strict thresholds.
_LITTLE_DETAIL_LEVELS_MAX: Final = 3.0
_LARGE_SHAPES_SIDE_PX: Final = 500
_DISTANCE_RATIO_MAX: Final = 0.85


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """The features of one picture of ``size`` (width, height), strongest first.

    ``points`` are N x 2 in that picture's pixels; ``descriptors`` are the N x 128 descriptors, rows
    of Euclidean norm 1.
    """

    size: Size
    points: Points
    descriptors: NDArray[np.float32]


def extract_features(
    pixels_rgb: Pixels, *, side_px: int = FEATURE_SIDE_PX_MAX, limit: int = _POINTS_MAX
) -> Features:
    """Return at most ``limit`` features of a picture, the strongest ones.

    A picture whose longest side has more than ``side_px`` pixels is reduced to ``side_px`` first,
    and a picture of less than 1,000 pixels is enlarged (see :func:`analysed_side_px`).
    """
    return extract_features_from_luma(to_grey(pixels_rgb), side_px=side_px, limit=limit)


def extract_features_from_luma(
    grey: Pixels, *, side_px: int = FEATURE_SIDE_PX_MAX, limit: int = _POINTS_MAX
) -> Features:
    """Do the same as :func:`extract_features`, from luma (h, w)."""
    height, width = grey.shape
    found = stretch_low_contrast(
        resize_to_side(grey, analysed_side_px(max(width, height), side_px))
    )
    points, descriptors, _ = _find_points(found, limit)
    to_full_size = resizing((found.shape[1], found.shape[0]), (width, height))
    return Features((width, height), apply_homography(to_full_size, points), descriptors)


def extract_large_shape_features(grey: Pixels, *, limit: int = _POINTS_MAX) -> Features:
    """Return features of large shapes only, which flat graphics and very noisy pictures need."""
    height, width = grey.shape
    small = stretch_low_contrast(resize_to_side(grey, _LARGE_SHAPES_SIDE_PX))
    points, descriptors, _ = _run_sift(
        cv2.GaussianBlur(small, (0, 0), 1.0),
        limit,
        _SIFT_CONTRAST_THRESHOLD_POOR,
        _SIFT_EDGE_THRESHOLD_POOR,
    )
    to_full_size = resizing((small.shape[1], small.shape[0]), (width, height))
    return Features((width, height), apply_homography(to_full_size, points), descriptors)


def flip_descriptors(found: Features, *, mirrored: bool, inverted: bool) -> Features:
    """Return the descriptors that the same points have in a mirror image, or with inverted colours.

    A mirror reverses SIFT's 4 x 4 cells along one axis, and its 8 directions. Inverting the colours
    rotates every point's direction by 180 degrees. Both are exact permutations of the 128 numbers.
    The points keep their positions in the original picture.
    """
    cells = found.descriptors.reshape(-1, 4, 4, 8)
    if mirrored:
        cells = cells[:, ::-1, :, -np.arange(8) % 8]
    if inverted:
        cells = cells[:, ::-1, ::-1, :]
    return Features(found.size, found.points, np.ascontiguousarray(cells).reshape(-1, 128))


def analysed_side_px(longest_px: int, side_px: int) -> int:
    """Return the longest side that a picture has when its features are computed."""
    return min(side_px, max(longest_px, _FEATURE_SIDE_PX_MIN))


def select_strongest(found: Features, count: int) -> Features:
    return Features(found.size, found.points[:count], found.descriptors[:count])


def match_features(found: Features, sent: Features) -> tuple[Points, Points]:
    """Return the matching points (sent, found).

    Two points match if each is the best match of the other, clearly better than the second best.
    """
    if min(len(found.points), len(sent.points)) < 2:
        return np.empty((0, 2)), np.empty((0, 2))
    similarity = sent.descriptors @ found.descriptors.T
    best = similarity.argmax(axis=1)
    rows = np.arange(len(best))
    first = similarity[rows, best]
    mutual = first >= similarity.max(axis=0)[best]
    similarity[rows, best] = -1.0
    second = similarity.max(axis=1)
    # the squared distance between rows of norm 1 is 2 - 2 x their cosine
    clear = (1.0 - first) < _DISTANCE_RATIO_MAX**2 * (1.0 - second)
    keep = mutual & clear
    return sent.points[keep], found.points[best[keep]]


def to_grey(pixels_rgb: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(pixels_rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def resize_to_side(grey: Pixels, side_px: int) -> Pixels:
    """Resize the longest side to ``side_px``, by averaging or by bicubic enlargement."""
    height, width = grey.shape[:2]
    factor = side_px / max(width, height)
    if factor == 1.0:
        return grey
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(grey, size, interpolation=how), np.uint8)


def stretch_low_contrast(grey: Pixels) -> Pixels:
    """If contrast is low, stretch it, so that points reach SIFT's fixed threshold."""
    dark, bright = np.percentile(grey[::4, ::4], [1, 99])
    if bright - dark >= _CONTRAST_LEVELS_MIN or bright <= dark:
        return grey
    return np.asarray(np.clip((grey - dark) * (255.0 / (bright - dark)), 0, 255), np.uint8)


DetectedPoints = tuple[Points, NDArray[np.float32], NDArray[np.float64]]
"""Points N x 2, descriptors N x 128 and contrasts N, in SIFT's unit, strongest first."""


def _find_points(grey: Pixels, limit: int) -> DetectedPoints:
    """Return the points with strict thresholds, or with low ones if the strict ones admit few.

    In a picture with little detail, the low thresholds are used first. The points that they admit
    include those that the strict thresholds would admit. Usually the strict thresholds would admit
    too few points, so no second search is needed.
    """
    calm = limit < _ENOUGH_POINTS or _has_little_detail(grey)
    faint = _run_faint_sift(grey, limit) if calm else None
    if faint is not None and np.sum(faint[2] >= _SIFT_CONTRAST_THRESHOLD) < _ENOUGH_POINTS:
        return faint
    strict = _run_sift(grey, limit, _SIFT_CONTRAST_THRESHOLD, _SIFT_EDGE_THRESHOLD)
    return strict if len(strict[0]) >= _ENOUGH_POINTS else faint or _run_faint_sift(grey, limit)


def _has_little_detail(grey: Pixels) -> bool:
    if min(grey.shape) < 2:
        return True  # half of this size would be empty
    half = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    detail = cv2.absdiff(half, cv2.GaussianBlur(half, (0, 0), 1.6))
    return bool(detail.mean() < _LITTLE_DETAIL_LEVELS_MAX)


def _run_faint_sift(grey: Pixels, limit: int) -> DetectedPoints:
    return _run_sift(grey, limit, _SIFT_CONTRAST_THRESHOLD_POOR, _SIFT_EDGE_THRESHOLD_POOR)


def _run_sift(grey: Any, limit: int, contrast: float, edge: float) -> DetectedPoints:
    sift = cv2.SIFT.create(nfeatures=limit, contrastThreshold=contrast, edgeThreshold=edge)
    found: tuple[Any, Any] = sift.detectAndCompute(grey, None)
    keypoints, descriptors = found
    if descriptors is None:
        return np.empty((0, 2)), np.empty((0, 128), np.float32), np.empty(0)
    strength = np.array([point.response for point in keypoints])
    # SIFT returns more points than requested if several are equally strong
    order = np.argsort(-strength, kind="stable")[:limit]
    points = np.array([point.pt for point in keypoints], np.float64)[order]
    counts = descriptors[order]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-9)
    return points, np.sqrt(shares, dtype=np.float32), strength[order] * _SIFT_LAYERS


FIRST_TRIED_SIDE_PX: Final = 1000


class FoundPictureFeatures:
    """One found picture with its features at several sizes, cached for many candidates."""

    __slots__ = ("_cache", "grey")

    def __init__(self, found_rgb: Pixels) -> None:
        self.grey: Pixels = to_grey(found_rgb)  # (h, w)
        self._cache: dict[int, Features] = {}

    @property
    def size(self) -> Size:
        return self.grey.shape[1], self.grey.shape[0]

    def features(
        self, side_px: int = FIRST_TRIED_SIDE_PX, *, mirrored: bool = False, inverted: bool = False
    ) -> Features:
        """Return the features of the picture at this longest side.

        ``side_px`` 0 means features of large shapes only. With ``mirrored`` or ``inverted``, only
        the descriptors change; the points keep their positions in the original picture.
        """
        looked_at = analysed_side_px(max(self.size), side_px) if side_px else 0
        if looked_at not in self._cache:
            self._cache[looked_at] = (
                extract_features_from_luma(self.grey, side_px=looked_at)
                if looked_at
                else extract_large_shape_features(self.grey)
            )
        return flip_descriptors(self._cache[looked_at], mirrored=mirrored, inverted=inverted)


def wrap_found_picture(found: Pixels | FoundPictureFeatures) -> FoundPictureFeatures:
    """Wrap a found picture, (h, w, 3) uint8, unless it is wrapped already."""
    return (
        FoundPictureFeatures(np.asarray(found, np.uint8))
        if isinstance(found, np.ndarray)
        else found
    )
