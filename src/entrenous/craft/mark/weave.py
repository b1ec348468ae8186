"""From chips to the pattern that they make, and the exact adjoint of that step.

The pattern is linear in the chips. Its adjoint carries evidence the other way, from pixels to one
number per chip; so a trace never has to make a candidate's mark. docs/spec/mark.md, sections 4, 6.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from entrenous.craft.mark.code import Layout, Shape
from entrenous.craft.mark.luma import Plane
from entrenous.craft.mark.pyramid import add_up, add_up_adjoint

_LOWS_REMOVED: Final = 0.9  # of the Gaussian: what is coarser belongs to the next band, or is seen
_SIGMA_CELLS: Final = 1.0
_KERNEL_CELLS: Final = (9, 9)
_CUBIC: Final = -0.75  # the free parameter of Keys' kernel (1981), as OpenCV fixes it


def pattern(signs: Plane, layout: Layout, masks: Sequence[Plane]) -> Plane:
    """The mark that these chips make, in grey levels, at the layout's working size.

    Args:
        signs: one chip per cell of all bands, finest band first.
        layout: where the bands lie.
        masks: amplitude per pixel of each band's pyramid level.
    """
    return add_up(
        [
            weave(signs[band.start : band.stop].reshape(band.cells), mask)
            for band, mask in zip(layout.bands, masks, strict=True)
        ]
    )


def pattern_adjoint(evidence: Plane, layout: Layout, masks: Sequence[Plane]) -> list[Plane]:
    """The adjoint of :func:`pattern`: one number per chip, as one flat array per band."""
    levels = add_up_adjoint(evidence, len(layout.bands))
    return [
        unweave(level, mask, band.cells).ravel()
        for level, mask, band in zip(levels, masks, layout.bands, strict=True)
    ]


def enlarged(mark: Plane, shape: Shape) -> Plane:
    """Bicubic to the full picture's size; the same array when it has that size already."""
    if mark.shape == shape:
        return mark
    large = cv2.resize(mark, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.float32)


def weave(cells: Plane, mask: Plane) -> Plane:
    """The pattern of one band, in grey levels.

    Args:
        cells: chips on the band's grid (rows, columns).
        mask: amplitude per pixel of the band's pyramid level.
    """
    rows, columns = mask.shape
    size = (columns, rows)
    fine = np.asarray(cv2.resize(_without_lows(cells), size, interpolation=cv2.INTER_CUBIC))
    return np.multiply(fine, mask, out=fine, dtype=np.float32)  # in place: half the memory traffic


def unweave(evidence: Plane, mask: Plane, cells: Shape) -> Plane:
    """The adjoint of one band: the inner product <pattern, e> equals <cells, result>."""
    rows, columns = mask.shape
    down = _cubic(rows, cells[0]).T @ np.multiply(evidence, mask, dtype=np.float32)
    coarse = (_cubic(columns, cells[1]).T @ np.ascontiguousarray(down.T)).T
    return _without_lows(np.ascontiguousarray(coarse, np.float32))


def _without_lows(cells: Plane) -> Plane:
    # zeros beyond the border make this symmetric filter its own adjoint
    lows = cv2.GaussianBlur(
        cells, _KERNEL_CELLS, _SIGMA_CELLS, sigmaY=_SIGMA_CELLS, borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(cells - np.float32(_LOWS_REMOVED) * lows, np.float32)


def _cubic(out: int, cells: int) -> sparse.csr_array:
    """``cv2.resize(..., INTER_CUBIC)`` along one axis as an (out, cells) matrix."""
    at = (np.arange(out) + 0.5) * (cells / out) - 0.5
    first = np.floor(at).astype(np.int64)
    taps = first[:, None] + np.arange(-1, 3)
    weights = _keys(np.abs(at[:, None] - taps))
    rows = np.repeat(np.arange(out), 4)
    columns = np.clip(taps, 0, cells - 1).ravel()
    entries = (weights.astype(np.float32).ravel(), (rows, columns))
    return sparse.csr_array(sparse.coo_array(entries, shape=(out, cells)))


def _keys(x: NDArray[np.float64]) -> NDArray[np.float64]:
    near = ((_CUBIC + 2.0) * x - (_CUBIC + 3.0)) * x * x + 1.0
    far = ((_CUBIC * x - 5.0 * _CUBIC) * x + 8.0 * _CUBIC) * x - 4.0 * _CUBIC
    return np.where(x <= 1.0, near, np.where(x < 2.0, far, 0.0))
