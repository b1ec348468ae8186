"""Remove plain borders around a picture: bars, letterboxes, margins."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.fingerprint.pdq import LUMA_WEIGHTS, Floats, Pixels

# In brightness levels. The mean of a border's row differs from that of its outermost row by at most
# this. In screenshots.py, a row is plain if its brightest and darkest pixels differ by at most
# this.
PLAIN_SPREAD_LEVELS_MAX: Final = 16.0
# A narrow bar shares JPEG blocks with the picture, so a few of its pixels may deviate far. So two
# other limits decide here whether a row is plain: one for its standard deviation, and one for the
# difference between the means of its eighths. The second limit distinguishes a bar from a sky.
PLAIN_DEVIATION_MAX: Final = 6.0
PLAIN_SLOPE_MAX: Final = 8.0
_PARTS_PER_ROW: Final = 8
# if less than this share of a side is inside a frame, the frame is part of the picture
REMAINING_SHARE_MIN: Final = 0.3
# up to this many nested frames are removed; a letterbox inside a frame needs two
NESTED_FRAMES_MAX: Final = 3
# In brightness levels. The cheap test of the outermost rows adds this to both limits, because it
# uses values that are not rounded yet.
_ROUNDING_SLACK_LEVELS: Final = 1.1
BOUNDARY_SEARCH_PX: Final = 8  # side of a JPEG block; the ripples at an edge may fill a whole block
# The first row whose mean distance from the frame's brightness is at least this share of the
# largest such distance near the edge belongs to the picture.
_INSIDE_SHARE_MIN: Final = 0.2


Box = tuple[int, int, int, int]
"""First and last row, first and last column; the last row and column are not included."""


def pictures_inside_frames(pixels: Pixels, grey: Floats | None = None) -> tuple[Pixels, ...]:
    """Return the pictures inside the nested plain frames of (H, W, 3) or (H, W) pixels.

    ``grey`` is the :func:`luma_thumbnail` of these pixels, if it has been made already. There are
    at most three pictures, the largest first, and none if there is no frame.
    """
    if grey is None:
        if not _may_be_framed(pixels):
            return ()
        grey = luma_thumbnail(pixels)
    down, across = pixels.shape[0] / grey.shape[0], pixels.shape[1] / grey.shape[1]
    return tuple(
        np.ascontiguousarray(
            pixels[
                round(top * down) : round(bottom * down),
                round(left * across) : round(right * across),
            ]
        )
        for top, bottom, left, right in boxes_inside_frames(grey)
    )


def _may_be_framed(pixels: Pixels) -> bool:
    """Return whether the outermost rows or columns may belong to a frame.

    Most pictures have no frame. Finding that out here saves making a thumbnail.
    """
    ends = (pixels, pixels[::-1], pixels.swapaxes(0, 1), pixels.swapaxes(0, 1)[::-1])
    return any(_may_be_plain(_first_thumbnail_row(end)) for end in ends)


def _may_be_plain(row: Floats) -> bool:
    """Return whether this (1, W) row may be plain after rounding.

    A cheap test excludes most rows first.
    """
    off = row[0] - row.sum() / np.float32(row.size)
    if off @ off > row.size * (PLAIN_DEVIATION_MAX + 2 * _ROUNDING_SLACK_LEVELS) ** 2:
        return False
    return bool(plain_row_mask(row, _ROUNDING_SLACK_LEVELS)[0])


def _first_thumbnail_row(pixels: Pixels) -> Floats:
    """Return the thumbnail's first row (1, W), before rounding."""
    high, wide = pixels.shape[:2]
    shrinking = min(1.0, THUMBNAIL_SIDE_PX / max(high, wide))
    small = [max(1, round(side * shrinking)) for side in (high, wide)]
    scale = high / small[0]
    weights = np.ones(min(high, int(np.ceil(scale))), dtype=np.float32)
    weights[-1] -= len(weights) - scale
    slab = pixels[: len(weights)].astype(np.float32)
    row = (weights @ (slab if slab.ndim == 2 else slab @ LUMA_WEIGHTS) / np.float32(scale))[None]
    if shrinking < 1:
        row = np.asarray(cv2.resize(row, (small[1], 1), interpolation=cv2.INTER_AREA))
    return np.asarray(row, dtype=np.float32)


