"""Tests of a gate with real video and sound files: matches, look-backs, releases and failures."""

import itertools
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.base.audio_video import Clip, FrameSelection, FramesTooLarge, NoSoundFound, Sound
from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint import chromaprint
from entrenous.fingerprint.nouns import SOUND_KIND, VIDEO_KIND, FramePrint, SoundPrint, VideoPrint
from entrenous.fingerprint.pdq import fingerprint
from entrenous.fingerprint.sound_index import make_sound_fingerprint
from entrenous.fingerprint.video_hash import (
    REGISTERED_FRAME_SELECTION,
    UPLOAD_FRAME_SELECTION,
    differing_bits,
    make_video_fingerprint,
)
from entrenous.media.clip_reader import read_clip
from entrenous.media.sound_reader import read_sound
from entrenous.stop.judge.decide import submit_appeal
from entrenous.stop.judge.dry_run import dry_run
from entrenous.stop.judge.look_back import delete_expired_upload_data, look_back
from entrenous.stop.nouns import PEOPLE_BANK, Bank
from entrenous.stop.protect import fingerprint_file
from entrenous.stop.registration import Claim, ClaimEvent, ClaimState, Consent, Registration
from entrenous.stop.review import confirm_case, next_review, release_case
from entrenous.stop.upload_record import Decision, FoundBy, Outcome, ReviewState
from tests.clips import Rgb, encode_clip, hand_held_frames, merge_streams, sound_only_clip
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload, new_device, picture, png
from tests.trace.test_trace_file import add_sound_to_clip

pytestmark = pytest.mark.slow

RATE_HZ = 16_000
FPS = 12


@pytest.fixture(scope="session")
def scene() -> list[Rgb]:
    """Return six seconds of video: two shots, 480 x 270."""
    size = (480, 270)
    return [
        *hand_held_frames("astronaut", size=size, seconds=3.5),
        *hand_held_frames("chelsea", size=size, seconds=2.5),
    ]


@pytest.fixture(scope="session")
def other_scene() -> list[Rgb]:
    return hand_held_frames("coffee", size=(480, 270), seconds=4.0)


@pytest.fixture(scope="session")
def registered_film(scene: list[Rgb]) -> bytes:
    return encode_clip(scene, fps=FPS)


@pytest.fixture(scope="session")
def voice_samples() -> Any:
    return voice(14.0, seed=3)


@pytest.fixture(scope="session")
def reencoded_video(scene: list[Rgb]) -> bytes:
    """Return ``scene``, scaled down and encoded again."""
    return encode_scaled_down(scene)


@pytest.fixture(scope="session")
def other_video(other_scene: list[Rgb]) -> bytes:
    return encode_scaled_down(other_scene)


@pytest.fixture(scope="session")
def video_with_voice(reencoded_video: bytes, voice_samples: Any) -> bytes:
    """Return ``reencoded_video`` with a voice as its sound."""
    return add_sound_to_clip(reencoded_video, voice_samples[:, None])


@pytest.fixture(scope="session")
def video_showing_picture(scene: list[Rgb], other_scene: list[Rgb]) -> bytes:
    """Return four seconds of ``scene``, interrupted by a still of ``other_scene`` for a second."""
    return encode_scaled_down([*scene[:24], *[other_scene[0]] * 12, *scene[24:48]])


@pytest.fixture(scope="session")
def uploads_by_name(voice_samples: Any, other_video: bytes) -> dict[str, bytes]:
    """Return uploads by name: three contain seconds 2 to 12 of the voice, and two do not."""
    excerpt = voice_samples[2 * RATE_HZ : 12 * RATE_HZ]
    return {
        "song": coded(excerpt, RATE_HZ, "aac", "ipod", 48_000),
        "voice note": coded(excerpt, RATE_HZ, "libopus", "ogg", 24_000, 48_000),
        "other video": add_sound_to_clip(other_video, excerpt[:, None]),
        "other voice": coded(voice(10.0, seed=9), RATE_HZ, "aac", "ipod", 48_000),
        "silent video": other_video,
    }


