"""A new sound matches accepted uploads as if it had been registered before them."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import SOUND_KIND, SoundPrint
from entrenous.fingerprint.sound_index import (
    UNCHANGED_VIEW_NAME,
    SoundIndex,
    SoundView,
    words_of_sound,
)
from entrenous.stop.judge import retroactive_matches
from entrenous.stop.judge.retroactive_matches import (
    SoughtSounds,
    read_stored_sound_prints,
    uploads_with_matching_sounds,
)
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.registration import Claim, ClaimState
from entrenous.stop.upload_record import Decision, Outcome, Review, ReviewState, StoredSoundPrint
from tests.stop.platform_for_tests import GateSetup

pytestmark = pytest.mark.slow

FIXED_TIME = datetime(2026, 11, 25, tzinfo=UTC)
SoundWords = np.ndarray[tuple[int, ...], np.dtype[np.uint32]]


def sound_claim(claim_id: str) -> Claim:
    return Claim(ClaimId(claim_id), PEOPLE_BANK, ClaimState.WAITING, SOUND_KIND, 100, FIXED_TIME)


def sound_print(words: SoundWords) -> SoundPrint:
    return SoundPrint(words.astype(">u4").tobytes())


def flip_random_bits(words: SoundWords, share: float, rng: np.random.Generator) -> SoundWords:
    """Return the words with random bits flipped, each bit with the probability ``share``."""
    flips = rng.random((len(words), 32)) < share
    return words ^ np.packbits(flips, axis=1).view(">u4").reshape(-1).astype(np.uint32)


def random_words(rng: np.random.Generator, count: int) -> SoundWords:
    return rng.integers(0, 2**32, count, dtype=np.uint32)


@given(st.integers(0, 2**32), st.integers(1, 5), st.sampled_from([0.0, 0.05, 0.12]))
@settings(max_examples=30)
def test_retroactive_matches_equal_matches_at_upload_time(
    seed: int, upload_count: int, share: float
) -> None:
    """Every second upload contains 60 words of a registered sound, with or without bit flips."""
    rng = np.random.default_rng(seed)
    sounds = [random_words(rng, int(rng.integers(60, 300))) for _ in range(3)]
    sought = SoughtSounds()
    for number, one in enumerate(sounds, start=1):
        for name in ("x", "y")[: 1 + number % 2]:
            sought.add(sound_claim(f"{name}{number}"), number, sound_print(one))
    stored = []
    for at in range(upload_count):
        upload_words = random_words(rng, int(rng.integers(100, 400)))
        if at % 2 == 0:
            one = sounds[at % 3]
            first, length = int(rng.integers(0, len(one) - 59)), 60
            place = int(rng.integers(0, len(upload_words) - length))
            upload_words[place : place + length] = flip_random_bits(
                one[first : first + length], share, rng
            )
        stored.append(StoredSoundPrint(at + 1, f"case {at}", sound_print(upload_words)))
    found = {one.case: one for one in uploads_with_matching_sounds(sought, stored)}
    assert len(found) == (upload_count + 1) // 2
    registered = SoundIndex.of([sound_print(one) for one in sounds])
    for upload in stored:
        expected = registered.find_matching_sounds(
            [SoundView(UNCHANGED_VIEW_NAME, words_of_sound(upload.sound))]
        )
        if not expected:
            assert upload.case not in found
            continue
        retroactive = found[upload.case]
        assert retroactive.sound == expected[0].sound + 1
        assert {match.claim for match in retroactive.matches} == {
            of.id for one in expected for of in sought.claims[one.sound + 1]
        }
        assert retroactive.matches[0].distance == round(256 * expected[0].errors)
        assert f"{expected[0].length_s:.1f} s of sound" in retroactive.matches[0].how


def test_position_of_a_match_is_counted_from_the_start_of_the_upload() -> None:
    rng = np.random.default_rng(4)
    sound = random_words(rng, 100)
    sought = SoughtSounds()
    sought.add(sound_claim("a"), 7, sound_print(sound))
    upload = np.concatenate([random_words(rng, 162), sound[40:]])
    stored = [StoredSoundPrint(1, "case", sound_print(upload))]
    (found,) = uploads_with_matching_sounds(sought, stored)
    assert (found.case, found.sound) == ("case", 7)
    assert found.matches[0].how.endswith("from 20.1 s")  # the match begins after 162 words


def test_stored_sounds_are_read_in_batches(
    gate_setup: GateSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retroactive_matches, "_SOUNDS_PER_READ", 3)
    monkeypatch.setattr(retroactive_matches, "_WORDS_PER_INDEX", 50)
    assert list(read_stored_sound_prints(gate_setup.platform.reviews)) == []
    for at in range(8):
        review = Review(
            Decision(Outcome.LET_THROUGH, f"{at}"), FIXED_TIME, ReviewState.CLOSED,
            sound=sound_print(np.full(10 + at, at, dtype=np.uint32)),
        )  # fmt: skip
        gate_setup.platform.reviews.record_upload(review, None)
    pieces = list(read_stored_sound_prints(gate_setup.platform.reviews))
    assert [[one.case for one in piece] for piece in pieces] == [
        ["0", "1", "2", "3", "4"],
        ["5", "6", "7"],
    ]
