"""How loudly each copy's mark is heard in a leak.

Everything up to :class:`Heard` is made without any key: so, given the leak and the sent picture,
an innocent copy's chips are still independent fair signs, and its score has mean 0, variance 1 and
a proven tail, whatever was done to the file (docs/spec/mark.md, section 7).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.mark.code import Layout, Shape, chips
from entrenous.craft.mark.ear.passed import Passed, fit_passed
from entrenous.craft.mark.ear.residual import gather
from entrenous.craft.mark.ear.tone import Tone, fit_tone
from entrenous.craft.mark.luma import Pixels, Plane, luma, shrink
from entrenous.craft.mark.prepare import Prepared, trial_chips
from entrenous.craft.mark.pyramid import detail_adjoint, detail_pyramid
from entrenous.craft.mark.weave import pattern_adjoint

_CODED_WEIGHT: Final = 2.0  # beside the octaves' 1


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """One number per chip: which sign the leak speaks for, and how firmly. Float32, finest first.

    ``strength`` is its Euclidean norm; 0 when the leak tells nothing. ``forecast`` is the score
    that a true copy of full strength would be expected to reach, found with a trial mark: an
    upper estimate, for a codec or a denoiser takes more of a mark than of the picture.
    """

    per_chip: NDArray[np.float32]
    strength: float
    forecast: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """Evidence of one kind, of norm 1 (0 if silent), and what a trial mark would have added."""

    said: Plane
    forecast: float


def listen(
    laid: Pixels | Plane,
    covered: NDArray[np.bool_],
    prepared: Prepared,
    laid_recoded: Plane | None = None,
) -> Heard:
    """Gather the evidence of a leak, without any key.

    Args:
        laid: the leak, laid over the sent picture's grid: (H, W, 3) uint8, or its luma (H, W)
            in grey levels; of the sent picture's size or smaller, not below its working size.
        covered: (H, W), where the leak shows the sent picture.
        prepared: the sent picture.
        laid_recoded: ``recode.recoded``, laid over the same grid; None when there is none.
    """
    octaves = by_octave(laid, covered, prepared)
    return heard_in(octaves, None if laid_recoded is None else by_coding(laid_recoded, prepared))


def heard_in(octaves: Voice, coding: Voice | None) -> Heard:
    """What the leak's detail and its coding say together; both are heard, for they err apart."""
    voices = [(1.0, octaves)] + ([] if coding is None else [(_CODED_WEIGHT, coding)])
    per_chip = np.zeros_like(octaves.said)
    for weight, voice in voices:
        per_chip += np.float32(weight) * voice.said
    strength = float(np.linalg.norm(per_chip.astype(np.float64)))
    forecast = sum(weight * max(0.0, voice.forecast) for weight, voice in voices)
    return Heard(per_chip, strength, forecast / strength if strength > 0.0 else 0.0)


def by_octave(laid: Pixels | Plane, covered: NDArray[np.bool_], prepared: Prepared) -> Voice:
    """What the leak's detail says, octave by octave, at the working size."""
    plan = prepared.layout
    inside = _whole(covered, plan.working)
    leak = shrink(_light(laid), plan.working)
    tone = fit_tone(leak, shrink(prepared.pixels_rgb, plan.working), inside > 0)
    seen = np.where(inside > 0, leak, tone.expected).astype(np.float32)
    passed = fit_passed(seen, tone.expected, inside > 0)
    tone = Tone(passed.filtered(tone.expected), tone.slope)
    pattern = passed.filtered(prepared.pattern(trial_chips(plan)))
    trial = detail_pyramid(pattern, len(plan.bands))
    evidence = gather(leak, tone, inside, trial)
    said = _per_chip([octave.rho for octave in evidence], passed, prepared)
    would = [octave.response * t for octave, t in zip(evidence, trial, strict=True)]
    return _balanced(said, _per_chip(would, passed, prepared), plan)


def _light(laid: Pixels | Plane) -> Plane:
    return np.asarray(laid, np.float32) if laid.ndim == 2 else luma(np.asarray(laid, np.uint8))


def by_coding(laid: Plane, prepared: Prepared) -> Voice:
    """What the leak's coefficients say, at its own size; the finer stage is ``recode``."""
    plan = prepared.layout
    sized = _sized(laid, plan.working)
    planes = [sized] if sized.ndim == 2 else [sized[:, :, 0], sized[:, :, 1]]
    said, *would = (
        pattern_adjoint(np.ascontiguousarray(plane), plan, prepared.masks) for plane in planes
    )
    return _voice(said, would[0] if would else None, plan)


def scores(heard: Heard, streams: Iterable[bytes]) -> NDArray[np.float64]:
    """One score per key stream, in standard deviations of an innocent copy's score.

    Raises:
        ValueError: a stream is too short.
    """
    unit = heard.per_chip / np.float32(heard.strength or 1.0)
    return np.fromiter((float(np.dot(chips(one, unit.size), unit)) for one in streams), np.float64)


def _per_chip(details: list[Plane], passed: Passed, prepared: Prepared) -> list[Plane]:
    plane = passed.filtered(detail_adjoint(details))
    return pattern_adjoint(plane, prepared.layout, prepared.masks)


def _balanced(said: list[Plane], would: list[Plane], plan: Layout) -> Voice:
    """Weigh the bands against each other by what a trial mark would have said.

    A band that would say s of a mark, in noise of norm n, deserves the weight s / n^2; its root is
    the mean (geometric) of that and of no weighing at all, for s is a forecast that a strong codec
    can make far too bright.
    """
    signals = _signals(would, plan)
    noises = [float(np.dot(own, own)) for own in said]
    weights = [
        math.sqrt(max(0.0, signal) / noise) if noise > 0.0 else 0.0
        for signal, noise in zip(signals, noises, strict=True)
    ]
    return _voice(
        [own * np.float32(weight) for own, weight in zip(said, weights, strict=True)],
        [own * np.float32(weight) for own, weight in zip(would, weights, strict=True)],
        plan,
    )


def _voice(said: list[Plane], would: list[Plane] | None, plan: Layout) -> Voice:
    per_chip = np.concatenate(said)
    norm = float(np.linalg.norm(per_chip.astype(np.float64)))
    if norm == 0.0:
        return Voice(per_chip, 0.0)
    forecast = 0.0 if would is None else sum(_signals(would, plan)) / norm
    return Voice(per_chip / np.float32(norm), forecast)


def _signals(would: Sequence[Plane], plan: Layout) -> list[float]:
    """How much of a trial mark each band would have heard."""
    trial = trial_chips(plan)
    return [
        float(np.dot(trial[band.start : band.stop], own))
        for band, own in zip(plan.bands, would, strict=True)
    ]


def _sized(plane: Plane, shape: Shape) -> Plane:
    if plane.shape == shape:
        return plane
    return np.asarray(cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _whole(covered: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.float32]:
    """1 for working pixels that are covered in full, else 0."""
    share = shrink(covered.astype(np.uint8) * np.uint8(255), shape)
    return np.asarray(share == 255, np.float32)