def encode_scaled_down(frames: list[Rgb], height_px: int = 180, crf: int = 30) -> bytes:
    """Encode the frames, scaled to a height of ``height_px`` pixels."""
    width = round(frames[0].shape[1] * height_px / frames[0].shape[0] / 2) * 2
    resized = (cv2.resize(one, (width, height_px), interpolation=cv2.INTER_AREA) for one in frames)
    return encode_clip(resized, fps=FPS, crf=f"{crf}")


@cache
def video_print(film: bytes) -> VideoPrint:
    """Return the fingerprint, with parts, that a device makes of a video."""
    with read_clip(film, REGISTERED_FRAME_SELECTION) as clip:
        return make_video_fingerprint(clip.frames, clip.shown.length_s, parts=True)


def register_clip(
    gate_setup: GateSetup,
    film: bytes | None = None,
    *,
    sound: SoundPrint | None = None,
    state: ClaimState = ClaimState.WAITING,
    claim_id: str = "hers",
) -> ClaimId:
    """Register a video (with parts), a sound, or both, and return the claim's id."""
    kind = SOUND_KIND if film is None else VIDEO_KIND
    claim = Claim(ClaimId(claim_id), PEOPLE_BANK, state, kind, 100, gate_setup.clock.now())
    video = None if film is None else video_print(film)
    gate_setup.platform.bank.register(Registration(claim, video=video, sound=sound))
    return claim.id


def judge_with_dry_run(gate_setup: GateSetup, upload: bytes) -> Decision:
    """Return the decision, after checking that a dry run gives the same one."""
    decision = judge_upload(upload, gate_setup.platform)
    dry = dry_run(upload, gate_setup.platform)
    assert (dry.outcome, dry.matches, dry.would) == (
        decision.outcome,
        decision.matches,
        decision.would,
    )
    return decision


def test_a_registered_video_is_held_and_refused_when_confirmed(
    gate_setup: GateSetup, registered_film: bytes, scene: list[Rgb], reencoded_video: bytes
) -> None:
    claim = register_clip(gate_setup, registered_film)
    upload = reencoded_video
    decision = judge_with_dry_run(gate_setup, upload)
    assert decision.outcome is Outcome.HOLD
    (match,) = decision.matches
    assert (match.bank, match.claim, match.part) == (PEOPLE_BANK, claim, False)
    assert match.how.startswith("as it is; ")
    assert gate_setup.platform.reviews.upload_bytes(decision.case) == upload
    confirm_case(decision.case, gate_setup.platform)
    assert (
        judge_with_dry_run(gate_setup, encode_scaled_down(scene, 136, 34)).outcome is Outcome.REFUSE
    )


@pytest.mark.parametrize("how", ["mirror", "bars removed"])
def test_mirrored_or_letterboxed_video_matches(
    gate_setup: GateSetup, registered_film: bytes, scene: list[Rgb], how: str
) -> None:
    register_clip(gate_setup, registered_film, state=ClaimState.CONFIRMED)
    if how == "mirror":
        frames = [np.ascontiguousarray(one[:, ::-1]) for one in scene]
    else:
        frames = [np.pad(one, ((60, 60), (0, 0), (0, 0))) for one in scene]
    decision = judge_with_dry_run(gate_setup, encode_scaled_down(frames, 360, 26))
    assert decision.outcome is Outcome.REFUSE
    assert decision.matches[0].how.split(";")[0] == how


