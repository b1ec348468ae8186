"""BankStore and RegisteredSounds: frames, sounds and released files, on SQLite and PostgreSQL."""

from dataclasses import replace
from pathlib import Path

import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import (
    SOUND_KIND,
    VIDEO_KIND,
    FramePrint,
    SoundPrint,
    SoundVariant,
    VideoPrint,
)
from entrenous.stop.index.memory_indexes import RegisteredSounds
from entrenous.stop.nouns import Bank, BankCounts
from entrenous.stop.registration import Claim, ClaimEvent, ClaimState, Registration
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine
from tests.stop.store.bank_stores import (
    HASH_1,
    HASH_2,
    HASH_3,
    PEOPLE,
    START_TIME,
    Stores,
    claim,
)

# Frames 1 and 3 have the same hash; frames 1 and 2 have the same inner hash.
VIDEO_PRINT = VideoPrint(
    (
        FramePrint(0, HASH_1, 90, HASH_3),
        FramePrint(500, HASH_2, 80, HASH_3),
        FramePrint(1125, HASH_1, 90),
    )
)


def video_claim(claim_id: str) -> Claim:
    return replace(claim(claim_id), kind=VIDEO_KIND)


def sound_print(seed: int, word_count: int = 60) -> SoundPrint:
    """Return a sound made of pseudorandom words. The same seed always gives the same sound."""
    words = (hash((seed, number)) * 2654435761 % 2**32 for number in range(word_count))
    return SoundPrint(b"".join(one.to_bytes(4, "big") for one in words))


def test_frame_is_found_with_all_its_times(gate: Stores) -> None:
    gate.bank.register(
        Registration(video_claim("v"), video=VIDEO_PRINT), Registration(claim("p"), (HASH_1,))
    )
    numbers = {(entry.bits, entry.part): entry.number for entry in gate.bank.entries(0)}
    assert set(numbers) == {(HASH_1, False), (HASH_2, False), (HASH_3, True)}
    places = gate.bank.claims_on_pictures_and_frames(numbers.values())
    assert {(number, of.id, at_ms) for number, of, at_ms in places} == {
        (numbers[HASH_1, False], "v", 0),
        (numbers[HASH_1, False], "v", 1125),
        (numbers[HASH_1, False], "p", None),
        (numbers[HASH_2, False], "v", 500),
        (numbers[HASH_3, True], "v", 0),
        (numbers[HASH_3, True], "v", 500),
    }
    assert len(places) == 6
    assert gate.bank.claims_on_pictures_and_frames([]) == ()
    assert gate.bank.claim(ClaimId("v")) == video_claim("v")


def test_frames_are_not_returned_as_pictures(gate: Stores) -> None:
    gate.bank.register(
        Registration(video_claim("v"), video=VIDEO_PRINT), Registration(claim("p"), (HASH_1,))
    )
    numbers = [entry.number for entry in gate.bank.entries(0)]
    assert [of.id for _, of in gate.bank.claims_on_pictures(numbers)] == ["p"]
    assert gate.bank.whole_picture_hashes_of(ClaimId("v")) == ()
    assert gate.bank.whole_picture_hashes_of(ClaimId("p")) == (HASH_1,)
    assert {one.claim: one.hashes for one in gate.bank.changes(0, 9)} == {"v": (), "p": (HASH_1,)}


def test_picture_added_to_a_video_by_a_reviewer_is_a_picture(gate: Stores) -> None:
    gate.bank.register(Registration(video_claim("v"), video=VIDEO_PRINT))
    gate.bank.add_upload_hashes([ClaimId("v")], HASH_3, confirmed=True)
    (number,) = [one.number for one in gate.bank.entries(0) if (one.bits, one.part) == (HASH_3, 0)]
    # The bank returns the claim as confirmed, because HASH_3 was added as confirmed.
    confirmed = replace(video_claim("v"), state=ClaimState.CONFIRMED)
    assert gate.bank.claims_on_pictures_and_frames([number]) == ((number, confirmed, None),)
    assert gate.bank.whole_picture_hashes_of(ClaimId("v")) == (HASH_3,)
    # HASH_1 is also the hash of two frames.
    gate.bank.add_upload_hashes([ClaimId("v")], HASH_1, confirmed=True)
    gate.bank.add_upload_hashes([ClaimId("v")], HASH_1, confirmed=True)
    (shown,) = [one.number for one in gate.bank.entries(0) if one.bits == HASH_1]
    times = [at_ms for _, _, at_ms in gate.bank.claims_on_pictures_and_frames([shown])]
    assert sorted(times, key=str) == [0, 1125, None]
    assert [number for number, _ in gate.bank.claims_on_pictures([shown])] == [shown]
    assert set(gate.bank.whole_picture_hashes_of(ClaimId("v"))) == {HASH_1, HASH_3}
    gate.bank.withdraw(ClaimId("v"))
    assert gate.bank.entries(0) == ()


@pytest.mark.threat("withdrawal-ignored")
def test_withdrawing_a_video_deletes_frames_and_sound_of_no_other_claim(gate: Stores) -> None:
    gate.bank.register(
        Registration(video_claim("v"), video=VIDEO_PRINT, sound=sound_print(1)),
        Registration(
            video_claim("w"), video=VideoPrint(VIDEO_PRINT.frames[:1]), sound=sound_print(1)
        ),
        Registration(video_claim("x"), video=VIDEO_PRINT, sound=sound_print(2)),
    )
    gate.bank.apply_event(ClaimId("x"), ClaimEvent.WITHDRAW)
    gate.bank.apply_event(ClaimId("v"), ClaimEvent.WITHDRAW)
    left = gate.bank.entries(0)
    assert {(entry.bits, entry.part) for entry in left} == {(HASH_1, False), (HASH_3, True)}
    places = gate.bank.claims_on_pictures_and_frames([entry.number for entry in left])
    assert {(of.id, at_ms) for _, of, at_ms in places} == {("w", 0)}
    ((number, sound),) = gate.bank.sounds(0)
    assert sound == sound_print(1)
    assert [of.id for _, of in gate.bank.claims_on_sounds([number, number + 1])] == ["w"]
    gate.bank.withdraw(ClaimId("w"))
    assert (gate.bank.sounds(0), gate.bank.count_claims_and_hashes()) == ((), BankCounts(0, 0))


