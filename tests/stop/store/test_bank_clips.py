"""BankStore: video frames, sounds, and released clips, on each database."""

from collections.abc import Iterator
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
from tests.stop.store.bank_stores import AT, KINDS, ONE, PEOPLE, THREE, TWO, Stores, claim, stores

# Scenes recur: two frames have the same hash, and two have the same inner hash.
FILM = VideoPrint(
    (
        FramePrint(0, ONE, 90, THREE),
        FramePrint(500, TWO, 80, THREE),
        FramePrint(1125, ONE, 90),
    )
)


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    with stores(request.param, request, tmp_path) as every:
        yield every


def film(name: str) -> Claim:
    return replace(claim(name), kind=VIDEO_KIND)


def song(seed: int, words: int = 60) -> SoundPrint:
    """Return a sound of pseudorandom words, which depend on the seed."""
    many = (hash((seed, number)) * 2654435761 % 2**32 for number in range(words))
    return SoundPrint(b"".join(one.to_bytes(4, "big") for one in many))


def test_frame_is_found_with_all_its_times(made: Stores) -> None:
    made.bank.register(Registration(film("v"), video=FILM), Registration(claim("p"), (ONE,)))
    numbers = {(entry.bits, entry.part): entry.number for entry in made.bank.entries(0)}
    assert set(numbers) == {(ONE, False), (TWO, False), (THREE, True)}
    places = made.bank.claims_on_pictures_and_frames(numbers.values())
    assert {(number, of.id, at_ms) for number, of, at_ms in places} == {
        (numbers[ONE, False], "v", 0),
        (numbers[ONE, False], "v", 1125),
        (numbers[ONE, False], "p", None),
        (numbers[TWO, False], "v", 500),
        (numbers[THREE, True], "v", 0),
        (numbers[THREE, True], "v", 500),
    }
    assert len(places) == 6
    assert made.bank.claims_on_pictures_and_frames([]) == ()
    assert made.bank.claim(ClaimId("v")) == film("v")


def test_frames_are_not_returned_as_pictures(made: Stores) -> None:
    """Callers that ask for pictures, partners above all, get no frames."""
    made.bank.register(Registration(film("v"), video=FILM), Registration(claim("p"), (ONE,)))
    numbers = [entry.number for entry in made.bank.entries(0)]
    assert [of.id for _, of in made.bank.claims_on_pictures(numbers)] == ["p"]
    assert made.bank.whole_picture_hashes_of(ClaimId("v")) == ()
    assert made.bank.whole_picture_hashes_of(ClaimId("p")) == (ONE,)
    assert {one.claim: one.hashes for one in made.bank.changes(0, 9)} == {"v": (), "p": (ONE,)}


def test_picture_added_to_a_video_by_a_reviewer_is_a_picture(made: Stores) -> None:
    made.bank.register(Registration(film("v"), video=FILM))
    made.bank.add_upload_hashes([ClaimId("v")], THREE, confirmed=True)
    (number,) = [one.number for one in made.bank.entries(0) if (one.bits, one.part) == (THREE, 0)]
    confirmed = replace(film("v"), state=ClaimState.CONFIRMED)  # on this hash alone
    assert made.bank.claims_on_pictures_and_frames([number]) == ((number, confirmed, None),)
    assert made.bank.whole_picture_hashes_of(ClaimId("v")) == (THREE,)
    # ONE is also the hash of a frame.
    made.bank.add_upload_hashes([ClaimId("v")], ONE, confirmed=True)
    made.bank.add_upload_hashes([ClaimId("v")], ONE, confirmed=True)
    (shown,) = [one.number for one in made.bank.entries(0) if one.bits == ONE]
    times = [at_ms for _, _, at_ms in made.bank.claims_on_pictures_and_frames([shown])]
    assert sorted(times, key=str) == [0, 1125, None]
    assert [number for number, _ in made.bank.claims_on_pictures([shown])] == [shown]
    assert set(made.bank.whole_picture_hashes_of(ClaimId("v"))) == {ONE, THREE}
    made.bank.withdraw(ClaimId("v"))
    assert made.bank.entries(0) == ()


@pytest.mark.threat("withdrawal-ignored")
def test_withdrawing_a_video_deletes_frames_and_sound_of_no_other_claim(made: Stores) -> None:
    made.bank.register(
        Registration(film("v"), video=FILM, sound=song(1)),
        Registration(film("w"), video=VideoPrint(FILM.frames[:1]), sound=song(1)),
        Registration(film("x"), video=FILM, sound=song(2)),
    )
    made.bank.apply_event(ClaimId("x"), ClaimEvent.WITHDRAW)
    made.bank.apply_event(ClaimId("v"), ClaimEvent.WITHDRAW)
    left = made.bank.entries(0)
    assert {(entry.bits, entry.part) for entry in left} == {(ONE, False), (THREE, True)}
    places = made.bank.claims_on_pictures_and_frames([entry.number for entry in left])
    assert {(of.id, at_ms) for _, of, at_ms in places} == {("w", 0)}
    ((number, sound),) = made.bank.sounds(0)
    assert sound == song(1)
    assert [of.id for _, of in made.bank.claims_on_sounds([number, number + 1])] == ["w"]
    made.bank.withdraw(ClaimId("w"))
    assert (made.bank.sounds(0), made.bank.count_claims_and_hashes()) == ((), BankCounts(0, 0))


