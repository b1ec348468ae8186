"""Tests of marks in sounds: level, frequencies, channels, linearity, layout and refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.sounds.material import Samples, music, voice
from entrenous.base.audio_video import SoundTooShortToMark, TooQuietToMark
from entrenous.watermark.audio_mark import (
    BANDS,
    PreparedSound,
    chips_needed,
    embed_sound_mark,
    key_stream_bytes,
    prepare_sound,
)
from entrenous.watermark.chip_layout import chips_of_stream


def key_stream(prepared: PreparedSound, seed: int) -> bytes:
    return np.random.default_rng(seed).bytes(-(-prepared.chip_count // 8))


def level_db(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) + 1e-20))


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050, 44_100, 48_000])
def test_a_copy_is_similar_and_has_the_shape_of_the_sound(rate_hz: int) -> None:
    sound = voice(2.0, rate_hz)
    prepared = prepare_sound(sound, rate_hz)
    marked = embed_sound_mark(prepared, key_stream(prepared, 1))
    assert marked.shape == (len(sound), 1)
    assert marked.dtype == np.float32
    assert 20.0 < level_db(sound) - level_db(marked[:, 0] - sound) < 32.0


def test_a_sustained_chord_is_marked_less_than_a_voice() -> None:
    times = np.arange(32_000) / 16_000
    chord = sum(np.sin(2 * np.pi * hertz * times) for hertz in (440.0, 554.4, 659.3))
    tone = (0.2 * np.asarray(chord)).astype(np.float32)
    gaps = []
    for sound in (tone, voice(2.0)):
        prepared = prepare_sound(sound, 16_000)
        gaps.append(
            level_db(sound)
            - level_db(embed_sound_mark(prepared, key_stream(prepared, 1))[:, 0] - sound)
        )
    assert gaps[0] > gaps[1] + 4.0


def test_silence_and_frequencies_outside_the_band_are_unchanged() -> None:
    sound = voice(3.0, 48_000)
    sound[48_000:96_000] = 0.0
    prepared = prepare_sound(sound, 48_000)
    change = embed_sound_mark(prepared, key_stream(prepared, 2))[:, 0] - sound
    assert np.abs(change[53_000:91_000]).max() < 1e-6
    spectrum = np.abs(np.fft.rfft(change)) ** 2
    hertz = np.fft.rfftfreq(len(change), 1 / 48_000)
    assert spectrum[(hertz < 250) | (hertz > 7100)].sum() < 1e-3 * spectrum.sum()


def test_both_channels_carry_the_same_mark_in_their_own_sound() -> None:
    left, right = voice(2.0, seed=3), music(2.0, seed=3)
    both = prepare_sound(np.stack([left, right], axis=1), 16_000)
    stream = key_stream(both, 4)
    change = embed_sound_mark(both, stream) - both.samples
    mixed = PreparedSound(both.mono[:, None], 16_000, both.mono[:, None], both.mono, both.strength)
    assert np.allclose(change.mean(1), embed_sound_mark(mixed, stream)[:, 0] - both.mono, atol=2e-6)


@settings(max_examples=5)
@given(st.integers(0, 2**31))
def test_marks_of_inverse_key_streams_cancel_out(seed: int) -> None:
    """The average of two copies is the unmarked sound if each bit of their key streams differs."""
    prepared = prepare_sound(voice(1.5), 16_000)
    stream = key_stream(prepared, seed)
    opposite = bytes(255 - byte for byte in stream)
    mean = 0.5 * (embed_sound_mark(prepared, stream) + embed_sound_mark(prepared, opposite))
    assert np.allclose(mean[:, 0], prepared.samples[:, 0], atol=2e-6)


def test_the_layout_depends_on_the_length_alone() -> None:
    for count, rate_hz in ((16_000, 16_000), (48_000 * 7 + 5, 48_000), (44_100 * 3 - 1, 44_100)):
        prepared = prepare_sound(np.resize(voice(1.0), count), rate_hz)
        assert prepared.chip_count == chips_needed(count, rate_hz) == prepared.strength.size
        assert key_stream_bytes(count, rate_hz) == -(-prepared.chip_count // 8)
        assert prepared.strength.shape[1] == BANDS
    assert chips_of_stream(b"\xa0", 4).tolist() == [1.0, -1.0, 1.0, -1.0]
    with pytest.raises(ValueError, match="key stream"):
        chips_of_stream(b"\xa0", 9)


def test_too_short_or_silent_sounds_are_refused() -> None:
    with pytest.raises(SoundTooShortToMark, match=r"0\.5 seconds"):
        prepare_sound(voice(0.5), 16_000)
    with pytest.raises(TooQuietToMark):
        prepare_sound(np.zeros(32_000, np.float32), 16_000)
