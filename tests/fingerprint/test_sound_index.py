"""Tests of the sound index: excerpts, speeds, quiet sounds, brute force, and many matches."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from bench.sounds.attacks import OPUS_24, Attack, faster, noisy, one_after_another, through
from bench.sounds.material import music, voice
from entrenous.fingerprint.nouns import SoundPrint, SoundTooQuiet
from entrenous.fingerprint.sound_index import (
    MATCH_LIMITS,
    STRETCH_WORDS,
    SoundIndex,
    SoundView,
    distinctive_word_mask,
    make_sound_fingerprint,
    sound_views,
    words_of_sound,
)

pytestmark = pytest.mark.slow

RATE_HZ = 16_000
Samples = NDArray[np.float32]
EDITS: dict[str, Attack] = {
    "as it is": lambda samples, rate_hz: (samples, rate_hz),
    "aac 48k": through("aac", "mp4", 48_000),
    "noisy mp3": one_after_another(noisy(20.0), through("libmp3lame", "mp3", 64_000)),
    "opus 24k": OPUS_24,
}


@pytest.fixture(scope="module")
def sounds() -> list[Samples]:
    generators: list[Callable[..., Samples]] = [music, voice]
    return [generate(24.0, seed=seed) for seed in range(1, 4) for generate in generators]


@pytest.fixture(scope="module")
def index(sounds: list[Samples]) -> SoundIndex:
    return SoundIndex.of([make_sound_fingerprint(one, RATE_HZ) for one in sounds])


@pytest.mark.parametrize(
    ("edit", "seconds"),
    [
        *(("as it is", 5), ("aac 48k", 10), ("noisy mp3", 5), ("opus 24k", 10)),
        *(
            pytest.param(edit, seconds, marks=pytest.mark.nightly)
            for edit, seconds in (
                ("as it is", 10),
                ("aac 48k", 5),
                ("noisy mp3", 10),
                ("opus 24k", 5),
            )
        ),
    ],
)
def test_an_excerpt_is_found_and_only_its_own_sound(
    sounds: list[Samples], index: SoundIndex, edit: str, seconds: int
) -> None:
    rng = np.random.default_rng(seconds)
    for number, sound in enumerate(sounds):
        start = int(rng.integers(0, len(sound) - seconds * RATE_HZ))
        leak = EDITS[edit](sound[start : start + seconds * RATE_HZ], RATE_HZ)
        (found,) = index.find_matching_sounds(sound_views(*leak))
        assert found.sound == number
        assert found.length_s >= seconds - 0.6
        assert abs(found.registered_at_s - found.at_s - start / RATE_HZ) < 0.3
        assert found.errors <= 0.12


@pytest.mark.parametrize("speed", [0.96, 0.975, 1.02, 1.035])
def test_excerpt_at_another_speed_is_found_with_its_speed(
    sounds: list[Samples], index: SoundIndex, speed: float
) -> None:
    (found,) = index.find_matching_sounds(sound_views(*faster(speed)(sounds[1][:160_000], RATE_HZ)))
    assert found.sound == 1
    assert abs(float(found.how.removeprefix("speed ")) - speed) <= 0.0051


def sounds_without_content() -> dict[str, Samples]:
    rng = np.random.default_rng(9)
    t = np.arange(12 * RATE_HZ) / RATE_HZ
    noise = rng.standard_normal(len(t))
    return {
        "silence": np.zeros(len(t), np.float32),
        "dither": (rng.integers(-1, 2, len(t)) / 32768).astype(np.float32),
        "faint noise": (noise * 1e-4).astype(np.float32),
        "noise": (noise * 0.1).astype(np.float32),
        "hum": (0.1 * np.sin(2 * np.pi * 50 * t) + 0.03 * np.sin(2 * np.pi * 150 * t)).astype(
            np.float32
        ),
        "tone": (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32),
    }


@pytest.mark.parametrize("name", sounds_without_content())
def test_silence_hum_and_noise_are_neither_registered_nor_found(
    index: SoundIndex, name: str
) -> None:
    samples = sounds_without_content()[name]
    with pytest.raises(SoundTooQuiet):
        make_sound_fingerprint(samples, RATE_HZ)
    # An attacker can skip this check and register these words.
    words = sound_views(samples, RATE_HZ)[0].words
    careless = SoundIndex.of([SoundPrint(words.astype(">u4").tobytes())])
    assert careless.find_matching_sounds(sound_views(samples, RATE_HZ)) == []
    assert index.find_matching_sounds(sound_views(samples, RATE_HZ)) == []


def test_the_quiet_part_of_a_recording_matches_nothing(sounds: list[Samples]) -> None:
    quiet = np.zeros(20 * RATE_HZ, np.float32)
    index = SoundIndex.of([make_sound_fingerprint(np.concatenate([sounds[0], quiet]), RATE_HZ)])
    assert (
        index.find_matching_sounds(sound_views(np.concatenate([quiet, sounds[1]]), RATE_HZ)) == []
    )
    assert index.find_matching_sounds(sound_views(np.concatenate([quiet, sounds[0]]), RATE_HZ))


def test_a_short_registered_sound_is_found_inside_a_long_upload(sounds: list[Samples]) -> None:
    note = sounds[3][:96_000]
    index = SoundIndex.of(
        [make_sound_fingerprint(one, RATE_HZ) for one in (sounds[0], note, sounds[5])]
    )
    upload = np.concatenate([sounds[2], note, sounds[4]])
    (found,) = index.find_matching_sounds(sound_views(upload, RATE_HZ))
    assert found.sound == 1
    assert abs(found.at_s - 24.0) < 1.0


def test_empty_index_finds_nothing(sounds: list[Samples]) -> None:
    assert SoundIndex.of([]).find_matching_sounds(sound_views(sounds[0], RATE_HZ)) == []
    index = SoundIndex.of([make_sound_fingerprint(sounds[0], RATE_HZ)])
    assert index.find_matching_sounds([]) == []
    assert index.find_matching_sounds([SoundView("short", np.zeros(3, np.uint32))]) == []


def matches_by_brute_force(words: Any, sounds: list[Any]) -> set[tuple[int, int]]:
    """Return (sound, length) of the longest matches, by comparing every pair of positions."""
    found = set()
    for number, sound in enumerate(sounds):
        for length, most in MATCH_LIMITS:
            pairs = (
                np.bitwise_count(words[a : a + length] ^ sound[b : b + length]).sum()
                for a in range(len(words) - length + 1)
                for b in range(len(sound) - length + 1)
            )
            if any(errors <= 32 * length * most for errors in pairs):
                found.add((number, length))
                break
    return found


@given(
    st.integers(0, 2**32), st.floats(0.0, 0.12), st.integers(STRETCH_WORDS, 45), st.integers(0, 30)
)
@settings(max_examples=25)
def test_index_equals_comparing_every_position(
    seed: int, errors: float, length: int, at: int
) -> None:
    rng = np.random.default_rng(seed)
    sounds = [rng.integers(0, 2**32, 60 + 5 * n, dtype=np.uint32) for n in range(3)]
    flips = (rng.random((length, 32)) < errors) @ (1 << np.arange(32, dtype=np.int64))
    words = sounds[1][at : at + length] ^ flips[: len(sounds[1]) - at].astype(np.uint32)
    index = SoundIndex.of([SoundPrint(one.astype(">u4").tobytes()) for one in sounds])
    lengths = {
        round((n - 1) * 1365 / 11_025 + (4096 + 19 * 1365) / 11_025, 3): n for n, _ in MATCH_LIMITS
    }
    found = {
        (one.sound, lengths[round(one.length_s, 3)])
        for one in index.find_matching_sounds([SoundView("x", words)])
    }
    assert found == matches_by_brute_force(words, sounds)


@given(
    st.lists(arrays(np.uint32, st.integers(1, 60)), max_size=4),
    arrays(np.uint32, st.integers(0, 60)),
)
def test_arbitrary_registered_words_are_harmless(
    prints: list[NDArray[np.uint32]], words: NDArray[np.uint32]
) -> None:
    index = SoundIndex.of([SoundPrint(one.astype(">u4").tobytes()) for one in prints])
    for found in index.find_matching_sounds([SoundView("x", words)]):
        assert 0 <= found.sound < len(prints)
        assert found.errors <= max(limit.errors for limit in MATCH_LIMITS)


def test_too_frequent_word_is_ignored() -> None:
    rng = np.random.default_rng(2)
    words = rng.integers(0, 2**32, 40, dtype=np.uint32)
    flood = [np.concatenate([rng.integers(0, 2**32, 60, dtype=np.uint32), words[:1]])] * 1100
    index = SoundIndex.of([SoundPrint(one.astype(">u4").tobytes()) for one in [*flood, words]])
    assert [one.sound for one in index.find_matching_sounds([SoundView("x", words)])] == [1100]


@given(arrays(np.uint32, st.integers(0, 80)))
def test_distinctive_words_come_in_whole_stretches(words: NDArray[np.uint32]) -> None:
    awake = distinctive_word_mask(words)
    assert awake.shape == words.shape
    runs = np.diff(np.concatenate([[0], awake.astype(int), [0]]))
    lengths = np.flatnonzero(runs == -1) - np.flatnonzero(runs == 1)
    assert (lengths >= STRETCH_WORDS).all()


def test_a_print_gives_back_its_words() -> None:
    words = np.array([0, 1, 2**32 - 1], dtype=np.uint32)
    one = SoundPrint(words.astype(">u4").tobytes())
    assert np.array_equal(words_of_sound(one), words)
    assert list(one) == words.tolist()
    assert len(one) == 3


def sound_print(words: NDArray[np.uint32]) -> SoundPrint:
    return SoundPrint(words.astype(">u4").tobytes())


def test_loop_with_a_thousand_alignments_takes_little_memory() -> None:
    """The sound repeats twelve words 333 times, as a ringtone does."""
    loop = np.tile(np.random.default_rng(1).integers(0, 2**32, 12, dtype=np.uint32), 333)
    index = SoundIndex.of([sound_print(loop)])
    tracemalloc.start()
    (found,) = index.find_matching_sounds([SoundView("as it is", loop)])
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.errors == 0.0
    assert found.length_s > 26.0
    assert most_bytes < 60_000_000


def test_two_registered_sounds_in_one_upload_are_both_found() -> None:
    rng = np.random.default_rng(2)
    one, other = (rng.integers(0, 2**32, 100, dtype=np.uint32) for _ in range(2))
    index = SoundIndex.of([sound_print(one), sound_print(other)])
    found = index.find_matching_sounds([SoundView("as it is", np.concatenate([one, other]))])
    assert sorted(alike.sound for alike in found) == [0, 1]


@pytest.mark.parametrize(("variant_count", "match_count"), [(3, 6), (5, 0)])
def test_word_with_too_many_similar_places_is_ignored(variant_count: int, match_count: int) -> None:
    """Each registered word differs in one bit from a word of the upload, and occurs 900 times."""
    sound = np.random.default_rng(3).integers(0, 2**32, 19, dtype=np.uint32)
    variants = [np.tile(sound ^ np.uint32(1 << bit), 450) for bit in range(variant_count)]
    index = SoundIndex.of([sound_print(one) for one in variants * 2])
    assert len(index.find_matching_sounds([SoundView("as it is", sound)])) == match_count