def test_sounds_are_stored_once_and_numbers_never_reused(made: Stores) -> None:
    for name in "ab":
        sound = replace(claim(name), kind=SOUND_KIND)
        made.bank.register(Registration(sound, sound=song(1)))
    ((first, _),) = made.bank.sounds(0)
    assert {of.id for _, of in made.bank.claims_on_sounds([first])} == {"a", "b"}
    mine = [ClaimId("b"), ClaimId("nobody's")]
    assert made.bank.sounds_of(mine) == {ClaimId("b"): (first, song(1))}
    made.bank.apply_event(ClaimId("a"), ClaimEvent.SUSPEND)
    assert {of.id for _, of in made.bank.claims_on_sounds([first])} == {"b"}
    made.bank.withdraw(ClaimId("a"), ClaimId("b"))
    assert made.bank.sounds_of(mine) == {}
    made.bank.register(Registration(claim("c"), sound=song(2)))
    ((second, _),) = made.bank.sounds(first)
    assert second > first
    assert made.bank.sounds(second) == made.bank.claims_on_sounds([]) == ()


def test_latest_release_of_a_file_counts(made: Stores) -> None:
    assert made.bank.release_of_file(ONE) is None
    made.bank.release_file(ONE, made.clock.now())
    made.clock.wind(hours=1)
    made.bank.release_file(TWO, made.clock.now())
    first = made.bank.release_of_file(ONE)
    assert first is not None
    assert first.at == AT
    made.bank.register(Registration(replace(claim("a"), state=ClaimState.CONFIRMED), (ONE,)))
    made.bank.release_file(ONE, made.clock.now())
    second, other = made.bank.release_of_file(ONE), made.bank.release_of_file(TWO)
    assert second is not None
    assert other is not None
    assert second.at == other.at == made.clock.now()
    assert first.number <= made.bank.claim(ClaimId("a")).confirmed < second.number
    assert made.bank.release_of_file(THREE) is None


def test_sound_index_follows_and_skips_withdrawn_sounds(made: Stores) -> None:
    index = RegisteredSounds(made.bank)
    wanted = [SoundVariant("as it is", song(3).words), SoundVariant("faster", b"")]
    assert (index.find_matching_sounds(wanted), index.newest_sound_number()) == ([], 0)
    numbers = []
    for seed in (1, 2, 3):
        made.bank.register(Registration(claim(f"{seed}"), sound=song(seed)))
        numbers += [one.sound for one in index.find_matching_sounds(wanted)]
    ((third, _),) = [one for one in made.bank.sounds(0) if one[1] == song(3)]
    assert numbers == [third]
    assert index.newest_sound_number() == RegisteredSounds(made.bank).newest_sound_number() == third
    assert [of.id for _, of in made.bank.claims_on_sounds(numbers)] == ["3"]
    made.bank.withdraw(ClaimId("3"))
    assert (
        made.bank.claims_on_sounds([one.sound for one in index.find_matching_sounds(wanted)]) == ()
    )
    assert RegisteredSounds(made.bank).find_matching_sounds(wanted) == []


def test_rebuilding_the_sound_index_drops_withdrawn_sounds(made: Stores) -> None:
    index = RegisteredSounds(made.bank, later_words_max=100)
    wanted = [SoundVariant("as it is", song(1).words)]
    for seed in range(1, 6):
        made.bank.register(Registration(claim(f"{seed}"), sound=song(seed)))
        assert len(index.find_matching_sounds(wanted)) == (1 if seed < 5 else 0)
        if seed == 3:
            made.bank.withdraw(ClaimId("1"))
            # The withdrawn sound is still in the index, but has no claim.
            assert len(index.find_matching_sounds(wanted)) == 1
    for seed in (2, 3, 4, 5):
        (found,) = index.find_matching_sounds([SoundVariant("as it is", song(seed).words)])
        assert [of.id for _, of in made.bank.claims_on_sounds([found.sound])] == [f"{seed}"]


@pytest.mark.threat("withdrawal-ignored")
def test_sqlite_file_keeps_no_withdrawn_frames_or_sounds(tmp_path: Path) -> None:
    store = BankStore(open_engine(tmp_path / "gate.sqlite"))
    store.set_bank(Bank(PEOPLE))
    secret = b"\xa7" * 31 + b"\x11"
    video = VideoPrint((FramePrint(0, ONE, 90, secret), FramePrint(500, secret, 90)))
    words = SoundPrint(secret[:24] * 50)
    store.register(Registration(film("v"), video=video, sound=words))
    files = list(tmp_path.iterdir())
    for mark in (secret, secret[:24] * 3):
        assert any(mark in file.read_bytes() for file in files)
    store.apply_event(ClaimId("v"), ClaimEvent.WITHDRAW)
    for mark in (secret, secret[:24] * 3):
        assert not any(mark in file.read_bytes() for file in tmp_path.iterdir())
    store.engine.dispose()
