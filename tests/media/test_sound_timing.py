"""Tests of ``SoundTimeline``: gaps, early and late starts, and missing or wrong times."""

import pytest

from entrenous.base.audio_video import Silence, SoundTiming
from entrenous.media.sound_reader import SoundTimeline

RATE_HZ = 8000
PART_SAMPLES = 160  # 20 ms
SILENCE_SAMPLES_MAX = 1200 * RATE_HZ


def timing_of(*times: float | None, video_s: float = 0.0) -> SoundTiming:
    line = SoundTimeline(RATE_HZ)
    for at_s in times:
        line.add(at_s, PART_SAMPLES)
    return line.timing_against_video(video_s)


def continuous_times(part_count: int, start_s: float = 0.0) -> list[float]:
    return [start_s + 0.02 * number for number in range(part_count)]


@pytest.mark.parametrize("start_s", [0.0, 3.0, -2.0, 0.025, -0.025])
def test_continuous_sound_has_no_silences(start_s: float) -> None:
    assert (
        timing_of(*continuous_times(100, 3.0 + start_s), video_s=3.0 + round(start_s))
        == SoundTiming()
    )


def test_late_start_is_a_silence_and_early_start_is_time_ahead() -> None:
    assert timing_of(*continuous_times(50, 0.5)) == SoundTiming(0, (Silence(0, 4000),))
    assert timing_of(*continuous_times(50), video_s=0.5) == SoundTiming(4000)


def test_lost_parts_become_silence_once_they_add_up() -> None:
    kept = [at_s for number, at_s in enumerate(continuous_times(100)) if number % 10 != 9]
    assert timing_of(*kept) == SoundTiming(
        0, (Silence(36 * PART_SAMPLES, 640), Silence(72 * PART_SAMPLES, 640))
    )


def test_a_part_without_a_time_follows_the_one_before() -> None:
    assert timing_of(*continuous_times(10), *[None] * 10, 1.4) == SoundTiming(
        0, (Silence(20 * PART_SAMPLES, 8000),)
    )


def test_repeated_times_add_no_silence() -> None:
    times = [*continuous_times(50), *continuous_times(50, 0.5), 2.5]
    assert timing_of(*times) == SoundTiming(0, (Silence(100 * PART_SAMPLES, 4000),))


def test_gap_after_the_first_part_counts_as_encoder_priming() -> None:
    assert timing_of(0.0, *continuous_times(50, 0.08), video_s=0.08) == SoundTiming()


def test_wrong_times_make_neither_long_nor_many_silences() -> None:
    far = timing_of(*continuous_times(9), 1e15, 2e15, 3e15)
    assert far.silences == (Silence(9 * PART_SAMPLES, SILENCE_SAMPLES_MAX),)
    steps = timing_of(*(0.1 * number for number in range(100_000)))
    assert len(steps.silences) < 20_000
    assert SILENCE_SAMPLES_MAX <= steps.silent_samples <= SILENCE_SAMPLES_MAX + RATE_HZ
    assert timing_of(*continuous_times(9), video_s=1e15) == SoundTiming(9 * PART_SAMPLES)
    assert timing_of(*continuous_times(9), video_s=-1e15) == SoundTiming(
        0, (Silence(0, SILENCE_SAMPLES_MAX),)
    )
