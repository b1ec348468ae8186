"""Tests of marks in frames of clips: power, adjoints, scores, pilot chips, and parameters."""

import inspect
import itertools
import math

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.watermark import clip_mark, detector
from entrenous.watermark.clip_mark import (
    lay_out_clip,
    mark_luma,
    node_key_stream_bytes,
    nodes_at,
    pattern_amplitude,
    warp_pattern,
    warp_pattern_adjoint,
    working_luma,
)

LAYOUT = lay_out_clip(320, 240)
LUMA = np.ascontiguousarray(skimage.data.astronaut()[:240, :320, 1] // 2 + 60).astype(np.uint8)
WORKING_LUMA = working_luma(LUMA, LAYOUT)
CONSTANT_DITHER = np.zeros((240, 320), np.int16) + 128


def key_stream(seed: int) -> bytes:
    return np.random.default_rng(seed).bytes(node_key_stream_bytes(LAYOUT))


def marked_frame(copy_number: int, at_s: float) -> np.ndarray:
    shown = [
        (LAYOUT.pattern(key_stream(1000 * copy_number + node), key_stream(node)), w)
        for node, w in nodes_at(at_s)
    ]
    return mark_luma(LUMA, pattern_amplitude(WORKING_LUMA, LAYOUT), shown, CONSTANT_DITHER)


@given(st.floats(0.0, 5000.0))
def test_squared_node_shares_sum_to_one(at_s: float) -> None:
    (first, one), (second, other) = nodes_at(at_s)
    assert second == first + 1
    assert one**2 + other**2 == pytest.approx(1.0)
    assert min(one, other) >= 0.0


@pytest.mark.slow
def test_power_is_constant_and_marks_change_slowly() -> None:
    marks = [marked_frame(1, at_s).astype(float) - LUMA for at_s in np.arange(0.0, 2.0, 0.04)]
    power = np.array([np.mean(mark**2) for mark in marks])
    assert power.max() < 1.1 * power.min()
    steps = [np.mean((b - a) ** 2) for a, b in itertools.pairwise(marks)]
    assert max(steps) < 0.2 * power.mean()


def test_a_mark_is_at_least_46_5_db_below_the_picture() -> None:
    error = (marked_frame(1, 0.3).astype(float) - LUMA) * 255.0 / 219.0
    assert 10.0 * math.log10(255.0**2 / np.mean(error**2)) >= 46.5


@settings(max_examples=20)
@given(st.floats(0.8, 1.25), st.floats(-0.3, 0.3), st.floats(-400, 400), st.floats(-400, 400))
def test_adjoint_of_a_warped_pattern_resembles_the_pattern(
    scale: float, angle: float, x: float, y: float
) -> None:
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    way = np.array([[c, -s, x], [s, c, y]])
    pattern = LAYOUT.pattern(key_stream(1), key_stream(2))
    laid = warp_pattern(pattern, way)
    back = warp_pattern_adjoint(laid, way)
    alike = float((pattern * back).sum() / np.sqrt((pattern**2).sum() * (back**2).sum()))
    assert alike > 0.5


def evidence_of_copy(copy_number: int) -> detector.ClipEvidence:
    accumulator, still = detector.FrameEvidenceAccumulator(LAYOUT), np.eye(2, 3)
    for at_s in (0.2, 0.6, 1.4):
        found = working_luma(marked_frame(copy_number, at_s), LAYOUT)
        nodes = {node: (share, still) for node, share in nodes_at(at_s)}
        accumulator.add_frame(found, np.ones(found.shape, np.bool_), WORKING_LUMA, nodes)
    return detector.combine_frame_evidence(
        accumulator, {node: key_stream(node) for node in accumulator.planes}
    )


def score(evidence: detector.ClipEvidence, copy_number: int) -> float:
    agreement = sum(
        evidence.agreement(node, key_stream(1000 * copy_number + node))
        for node in evidence.per_chip
    )
    return agreement / evidence.strength


def test_copy_scores_high_and_innocents_are_standard_normal() -> None:
    evidence = evidence_of_copy(1)
    assert score(evidence, 1) > 20.0
    innocent = np.array([score(evidence, copy_number) for copy_number in range(2, 302)])
    assert abs(innocent.mean()) < 0.25
    assert 0.85 < innocent.std() < 1.15
    assert np.abs(innocent).max() < 4.5


def test_pilot_chips_give_no_evidence() -> None:
    evidence = evidence_of_copy(1)
    for numbers in evidence.per_chip.values():
        assert not numbers[~LAYOUT.copy_chip_mask].any()


def test_functions_before_the_score_have_no_parameter_for_a_key() -> None:
    """Functions that run before the score may use the pilot, but not the key stream of a copy."""
    for function in (
        detector.FrameEvidenceAccumulator.add_frame,
        detector.combine_frame_evidence,
        clip_mark.pattern_amplitude,
    ):
        names = set(inspect.signature(function).parameters)
        assert not names & {"stream", "copy_stream", "seed", "key", "copies", "recipient", "scores"}
