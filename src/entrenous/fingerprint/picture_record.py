"""The stored record of a sent picture: hash, colour layout, and 14 bytes per feature point.

The layout is the picture's mean colours in about 192 cells. A found picture is compared with every
part of a layout, at several sizes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.base.limits import PDQ_BYTES
from entrenous.base.picture import Picture
from entrenous.fingerprint.keypoints import FeaturePoints, Vocabulary, find_feature_points
from entrenous.fingerprint.pdq import Pixels, fingerprint, pixels_on_white

Floats = NDArray[np.float32]
Cells = NDArray[np.uint8]
CHANNELS: Final = 3
_LAYOUT_CELLS: Final = 192  # approximate number of cells, which are nearly square
_LAYOUT_SIDE_CELLS_MIN: Final = 4
_LAYOUT_SIDE_CELLS_MAX: Final = 48
# minimum share of the sent picture's width that a found one covers; a crop to 30 % of the area
# covers 0.55
_COVERED_WIDTH_SHARE_MIN: Final = 0.4
_COVERED_AREA_SHARE_MIN: Final = 0.15
# longest side to which a found picture is scaled down, for removing text
_SMALL_VIEW_SIDE_PX_MAX: Final = 160
_REMOVED_STROKE_PX_MAX: Final = 9  # thinner strokes are removed
# largest difference in brightness levels within a plain bar, after JPEG and smoothing
_BAR_SPREAD_LEVELS_MAX: Final = 10
# minimum share of a row that must be plain; the rest may be what smoothing left of text
_BAR_ROW_SHARE_MIN: Final = 0.8
_BAR_HEIGHT_SHARE_MAX: Final = 0.3  # largest height of a bar at either end, as a share of the side


@dataclass(frozen=True, slots=True, eq=False)
class ColourLayoutsOfShape:
    """The layouts of one shape (cells down, cells across).

    ``rows`` are their numbers, ``cells`` (N, 3 H W) their samples, and ``squares`` (N, H W) the
    sums of the squares of each cell's samples.
    """

    shape: tuple[int, int]
    rows: NDArray[np.int64]
    cells: Floats
    squares: Floats

    @classmethod
    def of(cls, rows: Sequence[int], layouts: Sequence[Cells]) -> Self:
        high, wide = layouts[0].shape[:2]
        cells = np.stack(layouts).reshape(len(layouts), -1).astype(np.float32)
        squares = np.square(cells).reshape(len(layouts), high * wide, CHANNELS).sum(axis=2)
        return cls((high, wide), np.asarray(rows, np.int64), cells, squares)

    def differences(self, views: Sequence[Pixels]) -> Floats:
        """Return (N,): each layout's root mean square difference from the view that fits best."""
        least = np.full(len(self.rows), np.inf, np.float32)
        for view in views:
            placements = list(_place_view(view, self.shape))
            if placements:
                covers = np.stack([where for where, _ in placements]).astype(np.float32)
                shown = np.stack([what for _, what in placements])
                difference = self.squares @ covers.reshape(len(placements), -1).T
                difference -= 2 * (self.cells @ shown.reshape(len(placements), -1).T)
                difference += np.square(shown).sum(axis=(1, 2, 3))
                least = np.minimum(
                    least, (difference / (CHANNELS * covers.sum(axis=(1, 2)))).min(axis=1)
                )
        return np.sqrt(np.maximum(least, 0))


