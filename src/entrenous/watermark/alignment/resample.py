"""Resample the found picture on the sent picture's grid, or the other way round."""

from collections.abc import Iterator
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.watermark.alignment.image_registration import Registration
from entrenous.watermark.alignment.transforms import (
    Field,
    Homography,
    Pose,
    Size,
    apply_homography,
    centre_of,
    empty_second_map,
    invert_homography,
    resizing,
    scale_at,
)

Samples = TypeVar("Samples", NDArray[np.uint8], NDArray[np.float32])
# a grid with more pixels is halved; nothing is lost, because no cell of the mark's pattern is that
# small
_PIXELS_MAX: Final = 32_000_000
_SIDE_PX_MAX: Final = 32_000  # OpenCV's remap uses 16-bit pixel addresses
# with more samples per pixel, fine detail would alias, so the source is averaged first
_SAMPLES_PER_PIXEL_MAX: Final = 1.5
_STRIP_ROWS: Final = 256  # a bent picture is processed in strips of this many rows
# a bend is inverted exactly at every eighth pixel (a knot), and interpolated in between
_INVERSE_GRID_PX: Final = 8
_MARGIN_KNOTS: Final = 2  # knots that are computed beyond the border


def warp_to_sent(found: Samples, registration: Registration) -> tuple[Samples, NDArray[np.bool_]]:
    """Warp the found picture to the sent one's grid.

    Args:
        found: (h, w) or (h, w, 3), at the found picture's size.
        registration: the alignment of the found picture with the sent one.

    Returns:
        the warped picture, (H, W) or (H, W, 3) like ``found``, and a mask (H, W) of the pixels that
        the found picture covers. They have the size of the sent picture, halved until it has at
        most 32 megapixels and no side of more than 32,000 pixels.
    """
    size = registration.sent_size
    while size[0] * size[1] > _PIXELS_MAX or max(size) > _SIDE_PX_MAX:
        size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    pose = registration.pose.resized(resizing(registration.sent_size, size), np.eye(3))
    found, averaging = _average_before_shrinking(found, pose.homography, size)
    if pose.is_straight:
        return _resample(found, averaging @ pose.homography, size)
    pose = pose.resized(np.eye(3), averaging)
    return _remap(found, _positions_over_sent(pose, size), size)


def warp_to_found(sent: Samples, registration: Registration) -> tuple[Samples, NDArray[np.bool_]]:
    """Warp the sent picture to the found one's grid; return the warped picture, and a mask of the
    pixels that it covers.
    """
    pose, size = registration.pose, registration.found_size
    backward = invert_homography(pose.homography)
    sent, averaging = _average_before_shrinking(sent, backward, size)
    if pose.is_straight:
        return _resample(sent, averaging @ backward, size)
    return _remap(sent, _positions_under_found(pose.resized(averaging, np.eye(3)), size), size)


def _resample(
    source: Samples, homography: Homography, size: Size
) -> tuple[Samples, NDArray[np.bool_]]:
    """Resample ``source``; ``homography`` maps pixels of the new grid to pixels of ``source``."""
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    # replicated borders keep border pixels from being mixed with black
    warped = cv2.warpPerspective(
        source, homography, size, flags=how, borderMode=cv2.BORDER_REPLICATE
    )
    full = np.full(source.shape[:2], 255, np.uint8)
    inside = cv2.warpPerspective(
        full, homography, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return warped.astype(source.dtype, copy=False), inside >= 128


def _remap(
    source: Samples, strips: Iterator[tuple[int, Field]], size: Size
) -> tuple[Samples, NDArray[np.bool_]]:
    """Resample ``source`` at the given positions, a strip of rows at a time."""
    warped = np.empty((size[1], size[0], *source.shape[2:]), source.dtype)
    inside = np.empty((size[1], size[0]), np.bool_)
    edge = np.array(source.shape[1::-1]) - 0.5
    for top, at in strips:
        rows = slice(top, top + len(at))
        warped[rows] = cv2.remap(
            source, at, empty_second_map(), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        inside[rows] = ((at >= -0.5) & (at <= edge)).all(axis=2)
    return warped, inside


def _positions_over_sent(pose: Pose, size: Size) -> Iterator[tuple[int, Field]]:
    across = np.arange(size[0])
    for top in range(0, size[1], _STRIP_ROWS):
        yield top, pose.map_grid(across, np.arange(top, min(top + _STRIP_ROWS, size[1])))


def _positions_under_found(pose: Pose, size: Size) -> Iterator[tuple[int, Field]]:
    """Yield where the found picture's pixels lie in the source, strip by strip.

    A position is what the homography gives, plus the displacement by bend and lens.
    """
    straight = Pose(invert_homography(pose.homography))
    displacement = _inverse_displacement(pose, straight, size)
    shift = _MARGIN_KNOTS - np.float32(0.5)
    across = np.arange(size[0], dtype=np.float32)
    at_x = (across + np.float32(0.5)) / _INVERSE_GRID_PX + shift
    for top in range(0, size[1], _STRIP_ROWS):
        down = np.arange(top, min(top + _STRIP_ROWS, size[1]), dtype=np.float32)
        knots = np.meshgrid(at_x, (down + np.float32(0.5)) / _INVERSE_GRID_PX + shift)
        yield (
            top,
            straight.map_grid(across, down) + cv2.remap(displacement, *knots, cv2.INTER_CUBIC),
        )


def _inverse_displacement(pose: Pose, straight: Pose, size: Size) -> Field:
    """Return the displacements by lens and bend in the inverse mapping, on a coarse grid."""
    columns, rows = (-(-side // _INVERSE_GRID_PX) + 2 * _MARGIN_KNOTS for side in size)
    at_x, at_y = (
        (np.arange(count) - _MARGIN_KNOTS + 0.5) * _INVERSE_GRID_PX - 0.5
        for count in (columns, rows)
    )
    knots = np.stack(np.meshgrid(at_x, at_y), axis=-1).reshape(-1, 2)
    displacement = pose.found_to_sent(knots) - apply_homography(straight.homography, knots)
    return displacement.astype(np.float32).reshape(rows, columns, 2)


def _average_before_shrinking(
    source: Samples, homography: Homography, size: Size
) -> tuple[Samples, Homography]:
    """If the new grid is much coarser than the source, average the source first.

    Return the source, and the scaling that was applied to it.
    """
    scale = scale_at(homography, centre_of(size))
    if scale < _SAMPLES_PER_PIXEL_MAX:
        return source, np.eye(3)
    height, width = source.shape[:2]
    smaller = (max(1, round(width / scale)), max(1, round(height / scale)))
    averaging = cv2.resize(source, smaller, interpolation=cv2.INTER_AREA)
    return averaging.astype(source.dtype, copy=False), resizing((width, height), smaller)
