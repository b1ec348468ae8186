"""Resample one picture on the other's grid."""

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
    inverse,
    middle,
    no_second_map,
    resizing,
    scale_at,
)

Samples = TypeVar("Samples", NDArray[np.uint8], NDArray[np.float32])
_PIXELS_MAX: Final = 32_000_000  # a larger grid is halved: no chip is that fine
_SIDE_PX_MAX: Final = 32_000  # OpenCV addresses pixels with 16 bits here
_DENSE: Final = 1.5  # samples per pixel of the new grid: beyond, fine detail would alias
_ROWS: Final = 256  # of a bent picture at a time
_KNOT_PX: Final = 8  # a bend is undone exactly at every eighth pixel, and cubic in between
_MARGIN: Final = 2  # knots beyond the border


def warp_to_sent(found: Samples, registration: Registration) -> tuple[Samples, NDArray[np.bool_]]:
    """The found picture on the sent one's grid, and where it shows something.

    Args:
        found: (h, w) or (h, w, 3), of the found picture's size.
        registration: how it lies on the sent picture.

    Returns:
        (H, W) or (H, W, 3) like ``found`` and (H, W) bool, of the sent picture's size, halved
        until it has at most 32 megapixels.
    """
    size = registration.sent_size
    while size[0] * size[1] > _PIXELS_MAX or max(size) > _SIDE_PX_MAX:
        size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    pose = registration.pose.resized(resizing(registration.sent_size, size), np.eye(3))
    found, thin = _thinned(found, pose.homography, size)
    if pose.straight:
        return _resampled(found, thin @ pose.homography, size)
    pose = pose.resized(np.eye(3), thin)
    return _remapped(found, _strips_over(pose, size), size)


def warp_to_found(sent: Samples, registration: Registration) -> tuple[Samples, NDArray[np.bool_]]:
    """The sent picture on the found one's grid, and where that lies inside the sent one."""
    pose, size = registration.pose, registration.found_size
    backward = inverse(pose.homography)
    sent, thin = _thinned(sent, backward, size)
    if pose.straight:
        return _resampled(sent, thin @ backward, size)
    return _remapped(sent, _strips_under(pose.resized(thin, np.eye(3)), size), size)


def _resampled(
    source: Samples, homography: Homography, size: Size
) -> tuple[Samples, NDArray[np.bool_]]:
    """``homography`` maps pixels of the new grid to pixels of ``source``."""
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    # replicated borders keep the outermost pixels from being mixed with black
    laid = cv2.warpPerspective(source, homography, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
    full = np.full(source.shape[:2], 255, np.uint8)
    inside = cv2.warpPerspective(
        full, homography, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return laid.astype(source.dtype, copy=False), inside >= 128


def _remapped(
    source: Samples, strips: Iterator[tuple[int, Field]], size: Size
) -> tuple[Samples, NDArray[np.bool_]]:
    """The same by fields of places in ``source``, some rows of the new grid at a time."""
    laid = np.empty((size[1], size[0], *source.shape[2:]), source.dtype)
    inside = np.empty((size[1], size[0]), np.bool_)
    edge = np.array(source.shape[1::-1]) - 0.5
    for top, at in strips:
        rows = slice(top, top + len(at))
        laid[rows] = cv2.remap(
            source, at, no_second_map(), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        inside[rows] = ((at >= -0.5) & (at <= edge)).all(axis=2)
    return laid, inside


def _strips_over(pose: Pose, size: Size) -> Iterator[tuple[int, Field]]:
    across = np.arange(size[0])
    for top in range(0, size[1], _ROWS):
        yield top, pose.over(across, np.arange(top, min(top + _ROWS, size[1])))


def _strips_under(pose: Pose, size: Size) -> Iterator[tuple[int, Field]]:
    """Where the found picture's pixels come from: the homography's part, and the bend's on top."""
    straight = Pose(inverse(pose.homography))
    off = _undone_off(pose, straight, size)
    shift = _MARGIN - np.float32(0.5)
    across = np.arange(size[0], dtype=np.float32)
    at_x = (across + np.float32(0.5)) / _KNOT_PX + shift
    for top in range(0, size[1], _ROWS):
        down = np.arange(top, min(top + _ROWS, size[1]), dtype=np.float32)
        knots = np.meshgrid(at_x, (down + np.float32(0.5)) / _KNOT_PX + shift)
        yield top, straight.over(across, down) + cv2.remap(off, *knots, cv2.INTER_CUBIC)


def _undone_off(pose: Pose, straight: Pose, size: Size) -> Field:
    """What lens and bend add to the way back, at a coarse grid of the found picture's pixels."""
    columns, rows = (-(-side // _KNOT_PX) + 2 * _MARGIN for side in size)
    at_x, at_y = ((np.arange(count) - _MARGIN + 0.5) * _KNOT_PX - 0.5 for count in (columns, rows))
    knots = np.stack(np.meshgrid(at_x, at_y), axis=-1).reshape(-1, 2)
    off = pose.found_to_sent(knots) - apply_homography(straight.homography, knots)
    return off.astype(np.float32).reshape(rows, columns, 2)


def _thinned(source: Samples, homography: Homography, size: Size) -> tuple[Samples, Homography]:
    """Average the source first where the new grid is much coarser; and what that does to it."""
    scale = scale_at(homography, middle(size))
    if scale < _DENSE:
        return source, np.eye(3)
    height, width = source.shape[:2]
    smaller = (max(1, round(width / scale)), max(1, round(height / scale)))
    thin = cv2.resize(source, smaller, interpolation=cv2.INTER_AREA)
    return thin.astype(source.dtype, copy=False), resizing((width, height), smaller)