def test_truncated_video_passes_after_its_release(
    gate_setup: GateSetup, registered_film: bytes
) -> None:
    cut = registered_film[: len(registered_film) * 9 // 10]
    decision = judge_with_dry_run(gate_setup, cut)
    assert (decision.outcome, decision.matches) == (Outcome.HOLD, ())
    release_case(decision.case, gate_setup.platform)
    assert judge_with_dry_run(gate_setup, cut).outcome is Outcome.LET_THROUGH
    assert (
        judge_with_dry_run(gate_setup, registered_film[: len(registered_film) * 8 // 10]).outcome
        is Outcome.HOLD
    )


def test_excerpt_in_another_video_matches_as_a_part_and_is_held(
    gate_setup: GateSetup, registered_film: bytes, scene: list[Rgb], other_scene: list[Rgb]
) -> None:
    claim = register_clip(gate_setup, registered_film, state=ClaimState.CONFIRMED)
    decision = judge_with_dry_run(
        gate_setup, encode_scaled_down([*other_scene, *scene[12:36], *other_scene[::-1]])
    )
    assert decision.outcome is Outcome.HOLD
    assert [(match.claim, match.part) for match in decision.matches] == [(claim, True)]


def test_video_with_its_edges_cut_off_is_held(
    gate_setup: GateSetup, registered_film: bytes, scene: list[Rgb]
) -> None:
    claim = register_clip(gate_setup, registered_film, state=ClaimState.CONFIRMED)
    cut = [np.ascontiguousarray(one[9:-9, 16:-16]) for one in scene]
    decision = judge_with_dry_run(gate_setup, encode_clip(cut, fps=FPS, crf="24"))
    assert decision.outcome is Outcome.HOLD
    assert {match.claim for match in decision.matches} == {claim}


def test_frame_hashes_of_an_accepted_video_expire(
    gate_setup: GateSetup, registered_film: bytes, other_video: bytes
) -> None:
    register_clip(gate_setup, registered_film)
    decision = judge_upload(other_video, gate_setup.platform, "post 7")
    assert (decision.outcome, decision.matches) == (Outcome.LET_THROUGH, ())
    reviews = gate_setup.platform.reviews
    (clip,) = reviews.stored_clip_hashes(0, 9)
    assert clip.case == decision.case
    assert 3 <= len(clip.frames) <= 240
    assert all(differing_bits(*pair) > 10 for pair in itertools.pairwise(clip.frames))
    assert reviews.stored_picture_hashes(0, 9) == ()
    gate_setup.clock.advance(days=31)
    delete_expired_upload_data(gate_setup.platform)
    kept = reviews.review(decision.case)
    assert (kept.bits, kept.upload_sha256, kept.reference) == (None, None, "")
    assert reviews.stored_clip_hashes(0, 9) == ()


def record_accepted_upload(gate_setup: GateSetup, upload: bytes, reference: str) -> str:
    decision = judge_upload(upload, gate_setup.platform, reference)
    assert decision.outcome is Outcome.LET_THROUGH
    return decision.case


@pytest.mark.parametrize("how", ["as it is", "mirror"])
def test_new_video_claim_finds_an_accepted_upload(
    gate_setup: GateSetup, registered_film: bytes, scene: list[Rgb], how: str, other_video: bytes
) -> None:
    """The look-back finds the video and a still of it once each, and no other video."""
    shown = [np.ascontiguousarray(one[:, ::-1]) for one in scene] if how == "mirror" else scene
    clip = record_accepted_upload(gate_setup, encode_scaled_down(shown), "post 1")
    still = record_accepted_upload(gate_setup, jpeg(scene[20], 60), "post 2")
    record_accepted_upload(gate_setup, other_video, "post 3")
    claim = register_clip(gate_setup, registered_film)
    look_back([claim], gate_setup.platform)
    found = gate_setup.platform.reviews.published_to_review_or_remove("", 9)
    assert {one.case for one in found} == {clip, still}
    for one in found:
        assert (one.found, one.state) == (FoundBy.LOOK_BACK, ReviewState.WAITING)
        assert [(match.claim, match.part) for match in one.decision.matches] == [(claim, True)]
    review = gate_setup.platform.reviews.review(clip)
    assert (review.reference, review.decision.matches[0].how) == ("post 1", how)
    gate_setup.platform.bank.withdraw(claim)
    assert gate_setup.platform.reviews.published_to_review_or_remove("", 9) == ()
    assert {one.case for one in gate_setup.platform.reviews.stored_clip_hashes(0, 9)} >= {clip}


def test_new_picture_claim_finds_an_accepted_video_that_shows_it(
    gate_setup: GateSetup, other_scene: list[Rgb], video_showing_picture: bytes
) -> None:
    case = record_accepted_upload(gate_setup, video_showing_picture, "post 1")
    claim = gate_setup.protect(other_scene[0], parts=False).claim
    look_back([claim], gate_setup.platform)
    (found,) = gate_setup.platform.reviews.published_to_review_or_remove("", 9)
    assert (found.case, found.reference) == (case, "post 1")
    assert [(match.claim, match.part) for match in found.decision.matches] == [(claim, True)]
    release_case(case, gate_setup.platform)
    # The claim matched only a part of the video, so the release does not dispute the claim.
    assert gate_setup.platform.bank.claim(claim).disputes == 0
    assert judge_with_dry_run(gate_setup, video_showing_picture).outcome is Outcome.LET_THROUGH
    assert look_back([claim], gate_setup.platform) == 0  # the release covers this claim


def test_claim_made_while_a_video_is_judged_holds_it(
    gate_setup: GateSetup,
    registered_film: bytes,
    monkeypatch: pytest.MonkeyPatch,
    reencoded_video: bytes,
) -> None:
    """The claim arrives after the look-up in the bank and before the upload is recorded."""
    record = type(gate_setup.platform.reviews).record_upload

    def claim_then_record(queue: Any, review: Any, untrusted: Any) -> None:
        claim = register_clip(gate_setup, registered_film)
        look_back([claim], gate_setup.platform)
        record(queue, review, untrusted)

    with monkeypatch.context() as patch:
        patch.setattr(type(gate_setup.platform.reviews), "record_upload", claim_then_record)
        case = record_accepted_upload(gate_setup, reencoded_video, "post 1")
    (found,) = gate_setup.platform.reviews.published_to_review_or_remove("", 9)
    assert found.case == case


@pytest.mark.threat("claim-censors")
def test_still_of_a_video_is_refused_only_after_the_still_was_confirmed(
    gate_setup: GateSetup, registered_film: bytes, scene: list[Rgb]
) -> None:
    claim = register_clip(gate_setup, registered_film, state=ClaimState.CONFIRMED)
    still = cv2.GaussianBlur(scene[20], (0, 0), 1.0)
    decision = judge_with_dry_run(gate_setup, jpeg(still, 60))
    assert decision.outcome is Outcome.HOLD
    assert [(match.claim, match.part) for match in decision.matches] == [(claim, True)]
    confirm_case(decision.case, gate_setup.platform)
    assert judge_with_dry_run(gate_setup, jpeg(still, 60)).outcome is Outcome.REFUSE


def test_a_registered_picture_shown_in_a_video_is_held(
    gate_setup: GateSetup, other_scene: list[Rgb], video_showing_picture: bytes
) -> None:
    claim = gate_setup.protect(other_scene[0], parts=False).claim
    gate_setup.platform.bank.apply_event(claim, ClaimEvent.CONFIRM)
    decision = judge_with_dry_run(gate_setup, video_showing_picture)
    assert decision.outcome is Outcome.HOLD
    assert [(match.claim, match.part) for match in decision.matches] == [(claim, True)]


def test_sound_of_a_registered_video_is_held_in_other_files(
    gate_setup: GateSetup,
    registered_film: bytes,
    voice_samples: Any,
    uploads_by_name: dict[str, bytes],
) -> None:
    claim = register_clip(
        gate_setup,
        registered_film,
        sound=make_sound_fingerprint(voice_samples, RATE_HZ),
        state=ClaimState.CONFIRMED,
    )
    for name in ("song", "voice note", "other video"):
        decision = judge_with_dry_run(gate_setup, uploads_by_name[name])
        assert decision.outcome is Outcome.HOLD
        assert [(match.claim, match.part) for match in decision.matches] == [(claim, True)]
        assert "s of sound, from" in decision.matches[0].how


@pytest.mark.parametrize("claim_media", ["a sound", "a film with its sound"])
def test_new_sound_claim_finds_an_accepted_upload(
    gate_setup: GateSetup,
    registered_film: bytes,
    voice_samples: Any,
    claim_media: str,
    uploads_by_name: dict[str, bytes],
) -> None:
    """The look-back finds a voice note and a video with the sound, and no other upload."""
    note = record_accepted_upload(gate_setup, uploads_by_name["voice note"], "post 1")
    soundtrack = record_accepted_upload(gate_setup, uploads_by_name["other video"], "post 2")
    record_accepted_upload(gate_setup, uploads_by_name["other voice"], "post 3")
    record_accepted_upload(gate_setup, uploads_by_name["silent video"], "post 4")
    shown = registered_film if claim_media == "a film with its sound" else None
    claim = register_clip(gate_setup, shown, sound=make_sound_fingerprint(voice_samples, RATE_HZ))
    assert look_back([claim], gate_setup.platform) == 2
    found = {
        one.case: one for one in gate_setup.platform.reviews.published_to_review_or_remove("", 9)
    }
    assert set(found) == {note, soundtrack}
    for one in found.values():
        (match,) = one.decision.matches
        assert (match.claim, match.part, one.found) == (claim, True, FoundBy.LOOK_BACK)
        seconds, after = match.how.removeprefix("as it is; ").split(" s of sound, from ")
        assert float(seconds) >= 5
        # The position refers to the upload, which begins with second 2 of the sound.
        assert float(after.removesuffix(" s")) < 5
    assert found[note].reference == "post 1"
    assert look_back([claim], gate_setup.platform) == 0
    release_case(note, gate_setup.platform)
    assert gate_setup.platform.bank.claim(claim).disputes == 0
    confirm_case(soundtrack, gate_setup.platform)
    kept = {one.case for one in gate_setup.platform.reviews.stored_sound_prints(0, 9)}
    assert kept & {note, soundtrack} == {note}


def test_upload_with_frames_and_sound_of_two_claims_matches_both(
    gate_setup: GateSetup, registered_film: bytes, voice_samples: Any, video_with_voice: bytes
) -> None:
    case = record_accepted_upload(gate_setup, video_with_voice, "post 1")
    video_claim = register_clip(gate_setup, registered_film, claim_id="seen")
    sound_claim = register_clip(
        gate_setup, sound=make_sound_fingerprint(voice_samples, RATE_HZ), claim_id="heard"
    )
    assert look_back([video_claim, sound_claim], gate_setup.platform) == 1
    matches = gate_setup.platform.reviews.review(case).decision.matches
    assert [match.claim for match in matches] == [video_claim, sound_claim]


def test_no_fingerprint_of_a_silent_sound_is_stored(gate_setup: GateSetup) -> None:
    silence = coded(np.zeros(8 * RATE_HZ, np.float32), RATE_HZ, "aac", "ipod", 48_000)
    case = record_accepted_upload(gate_setup, silence, "post 1")
    assert gate_setup.platform.reviews.stored_sound_prints(0, 9) == ()
    kept = gate_setup.platform.reviews.review(case)
    assert (kept.upload_sha256, kept.reference) == (None, "")


def test_sound_claim_made_while_an_upload_is_judged_holds_it(
    gate_setup: GateSetup, voice_samples: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = type(gate_setup.platform.reviews).record_upload

    def claim_then_record(queue: Any, review: Any, untrusted: Any) -> None:
        look_back(
            [register_clip(gate_setup, sound=make_sound_fingerprint(voice_samples, RATE_HZ))],
            gate_setup.platform,
        )
        record(queue, review, untrusted)

    upload = coded(voice_samples, RATE_HZ, "aac", "ipod", 48_000)
    with monkeypatch.context() as patch:
        patch.setattr(type(gate_setup.platform.reviews), "record_upload", claim_then_record)
        case = record_accepted_upload(gate_setup, upload, "post 1")
    (found,) = gate_setup.platform.reviews.published_to_review_or_remove("", 9)
    assert found.case == case


def test_another_voice_does_not_match(
    gate_setup: GateSetup, voice_samples: Any, uploads_by_name: dict[str, bytes]
) -> None:
    register_clip(gate_setup, sound=make_sound_fingerprint(voice_samples, RATE_HZ))
    assert (
        judge_with_dry_run(gate_setup, uploads_by_name["other voice"]).outcome
        is Outcome.LET_THROUGH
    )


@pytest.mark.threat("withdrawal-ignored")
def test_withdrawn_video_and_sound_match_nothing(
    gate_setup: GateSetup,
    registered_film: bytes,
    scene: list[Rgb],
    voice_samples: Any,
    video_with_voice: bytes,
) -> None:
    claim = register_clip(
        gate_setup, registered_film, sound=make_sound_fingerprint(voice_samples, RATE_HZ)
    )
    upload = video_with_voice
    assert judge_with_dry_run(gate_setup, upload).outcome is Outcome.HOLD
    gate_setup.platform.bank.apply_event(claim, ClaimEvent.WITHDRAW)
    for one in (upload, jpeg(scene[20])):
        assert judge_with_dry_run(gate_setup, one).outcome is Outcome.LET_THROUGH


def test_released_clip_file_passes_until_a_newer_claim(
    gate_setup: GateSetup, registered_film: bytes, scene: list[Rgb], reencoded_video: bytes
) -> None:
    claim = register_clip(gate_setup, registered_film)
    upload, other = reencoded_video, encode_scaled_down(scene, 136)
    release_case(judge_with_dry_run(gate_setup, upload).case, gate_setup.platform)
    assert gate_setup.platform.bank.claim(claim).disputes == 1
    assert judge_with_dry_run(gate_setup, upload).outcome is Outcome.LET_THROUGH
    assert judge_with_dry_run(gate_setup, other).outcome is Outcome.HOLD
    gate_setup.clock.advance(hours=1)
    register_clip(gate_setup, registered_film, claim_id="later")
    assert judge_with_dry_run(gate_setup, upload).outcome is Outcome.HOLD


def test_released_clip_is_not_held_by_a_repeated_look_back(
    gate_setup: GateSetup, registered_film: bytes, reencoded_video: bytes
) -> None:
    claim = register_clip(gate_setup, registered_film)
    upload = reencoded_video
    first = judge_with_dry_run(gate_setup, upload).case
    release_case(first, gate_setup.platform)
    again = record_accepted_upload(gate_setup, upload, "post 1")
    assert look_back([claim], gate_setup.platform) == 0
    gate_setup.platform.bank.apply_event(claim, ClaimEvent.CONFIRM)
    assert look_back([claim], gate_setup.platform) == 2
    assert {
        one.case for one in gate_setup.platform.reviews.published_to_review_or_remove("", 9)
    } == {
        first,
        again,
    }


def test_waiting_or_released_clip_gets_matches_of_later_claims(
    gate_setup: GateSetup, registered_film: bytes, voice_samples: Any, video_with_voice: bytes
) -> None:
    first = register_clip(gate_setup, registered_film, claim_id="first")
    case = judge_with_dry_run(gate_setup, video_with_voice).case
    second = register_clip(
        gate_setup, sound=make_sound_fingerprint(voice_samples, RATE_HZ), claim_id="second"
    )
    assert look_back([second], gate_setup.platform) == 0
    matches = gate_setup.platform.reviews.review(case).decision.matches
    assert [match.claim for match in matches] == [first, second]
    release_case(case, gate_setup.platform)
    assert look_back([first, second], gate_setup.platform) == 0
    gate_setup.clock.advance(days=1)
    third = register_clip(gate_setup, registered_film, claim_id="third")
    assert look_back([third], gate_setup.platform) == 1
    (found,) = gate_setup.platform.reviews.published_to_review_or_remove("", 9)
    assert (found.case, [match.claim for match in found.decision.matches]) == (case, [third])
    confirm_case(case, gate_setup.platform)
    assert (
        gate_setup.platform.reviews.stored_clip_hashes(0, 9)
        == gate_setup.platform.reviews.stored_sound_prints(0, 9)
        == ()
    )


def test_clip_released_after_an_appeal_is_not_refused_again(
    gate_setup: GateSetup, registered_film: bytes, reencoded_video: bytes
) -> None:
    register_clip(gate_setup, registered_film, state=ClaimState.CONFIRMED)
    upload = reencoded_video
    decision = judge_upload(upload, gate_setup.platform)
    assert decision.outcome is Outcome.REFUSE
    assert decision.secret is not None
    submit_appeal(decision.case, decision.secret, upload, gate_setup.platform)
    gate_setup.clock.advance(hours=-1)
    release_case(decision.case, gate_setup.platform)
    assert judge_with_dry_run(gate_setup, upload).outcome is Outcome.LET_THROUGH
    assert judge_with_dry_run(gate_setup, registered_film).outcome is Outcome.REFUSE
    register_clip(gate_setup, registered_film, claim_id="later", state=ClaimState.CONFIRMED)
    assert judge_with_dry_run(gate_setup, upload).outcome is Outcome.REFUSE


def test_released_picture_does_not_release_a_video_that_shows_it(
    gate_setup: GateSetup, registered_film: bytes, scene: list[Rgb], other_scene: list[Rgb]
) -> None:
    register_clip(gate_setup, registered_film)
    gate_setup.protect(other_scene[0], parts=False)
    release_case(judge_with_dry_run(gate_setup, jpeg(other_scene[0])).case, gate_setup.platform)
    assert judge_with_dry_run(gate_setup, jpeg(other_scene[0])).outcome is Outcome.LET_THROUGH
    assert (
        judge_with_dry_run(
            gate_setup, encode_scaled_down([*[other_scene[0]] * 12, *scene[:48]])
        ).outcome
        is Outcome.HOLD
    )


def test_clip_in_a_shadow_bank_is_only_recorded(
    gate_setup: GateSetup, registered_film: bytes, reencoded_video: bytes
) -> None:
    gate_setup.platform.bank.set_bank(replace(Bank(PEOPLE_BANK), shadow=True))
    register_clip(gate_setup, registered_film, state=ClaimState.CONFIRMED)
    decision = judge_with_dry_run(gate_setup, reencoded_video)
    assert (decision.outcome, decision.would) == (Outcome.LET_THROUGH, Outcome.REFUSE)


def test_many_uploads_of_one_video_are_one_review_item(
    gate_setup: GateSetup, registered_film: bytes, scene: list[Rgb]
) -> None:
    register_clip(gate_setup, registered_film)
    gate_setup.platform = replace(
        gate_setup.platform, limits=replace(gate_setup.limits, held_per_hash=2)
    )
    for crf in (24, 27, 30, 33):
        judge_upload(encode_scaled_down(scene, 136, crf), gate_setup.platform)
    assert gate_setup.platform.reviews.count_waiting_items() == 1
    review = next_review(gate_setup.platform)
    assert review is not None
    assert review.gathered == 3


def test_clip_that_cannot_be_decoded_to_its_end_is_held(
    gate_setup: GateSetup, registered_film: bytes, voice_samples: Any
) -> None:
    broken = bytearray(registered_film)
    middle = registered_film.index(b"mdat") + 4
    broken[middle : middle + 20_000] = bytes(20_000)
    frames = hand_held_frames(seconds=0.5)
    for upload in (
        registered_film[: len(registered_film) // 2],
        bytes(broken),
        encode_clip(frames, codec="ffv1", container="matroska"),
        coded(voice_samples, RATE_HZ, "aac", "ipod", 48_000)[:-9000],
    ):
        decision = judge_with_dry_run(gate_setup, upload)
        assert (decision.outcome, decision.matches) == (Outcome.HOLD, ())
        assert gate_setup.platform.reviews.upload_bytes(decision.case) == upload


def test_gate_and_device_decode_clips_with_their_own_frame_selection_at_one_sample_rate(
    gate_setup: GateSetup, registered_film: bytes
) -> None:
    requested = list[object]()

    def record_clip_request(
        untrusted_data: bytes, cut: FrameSelection
    ) -> AbstractContextManager[Clip]:
        requested.append(cut)
        return read_clip(untrusted_data, cut)

    def record_sound_request(untrusted_data: bytes, mono_hz: int = 0) -> Sound:
        requested.append(mono_hz)
        return read_sound(untrusted_data, mono_hz)

    judge_upload(
        registered_film,
        replace(
            gate_setup.platform, read_clip=record_clip_request, read_sound=record_sound_request
        ),
    )
    device = replace(new_device(), read_clip=record_clip_request, read_sound=record_sound_request)
    fingerprint_file(registered_film, Consent(adult=True, parts=True), device)
    assert requested == [
        UPLOAD_FRAME_SELECTION,
        chromaprint.RATE_HZ,
        REGISTERED_FRAME_SELECTION,
        chromaprint.RATE_HZ,
    ]


def test_clip_that_takes_too_long_to_decode_is_held(
    gate_setup: GateSetup, registered_film: bytes
) -> None:
    class SlowClock:
        def now(self) -> Any:
            gate_setup.clock.advance(seconds=10)
            return gate_setup.clock.now()

    platform = replace(gate_setup.platform, clock=SlowClock())
    assert judge_upload(registered_film, platform).outcome is Outcome.HOLD
    assert judge_upload(registered_film, gate_setup.platform).outcome is Outcome.LET_THROUGH


def test_video_labelled_as_a_sound_is_scanned(
    gate_setup: GateSetup, registered_film: bytes, video_with_voice: bytes
) -> None:
    register_clip(gate_setup, registered_film)
    upload = video_with_voice
    assert upload[4:8] == b"ftyp"
    assert (
        judge_with_dry_run(gate_setup, upload[:8] + b"M4A " + upload[12:]).outcome is Outcome.HOLD
    )


def test_video_with_unreadable_sound_is_judged_by_its_frames(
    gate_setup: GateSetup, registered_film: bytes, reencoded_video: bytes
) -> None:
    surround = coded(voice(2.0), 48_000, "ac3", "mp4", 96_000)
    upload = merge_streams(reencoded_video, surround)
    assert judge_with_dry_run(gate_setup, upload).outcome is Outcome.LET_THROUGH
    register_clip(gate_setup, registered_film)
    assert judge_with_dry_run(gate_setup, upload).outcome is Outcome.HOLD


def test_clip_without_frames_is_judged_and_one_without_decodable_content_raises(
    gate_setup: GateSetup,
) -> None:
    assert judge_with_dry_run(gate_setup, sound_only_clip()).outcome is Outcome.LET_THROUGH
    with pytest.raises(NoSoundFound):
        judge_upload(coded(voice(1.0), 48_000, "ac3", "mp4", 96_000), gate_setup.platform)
    with pytest.raises(FramesTooLarge):
        judge_upload(encode_clip([np.zeros((3000, 4000, 3), np.uint8)]), gate_setup.platform)


@pytest.mark.threat("claim-censors")
@pytest.mark.parametrize("how", ["exactly a frame's hash", "near a frame"])
def test_confirming_a_still_does_not_confirm_a_film(
    gate_setup: GateSetup, registered_film: bytes, scene: list[Rgb], how: str
) -> None:
    """Somebody registers another person's video with one added frame.

    A reviewer then confirms a picture: the added frame, or a changed frame of the video.
    """
    added = skimage.data.rocket()
    added_bits = fingerprint(picture(added)).bits
    with read_clip(registered_film, REGISTERED_FRAME_SELECTION) as clip:
        video = make_video_fingerprint(clip.frames, clip.shown.length_s, parts=False)
    last = FramePrint(video.frames[-1].at_ms + 500, added_bits, 100)
    claim = Claim(
        ClaimId("made"), PEOPLE_BANK, ClaimState.WAITING, VIDEO_KIND, 100, gate_setup.clock.now()
    )
    gate_setup.platform.bank.register(Registration(claim, video=VideoPrint((*video.frames, last))))
    still = added
    if how == "near a frame":
        still = scene[20].copy()
        still[10:40, 10:40] = cv2.resize(added, (30, 30))
    for _ in range(2):
        held = judge_upload(png(still), gate_setup.platform)
        if held.outcome is Outcome.HOLD:
            confirm_case(held.case, gate_setup.platform)
    assert judge_upload(png(still), gate_setup.platform).outcome is Outcome.REFUSE
    assert gate_setup.platform.bank.claim(claim.id).state is ClaimState.WAITING
    assert judge_upload(registered_film, gate_setup.platform).outcome is Outcome.HOLD


@pytest.mark.threat("released-first")
def test_release_of_a_clip_does_not_cover_claims_not_shown_to_the_reviewer(
    gate_setup: GateSetup, registered_film: bytes, scene: list[Rgb]
) -> None:
    gate_setup.protect(scene[20], parts=False)
    case = judge_upload(registered_film, gate_setup.platform, "post 1").case
    gate_setup.clock.advance(seconds=10)
    later_claim = register_clip(gate_setup, registered_film)
    release_case(case, gate_setup.platform)  # before the look-back for the later claim
    assert look_back([later_claim], gate_setup.platform) == 1
    assert gate_setup.platform.reviews.review(case).state is ReviewState.WAITING
    assert judge_upload(registered_film, gate_setup.platform).outcome is Outcome.HOLD
