"""Score how strongly each copy's mark is present in a leaked picture or in frames of a clip."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.watermark.channel import (
    ChannelFilter,
    FittedTone,
    fit_channel_filter,
    fit_tone,
    gather_evidence,
)
from entrenous.watermark.chip_layout import ChipLayout, Shape, chips_of_stream
from entrenous.watermark.clip_mark import (
    ClipLayout,
    Motion,
    pattern_amplitude,
    warp_pattern_adjoint,
)
from entrenous.watermark.embed import (
    PreparedPicture,
    mark_pattern,
    mark_pattern_adjoint,
    trial_chips,
)
from entrenous.watermark.pyramid import (
    Pixels,
    Plane,
    detail_pyramid,
    detail_pyramid_adjoint,
    luma,
    shrink,
)

# weight of the evidence in JPEG coefficients, relative to the evidence in the octaves
_COEFFICIENT_WEIGHT: Final = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class ChipEvidence:
    """Evidence for each chip, as float32, finest band first.

    The sign of a number in ``per_chip`` is the sign that the leak suggests for the chip, and its
    magnitude says how strongly. ``strength`` is the Euclidean norm of these numbers, and 0 if there
    is no evidence. ``forecast`` is the score to be expected of the copy that leaked, if its mark
    still has full strength. The forecast is measured with a trial mark (a mark of no copy). It is
    an upper estimate, because codecs and denoisers remove more of a mark than of the picture.
    """

    per_chip: NDArray[np.float32]
    strength: float
    forecast: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class PartialEvidence:
    """Evidence from one source, with norm 1 or 0, and the score of a trial mark in it."""

    per_chip: Plane
    forecast: float


def combine_partial_evidence(
    octaves: PartialEvidence, coefficients: PartialEvidence | None
) -> ChipEvidence:
    """Combine the evidence in the leak's detail with that in its JPEG coefficients.

    One of them may be useful where the other is not.
    """
    sources = [(1.0, octaves)] + (
        [] if coefficients is None else [(_COEFFICIENT_WEIGHT, coefficients)]
    )
    per_chip = np.zeros_like(octaves.per_chip)
    for weight, source in sources:
        per_chip += np.float32(weight) * source.per_chip
    strength = float(np.linalg.norm(per_chip.astype(np.float64)))
    forecast = sum(weight * max(0.0, source.forecast) for weight, source in sources)
    return ChipEvidence(per_chip, strength, forecast / strength if strength > 0.0 else 0.0)


def octave_evidence_per_chip(
    warped: Pixels | Plane, covered: NDArray[np.bool_], prepared: PreparedPicture
) -> PartialEvidence:
    """Return the evidence in the leak's detail at the working size, octave by octave."""
    plan = prepared.layout
    inside = _fully_covered(covered, plan.working_size)
    leak = shrink(_luma_of(warped), plan.working_size)
    tone = fit_tone(leak, shrink(prepared.pixels_rgb, plan.working_size), inside > 0)
    filled = np.where(inside > 0, leak, tone.expected).astype(np.float32)
    channel = fit_channel_filter(filled, tone.expected, inside > 0)
    tone = FittedTone(channel.filtered(tone.expected), tone.slope)
    pattern = channel.filtered(prepared.trial_pattern)
    trial = detail_pyramid(pattern, len(plan.bands))
    octaves = gather_evidence(leak, tone, inside, trial)
    evidence = _evidence_per_chip([octave.rho for octave in octaves], channel, prepared)
    trial_response = [octave.response * t for octave, t in zip(octaves, trial, strict=True)]
    return _weigh_bands(evidence, _evidence_per_chip(trial_response, channel, prepared), plan)


def _luma_of(warped: Pixels | Plane) -> Plane:
    return (
        np.asarray(warped, np.float32) if warped.ndim == 2 else luma(np.asarray(warped, np.uint8))
    )


def coefficient_evidence_per_chip(warped: Plane, prepared: PreparedPicture) -> PartialEvidence:
    """Return the evidence in the leak's JPEG coefficients (see ``jpeg_evidence``)."""
    plan = prepared.layout
    sized = _resize_to(warped, plan.working_size)
    planes = [sized] if sized.ndim == 2 else [sized[:, :, 0], sized[:, :, 1]]
    evidence, *trial_response = (
        mark_pattern_adjoint(np.ascontiguousarray(plane), plan, prepared.masks) for plane in planes
    )
    return _normalise(evidence, trial_response[0] if trial_response else None, plan)


