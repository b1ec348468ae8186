"""Find boxes of an upload that may be pictures, in screenshots, collages, pages and letterboxes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.fingerprint.borders import PLAIN_SPREAD_LEVELS_MAX, Box, plain_row_mask
from entrenous.fingerprint.pdq import Floats

# minimum jump in brightness levels at an edge of a picture; JPEG adds less to a plain page
JUMP_LEVELS_MIN: Final = 12.0
# minimum share of a line at which the brightness must jump; below 1, since a picture may fade into
# a dark page
JUMP_SHARE_MIN: Final = 0.55
LINES_MAX: Final = 6  # at most this many lines are used across each range of rows or columns
LINE_DISTANCE_PX_MIN: Final = 4
# a line's score falls by this much for each pixel between it and the end of a plain part
DISTANCE_PENALTY_PER_PX: Final = 0.01
BOX_SIDE_SHARE_MIN: Final = 0.1  # minimum side of a box, as a share of the upload
# minimum side of a box on a thumbnail; a smaller box has too little detail to hash
BOX_SIDE_PX_MIN: Final = 24
SEAM_SHARE_MAX: Final = 0.05  # largest width of a seam, as a share of the upload
BOXES_MAX: Final = 64
COLLAGE_ROWS_AND_COLUMNS: Final = (
    (1, 2),
    (2, 1),
    (1, 3),
    (3, 1),
    (2, 2),
)  # rows and columns of usual collages
# width divided by height
USUAL_ASPECT_RATIOS: Final = (16 / 9, 3 / 2, 4 / 3, 5 / 4, 1.0, 4 / 5, 3 / 4, 2 / 3, 9 / 16)


@dataclass(frozen=True, slots=True)
class _JumpMap:
    """A grey picture (H, W), and its jumps in brightness.

    ``jumps`` (H + 1, W + 1) has a row for each boundary between rows. It holds the cumulative
    number of jumps from the left.
    """

    grey: Floats
    jumps: Floats

    @classmethod
    def of(cls, grey: Floats) -> Self:
        padded = np.pad(grey, ((2, 2), (0, 0)), mode="edge")
        sharp = np.abs(padded[2:-1] - padded[1:-2])
        # These differences also find an edge that downscaling has spread over a pixel.
        soft = np.abs(padded[3:] - padded[:-3])
        jump = np.minimum(np.maximum(sharp, soft) / JUMP_LEVELS_MIN, 1.0)
        return cls(
            grey, np.asarray(np.pad(jump.cumsum(axis=1), ((0, 0), (1, 0))), dtype=np.float32)
        )

    def jump_share(self, line: int, start: int, stop: int) -> float:
        """Return the share of these columns with a jump at this line; at the page's edges, 1."""
        if line in (0, len(self.grey)):
            return 1.0
        return float(self.jumps[line, stop] - self.jumps[line, start]) / (stop - start)

    def strongest_lines(self, start: int, stop: int) -> dict[int, float]:
        """Return the strongest lines across these columns, at most six, and the page's edges.

        The lines are in order of position. The score of a line is the share of the columns that
        have a jump there. It is at least ``JUMP_SHARE_MIN`` where a part that is not plain begins
        or ends, and 1 if this part is large. It is also 1 at the page's edges.
        """
        strength = (self.jumps[:, stop] - self.jumps[:, start]) / (stop - start)
        for end, share in self._ends_of_nonplain_parts(start, stop):
            near = np.arange(
                max(0, end - LINE_DISTANCE_PX_MIN),
                min(len(strength), end + LINE_DISTANCE_PX_MIN + 1),
            )
            sharpest = near[
                np.argmax(strength[near] - DISTANCE_PENALTY_PER_PX * np.abs(near - end))
            ]
            # A picture that fills the upload has lines everywhere, so the lines where plain parts
            # of the page end count more.
            base = 1 if share >= BOX_SIDE_SHARE_MIN else JUMP_SHARE_MIN
            strength[sharpest] = max(strength[sharpest], base + share)
        chosen: dict[int, float] = {}
        for line in np.argsort(-strength, kind="stable").tolist():
            if len(chosen) == LINES_MAX or strength[line] < JUMP_SHARE_MIN:
                break
            if all(abs(line - not_plain) >= LINE_DISTANCE_PX_MIN for not_plain in chosen):
                chosen[line] = min(1.0, float(strength[line]))
        return dict(sorted({**chosen, 0: 1.0, len(self.grey): 1.0}.items()))

    def _ends_of_nonplain_parts(self, start: int, stop: int) -> Iterator[tuple[int, float]]:
        """Yield where each part that is not plain begins and ends, with its share of the height."""
        strip = self.grey[:, start:stop]
        has_ink = strip.max(axis=1) - strip.min(axis=1) > PLAIN_SPREAD_LEVELS_MAX
        ends = np.flatnonzero(np.diff(has_ink, prepend=False, append=False)).tolist()
        for first, last in zip(ends[::2], ends[1::2], strict=True):
            yield first, (last - first) / len(has_ink)
            yield last, (last - first) / len(has_ink)


