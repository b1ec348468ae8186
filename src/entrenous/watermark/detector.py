"""Score how strongly each copy's mark is present in a leaked picture, or in a clip's frames."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.watermark.channel import ChannelFilter, Tone, fit_channel_filter, fit_tone, gather
from entrenous.watermark.chip_layout import Layout, Shape, chips
from entrenous.watermark.clip_mark import ClipLayout, Motion, amplitude, brought_back
from entrenous.watermark.embed import Prepared, pattern, pattern_adjoint, trial_chips
from entrenous.watermark.pyramid import Pixels, Plane, detail_adjoint, detail_pyramid, luma, shrink

_CODED_WEIGHT: Final = 2.0  # beside the octaves' 1


@dataclass(frozen=True, slots=True, eq=False)
class ChipEvidence:
    """One number per chip: which sign the leak speaks for, and how firmly. Float32, finest first.

    ``strength`` is its Euclidean norm; 0 when the leak tells nothing. ``forecast`` is the score
    that a true copy of full strength would be expected to reach, found with a trial mark: an
    upper estimate, for a codec or a denoiser takes more of a mark than of the picture.
    """

    per_chip: NDArray[np.float32]
    strength: float
    forecast: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class PartialEvidence:
    """Evidence of one kind, of norm 1 (0 if silent), and what a trial mark would have added."""

    said: Plane
    forecast: float


def detect_mark(
    laid: Pixels | Plane,
    covered: NDArray[np.bool_],
    prepared: Prepared,
    laid_recoded: Plane | None = None,
) -> ChipEvidence:
    """Gather the evidence of a leak, without any key.

    Args:
        laid: the leak, laid over the sent picture's grid: (H, W, 3) uint8, or its luma (H, W)
            in grey levels; of the sent picture's size or smaller, not below its working size.
        covered: (H, W), where the leak shows the sent picture.
        prepared: the sent picture.
        laid_recoded: ``recode.recoded``, laid over the same grid; None when there is none.
    """
    octaves = by_octave(laid, covered, prepared)
    return join_partial_evidence(
        octaves, None if laid_recoded is None else by_coding(laid_recoded, prepared)
    )


def join_partial_evidence(octaves: PartialEvidence, coding: PartialEvidence | None) -> ChipEvidence:
    """What the leak's detail and its coding say together; both are heard, for they err apart."""
    voices = [(1.0, octaves)] + ([] if coding is None else [(_CODED_WEIGHT, coding)])
    per_chip = np.zeros_like(octaves.said)
    for weight, voice in voices:
        per_chip += np.float32(weight) * voice.said
    strength = float(np.linalg.norm(per_chip.astype(np.float64)))
    forecast = sum(weight * max(0.0, voice.forecast) for weight, voice in voices)
    return ChipEvidence(per_chip, strength, forecast / strength if strength > 0.0 else 0.0)


def by_octave(
    laid: Pixels | Plane, covered: NDArray[np.bool_], prepared: Prepared
) -> PartialEvidence:
    """What the leak's detail says, octave by octave, at the working size."""
    plan = prepared.layout
    inside = _whole(covered, plan.working)
    leak = shrink(_light(laid), plan.working)
    tone = fit_tone(leak, shrink(prepared.pixels_rgb, plan.working), inside > 0)
    seen = np.where(inside > 0, leak, tone.expected).astype(np.float32)
    passed = fit_channel_filter(seen, tone.expected, inside > 0)
    tone = Tone(passed.filtered(tone.expected), tone.slope)
    pattern = passed.filtered(prepared.pattern(trial_chips(plan)))
    trial = detail_pyramid(pattern, len(plan.bands))
    evidence = gather(leak, tone, inside, trial)
    said = _per_chip([octave.rho for octave in evidence], passed, prepared)
    would = [octave.response * t for octave, t in zip(evidence, trial, strict=True)]
    return _balanced(said, _per_chip(would, passed, prepared), plan)


def _light(laid: Pixels | Plane) -> Plane:
    return np.asarray(laid, np.float32) if laid.ndim == 2 else luma(np.asarray(laid, np.uint8))


def by_coding(laid: Plane, prepared: Prepared) -> PartialEvidence:
    """What the leak's coefficients say, at its own size; the finer stage is ``recode``."""
    plan = prepared.layout
    sized = _sized(laid, plan.working)
    planes = [sized] if sized.ndim == 2 else [sized[:, :, 0], sized[:, :, 1]]
    said, *would = (
        pattern_adjoint(np.ascontiguousarray(plane), plan, prepared.masks) for plane in planes
    )
    return _voice(said, would[0] if would else None, plan)


def scores(heard: ChipEvidence, streams: Iterable[bytes]) -> NDArray[np.float64]:
    """One score per key stream, in standard deviations of an innocent copy's score.

    Raises:
        ValueError: a stream is too short.
    """
    unit = heard.per_chip / np.float32(heard.strength or 1.0)
    return np.fromiter((float(np.dot(chips(one, unit.size), unit)) for one in streams), np.float64)


def _per_chip(details: list[Plane], passed: ChannelFilter, prepared: Prepared) -> list[Plane]:
    plane = passed.filtered(detail_adjoint(details))
    return pattern_adjoint(plane, prepared.layout, prepared.masks)


def _balanced(said: list[Plane], would: list[Plane], plan: Layout) -> PartialEvidence:
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