def copy_scores(evidence: ChipEvidence, streams: Iterable[bytes]) -> NDArray[np.float64]:
    """Return one score per key stream, in standard deviations of an innocent copy's score.

    Raises:
        ValueError: a stream is too short.
    """
    unit = evidence.per_chip / np.float32(evidence.strength or 1.0)
    return np.fromiter(
        (float(np.dot(chips_of_stream(one, unit.size), unit)) for one in streams), np.float64
    )


def _evidence_per_chip(
    details: list[Plane], channel: ChannelFilter, prepared: PreparedPicture
) -> list[Plane]:
    plane = channel.filtered(detail_pyramid_adjoint(details))
    return mark_pattern_adjoint(plane, prepared.layout, prepared.masks)


def _weigh_bands(
    evidence: list[Plane], trial_response: list[Plane], plan: ChipLayout
) -> PartialEvidence:
    """Weight the bands by the response of a trial mark.

    With a trial response s and noise of norm n, the best weight of a band is s / n^2. We use its
    square root, which is the geometric mean of this weight and 1, because s can be far too high
    after strong compression.
    """
    signals = _trial_signal(trial_response, plan)
    noises = [float(np.dot(own, own)) for own in evidence]
    weights = [
        math.sqrt(max(0.0, signal) / noise) if noise > 0.0 else 0.0
        for signal, noise in zip(signals, noises, strict=True)
    ]
    return _normalise(
        [own * np.float32(weight) for own, weight in zip(evidence, weights, strict=True)],
        [own * np.float32(weight) for own, weight in zip(trial_response, weights, strict=True)],
        plan,
    )


def _normalise(
    evidence: list[Plane], trial_response: list[Plane] | None, plan: ChipLayout
) -> PartialEvidence:
    per_chip = np.concatenate(evidence)
    norm = float(np.linalg.norm(per_chip.astype(np.float64)))
    if norm == 0.0:
        return PartialEvidence(per_chip, 0.0)
    forecast = 0.0 if trial_response is None else sum(_trial_signal(trial_response, plan)) / norm
    return PartialEvidence(per_chip / np.float32(norm), forecast)


def _trial_signal(trial_response: Sequence[Plane], plan: ChipLayout) -> list[float]:
    trial = trial_chips(plan)
    return [
        float(np.dot(trial[band.start : band.stop], own))
        for band, own in zip(plan.bands, trial_response, strict=True)
    ]


