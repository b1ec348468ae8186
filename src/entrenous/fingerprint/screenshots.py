"""Where a picture may lie within an upload: screenshots, collages, captions, letterboxes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.fingerprint.borders import SPREAD, Box, plain_rows
from entrenous.fingerprint.pdq import Floats

JUMP: Final = 12.0  # brightness levels: more than JPEG leaves on a plain page
SEEN: Final = 0.55  # share of a line along which brightness jumps; pictures fade into dark pages
LINES: Final = 6  # per direction and strip
APART_PX: Final = 4
NEARER: Final = 0.01  # share by which a line one pixel farther from where page ends must be surer
SIDE_MIN: Final = 0.1  # of the upload
SIDE_PX_MIN: Final = 24  # of a thumbnail: less has no detail to hash
SEAM_MAX: Final = 0.05  # of the upload
BOXES: Final = 64
TILES: Final = ((1, 2), (2, 1), (1, 3), (3, 1), (2, 2))  # rows and columns of a collage
SHAPES: Final = (16 / 9, 3 / 2, 4 / 3, 5 / 4, 1.0, 4 / 5, 3 / 4, 2 / 3, 9 / 16)  # width by height


@dataclass(frozen=True, slots=True)
class _Page:
    """A grey picture (H, W), and where brightness jumps above each row, added up from the left:
    (H + 1, W + 1).
    """

    grey: Floats
    jumps: Floats

    @classmethod
    def of(cls, grey: Floats) -> Self:
        padded = np.pad(grey, ((2, 2), (0, 0)), mode="edge")
        sharp = np.abs(padded[2:-1] - padded[1:-2])
        soft = np.abs(padded[3:] - padded[:-3])  # a seam that shrinking has spread over a pixel
        jump = np.minimum(np.maximum(sharp, soft) / JUMP, 1.0)
        return cls(
            grey, np.asarray(np.pad(jump.cumsum(axis=1), ((0, 0), (1, 0))), dtype=np.float32)
        )

    def seen(self, line: int, start: int, stop: int) -> float:
        """Along which share of these columns brightness jumps; the page's own edges always do."""
        if line in (0, len(self.grey)):
            return 1.0
        return float(self.jumps[line, stop] - self.jumps[line, start]) / (stop - start)

    def lines(self, start: int, stop: int) -> dict[int, float]:
        """The strongest lines across these columns, at most six, and the page's two edges, in
        order, and how sure each is: 1 where plain page ends, else the share that jumps.
        """
        strength = (self.jumps[:, stop] - self.jumps[:, start]) / (stop - start)
        for end, share in self._block_ends(start, stop):
            near = np.arange(max(0, end - APART_PX), min(len(strength), end + APART_PX + 1))
            sharpest = near[np.argmax(strength[near] - NEARER * np.abs(near - end))]
            # A full picture has lines everywhere; a page that ends says more than any of them.
            sure = 1 if share >= SIDE_MIN else SEEN
            strength[sharpest] = max(strength[sharpest], sure + share)
        chosen: dict[int, float] = {}
        for line in np.argsort(-strength, kind="stable").tolist():
            if len(chosen) == LINES or strength[line] < SEEN:
                break
            if all(abs(line - other) >= APART_PX for other in chosen):
                chosen[line] = min(1.0, float(strength[line]))
        return dict(sorted({**chosen, 0: 1.0, len(self.grey): 1.0}.items()))

    def _block_ends(self, start: int, stop: int) -> Iterator[tuple[int, float]]:
        """Where plain rows end and begin, and the share of the rows that lie between."""
        strip = self.grey[:, start:stop]
        ink = strip.max(axis=1) - strip.min(axis=1) > SPREAD
        turns = np.flatnonzero(np.diff(ink, prepend=False, append=False)).tolist()
        for first, last in zip(turns[::2], turns[1::2], strict=True):
            yield first, (last - first) / len(ink)
            yield last, (last - first) / len(ink)