def _voice(said: list[Plane], would: list[Plane] | None, plan: Layout) -> PartialEvidence:
    per_chip = np.concatenate(said)
    norm = float(np.linalg.norm(per_chip.astype(np.float64)))
    if norm == 0.0:
        return PartialEvidence(per_chip, 0.0)
    forecast = 0.0 if would is None else sum(_signals(would, plan)) / norm
    return PartialEvidence(per_chip / np.float32(norm), forecast)


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


_AROUND: Final = 63  # chips along a row


def without_copies(heard: ChipEvidence, streams: Iterable[bytes]) -> ChipEvidence:
    """What was heard, less its projection on these copies' chips.

    A copy adds to each chip's evidence in proportion to the information about that chip, which the
    mean square of the evidence around it measures. So a copy's direction is its chips times that.

    Args:
        heard: the evidence of a leak.
        streams: key streams of the copies that were named; none leaves everything as it is.

    Raises:
        ValueError: a stream is too short.
    """
    firmness = _firmness(heard.per_chip)
    directions = [chips(stream, heard.per_chip.size) * firmness for stream in streams]
    if not directions:
        return heard
    basis = np.stack(directions)
    normal = (basis @ basis.T).astype(np.float64)
    parts = np.linalg.lstsq(normal, (basis @ heard.per_chip).astype(np.float64), rcond=None)[0]
    left = heard.per_chip - parts.astype(np.float32) @ basis
    return replace(heard, per_chip=left, strength=float(np.linalg.norm(left.astype(np.float64))))


def _firmness(per_chip: Plane) -> Plane:
    power = cv2.blur((per_chip * per_chip).reshape(1, -1), (_AROUND, 1))
    return np.maximum(power.ravel(), 0.0, dtype=np.float32)


_PRIOR: Final = 0.5  # of a band's weight, in standard deviations of the pilot: none is given up


@dataclass(slots=True, eq=False)
class FrameDetector:
    """Gathers frames, one plane of evidence per node. It grows with seconds, not with frames."""

    stage: ClipLayout
    planes: dict[int, Plane] = field(default_factory=dict)
    _trial: Plane | None = None

    def take(
        self,
        found: Plane,
        covered: NDArray[np.bool_],
        sent: Plane,
        nodes: Mapping[int, tuple[float, Motion]],
    ) -> None:
        """Listen to one frame.

        Args:
            found: luma of the found frame, laid over the sent one, at the working size, in grey
                levels.
            covered: where it shows the sent one.
            sent: luma of the sent frame, unmarked, likewise.
            nodes: share of each node, and the way from its grid to the frame's.
        """
        if self._trial is None:
            self._trial = pattern(trial_chips(self.stage.plan), self.stage.plan, self.stage.masks)
        strength = amplitude(sent, self.stage)
        grey = np.clip(np.rint(sent), 0, 255).astype(np.uint8)
        tone = fit_tone(found, np.asarray(cv2.merge([grey] * 3), np.uint8), covered)
        trial = detail_pyramid(self._trial * strength, len(self.stage.plan.bands))
        evidence = gather(found, tone, covered.astype(np.float32), trial)
        said = detail_adjoint([octave.rho for octave in evidence]) * strength
        for node, (share, motion) in nodes.items():
            own = brought_back(said, motion) * np.float32(share)
            self.planes[node] = self.planes[node] + own if node in self.planes else own


@dataclass(frozen=True, slots=True, eq=False)
class CombinedEvidence:
    """One number per chip of every node: which sign the found frames speak for, how firmly.

    Pilot chips are 0. ``strength`` is the norm of all numbers together.
    """

    per_chip: Mapping[int, NDArray[np.float32]]
    strength: float

    def said(self, node: int, copy_stream: bytes) -> float:
        """What a node says for a copy; the sum over nodes divided by ``strength`` is the score."""
        numbers = self.per_chip[node]
        return float(np.dot(chips(copy_stream, numbers.size), numbers))


def combine_evidence(ear: FrameDetector, pilots: Mapping[int, bytes]) -> CombinedEvidence:
    """Weigh the bands by how well the pilot is heard in each.

    Args:
        ear: what was gathered.
        pilots: the pilot's key stream for every node in ``ear``.
    """
    stage = ear.stage
    nodes = {
        node: np.concatenate(pattern_adjoint(plane, stage.plan, stage.masks))
        for node, plane in ear.planes.items()
    }
    pilot = {node: chips(stream, stage.plan.chips) for node, stream in pilots.items()}
    weights = _weights(nodes, pilot, stage)
    own = stage.own.astype(np.float32) * weights
    weighed = {node: numbers * own for node, numbers in nodes.items()}
    power = sum(float(np.dot(one.astype(np.float64), one)) for one in weighed.values())
    return CombinedEvidence(weighed, math.sqrt(power))


def _weights(
    nodes: Mapping[int, Plane], pilot: Mapping[int, Plane], stage: ClipLayout
) -> NDArray[np.float32]:
    """Per chip: a band heard z deviations above chance deserves a weight of z over its norm."""
    weights = np.zeros(stage.plan.chips, np.float32)
    shared = ~stage.own
    for band in stage.plan.bands:
        part = slice(band.start, band.stop)
        on = shared[part]
        said = sum(float(np.dot(pilot[node][part][on], g[part][on])) for node, g in nodes.items())
        heard = sum(float(np.sum(np.square(g[part][on], dtype=np.float64))) for g in nodes.values())
        noise = sum(float(np.sum(np.square(g[part], dtype=np.float64))) for g in nodes.values())
        if noise > 0.0 and heard > 0.0:
            z = max(0.0, said / math.sqrt(heard)) + _PRIOR
            weights[part] = z / math.sqrt(noise)
    return weights