def find_picture_boxes(grey: Floats) -> list[Box]:
    """Return at most 64 boxes that may be pictures, likeliest first, without the whole page."""
    rows, columns = _JumpMap.of(grey), _JumpMap.of(grey.T)
    found: dict[Box, float] = {}
    for box, jump_share in _boxes_between_lines(rows, columns):
        found[box] = max(jump_share, found.get(box, 0.0))
    for (left, right, top, bottom), jump_share in _boxes_between_lines(columns, rows):
        box = (top, bottom, left, right)
        found[box] = max(jump_share, found.get(box, 0.0))
    found.pop((0, grey.shape[0], 0, grey.shape[1]), None)
    sharpest = sorted(found, key=found.__getitem__, reverse=True)[: 2 * BOXES_MAX]
    likely = {box: round(found[box] * _filled_share(grey, box), 1) for box in sharpest}
    return sorted(sharpest, key=lambda box: (-likely[box], -_box_area(box)))[:BOXES_MAX]


def _box_area(box: Box) -> int:
    return (box[1] - box[0]) * (box[3] - box[2])


def _filled_share(grey: Floats, box: Box) -> float:
    """Return the share of rows that are not plain times the share of columns that are not plain."""
    inner = grey[box[0] : box[1], box[2] : box[3]]
    has_ink = (
        inner.max(axis=axis) - inner.min(axis=axis) > PLAIN_SPREAD_LEVELS_MAX for axis in (0, 1)
    )
    return float(np.prod([one.mean() for one in has_ink]))


def usual_layout_boxes(grey: Floats) -> list[Box]:
    """Return the tiles of usual collages, with and without seams, and boxes of usual shapes.

    There are at most 37 boxes.
    """
    height_px, width_px = grey.shape
    none = np.zeros(1, dtype=np.bool_)
    found = [
        (*_tile_range(row, rows, height_px, down), *_tile_range(column, columns, width_px, across))
        for down, across in ((none, none), (plain_row_mask(grey), plain_row_mask(grey.T)))
        for rows, columns in COLLAGE_ROWS_AND_COLUMNS
        for row in range(rows)
        for column in range(columns)
    ]
    for shape in USUAL_ASPECT_RATIOS:
        down = max(0, round((height_px - width_px / shape) / 2))
        across = max(0, round((width_px - height_px * shape) / 2))
        found.append((down, height_px - down, across, width_px - across))
    wanted = [b for b in found if min(b[1] - b[0], b[3] - b[2]) >= BOX_SIDE_PX_MIN]
    return list(dict.fromkeys(wanted))


def _tile_range(
    place: int, shares: int, length_px: int, plain: NDArray[np.bool_]
) -> tuple[int, int]:
    """Return where tile number ``place`` of ``shares`` equal tiles begins and ends.

    There are seams between the tiles, and equal margins outside.
    """
    seam = _seam_length_at(plain, length_px // shares) if shares > 1 else 0
    margin = min(seam or length_px, _seam_length_at(plain, 0))
    each = (length_px - 2 * margin - (shares - 1) * seam) / shares
    first = margin + place * (each + seam)
    return round(first), round(first + each)


def _seam_length_at(plain: NDArray[np.bool_], place: int) -> int:
    """Return the number of plain lines around ``place``, or 0 if they are too many for a seam."""
    if place >= len(plain) or not plain[place]:
        return 0
    not_plain = np.flatnonzero(~plain)
    before, after = not_plain[not_plain < place], not_plain[not_plain > place]
    first = int(before[-1]) + 1 if before.size else 0
    last = int(after[0]) if after.size else len(plain)
    return last - first if last - first <= SEAM_SHARE_MAX * len(plain) else 0


def _boxes_between_lines(page: _JumpMap, across: _JumpMap) -> Iterator[tuple[Box, float]]:
    """Yield the boxes between lines and crossing lines, each with its weakest side's score."""
    high, wide = page.grey.shape
    rows = page.strongest_lines(0, wide)
    for top, bottom in _line_pairs(rows, high):
        columns = across.strongest_lines(top, bottom)
        for left, right in _line_pairs(columns, wide):
            ends = (1.0 if rows[e] == 1 else page.jump_share(e, left, right) for e in (top, bottom))
            yield (top, bottom, left, right), min(columns[left], columns[right], *ends)


def _line_pairs(lines: Iterable[int], length: int) -> Iterator[tuple[int, int]]:
    least = max(BOX_SIDE_PX_MIN, BOX_SIDE_SHARE_MIN * length)
    return ((a, b) for a, b in combinations(lines, 2) if b - a >= least)
