"""Compute hashes of a picture's windows, by which crops and parts of the picture are found, and
rotate pictures slightly.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.base.limits import PDQ_BYTES, REGISTERED_PART_QUALITY_MIN
from entrenous.base.picture import Picture
from entrenous.fingerprint.borders import luma_thumbnail
from entrenous.fingerprint.pdq import (
    BLOCKS_PER_SIDE,
    FREQUENCIES_PER_AXIS,
    Floats,
    cosine_transform_rows,
    hash_spectra,
    low_frequencies,
    pixels_on_white,
    qualities,
    window_downsampling_matrices,
)

WindowEdges = NDArray[np.float64]
GRID_STEPS: Final = 12  # a picture's sides are divided into this many grid steps
# Minimum side of most windows, in grid steps. A crop to 2/3 of a side has 8 steps, of which less
# than one is lost at each end.
WINDOW_SIDE_STEPS_MIN: Final = 7
# short side, in grid steps, of windows of half a picture; such parts stay visible beside a sticker
HALF_PICTURE_WINDOW_SHORT_STEPS: Final = 6
HALF_PICTURE_WINDOW_LONG_STEPS_MIN: Final = 10  # minimum long side of such a window, in grid steps


def window_hashes(picture: Picture) -> tuple[bytes, ...]:
    """Return hashes of a picture's windows for registration: at most 525, distinct, 32 bytes each.

    Windows with very little detail or with fewer pixels than PDQ has blocks are left out, because
    they would match other pictures.
    """
    found: dict[bytes, None] = {}
    pixels = pixels_on_white(picture)
    for blocks in _registered_window_blocks(
        luma_thumbnail(pixels), (pixels.shape[0], pixels.shape[1])
    ):
        detailed = blocks[qualities(blocks) >= REGISTERED_PART_QUALITY_MIN]
        hashes = hash_spectra(low_frequencies(detailed))
        found |= dict.fromkeys(
            hashes[start : start + PDQ_BYTES] for start in range(0, len(hashes), PDQ_BYTES)
        )
    return tuple(found)


def grid_window_edges() -> WindowEdges:
    """Return (K, 2): first and last edge of each window along an axis, as shares of the axis."""
    pairs = [
        (first, last)
        for first in range(GRID_STEPS)
        for last in range(first + HALF_PICTURE_WINDOW_SHORT_STEPS, GRID_STEPS + 1)
    ]
    return np.array(pairs, dtype=np.float64) / GRID_STEPS


def registered_window_mask(down: WindowEdges, across: WindowEdges) -> NDArray[np.bool_]:
    """Return a mask (K, M): which windows are registered, for K ranges of rows and M of columns.

    ``down`` (K, 2) and ``across`` (M, 2) have the first and last edge of each range.
    """
    high, wide = (np.rint(GRID_STEPS * (one[:, 1] - one[:, 0])) for one in (down, across))
    shorter = np.minimum(high[:, None], wide[None, :])
    longer = np.maximum(high[:, None], wide[None, :])
    return np.asarray(
        (shorter >= WINDOW_SIDE_STEPS_MIN)
        | (
            (shorter == HALF_PICTURE_WINDOW_SHORT_STEPS)
            & (longer >= HALF_PICTURE_WINDOW_LONG_STEPS_MIN)
        )
    )


def _registered_window_blocks(grey: Floats, sides_px: tuple[int, int]) -> Iterator[Floats]:
    """Yield the blocks (K, 64, 64) of registered windows, for each pair of top and bottom edges."""
    edges = grid_window_edges()
    across = window_downsampling_matrices(grey.shape[1], edges)
    length = edges[:, 1] - edges[:, 0]
    tall, broad = (length * side >= BLOCKS_PER_SIDE for side in sides_px)
    wanted = registered_window_mask(edges, edges) & tall[:, None] & broad
    for chosen, down in zip(
        wanted, window_downsampling_matrices(grey.shape[0], edges), strict=True
    ):
        columns = across[chosen]
        blocks = np.matmul(np.matmul(down, grey), columns.reshape(-1, grey.shape[1]).T)
        yield blocks.reshape(BLOCKS_PER_SIDE, len(columns), BLOCKS_PER_SIDE).transpose(1, 0, 2)


def window_spectra(grey: Floats, rows: WindowEdges, columns: WindowEdges) -> Floats:
    """Return the spectra (..., K, M, 16, 16) of windows with rows (K, 2) and columns (M, 2).

    Edges are shares of the sides, in [0, 1]. ``grey`` is one picture (H, W), or several of the same
    size.
    """
    return window_spectra_from_bases(
        grey, cosine_basis(grey.shape[-2], rows), cosine_basis(grey.shape[-1], columns)
    )


def window_spectra_from_bases(grey: Floats, down: Floats, across: Floats) -> Floats:
    """Return the same as :func:`window_spectra`, given the :func:`cosine_basis` of rows and
    columns.
    """
    found = np.matmul(np.matmul(down, grey), across.T)
    found = found.reshape(
        *grey.shape[:-2],
        len(down) // FREQUENCIES_PER_AXIS,
        FREQUENCIES_PER_AXIS,
        len(across) // FREQUENCIES_PER_AXIS,
        FREQUENCIES_PER_AXIS,
    )
    return np.swapaxes(found, -3, -2)


def detailed_box_spectra(grey: Floats, boxes: NDArray[np.float64], quality_min: int) -> Floats:
    """Return the spectra (N, 16, 16) of those boxes whose PDQ quality is at least ``quality_min``.

    Boxes are (B, 4): first and last row, first and last column, in pixels.
    """
    height_px, width_px = grey.shape
    if not len(boxes):
        return np.zeros((0, FREQUENCIES_PER_AXIS, FREQUENCIES_PER_AXIS), dtype=np.float32)
    blocks = np.stack(
        [
            window_downsampling_matrices(height_px, box[None, :2] / height_px)[0]
            @ grey
            @ window_downsampling_matrices(width_px, box[None, 2:] / width_px)[0].T
            for box in boxes
        ]
    )
    return low_frequencies(blocks[qualities(blocks) >= quality_min])


def cosine_basis(length_px: int, edges: WindowEdges) -> Floats:
    """Return the matrix (K * 16, length_px) that maps an axis's pixels to 16 frequencies of each
    window.
    """
    waves = np.tensordot(
        window_downsampling_matrices(length_px, edges), cosine_transform_rows(), axes=([1], [1])
    )
    return np.asarray(waves.transpose(0, 2, 1).reshape(-1, length_px), dtype=np.float32)


TRIM_STEP_SHARE: Final = 0.03  # cuts tried at an edge differ by this share of the upload's side
# number of cuts tried, 0 to 12 %, which is up to a grid step of the smallest supported crop
TRIM_COUNT: Final = 5
ENLARGEMENT_STEP_SHARE: Final = 0.02
# number of enlargements tried, 0 to 6 %; PDQ nearly always tolerates the remaining difference
ENLARGEMENT_COUNT: Final = 4
# number of enlargements tried, 0 to 12 %; PDQ tolerates the difference about half of the time
FAR_ENLARGEMENT_COUNT: Final = 7


def trimmed_spectra(grey: Floats) -> Floats:
    """Return the spectra (N, 16, 16) of pictures (..., H, W) with 0 to 12 % cut off at each edge.

    There are 313 spectra for each picture.
    """
    return _spectra_with_edges_cut(grey, np.arange(TRIM_COUNT, dtype=np.float64) * TRIM_STEP_SHARE)


def enlarged_spectra(grey: Floats, steps: int = ENLARGEMENT_COUNT) -> Floats:
    """Return the spectra (N, 16, 16) of a picture that was enlarged at its edges.

    Each edge is moved out by 0 to ``steps`` - 1 times 2 %. There are 128 spectra for
    ``ENLARGEMENT_COUNT``, and 1,201 for ``FAR_ENLARGEMENT_COUNT``.
    """
    margin = ENLARGEMENT_STEP_SHARE * (steps - 1)
    down, across = (round(margin * side) for side in grey.shape)
    padded = np.pad(grey, ((down, down), (across, across)), mode="edge")
    cut = np.arange(steps, dtype=np.float64) * ENLARGEMENT_STEP_SHARE
    return _spectra_with_edges_cut(padded, cut / (1 + 2 * margin))


def registered_window_spectra(grey: Floats) -> Floats:
    """Return the spectra (525, 16, 16) of the windows that are registered for a picture."""
    edges = grid_window_edges()
    return window_spectra(grey, edges, edges)[registered_window_mask(edges, edges)]


def _spectra_with_edges_cut(grey: Floats, cut: NDArray[np.float64]) -> Floats:
    """Return the spectra of a picture with one of these shares cut off at each edge.

    The combinations are those in which the sum of the four indices is even.
    """
    down, across = (_cut_cosine_basis(side, tuple(cut.tolist())) for side in grey.shape[-2:])
    place = np.add.outer(np.arange(len(cut)), np.arange(len(cut))).reshape(-1) % 2
    same_parity = [np.flatnonzero(place == parity) for parity in (0, 1)]
    halves = [
        _flat_window_spectra(grey, down[chosen_places], across[chosen_places])
        for chosen_places in same_parity
    ]
    number = np.arange(place.size**2).reshape(place.size, -1)
    order = np.argsort(
        np.concatenate(
            [
                number[np.ix_(chosen_places, chosen_places)].reshape(-1)
                for chosen_places in same_parity
            ]
        )
    )
    return np.concatenate(halves, axis=-3)[..., order, :, :].reshape(
        -1, FREQUENCIES_PER_AXIS, FREQUENCIES_PER_AXIS
    )


def _flat_window_spectra(grey: Floats, down: Floats, across: Floats) -> Floats:
    """Return the spectra (..., K * M, 16, 16) of windows, given the cosine bases of their axes.

    The bases are (K, 16, H) for rows and (M, 16, W) for columns.
    """
    found = window_spectra_from_bases(
        grey, down.reshape(-1, grey.shape[-2]), across.reshape(-1, grey.shape[-1])
    )
    return found.reshape(*grey.shape[:-2], -1, FREQUENCIES_PER_AXIS, FREQUENCIES_PER_AXIS)


@lru_cache(maxsize=16)  # cached, since an upload's longer side is nearly always 512 pixels
def _cut_cosine_basis(length_px: int, cut: tuple[float, ...]) -> Floats:
    """Return (K, 16, length_px): cosine bases of an axis, one of these shares cut at each end."""
    first, last = np.broadcast_arrays(np.array(cut)[:, None], 1 - np.array(cut)[None, :])
    edges: WindowEdges = np.stack([first, last], axis=-1).reshape(-1, 2)
    made = cosine_basis(length_px, edges).reshape(-1, FREQUENCIES_PER_AXIS, length_px)
    made.flags.writeable = False
    return made


# in degrees; PDQ tolerates a rotation by about one degree
ANGLES_DEG: Final = (-10.0, -7.5, -5.0, -2.5, 2.5, 5.0, 7.5, 10.0)
SLIGHT_ANGLES_DEG: Final = (
    -3.5,
    -2.0,
    2.0,
    3.5,
)  # in degrees; a picture that was rotated more has lost too much at its edges to match as a whole


def rotations(grey: Floats, angles: Sequence[float] = ANGLES_DEG) -> Floats:
    """Return (A, H, W): a grey picture rotated by A angles; its edges are replicated."""
    height, width = grey.shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    matrices = [cv2.getRotationMatrix2D(middle, angle, 1.0) for angle in angles]
    size = (width, height)
    rotated = [cv2.warpAffine(grey, m, size, borderMode=cv2.BORDER_REPLICATE) for m in matrices]
    return np.stack(rotated).astype(np.float32)
