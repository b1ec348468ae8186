"""How loudly each copy's mark is heard in a leak.

Everything up to :class:`Heard` is made without any key: so, given the leak and the sent picture,
an innocent copy's chips are still independent fair signs, and its score has mean 0, variance 1 and
a proven tail, whatever was done to the file (docs/spec/mark.md, section 7).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.mark.code import Layout, Shape, chips
from entrenous.craft.mark.luma import Pixels, Plane, luma, shrink
from entrenous.craft.mark.prepare import Prepared, trial_chips
from entrenous.craft.mark.pyramid import detail_adjoint, detail_pyramid
from entrenous.craft.mark.residual import gather
from entrenous.craft.mark.tone import fit_tone
from entrenous.craft.mark.weave import pattern_adjoint


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """One number per chip: which sign the leak speaks for, and how firmly. Float32, finest first.

    ``strength`` is its Euclidean norm; 0 when the leak tells nothing.
    """

    per_chip: NDArray[np.float32]
    strength: float


def listen(
    laid_rgb: Pixels,
    covered: NDArray[np.bool_],
    prepared: Prepared,
    laid_recoded: Plane | None = None,
) -> Heard:
    """Gather the evidence of a leak, without any key.

    Args:
        laid_rgb: the leak, laid over the sent picture's grid: (H, W, 3) uint8, of the sent
            picture's size or smaller, not below its working size.
        covered: (H, W), where the leak shows the sent picture.
        prepared: the sent picture.
        laid_recoded: ``recode.recoded``, laid over the same grid; None when the leak is no JPEG.
    """
    plan = prepared.layout
    inside = _whole(covered, plan.working)
    leak = luma(shrink(laid_rgb, plan.working))
    tone = fit_tone(leak, shrink(prepared.pixels_rgb, plan.working), inside > 0)
    coded = None if laid_recoded is None else _sized(laid_recoded, plan.working)
    chips_on_trial = trial_chips(plan)
    trial = detail_pyramid(prepared.pattern(chips_on_trial), len(plan.bands))
    evidence = gather(leak, tone, coded, inside, trial)
    said = _per_chip([octave.rho for octave in evidence], prepared)
    wanted = _per_chip(
        [octave.response * t for octave, t in zip(evidence, trial, strict=True)], prepared
    )
    return _balanced(said, wanted, chips_on_trial, plan)


def scores(heard: Heard, streams: Iterable[bytes]) -> NDArray[np.float64]:
    """One score per key stream, in standard deviations of an innocent copy's score.

    Raises:
        ValueError: a stream is too short.
    """
    unit = heard.per_chip / np.float32(heard.strength or 1.0)
    said = (np.dot(chips(stream, unit.size), unit) for stream in streams)
    return np.fromiter(said, np.float64)


def _per_chip(details: list[Plane], prepared: Prepared) -> list[Plane]:
    return pattern_adjoint(detail_adjoint(details), prepared.layout, prepared.masks)


def _balanced(said: list[Plane], wanted: list[Plane], trial: Plane, plan: Layout) -> Heard:
    """Weigh the bands against each other by what a trial mark would have said.

    A band that would say s of a mark, in noise of norm n, deserves the weight s / n^2; its root is
    the mean (geometric) of that and of no weighing at all, for s is a forecast that a strong JPEG
    can make far too bright.
    """
    parts = []
    for band, own, trial_said in zip(plan.bands, said, wanted, strict=True):
        noise = float(np.dot(own, own))
        signal = max(0.0, float(np.dot(trial[band.start : band.stop], trial_said)))
        parts.append(own * np.float32(math.sqrt(signal / noise) if noise > 0.0 else 0.0))
    per_chip = np.concatenate(parts)
    return Heard(per_chip, float(np.linalg.norm(per_chip.astype(np.float64))))


def _sized(plane: Plane, shape: Shape) -> Plane:
    if plane.shape == shape:
        return plane
    return np.asarray(cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _whole(covered: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.float32]:
    """1 for working pixels that are covered in full, else 0."""
    share = shrink(covered.astype(np.uint8) * np.uint8(255), shape)
    return np.asarray(share == 255, np.float32)
