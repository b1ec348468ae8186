"""Tests of our Chromaprint: comparison with libchromaprint, and long, short or silent sounds."""

import json
import shutil
import subprocess
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from bench.sounds.material import music, voice
from entrenous.fingerprint.chromaprint import (
    RATE_HZ,
    Words,
    chroma_rows,
    chromaprint_words,
    resample_for_chromaprint,
)
from tests.sizes import size

pytestmark = pytest.mark.slow

FPCALC = shutil.which("fpcalc")


def our_words(samples: NDArray[np.float32], rate_hz: int) -> Words:
    return chromaprint_words(chroma_rows(resample_for_chromaprint(samples, rate_hz)))


def fpcalc_words(samples: NDArray[np.float32], rate_hz: int) -> Words:
    """Return the words of fpcalc (Debian's libchromaprint-tools) for samples on its stdin."""
    assert FPCALC is not None
    options = ["-raw", "-json", "-length", "0", "-format", "s16le", "-channels", "1"]
    done = subprocess.run(
        [FPCALC, *options, "-rate", str(rate_hz), "-"],
        input=np.clip(np.round(samples), -32768, 32767).astype("<i2").tobytes(),
        capture_output=True,
        check=True,
    )
    return np.array(json.loads(done.stdout)["fingerprint"], dtype=np.uint32)


def sample_sounds() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(4)
    noise = rng.standard_normal(12 * 16_000).astype(np.float32)
    return {
        **{f"music {seed}": music(12.0, seed=seed) for seed in range(1, size(3, 5))},
        **{f"voice {seed}": voice(12.0, seed=seed) for seed in range(1, size(3, 5))},
        "noise": noise * 0.1,
        "hiss": noise * 1e-3,
        "silence": np.zeros(12 * 16_000, np.float32),
        "clipped": noise * 2.0,
    }


@pytest.mark.real
@pytest.mark.skipif(FPCALC is None, reason="fpcalc is not installed (Debian: libchromaprint-tools)")
def test_words_equal_libchromaprint_bit_for_bit(record_vectors: Callable[[str, int], None]) -> None:
    count = 0
    for name, samples in sample_sounds().items():
        same = resample_for_chromaprint(samples, 16_000)
        expected = fpcalc_words(same, RATE_HZ)
        assert np.array_equal(our_words(samples, 16_000), expected), name
        count += len(expected)
    record_vectors("libchromaprint", count)


@pytest.mark.real
@pytest.mark.skipif(FPCALC is None, reason="fpcalc is not installed (Debian: libchromaprint-tools)")
def test_another_resampler_changes_few_bits() -> None:
    for samples in (music(12.0, seed=5), voice(12.0, seed=5)):
        expected = fpcalc_words(samples * 32767, 16_000)
        got = our_words(samples, 16_000)
        shared = min(len(got), len(expected))
        assert abs(len(got) - len(expected)) <= 1
        apart = np.bitwise_count(got[:shared] ^ expected[:shared])
        assert apart.mean() <= 0.01 * 32


def test_long_sound_is_processed_in_parts() -> None:
    samples = resample_for_chromaprint(np.tile(music(12.0), 8), 16_000)
    whole = chromaprint_words(chroma_rows(samples))
    assert np.array_equal(whole[:50], chromaprint_words(chroma_rows(samples[: 15 * RATE_HZ]))[:50])
    assert len(whole) == (len(samples) - 4096) // 1365 + 1 - 4 - 15


def test_silence_repeats_one_word() -> None:
    assert set(our_words(np.zeros(RATE_HZ * 5, np.float32), RATE_HZ).tolist()) == {627_964_279}


@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 4096 + 18 * 1365, 4096 + 19 * 1365])
def test_a_short_sound_has_few_words_or_none(count: int) -> None:
    words = our_words(np.full(count, 0.1, np.float32), RATE_HZ)
    assert len(words) == max(0, (count - 4096) // 1365 + 1 - 19 if count >= 4096 else 0)


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(0, 40_000), st.integers(1, 2)),
        fill=st.floats(-1, 1, width=32),
        elements=st.floats(-1, 1, width=32),
    ),
    st.sampled_from([8000, 11_025, 16_000, 44_100, 48_000, 96_000]),
)
@settings(max_examples=30)
def test_any_samples_can_be_fingerprinted(samples: NDArray[np.float32], rate_hz: int) -> None:
    words = our_words(samples, rate_hz)
    assert words.dtype == np.uint32
    assert len(words) <= len(samples) * RATE_HZ / rate_hz / 1365 + 1
