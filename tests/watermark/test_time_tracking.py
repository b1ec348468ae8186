"""Tests of aligning a found sound with the sent one, by start, speed and pitch, without a key."""

import inspect
from types import ModuleType

import numpy as np
import pytest

from bench.sounds.attacks import AMR_NB, Attack, cut, faster, noisy, room, tempo
from bench.sounds.material import voice
from entrenous.watermark import audio_detector, audio_location, audio_tracking
from entrenous.watermark.audio_detector import prepare_found_sound
from entrenous.watermark.audio_location import read_contour
from entrenous.watermark.audio_mark import FractionalSamples
from entrenous.watermark.audio_tracking import TimePath

SENT_SOUND = voice(20.0, seed=5)
SENT_CONTOUR = read_contour(audio_location.compute_contour(SENT_SOUND))
EXCERPT_START_S, EXCERPT_STOP_S = 5.13, 12.13


def time_path_after(attack: Attack) -> TimePath:
    leak, rate_hz = attack(
        SENT_SOUND[int(EXCERPT_START_S * 16_000) : int(EXCERPT_STOP_S * 16_000)], 16_000
    )
    found = prepare_found_sound(leak, rate_hz)
    path = audio_tracking.find_time_path(
        found.samples, SENT_SOUND, audio_location.locate_sound(found.contour, SENT_CONTOUR)
    )
    assert path is not None
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attack", "speed", "pitch"),
    [
        (noisy(20.0), 1.0, 1.0),
        (faster(1.02), 1.02, 1.02),
        (faster(0.937), 0.937, 0.937),
        (faster(1.093), 1.093, 1.093),
        (AMR_NB, 1.0, 1.0),
    ],
)
def test_speed_and_pitch_are_measured_to_0_00002(
    attack: Attack, speed: float, pitch: float
) -> None:
    path = time_path_after(attack)
    assert path.speed == pytest.approx(speed, abs=2e-5)
    assert path.pitch == pytest.approx(pitch, abs=2e-5)
    found = path.found_position(np.arange(6.0, 11.0) * 16_000) * path.speed / 16_000
    late = found - (np.arange(6.0, 11.0) - EXCERPT_START_S)
    assert np.ptp(late) < 1e-4
    assert np.abs(late).max() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("speed", [0.95, 1.02])
def test_tempo_with_preserved_pitch_differs_from_speed(speed: float) -> None:
    path = time_path_after(tempo(speed))
    assert path.pitch == 1.0
    assert path.speed == pytest.approx(speed, abs=2e-3)


@pytest.mark.slow
def test_room_recording_is_aligned_to_0_03_seconds() -> None:
    path = time_path_after(room())
    found = path.found_position(np.arange(6.0, 11.0) * 16_000) / 16_000
    assert np.abs(found - (np.arange(6.0, 11.0) - EXCERPT_START_S)).max() < 0.03


def test_excerpt_fits_better_than_another_sound() -> None:
    other = prepare_found_sound(voice(7.0, seed=99), 16_000)
    own = prepare_found_sound(cut(0.2, 0.5)(SENT_SOUND, 16_000)[0], 16_000)
    fits = [audio_location.locate_sound(one.contour, SENT_CONTOUR)[0].fit for one in (other, own)]
    assert fits[0] < 0.4
    assert fits[1] > 0.8


def test_fractional_samples_interpolate_and_are_silent_beyond_the_ends() -> None:
    times = np.arange(4000) / 16_000
    tape = FractionalSamples(np.sin(2 * np.pi * 1000 * times).astype(np.float32))
    at = np.array([1000.25, 2000.5, 2999.9])
    assert np.allclose(tape.read(at), np.sin(2 * np.pi * 1000 * at / 16_000), atol=3e-3)
    assert tape.read(np.array([-900.0, 9000.0])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "module",
    [audio_location, audio_detector, audio_tracking],
)
def test_functions_before_the_score_have_no_parameter_for_a_key(module: ModuleType) -> None:
    known = {"key", "keys", "stream", "streams", "seed", "seeds", "recipient", "score", "secret"}
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if name in {"key_scores", "chips_of_stream"}:  # these two need key streams
            continue
        assert not known & set(inspect.signature(function).parameters)
    assert not known & set(inspect.signature(audio_detector.chip_evidence).parameters)