def boxes_inside_frames(grey: Floats) -> tuple[Box, ...]:
    """Return the boxes inside the nested frames of a grey picture, at most three.

    A box with less than 30 % of a side is left out, because its frame is then part of the picture.
    """
    height, width = grey.shape
    box, found = (0, height, 0, width), list[Box]()
    for _ in range(NESTED_FRAMES_MAX):
        before, box = box, _without_one_frame(grey, box)
        if box == before:
            break
        if (
            box[1] - box[0] < REMAINING_SHARE_MIN * height
            or box[3] - box[2] < REMAINING_SHARE_MIN * width
        ):
            break
        found.append(box)
        box = _without_blended_edge(before, box)
    return tuple(found)


def _without_blended_edge(before: Box, box: Box) -> Box:
    """Remove one more pixel on each side that was cut, because frame and inside mix there."""
    cut = [int(new != old) for new, old in zip(box, before, strict=True)]
    return box[0] + cut[0], box[1] - cut[1], box[2] + cut[2], box[3] - cut[3]


def _without_one_frame(grey: Floats, box: Box) -> Box:
    """Remove one plain frame: rows first, then columns between the remaining rows."""
    top, bottom, left, right = box
    first, last = _between_plain_ends(grey[top:bottom, left:right])
    top, bottom = top + first, top + last
    first, last = _between_plain_ends(grey[top:bottom, left:right].T)
    return top, bottom, left + first, left + last


def _between_plain_ends(grey: Floats) -> tuple[int, int]:
    """Return the range of rows between the plain rows at both ends; all rows if all are plain."""
    if min(grey.shape) < 2:
        return 0, len(grey)
    plain = plain_row_mask(grey)
    middle = grey.mean(axis=1)
    start = _initial_run_length(plain & (np.abs(middle - middle[0]) <= PLAIN_SPREAD_LEVELS_MAX))
    end = _initial_run_length(
        (plain & (np.abs(middle - middle[-1]) <= PLAIN_SPREAD_LEVELS_MAX))[::-1]
    )
    if start + end >= len(grey):
        return 0, len(grey)
    first = _first_row_inside(grey, start) if start else 0
    last = len(grey) - _first_row_inside(grey[::-1], end) if end else len(grey)
    return (first, last) if first < last else (0, len(grey))


def plain_row_mask(rows: Floats, slack_levels: float = 0.0) -> NDArray[np.bool_]:
    """Return which of (N, W) rows have one brightness, apart from JPEG's ripples."""
    ends = np.linspace(0, rows.shape[1], min(_PARTS_PER_ROW, rows.shape[1]) + 1).astype(np.int64)
    parts = np.add.reduceat(rows, ends[:-1], axis=1) / np.diff(ends).astype(np.float32)
    slope = parts.max(axis=1) - parts.min(axis=1)
    return np.asarray(
        (rows.std(axis=1) <= PLAIN_DEVIATION_MAX + slack_levels)
        & (slope <= PLAIN_SLOPE_MAX + slack_levels)
    )


def _first_row_inside(grey: Floats, plain_rows: int) -> int:
    """Return the first row that belongs to the picture and not to the frame, which begins with so
    many plain rows.

    JPEG's ripples make rows of a frame uneven. But in contrast to the picture, their pixels stay
    near the frame's brightness. The largest change from row to row would be no sign of the edge,
    because the picture may contain a larger one near the edge.
    """
    start, stop = max(1, plain_rows - 1), plain_rows + BOUNDARY_SEARCH_PX + 1
    distances = np.abs(grey[start - 1 : stop + 1] - grey[0].mean()).mean(axis=1)
    searched = distances[1 : stop - start + 1]
    first = int(np.argmax(searched >= _INSIDE_SHARE_MIN * searched.max()))
    increases = np.diff(distances)  # of each row over the one before it, from row ``start`` on
    return start + first + int(np.argmax(increases[first : first + 2]))


def _initial_run_length(plain: NDArray[np.bool_]) -> int:
    """Return the length of the initial run of True."""
    return len(plain) if bool(plain.all()) else int(np.argmin(plain))


# longer side of a thumbnail; measurements show that hashes of windows drift with smaller ones
THUMBNAIL_SIDE_PX: Final = 512


def luma_thumbnail(pixels: Pixels) -> Floats:
    """Return the luma, 0 to 255, of (H, W, 3) or (H, W) pixels, at most 512 on the longer side."""
    height_px, width_px = pixels.shape[:2]
    shrinking = THUMBNAIL_SIDE_PX / max(height_px, width_px)
    if shrinking < 1:
        size = (max(1, round(width_px * shrinking)), max(1, round(height_px * shrinking)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    grey: Floats = pixels.astype(np.float32)
    return grey if grey.ndim == 2 else grey @ LUMA_WEIGHTS
