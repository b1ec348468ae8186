"""What the sent picture looks like after the leak's own JPEG coding.

Most of what separates a JPEG from the picture it was made of is rounding of its coefficients, and
rounding can be repeated: the tables stand in the file. What then still separates the two is closer
to the mark alone. docs/spec/mark.md, section 6.4.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from entrenous.craft.mark.luma import Pixels, Plane, luma
from entrenous.craft.mark.tone import fit_tone

_BLOCK: Final = 8
_MIDDLE: Final = np.float32(128.0)
PIXELS_MAX: Final = 4_000_000  # larger leaks gain little and cost seconds


def recoded(
    found_rgb: Pixels, sent_rgb: Pixels, covered: NDArray[np.bool_], table: Sequence[int]
) -> Plane:
    """Luma of the sent picture, toned and then coded as the leak was, in the leak's grid.

    Args:
        found_rgb: the leak, (h, w, 3) uint8, not resampled: its blocks start at the top left.
        sent_rgb: the sent picture, laid into the leak's grid.
        covered: (h, w), where ``sent_rgb`` shows something; elsewhere the leak itself is coded.
        table: the luma quantisation table, 64 numbers in natural order (ITU-T T.81).
    """
    found = luma(found_rgb)
    expected = fit_tone(found, sent_rgb, covered).expected
    return coded(np.where(covered, expected, found), table)


def coded(plane: Plane, table: Sequence[int]) -> Plane:
    """Round 8 x 8 DCT coefficients to multiples of ``table``, as a JPEG of this luma would."""
    rows, columns = plane.shape
    padded = np.pad(plane, ((0, -rows % _BLOCK), (0, -columns % _BLOCK)), mode="edge") - _MIDDLE
    tall, wide = padded.shape[0] // _BLOCK, padded.shape[1] // _BLOCK
    blocks = padded.reshape(tall, _BLOCK, wide, _BLOCK).swapaxes(1, 2)
    steps = np.maximum(np.asarray(table, np.float32), 1.0).reshape(_BLOCK, _BLOCK)
    rounded = np.rint(dctn(blocks, axes=(2, 3), norm="ortho") / steps) * steps
    back = idctn(rounded, axes=(2, 3), norm="ortho").swapaxes(1, 2).reshape(padded.shape)
    clipped = np.clip(back[:rows, :columns] + _MIDDLE, 0.0, 255.0)
    return np.asarray(clipped, np.float32)
