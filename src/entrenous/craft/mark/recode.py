"""What a JPEG's own coding says of the mark in it.

Most of what separates a JPEG from the picture it was made of is rounding of its coefficients, and
rounding is known: the table stands in the file. So the evidence is taken where the file keeps it,
coefficient by coefficient on the leak's own grid, and then laid over the sent picture. The same
serves a small leak without a table: at its own size its noise is white. docs/spec/mark.md, 6.4.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.mark.code import Layout, Shape
from entrenous.craft.mark.ear.bins import (
    Intervals,
    Law,
    around,
    blocks,
    first_law,
    fitted,
    guarded,
    intervals,
    pull,
    unblocks,
)
from entrenous.craft.mark.ear.passed import Passed, fit_passed
from entrenous.craft.mark.ear.tone import fit_tone
from entrenous.craft.mark.luma import Pixels, Plane, luma

PIXELS_MAX: Final = 4_000_000  # larger leaks gain little and cost seconds
UNROUNDED: Final = (1,) * 64  # the table of a leak that has none: whole grey levels
_SMALL: Final = 0.5  # of the working pixels: below, even a leak without a table is heard here
_MIDDLE: Final = np.float32(128.0)
_SECOND_MOMENT: Final = np.float32(2.0)  # of what was added, over pull x scale^2, when it is small


def table_for(
    tables: Mapping[int, Sequence[int]] | None, found_pixels: int, plan: Layout
) -> Sequence[int] | None:
    """The luma table to hear a leak by; None when it is too large, or neither coded nor small."""
    if found_pixels > PIXELS_MAX:
        return None
    if tables and 0 in tables:
        return tables[0]
    small = found_pixels <= _SMALL * plan.working[0] * plan.working[1]
    return UNROUNDED if small else None


def recoded(
    found_rgb: Pixels,
    sent_rgb: Pixels,
    covered: NDArray[np.bool_],
    table: Sequence[int] = UNROUNDED,
    trial: Plane | None = None,
) -> Plane:
    """Evidence per pixel of the leak's grid, (h, w) or, with a trial mark, (h, w, 2).

    The second plane is what the trial mark would have added to the first.

    Args:
        found_rgb: the leak, (h, w, 3) uint8, not resampled: its blocks start at the top left.
        sent_rgb: the sent picture, laid into the leak's grid.
        covered: (h, w), where ``sent_rgb`` shows something; elsewhere there is no evidence.
        table: the luma quantisation table, 64 numbers in natural order (ITU-T T.81).
        trial: ``Prepared.trial``, laid into the leak's grid: how strong marks are, and where.
    """
    found = luma(found_rgb)
    tone = fit_tone(found, sent_rgb, covered)
    marked = np.ones_like(found) if trial is None else np.asarray(trial * tone.slope, np.float32)
    seen = intervals(found - _MIDDLE, np.asarray(table, np.float32))
    expected = np.where(covered, tone.expected, found).astype(np.float32)
    passed = _passed(seen, expected, blocks(marked), covered)
    kept = np.where(covered, passed.filtered(expected), found).astype(np.float32)
    sent, left = blocks(kept - _MIDDLE), blocks(passed.filtered(marked))
    law = guarded(fitted(seen, sent, first_law(seen, sent, left)))
    force = pull(seen, sent, law) * law.gain
    back = np.where(covered, tone.slope, np.float32(0)).astype(np.float32)
    said = passed.filtered(unblocks(force, _shape(found))) * back
    if trial is None:
        return np.asarray(said, np.float32)
    wanted = unblocks(around(force * force) * left, _shape(found))
    return np.stack([said, passed.filtered(wanted) * back], axis=2)


def _passed(
    seen: Intervals, expected: Plane, marked: NDArray[np.float32], covered: NDArray[np.bool_]
) -> Passed:
    """The filter before the coding: fitted to what most likely stood in the intervals."""
    sent = blocks(expected - _MIDDLE)
    law = first_law(seen, sent, marked)
    return fit_passed(_likeliest(seen, sent, law, _shape(expected)), expected, covered)


def _likeliest(seen: Intervals, sent: NDArray[np.float32], law: Law, shape: Shape) -> Plane:
    added = _SECOND_MOMENT * law.scale**2 * pull(seen, sent, law)
    return np.asarray(unblocks(sent + added, shape) + _MIDDLE, np.float32)


def _shape(plane: Plane) -> Shape:
    return plane.shape[0], plane.shape[1]