@dataclass(frozen=True, slots=True)
class ColourLayouts:
    """Layouts grouped by shape; ``count`` is their total number."""

    shapes: tuple[ColourLayoutsOfShape, ...]
    count: int

    @classmethod
    def of(cls, layouts: Sequence[Cells]) -> Self:
        """Group (H, W, 3) layouts by shape; they are numbered in the given order."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for row, one in enumerate(layouts):
            by_shape.setdefault(one.shape, []).append(row)
        groups = (
            ColourLayoutsOfShape.of(rows, [layouts[at] for at in rows])
            for rows in by_shape.values()
        )
        return cls(tuple(groups), len(layouts))

    def differences(self, pixels: Pixels) -> Floats:
        """Return (count,): how much the pixels differ from the best-fitting part of each layout.

        The differences are in brightness levels, and infinite if no part has a similar shape.
        """
        views, differences = (
            small_views_without_text(pixels),
            np.full(self.count, np.inf, np.float32),
        )
        for group in self.shapes:
            differences[group.rows] = group.differences(views)
        return differences


def compute_colour_layout(pixels: Pixels) -> Cells:
    """Return the mean colours of about 192 cells of (H, W, 3) pixels."""
    high, wide = pixels.shape[:2]
    across = int(
        np.clip(
            round((_LAYOUT_CELLS * wide / high) ** 0.5),
            _LAYOUT_SIDE_CELLS_MIN,
            _LAYOUT_SIDE_CELLS_MAX,
        )
    )
    down = int(
        np.clip(round(_LAYOUT_CELLS / across), _LAYOUT_SIDE_CELLS_MIN, _LAYOUT_SIDE_CELLS_MAX)
    )
    return _resized(pixels, across, down)


def small_views_without_text(pixels: Pixels) -> list[Pixels]:
    """Return up to four small views of a found picture without text.

    These are the whole picture and the part inside its bars, both as they are and mirrored.
    """
    longest = max(pixels.shape[:2])
    high, wide = (
        max(1, round(side * min(1.0, _SMALL_VIEW_SIDE_PX_MAX / longest)))
        for side in pixels.shape[:2]
    )
    small = _resized(pixels, wide, high)
    smooth = np.asarray(cv2.medianBlur(small, _REMOVED_STROKE_PX_MAX), np.uint8)
    top, bottom = _rows_inside_bars(small)
    left, right = _rows_inside_bars(small[top:bottom].transpose(1, 0, 2))
    inner = smooth[top:bottom, left:right]
    views = [smooth] if inner.shape == smooth.shape else [smooth, inner]
    return [np.ascontiguousarray(image) for one in views for image in (one, one[:, ::-1])]


def _rows_inside_bars(pixels: Pixels) -> tuple[int, int]:
    """Return the range of rows between plain bars at the top and bottom.

    Morphological closing removes dark text, since each sample takes the value of bright neighbours.
    Opening removes light text.
    """
    stroke = np.ones((_REMOVED_STROKE_PX_MAX, _REMOVED_STROKE_PX_MAX), np.uint8)
    runs = [(0, 0)]
    for how in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN):
        plain = np.asarray(cv2.morphologyEx(pixels, how, stroke), np.int16)
        colours = np.median(plain, axis=1)[[0, -1], None, None]
        near = np.abs(plain - colours).max(axis=3) <= _BAR_SPREAD_LEVELS_MAX
        above, below = near.mean(axis=2) >= _BAR_ROW_SHARE_MIN
        runs.append((_bar_row_count(above), _bar_row_count(below[::-1])))
    above, below = (max(group) for group in zip(*runs, strict=True))
    return above, len(pixels) - below


def _bar_row_count(plain: NDArray[np.bool_]) -> int:
    """Return the number of initial plain rows, plus one for the row where bar and picture mix."""
    limit = int(_BAR_HEIGHT_SHARE_MAX * len(plain))
    run = limit if bool(plain[:limit].all()) else int(np.argmin(plain[:limit]))
    return min(run + 1, limit) if run else 0


def _place_view(view: Pixels, shape: tuple[int, int]) -> Iterator[tuple[NDArray[np.bool_], Floats]]:
    """Place a view at every size and position on the cells.

    Yield for each the mask of the cells that the view covers, and its colours there.
    """
    high, wide = shape
    for across in range(max(1, round(_COVERED_WIDTH_SHARE_MIN * wide)), wide + 1):
        down = min(round(across * view.shape[0] / view.shape[1]), high + 1)
        if not 1 <= down <= high or across * down < _COVERED_AREA_SHARE_MIN * wide * high:
            continue
        small = _resized(view, across, down)
        for top in range(high - down + 1):
            for left in range(wide - across + 1):
                covers, shown = np.zeros(shape, np.bool_), np.zeros((*shape, CHANNELS), np.float32)
                covers[top : top + down, left : left + across] = True
                shown[top : top + down, left : left + across] = small
                yield covers, shown


def _resized(pixels: Pixels, wide: int, high: int) -> Pixels:
    return np.asarray(cv2.resize(pixels, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)


PointEntries = NDArray[Any]
STORED_POINTS_MAX: Final = 500  # points that are stored for each sent picture
POINT_ENTRY_DTYPE: Final = np.dtype(
    [
        ("word", "<u2"),
        ("signs", "<u8"),
        ("x", "u1"),  # in units of 1/255 of the longest side
        ("y", "u1"),
        # by how many sixteenths of an octave (a factor of 2) the point's size is smaller than the
        # longest side
        ("size", "u1"),
        ("angle", "u1"),  # in units of 1/256 of a turn
    ]
)
SIZE_STEPS_PER_OCTAVE: Final = 16
ANGLE_STEPS_PER_TURN: Final = 256
_POSITION_STEPS: Final = 255


def find_and_pack_points(pixels: Pixels, vocabulary: Vocabulary) -> bytes:
    """Return the points of (H, W, 3) pixels to store: at most 500 entries of 14 bytes."""
    return point_entries(find_feature_points(pixels, STORED_POINTS_MAX), vocabulary).tobytes()


def point_entries(points: FeaturePoints, vocabulary: Vocabulary) -> PointEntries:
    entries = np.empty(len(points.descriptors), POINT_ENTRY_DTYPE)
    words = vocabulary.nearest(points.descriptors, 1)[:, 0]
    entries["word"], entries["signs"] = (
        words,
        vocabulary.descriptor_signs(points.descriptors, words),
    )
    write_point_geometry(entries, points)
    return entries


def write_point_geometry(entries: PointEntries, points: FeaturePoints) -> None:
    placed = np.clip(np.rint(points.places * _POSITION_STEPS), 0, _POSITION_STEPS)
    entries["x"], entries["y"] = placed[:, 0], placed[:, 1]
    entries["size"] = np.clip(np.rint(-points.sizes * SIZE_STEPS_PER_OCTAVE), 0, 255)
    entries["angle"] = (
        np.rint(points.angles * ANGLE_STEPS_PER_TURN).astype(np.int64) % ANGLE_STEPS_PER_TURN
    )


# changes with the vocabulary, the computation of signs, and the fields of an entry
_RECORD_VERSION: Final = b"\x02"
_HEADER_BYTES: Final = len(_RECORD_VERSION) + PDQ_BYTES
_SHAPE_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """A record: the PDQ hash ``bits``, the ``layout`` (its shape, then cells), the ``points``."""

    bits: bytes
    layout: bytes
    points: bytes

    @property
    def cells(self) -> Cells:
        """The layout as an array: cells down x cells across x 3."""
        down, across = self.layout[:_SHAPE_BYTES]
        samples = np.frombuffer(self.layout, np.uint8, offset=_SHAPE_BYTES)
        return samples.reshape(down, across, CHANNELS)


def make_picture_record(picture: Picture) -> bytes:
    """Return the record of a sent picture: about 7.6 kB at most."""
    bits, pixels = fingerprint(picture).bits or bytes(PDQ_BYTES), pixels_on_white(picture)
    cells = compute_colour_layout(pixels)
    layout = bytes(cells.shape[:_SHAPE_BYTES]) + cells.tobytes()
    return _RECORD_VERSION + bits + layout + find_and_pack_points(pixels, Vocabulary.load_shipped())


def read_picture_record(record: bytes) -> PictureRecord | None:
    """Parse a record; return None if it is damaged or has a different version."""
    if not record.startswith(_RECORD_VERSION) or len(record) < _HEADER_BYTES + _SHAPE_BYTES:
        return None
    down, across = record[_HEADER_BYTES : _HEADER_BYTES + _SHAPE_BYTES]
    points = _HEADER_BYTES + _SHAPE_BYTES + CHANNELS * down * across
    if (
        not down * across
        or len(record) < points
        or (len(record) - points) % POINT_ENTRY_DTYPE.itemsize
    ):
        return None
    return PictureRecord(
        record[len(_RECORD_VERSION) : _HEADER_BYTES], record[_HEADER_BYTES:points], record[points:]
    )