def boxes(grey: Floats) -> list[Box]:
    """At most 64 boxes that may be pictures, the likeliest first; the whole is none of them."""
    rows, columns = _Page.of(grey), _Page.of(grey.T)
    found: dict[Box, float] = {}
    for box, seen in _cut(rows, columns):
        found[box] = max(seen, found.get(box, 0.0))
    for (left, right, top, bottom), seen in _cut(columns, rows):
        box = (top, bottom, left, right)
        found[box] = max(seen, found.get(box, 0.0))
    found.pop((0, grey.shape[0], 0, grey.shape[1]), None)
    sharpest = sorted(found, key=found.__getitem__, reverse=True)[: 2 * BOXES]
    likely = {box: round(found[box] * _filled(grey, box), 1) for box in sharpest}
    return sorted(sharpest, key=lambda box: (-likely[box], -_area(box)))[:BOXES]


def _area(box: Box) -> int:
    return (box[1] - box[0]) * (box[3] - box[2])


def _filled(grey: Floats, box: Box) -> float:
    """The share of a box's rows, times that of its columns, that are not plain: a picture has no
    page around it.
    """
    inner = grey[box[0] : box[1], box[2] : box[3]]
    ink = (inner.max(axis=axis) - inner.min(axis=axis) > SPREAD for axis in (0, 1))
    return float(np.prod([one.mean() for one in ink]))


def usual_boxes(grey: Floats) -> list[Box]:
    """Halves, thirds and quarters of a collage, without seams and with those it has; boxes of usual
    shapes amid bars. At most 37.
    """
    height_px, width_px = grey.shape
    none = np.zeros(1, dtype=np.bool_)
    found = [
        (*_share(row, rows, height_px, down), *_share(column, columns, width_px, across))
        for down, across in ((none, none), (plain_rows(grey), plain_rows(grey.T)))
        for rows, columns in TILES
        for row in range(rows)
        for column in range(columns)
    ]
    for shape in SHAPES:
        down = max(0, round((height_px - width_px / shape) / 2))
        across = max(0, round((width_px - height_px * shape) / 2))
        found.append((down, height_px - down, across, width_px - across))
    wanted = [b for b in found if min(b[1] - b[0], b[3] - b[2]) >= SIDE_PX_MIN]
    return list(dict.fromkeys(wanted))


def _share(place: int, shares: int, length_px: int, plain: NDArray[np.bool_]) -> tuple[int, int]:
    """First and last line of an even share; between shares lies a seam, and around all of them
    another one as wide, or none.
    """
    seam = _run_at(plain, length_px // shares) if shares > 1 else 0
    around = min(seam or length_px, _run_at(plain, 0))
    each = (length_px - 2 * around - (shares - 1) * seam) / shares
    first = around + place * (each + seam)
    return round(first), round(first + each)


def _run_at(plain: NDArray[np.bool_], place: int) -> int:
    """How many plain lines lie there in a row, if not so many that they are no seam."""
    if place >= len(plain) or not plain[place]:
        return 0
    other = np.flatnonzero(~plain)
    before, after = other[other < place], other[other > place]
    first = int(before[-1]) + 1 if before.size else 0
    last = int(after[0]) if after.size else len(plain)
    return last - first if last - first <= SEAM_MAX * len(plain) else 0


def _cut(page: _Page, across: _Page) -> Iterator[tuple[Box, float]]:
    """Boxes between lines of a page and lines that cross them, each with its weakest side."""
    high, wide = page.grey.shape
    rows = page.lines(0, wide)
    for top, bottom in _pairs(rows, high):
        columns = across.lines(top, bottom)
        for left, right in _pairs(columns, wide):
            ends = (1.0 if rows[e] == 1 else page.seen(e, left, right) for e in (top, bottom))
            yield (top, bottom, left, right), min(columns[left], columns[right], *ends)


def _pairs(lines: Iterable[int], length: int) -> Iterator[tuple[int, int]]:
    least = max(SIDE_PX_MIN, SIDE_MIN * length)
    return ((a, b) for a, b in combinations(lines, 2) if b - a >= least)
