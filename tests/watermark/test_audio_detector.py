"""Tests of the sound detector: scores of the true copy and of others, and excerpt positions."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.sounds.attacks import AMR_NB, ATTACKS, OPUS_24, cut, one_after_another, through
from bench.sounds.material import Samples, music, voice
from entrenous.watermark.audio_detector import key_scores
from entrenous.watermark.audio_mark import PreparedSound, embed_sound_mark, prepare_sound
from tests.watermark.detect import detect_sound

pytestmark = pytest.mark.slow

NAMING_SCORE = 6.2  # about the lowest score that names one of 1,000 copies


@cache
def prepare_voice(seconds: float) -> PreparedSound:
    return prepare_sound(voice(seconds, seed=7), 16_000)


def key_streams(prepared: PreparedSound, count: int, seed: int = 1) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [rng.bytes(-(-prepared.chip_count // 8)) for _ in range(count)]


def scores_of_leak(
    leak: Samples, rate_hz: int, prepared: PreparedSound, streams: list[bytes]
) -> NDArray[np.float64]:
    evidence = detect_sound(leak, rate_hz, prepared)
    assert evidence is not None
    assert np.abs(evidence.evidence).max() <= 1.0
    return key_scores(evidence.evidence, streams)


@pytest.mark.parametrize(
    "attack", ["opus 24k", "aac 64k", "mp3 64k", "speed +2 %", "tempo +2 %", "room", "noise 10 dB"]
)
def test_ten_seconds_name_the_copy(attack: str) -> None:
    prepared = prepare_voice(20.0)
    streams = key_streams(prepared, 24)
    marked = embed_sound_mark(prepared, streams[3])[32_000:192_000, 0]
    found_scores = scores_of_leak(*ATTACKS[attack](marked, 16_000), prepared, streams)
    assert found_scores[3] > 1.3 * NAMING_SCORE
    assert np.delete(found_scores, 3).max() < 4.5


def test_a_phone_call_names_the_copy() -> None:
    prepared = prepare_voice(20.0)
    streams = key_streams(prepared, 5)
    found_scores = scores_of_leak(
        *AMR_NB(embed_sound_mark(prepared, streams[2])[:, 0], 16_000), prepared, streams
    )
    assert found_scores[2] > 1.5 * NAMING_SCORE


@pytest.mark.slow
def test_mark_in_stereo_music_is_detected_in_mono() -> None:
    both = np.stack([music(6.0, 22_050, 1), music(6.0, 22_050, 2)], axis=1)
    prepared = prepare_sound(both, 22_050)
    streams = key_streams(prepared, 5)
    marked = embed_sound_mark(prepared, streams[0]).mean(1)[8000:]
    attack = through("libmp3lame", "mp3", 64_000)
    assert scores_of_leak(*attack(marked, 22_050), prepared, streams)[0] > 2 * NAMING_SCORE


def test_an_average_of_five_copies_names_exactly_these_five() -> None:
    prepared = prepare_voice(20.0)
    streams = key_streams(prepared, 10)
    average = np.mean([embed_sound_mark(prepared, one)[:, 0] for one in streams[:5]], axis=0)
    found_scores = scores_of_leak(*OPUS_24(average.astype(np.float32), 16_000), prepared, streams)
    assert found_scores[:5].min() > NAMING_SCORE
    assert found_scores[5:].max() < 4.5


def test_position_in_the_sent_sound_is_reported() -> None:
    prepared = prepare_voice(20.0)
    marked = embed_sound_mark(prepared, key_streams(prepared, 1)[0])[:, 0]
    leak, rate_hz = one_after_another(cut(0.4, 0.7), OPUS_24)(marked, 16_000)
    evidence = detect_sound(leak, rate_hz, prepared)
    assert evidence is not None
    assert evidence.span.start_s == pytest.approx(8.0, abs=0.2)
    assert evidence.span.length_s == pytest.approx(6.0, abs=0.3)
    assert evidence.span.speed == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("attack", "is_marked"),
    [
        ("opus 24k", True),
        ("amr-nb 12.2k", False),
        *(
            pytest.param(*one, marks=pytest.mark.nightly)
            for one in (
                *(("opus 24k", False), ("room", False), ("room", True)),
                ("amr-nb 12.2k", True),
            )
        ),
    ],
)
def test_innocent_scores_are_standard_normal(attack: str, is_marked: bool) -> None:  # noqa: FBT001
    prepared = prepare_voice(20.0)
    strangers = embed_sound_mark(prepared, key_streams(prepared, 1, 9)[0])[:, 0]
    leak = strangers if is_marked else prepared.mono
    innocent = scores_of_leak(
        *ATTACKS[attack](leak, 16_000), prepared, key_streams(prepared, 2000, 10)
    )
    assert abs(innocent.mean()) < 4 / 2000**0.5
    assert innocent.std() == pytest.approx(1.0, abs=4 / 4000**0.5)
    assert np.abs(innocent).max() < 5.0


def test_another_sound_gives_no_evidence() -> None:
    assert detect_sound(voice(8.0, seed=70), 16_000, prepare_voice(20.0)) is None


def test_silence_gives_no_evidence() -> None:
    assert detect_sound(np.zeros(48_000, np.float32), 16_000, prepare_voice(20.0)) is None