def _resize_to(plane: Plane, shape: Shape) -> Plane:
    if plane.shape == shape:
        return plane
    return np.asarray(cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _fully_covered(covered: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return 1 for pixels at the working size that are fully covered, and 0 for others."""
    share = shrink(covered.astype(np.uint8) * np.uint8(255), shape)
    return np.asarray(share == 255, np.float32)


_NEIGHBOURHOOD_CHIPS: Final = 63  # the neighbourhood of a chip has this many chips along a row


def remove_copies(evidence: ChipEvidence, streams: Iterable[bytes]) -> ChipEvidence:
    """Remove the projection of the evidence onto the chips of these copies.

    A copy's mark contributes to the evidence about each chip in proportion to the information about
    that chip. The mean square of the evidence around the chip measures this information. So the
    direction to remove is the copy's chips times this mean square.

    Args:
        evidence: the evidence in a leak.
        streams: key streams of the named copies; may be empty.

    Raises:
        ValueError: a stream is too short.
    """
    local_power = _local_power(evidence.per_chip)
    directions = [
        chips_of_stream(stream, evidence.per_chip.size) * local_power for stream in streams
    ]
    if not directions:
        return evidence
    basis = np.stack(directions)
    normal = (basis @ basis.T).astype(np.float64)
    coefficients = np.linalg.lstsq(
        normal, (basis @ evidence.per_chip).astype(np.float64), rcond=None
    )[0]
    remaining = evidence.per_chip - coefficients.astype(np.float32) @ basis
    return replace(
        evidence, per_chip=remaining, strength=float(np.linalg.norm(remaining.astype(np.float64)))
    )


def _local_power(per_chip: Plane) -> Plane:
    power = cv2.blur((per_chip * per_chip).reshape(1, -1), (_NEIGHBOURHOOD_CHIPS, 1))
    return np.maximum(power.ravel(), 0.0, dtype=np.float32)


# The pilot is the part of a mark that all copies share. Every band is weighted as if the pilot
# scored this many standard deviations more in it.
_PILOT_SCORE_PRIOR: Final = 0.5


@dataclass(slots=True, eq=False)
class FrameEvidenceAccumulator:
    layout: ClipLayout
    planes: dict[int, Plane] = field(default_factory=dict)
    _trial: Plane | None = None

    def add_frame(
        self,
        found: Plane,
        covered: NDArray[np.bool_],
        sent: Plane,
        nodes: Mapping[int, tuple[float, Motion]],
    ) -> None:
        """Add the evidence of one frame.

        Args:
            found: luma of the found frame in grey levels, warped onto the sent one at the working
                size.
            covered: the pixels at which ``found`` shows the sent frame.
            sent: luma of the unmarked sent frame in grey levels, at the working size.
            nodes: for each node (see clip_mark.py), its share in this frame, and the motion from
                its grid to the frame.
        """
        if self._trial is None:
            self._trial = mark_pattern(
                trial_chips(self.layout.plan), self.layout.plan, self.layout.masks
            )
        strength = pattern_amplitude(sent, self.layout)
        grey = np.clip(np.rint(sent), 0, 255).astype(np.uint8)
        tone = fit_tone(found, np.asarray(cv2.merge([grey] * 3), np.uint8), covered)
        trial = detail_pyramid(self._trial * strength, len(self.layout.plan.bands))
        octaves = gather_evidence(found, tone, covered.astype(np.float32), trial)
        evidence = detail_pyramid_adjoint([octave.rho for octave in octaves]) * strength
        for node, (share, motion) in nodes.items():
            own = warp_pattern_adjoint(evidence, motion) * np.float32(share)
            self.planes[node] = self.planes[node] + own if node in self.planes else own


@dataclass(frozen=True, slots=True, eq=False)
class ClipEvidence:
    """Evidence for the chips of all nodes: one signed number per chip.

    The sign of a number is the sign that the found frames suggest for the chip, and its magnitude
    says how strongly. The numbers of pilot chips are 0. ``strength`` is the norm of all numbers
    together.
    """

    per_chip: Mapping[int, NDArray[np.float32]]
    strength: float

    def agreement(self, node: int, copy_stream: bytes) -> float:
        """Return a node's evidence for a copy.

        The copy's score is the sum over all nodes, divided by ``strength``.
        """
        numbers = self.per_chip[node]
        return float(np.dot(chips_of_stream(copy_stream, numbers.size), numbers))


def combine_frame_evidence(
    accumulated: FrameEvidenceAccumulator, pilots: Mapping[int, bytes]
) -> ClipEvidence:
    """Combine the accumulated evidence; each band is weighted by the pilot's score in it.

    Args:
        accumulated: the accumulated frames.
        pilots: the pilot's key stream for every node in ``accumulated``.
    """
    layout = accumulated.layout
    nodes = {
        node: np.concatenate(mark_pattern_adjoint(plane, layout.plan, layout.masks))
        for node, plane in accumulated.planes.items()
    }
    pilot = {
        node: chips_of_stream(stream, layout.plan.chip_count) for node, stream in pilots.items()
    }
    weights = _chip_weights(nodes, pilot, layout)
    own = layout.copy_chip_mask.astype(np.float32) * weights
    weighed = {node: numbers * own for node, numbers in nodes.items()}
    power = sum(float(np.dot(one.astype(np.float64), one)) for one in weighed.values())
    return ClipEvidence(weighed, math.sqrt(power))


def _chip_weights(
    nodes: Mapping[int, Plane], pilot: Mapping[int, Plane], layout: ClipLayout
) -> NDArray[np.float32]:
    """Return a weight for each chip.

    If the pilot scores z standard deviations in a band, the weight of the band's chips is
    (max(z, 0) + ``_PILOT_SCORE_PRIOR``) divided by the norm of the band's evidence.
    """
    weights = np.zeros(layout.plan.chip_count, np.float32)
    shared = ~layout.copy_chip_mask
    for band in layout.plan.bands:
        part = slice(band.start, band.stop)
        on = shared[part]
        score = sum(float(np.dot(pilot[node][part][on], g[part][on])) for node, g in nodes.items())
        power = sum(float(np.sum(np.square(g[part][on], dtype=np.float64))) for g in nodes.values())
        noise = sum(float(np.sum(np.square(g[part], dtype=np.float64))) for g in nodes.values())
        if noise > 0.0 and power > 0.0:
            z = max(0.0, score / math.sqrt(power)) + _PILOT_SCORE_PRIOR
            weights[part] = z / math.sqrt(noise)
    return weights
