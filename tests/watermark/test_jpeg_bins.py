"""Tests of JPEG rounding intervals: block transform, score function, and fitted models."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy.fft import dctn

from entrenous.watermark.jpeg_evidence import (
    CoefficientModel,
    RoundingIntervals,
    block_transform,
    fit_model,
    initial_model,
    inverse_block_transform,
    raise_low_spread,
    regularised_local_mean,
    rounding_intervals,
    score_function,
)


def random_array(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def uniform_model(
    shape: tuple[int, ...], gain: float = 1.0, scale: float = 1.0
) -> CoefficientModel:
    ones = np.ones(shape, np.float32)
    return CoefficientModel(ones * np.float32(gain), ones * np.float32(scale), ones)


def intervals(low: np.ndarray, high: np.ndarray) -> RoundingIntervals:
    free = np.arange(len(low)).reshape(-1, 1, 1) > 0
    return RoundingIntervals(
        low.astype(np.float32), high.astype(np.float32), free.astype(np.float32)
    )


def test_block_transform_equals_the_cosine_transform() -> None:
    plane = random_array(9, 16, 24)
    expected = dctn(plane[8:, 16:], norm="ortho")
    assert np.allclose(block_transform(plane)[:, 1, 2].reshape(8, 8), expected, atol=1e-5)


def test_block_transform_is_invertible_and_keeps_inner_products() -> None:
    plane, other = random_array(1, 40, 56), random_array(2, 40, 56)
    assert np.abs(inverse_block_transform(block_transform(plane), (40, 56)) - plane).max() < 1e-5
    assert float((block_transform(plane) * block_transform(other)).sum()) == pytest.approx(
        float((plane * other).sum()), abs=1e-2
    )
    assert inverse_block_transform(block_transform(random_array(3, 13, 21)), (13, 21)).shape == (
        13,
        21,
    )


@pytest.mark.parametrize("quality", [30, 75])
def test_coefficients_lie_in_their_intervals(quality: int) -> None:
    grey = skimage.data.camera()[:296, :272]
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        leak, table = np.asarray(picture, np.float32), picture.quantization[0]
    seen = rounding_intervals(
        block_transform(leak - np.float32(128)), np.asarray(table, np.float32)
    )
    away = seen.distance_outside(block_transform(grey.astype(np.float32) - np.float32(128)))
    assert np.mean(away < 0.6) > 0.98
    moved = seen.distance_outside(
        block_transform(np.roll(grey, 3, axis=1).astype(np.float32) - np.float32(128))
    )
    assert np.mean(moved) > 10 * np.mean(away)


def test_score_function_is_the_slope_of_the_log_likelihood() -> None:
    shape = (64, 1, 1)
    low = random_array(4, *shape) * 4
    seen = intervals(low, low + 3.0)
    sent, kind = random_array(5, *shape), uniform_model(shape, gain=0.8, scale=1.3)

    def log_likelihood(added: float) -> np.ndarray:
        low, high, _ = seen.scaled_ends(sent + np.float32(added / 0.8), kind)
        return np.log(np.tanh(high.astype(np.float64)) - np.tanh(low.astype(np.float64)))

    step = 0.02
    slope = (log_likelihood(step) - log_likelihood(-step)) / (2 * step)
    assert np.allclose(score_function(seen, sent, kind), slope, atol=5e-3)


def test_score_function_is_bounded_for_any_file() -> None:
    shape = (64, 2, 2)
    seen = intervals(np.full(shape, 1e6), np.full(shape, 1e6 + 8))
    assert (
        np.abs(score_function(seen, np.zeros(shape, np.float32), uniform_model(shape))).max() <= 1.0
    )


def test_gain_and_scale_are_found_under_rounding() -> None:
    shape = (64, 24, 24)
    sent = 40 * random_array(6, *shape)
    noise = np.random.default_rng(7).logistic(0.0, 3.0, shape)
    steps = np.float32(8.0)
    rounded = np.rint((0.7 * sent + noise) / steps)
    seen = intervals((rounded - 0.5) * steps, (rounded + 0.5) * steps)
    found = fit_model(seen, sent, initial_model(seen, sent, np.ones(shape, np.float32)))
    assert np.median(found.gain[1:]) == pytest.approx(0.7, abs=0.03)
    assert np.median(found.scale[1:]) == pytest.approx(3.0, rel=0.25)
    assert (found.gain[0] == 1.0).all()


def test_low_spread_is_raised_and_high_spread_is_kept() -> None:
    shape = (64, 3, 3)
    quiet = raise_low_spread(uniform_model(shape, scale=0.1))
    assert (quiet.scale > 0.5).all()
    assert (raise_low_spread(uniform_model(shape, scale=5.0)).scale == 5.0).all()


def test_local_mean_keeps_constants_and_spreads_a_spike() -> None:
    assert np.allclose(regularised_local_mean(np.full((64, 5, 7), 2.5, np.float32)), 2.5)
    spike = np.zeros((64, 15, 15), np.float32)
    spike[19, 7, 7] = 1.0
    spread = regularised_local_mean(spike)
    assert spread[19, 7, 7] > spread[19, 0, 0] > 0.0
    assert not spread[26].any()
