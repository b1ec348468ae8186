"""What a JPEG's own coding says of the mark in it.

Most of what separates a JPEG from the picture it was made of is rounding of its coefficients, and
rounding is known: the table stands in the file. So the evidence is taken where the file keeps it,
coefficient by coefficient on the leak's own grid, and then laid over the sent picture. The same
serves a small leak without a table: at its own size its noise is white. docs/spec/mark.md, 6.4.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.mark.code import Layout, Shape
from entrenous.craft.mark.ear.bins import (
    BLOCK,
    Intervals,
    Planes,
    around,
    blocks,
    first_law,
    fitted,
    guarded,
    intervals,
    pull,
    unblocks,
)
from entrenous.craft.mark.ear.passed import fit_passed
from entrenous.craft.mark.ear.tone import fit_tone
from entrenous.craft.mark.luma import Pixels, Plane, luma

PIXELS_MAX: Final = 4_000_000  # larger leaks gain little and cost seconds
_FINE: Final = 2.4  # times the working pixels: its coding lies beyond the finest chips
_FINE_MIN: Final = 2_000_000  # fewer cost little
UNROUNDED: Final = (1,) * 64  # the table of a leak that has none: whole grey levels
_SMALL: Final = 0.5  # of the working pixels: below, even a leak without a table is heard here
_MIDDLE: Final = np.float32(128.0)
_SECOND_MOMENT: Final = np.float32(2.0)  # of what was added, over pull x scale^2, when it is small
_TOGETHER: Final = 4  # frequencies: few enough for a processor's cache
_THREADS: Final = 2  # every frequency is heard by itself: their number changes no bit


def table_for(
    tables: Mapping[int, Sequence[int]] | None, found_pixels: int, plan: Layout
) -> Sequence[int] | None:
    """The luma table to hear a leak by; None when it is too large, or neither coded nor small."""
    working = plan.working[0] * plan.working[1]
    if found_pixels > min(PIXELS_MAX, max(_FINE_MIN, _FINE * working)):
        return None
    if tables and 0 in tables:
        return tables[0]
    small = found_pixels <= _SMALL * working
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
    evidence = np.zeros((*covered.shape, 1 if trial is None else 2), np.float32)
    box = _blocks_around(covered)
    marked = np.ones(covered.shape, np.float32) if trial is None else trial
    said = _heard(luma(found_rgb[box]), sent_rgb[box], covered[box], table, marked[box])
    evidence[box] = np.stack(said[: evidence.shape[2]], axis=2)
    return evidence[:, :, 0] if trial is None else evidence


def _blocks_around(covered: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The smallest box of whole blocks that holds all that is covered; one block at least."""
    down, across = np.nonzero(covered.any(axis=1))[0], np.nonzero(covered.any(axis=0))[0]
    return _span(down), _span(across)


def _span(at: NDArray[np.intp]) -> slice:
    first, last = (int(at[0]), int(at[-1])) if at.size else (0, 0)
    return slice(first // BLOCK * BLOCK, (last // BLOCK + 1) * BLOCK)


def _heard(
    found: Plane,
    sent_rgb: Pixels,
    covered: NDArray[np.bool_],
    table: Sequence[int],
    trial: Plane,
) -> list[Plane]:
    """The evidence, and what the trial would add to it."""
    shape, steps = _shape(found), np.asarray(table, np.float32)
    tone = fit_tone(found, sent_rgb, covered)
    marked = np.asarray(trial * tone.slope, np.float32)
    coded = blocks(found - _MIDDLE)
    expected = np.where(covered, tone.expected, found)
    before = _by_frequency(_likeliest, coded, blocks(expected - _MIDDLE), blocks(marked), steps)
    passed = fit_passed(unblocks(before[0], shape) + _MIDDLE, expected, covered)
    kept = np.where(covered, passed.filtered(expected), found)
    sent, left = blocks(kept - _MIDDLE), blocks(passed.filtered(marked))
    told = _by_frequency(_told, coded, sent, left, steps)
    back = np.where(covered, tone.slope, np.float32(0))
    return [passed.filtered(unblocks(planes, shape)) * back for planes in told]


def _by_frequency(
    work: Callable[[Intervals, Planes, Planes], Planes],
    coded: Planes,
    sent: Planes,
    marked: Planes,
    steps: Plane,
) -> Planes:
    """``work`` on all frequencies, a few at a time: (n, 64, rows, columns)."""

    def some(first: int) -> Planes:
        which = slice(first, first + _TOGETHER)
        return work(intervals(coded[which], steps[which], first), sent[which], marked[which])

    with ThreadPoolExecutor(_THREADS) as threads:
        return np.concatenate(list(threads.map(some, range(0, len(coded), _TOGETHER))), axis=1)


def _likeliest(seen: Intervals, sent: Planes, marked: Planes) -> Planes:
    """What most likely stood in the intervals."""
    law = first_law(seen, sent, marked)
    added = _SECOND_MOMENT * np.square(law.scale) * pull(seen, sent, law)
    return (sent + added)[None]


def _told(seen: Intervals, sent: Planes, left: Planes) -> Planes:
    """The evidence, and what a mark that is left like this would have added to it."""
    law = guarded(fitted(seen, sent, first_law(seen, sent, left)))
    force = pull(seen, sent, law) * law.gain
    return np.stack([force, around(force * force) * left])


def _shape(plane: Plane) -> Shape:
    return plane.shape[0], plane.shape[1]