def test_sounds_are_stored_once_and_numbers_never_reused(gate: Stores) -> None:
    for name in "ab":
        sound = replace(claim(name), kind=SOUND_KIND)
        gate.bank.register(Registration(sound, sound=sound_print(1)))
    ((first, _),) = gate.bank.sounds(0)
    assert {of.id for _, of in gate.bank.claims_on_sounds([first])} == {"a", "b"}
    names = [ClaimId("b"), ClaimId("nobody's")]
    assert gate.bank.sounds_of(names) == {ClaimId("b"): (first, sound_print(1))}
    gate.bank.apply_event(ClaimId("a"), ClaimEvent.SUSPEND)
    assert {of.id for _, of in gate.bank.claims_on_sounds([first])} == {"b"}
    gate.bank.withdraw(ClaimId("a"), ClaimId("b"))
    assert gate.bank.sounds_of(names) == {}
    gate.bank.register(Registration(claim("c"), sound=sound_print(2)))
    ((second, _),) = gate.bank.sounds(first)
    assert second > first
    assert gate.bank.sounds(second) == gate.bank.claims_on_sounds([]) == ()


def test_latest_release_of_a_file_counts(gate: Stores) -> None:
    assert gate.bank.release_of_file(HASH_1) is None
    gate.bank.release_file(HASH_1, gate.clock.now())
    gate.clock.advance(hours=1)
    gate.bank.release_file(HASH_2, gate.clock.now())
    first = gate.bank.release_of_file(HASH_1)
    assert first is not None
    assert first.at == START_TIME
    gate.bank.register(Registration(replace(claim("a"), state=ClaimState.CONFIRMED), (HASH_1,)))
    gate.bank.release_file(HASH_1, gate.clock.now())
    second, other = gate.bank.release_of_file(HASH_1), gate.bank.release_of_file(HASH_2)
    assert second is not None
    assert other is not None
    assert second.at == other.at == gate.clock.now()
    assert first.number <= gate.bank.claim(ClaimId("a")).confirmed < second.number
    assert gate.bank.release_of_file(HASH_3) is None


def test_sound_index_finds_new_sounds_and_drops_withdrawn_ones(gate: Stores) -> None:
    index = RegisteredSounds(gate.bank)
    wanted = [SoundVariant("as it is", sound_print(3).words), SoundVariant("faster", b"")]
    assert (index.find_matching_sounds(wanted), index.newest_sound_number()) == ([], 0)
    numbers = []
    for seed in (1, 2, 3):
        gate.bank.register(Registration(claim(f"{seed}"), sound=sound_print(seed)))
        numbers += [one.sound for one in index.find_matching_sounds(wanted)]
    ((third, _),) = [one for one in gate.bank.sounds(0) if one[1] == sound_print(3)]
    assert numbers == [third]
    assert index.newest_sound_number() == RegisteredSounds(gate.bank).newest_sound_number() == third
    assert [of.id for _, of in gate.bank.claims_on_sounds(numbers)] == ["3"]
    gate.bank.withdraw(ClaimId("3"))
    assert (
        gate.bank.claims_on_sounds([one.sound for one in index.find_matching_sounds(wanted)]) == ()
    )
    assert RegisteredSounds(gate.bank).find_matching_sounds(wanted) == []


def test_rebuilding_the_sound_index_drops_withdrawn_sounds(gate: Stores) -> None:
    index = RegisteredSounds(gate.bank, later_words_max=100)
    wanted = [SoundVariant("as it is", sound_print(1).words)]
    for seed in range(1, 6):
        gate.bank.register(Registration(claim(f"{seed}"), sound=sound_print(seed)))
        assert len(index.find_matching_sounds(wanted)) == (1 if seed < 5 else 0)
        if seed == 3:
            gate.bank.withdraw(ClaimId("1"))
            # The index was not rebuilt after the withdrawal, so it still contains the sound.
            assert len(index.find_matching_sounds(wanted)) == 1
    for seed in (2, 3, 4, 5):
        (found,) = index.find_matching_sounds([SoundVariant("as it is", sound_print(seed).words)])
        assert [of.id for _, of in gate.bank.claims_on_sounds([found.sound])] == [f"{seed}"]


@pytest.mark.threat("withdrawal-ignored")
def test_sqlite_file_keeps_no_withdrawn_frames_or_sounds(tmp_path: Path) -> None:
    store = BankStore(open_engine(tmp_path / "gate.sqlite"))
    store.set_bank(Bank(PEOPLE))
    secret = b"\xa7" * 31 + b"\x11"
    video = VideoPrint((FramePrint(0, HASH_1, 90, secret), FramePrint(500, secret, 90)))
    words = SoundPrint(secret[:24] * 50)
    store.register(Registration(video_claim("v"), video=video, sound=words))
    files = list(tmp_path.iterdir())
    for mark in (secret, secret[:24] * 3):
        assert any(mark in file.read_bytes() for file in files)
    store.apply_event(ClaimId("v"), ClaimEvent.WITHDRAW)
    for mark in (secret, secret[:24] * 3):
        assert not any(mark in file.read_bytes() for file in tmp_path.iterdir())
    store.engine.dispose()
