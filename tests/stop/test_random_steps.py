"""Sequences of uploads, claims, reviews, appeals, look-backs and withdrawals."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.base.picture import NotAPicture
from entrenous.base.secret import Secret
from entrenous.fingerprint.crops import window_hashes
from entrenous.fingerprint.nouns import MediaFingerprint, PicturePrint
from entrenous.fingerprint.pdq import distance, fingerprint
from entrenous.fingerprint.sound_index import make_sound_fingerprint
from entrenous.stop.banks import suspend_claim
from entrenous.stop.judge.decide import submit_appeal
from entrenous.stop.judge.deferred_scan import run_next_deferred_scan
from entrenous.stop.judge.look_back import look_back, look_back_for_due_claims
from entrenous.stop.nouns import GateLimits
from entrenous.stop.protect import withdraw_protection
from entrenous.stop.register import register_claim, withdraw_claim
from entrenous.stop.registration import ClaimRequest, ClaimState
from entrenous.stop.review import confirm_case, release_case
from entrenous.stop.upload_record import FoundBy, Outcome, ReviewState, UnshownMatches
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload, picture, png

pytestmark = pytest.mark.slow

HOLDER_TOKEN = Secret(b"x" * 32)


def register(gate_setup: GateSetup, media: MediaFingerprint, token: Secret = HOLDER_TOKEN) -> Any:
    """Register a claim with any fingerprints, as a modified client can."""
    holder = hashlib.sha256(token.reveal()).digest()
    return register_claim(ClaimRequest(media, holder), gate_setup.platform)


def picture_print(pixels: Any) -> PicturePrint:
    return PicturePrint(fingerprint(picture(pixels)))


def blur_square(pixels: Any, blurred_share: float = 0.05) -> Any:
    """Return a copy of the picture with a strongly blurred square."""
    height, width = pixels.shape[:2]
    side = int((blurred_share * height * width) ** 0.5)
    y, x = int(height * 0.55), int(width * 0.4)
    blurred = pixels.copy()
    square = blurred[y : y + side, x : x + side]
    blurred[y : y + side, x : x + side] = cv2.GaussianBlur(square, (0, 0), 25)
    return blurred


def make_collage(left: Any, right: Any) -> Any:
    """Return the two pictures side by side, each scaled to 500 by 500 pixels."""
    return np.concatenate([cv2.resize(left, (500, 500)), cv2.resize(right, (500, 500))], axis=1)


@pytest.mark.threat("claim-censors")
def test_confirming_a_collage_does_not_confirm_a_picture_in_it(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    """Somebody registers a famous picture and uploads it beside an obviously intimate picture."""
    claim = gate_setup.protect(other_picture, parts=False).claim
    case = judge_upload(jpeg(make_collage(her_picture, other_picture)), gate_setup.platform).case
    assert run_next_deferred_scan(gate_setup.platform)
    confirm_case(case, gate_setup.platform)
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.WAITING
    assert judge_upload(jpeg(other_picture), gate_setup.platform).outcome is Outcome.HOLD
    again = judge_upload(jpeg(make_collage(her_picture, other_picture)), gate_setup.platform)
    assert again.outcome is Outcome.HOLD
    assert again.matches[0].added
    confirm_case(again.case, gate_setup.platform)  # the claim stays unconfirmed
    assert judge_upload(jpeg(other_picture), gate_setup.platform).outcome is Outcome.HOLD


@pytest.mark.threat("claim-censors")
def test_confirming_a_part_does_not_confirm_the_unseen_whole(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    """A modified client registers the hash of one picture with the hashes of parts of another."""
    mixed_print = PicturePrint(
        picture_print(other_picture).whole, window_hashes(picture(her_picture))
    )
    claim = register(gate_setup, mixed_print)
    cut = her_picture[40:-40, 40:-40]
    held = judge_upload(jpeg(cut), gate_setup.platform)
    assert held.outcome is Outcome.HOLD
    confirm_case(held.case, gate_setup.platform)
    assert gate_setup.platform.bank.claim(claim.id).state is ClaimState.WAITING
    assert judge_upload(jpeg(other_picture), gate_setup.platform).outcome is Outcome.HOLD
    assert judge_upload(jpeg(cut, 70), gate_setup.platform).outcome is Outcome.REFUSE
    assert judge_upload(jpeg(cut[:, ::-1]), gate_setup.platform).outcome is Outcome.REFUSE
    withdraw_claim(claim.id, HOLDER_TOKEN, gate_setup.platform)
    assert judge_upload(jpeg(cut), gate_setup.platform).outcome is Outcome.LET_THROUGH


@pytest.mark.threat("claim-censors")
def test_confirming_a_part_found_by_a_look_back_does_not_confirm_the_claim(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    mixed_print = PicturePrint(
        picture_print(other_picture).whole, window_hashes(picture(her_picture))
    )
    cut = her_picture[40:-40, 40:-40]
    earlier = judge_upload(jpeg(cut), gate_setup.platform)
    claim = register(gate_setup, mixed_print)
    confirm_case(judge_upload(jpeg(cut, 70), gate_setup.platform).case, gate_setup.platform)
    assert look_back_for_due_claims(gate_setup.platform) == 1
    review = gate_setup.platform.reviews.review(earlier.case)
    assert [match.added for match in review.decision.matches] == [True]
    confirm_case(earlier.case, gate_setup.platform)
    assert gate_setup.platform.bank.claim(claim.id).state is ClaimState.WAITING


@pytest.mark.threat("released-first")
@pytest.mark.parametrize("blurred_share", [0.05, 0.1])
def test_releasing_a_blurred_version_does_not_release_the_picture(
    gate_setup: GateSetup, her_picture: Any, blurred_share: float
) -> None:
    edited = blur_square(her_picture, blurred_share)
    apart = distance(fingerprint(picture(edited)), fingerprint(picture(her_picture)))
    assert 4 < apart <= 31
    claim = gate_setup.protect(her_picture).claim
    release_case(judge_upload(png(edited), gate_setup.platform).case, gate_setup.platform)
    assert judge_upload(png(edited), gate_setup.platform).outcome is Outcome.LET_THROUGH
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.HOLD
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.WAITING


@pytest.mark.threat("released-first")
def test_releasing_a_blurred_version_does_not_release_a_flood(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    claim = gate_setup.protect(her_picture).claim
    first = judge_upload(png(blur_square(her_picture)), gate_setup.platform).case
    flood_cases = [
        judge_upload(jpeg(her_picture, 60 + number), gate_setup.platform).case
        for number in range(21)
    ]
    assert (gate_setup.platform.reviews.count_waiting_items(), len(flood_cases)) == (1, 21)
    assert release_case(first, gate_setup.platform).also == ()
    states = {gate_setup.platform.reviews.review(case).state for case in flood_cases}
    assert states == {ReviewState.WAITING}
    next_waiting = gate_setup.platform.reviews.next_waiting_upload()
    assert next_waiting is not None
    assert set(confirm_case(next_waiting.case, gate_setup.platform).also) | {
        next_waiting.case
    } == set(flood_cases)
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.CONFIRMED


@pytest.mark.threat("released-first")
def test_releasing_similar_versions_does_not_suspend_a_claim(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    claim = gate_setup.protect(her_picture).claim
    side = int((0.02 * her_picture.shape[0] * her_picture.shape[1]) ** 0.5)
    original, held_count = fingerprint(picture(her_picture)), 0
    for y, x in itertools.product((0.1, 0.25, 0.4, 0.55, 0.7), repeat=2):
        edited = her_picture.copy()
        top, left = int(y * her_picture.shape[0]), int(x * her_picture.shape[1])
        edited[top : top + side, left : left + side] = 0
        if not 8 < distance(fingerprint(picture(edited)), original) <= 31:
            continue
        decision = judge_upload(png(edited), gate_setup.platform)
        if decision.outcome is Outcome.HOLD:
            held_count += 1
            release_case(decision.case, gate_setup.platform)
    assert held_count >= 3
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.WAITING
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.HOLD


def test_look_back_finds_an_upload_with_a_newly_registered_sound(gate_setup: GateSetup) -> None:
    talk = voice(14.0, seed=3)
    case = judge_upload(
        coded(talk, 16_000, "aac", "ipod", 48_000), gate_setup.platform, "post 1"
    ).case
    claim = register(gate_setup, make_sound_fingerprint(talk, 16_000))
    assert look_back_for_due_claims(gate_setup.platform) == 1
    (found,) = gate_setup.platform.reviews.published_to_review_or_remove("", 9)
    assert (found.case, found.found) == (case, FoundBy.LOOK_BACK)
    confirm_case(case, gate_setup.platform)
    assert gate_setup.platform.bank.claim(claim.id).state is ClaimState.CONFIRMED


@pytest.mark.threat("released-first")
def test_release_after_an_appeal_needs_all_claims_shown(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    """The look-back for the second claim does not find the refused upload, because the gate keeps
    no perceptual hash of refused uploads.
    """
    first = register(gate_setup, picture_print(her_picture))
    confirm_case(judge_upload(jpeg(her_picture), gate_setup.platform).case, gate_setup.platform)
    upload = jpeg(her_picture, 60)
    refused = judge_upload(upload, gate_setup.platform)
    assert refused.secret is not None
    gate_setup.clock.advance(hours=1)
    second = gate_setup.protect(her_picture)
    look_back_for_due_claims(gate_setup.platform)
    withdraw_claim(first.id, HOLDER_TOKEN, gate_setup.platform)
    submit_appeal(refused.case, refused.secret, upload, gate_setup.platform)
    with pytest.raises(UnshownMatches, match="look at it again"):
        release_case(refused.case, gate_setup.platform)
    review = gate_setup.platform.reviews.review(refused.case)
    assert review.state is ReviewState.WAITING
    assert [match.claim for match in review.decision.matches] == [first.id, second.claim]
    release_case(refused.case, gate_setup.platform)  # the review now names both claims


@pytest.mark.threat("released-first")
def test_release_is_refused_until_a_claim_without_a_look_back_is_shown(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture)
    case = judge_upload(jpeg(her_picture[:, ::-1]), gate_setup.platform).case
    second = gate_setup.protect(her_picture).claim
    with pytest.raises(UnshownMatches):
        release_case(case, gate_setup.platform)
    matches = gate_setup.platform.reviews.review(case).decision.matches
    assert [match.claim for match in matches][1:] == [second]
    release_case(case, gate_setup.platform)


@pytest.mark.threat("released-first")
@pytest.mark.parametrize("confirmers", [1, 2])
def test_decision_is_refused_until_later_claims_are_shown(
    her_picture: Any, confirmers: int
) -> None:
    gate_setup = GateSetup(limits=GateLimits(confirmers=confirmers))
    first = gate_setup.protect(her_picture).claim
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    second = gate_setup.protect(her_picture).claim
    look_back_for_due_claims(gate_setup.platform)
    for decide in (confirm_case, release_case):
        with pytest.raises(UnshownMatches):
            decide(case, gate_setup.platform, "ana", {first})
    review = gate_setup.platform.reviews.review(case)
    assert (review.state, review.first_confirmer) == (ReviewState.WAITING, "")
    done = release_case(case, gate_setup.platform, "ana", {first, second})
    assert done.state is ReviewState.RELEASED


def test_waiting_upload_gets_later_claims_even_if_no_uploads_are_kept(her_picture: Any) -> None:
    gate_setup = GateSetup(limits=GateLimits(look_back_days=0))
    first = gate_setup.protect(her_picture)
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    second = gate_setup.protect(her_picture).claim
    look_back_for_due_claims(gate_setup.platform)
    matches = gate_setup.platform.reviews.review(case).decision.matches
    assert [match.claim for match in matches] == [first.claim, second]


@pytest.mark.threat("insider-decides")
def test_first_confirmation_does_not_cover_later_claims(her_picture: Any) -> None:
    gate_setup = GateSetup(limits=GateLimits(confirmers=2))
    gate_setup.protect(her_picture)
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    assert confirm_case(case, gate_setup.platform, "ada").first_confirmer == "ada"
    second = gate_setup.protect(her_picture).claim
    look_back_for_due_claims(gate_setup.platform)
    assert gate_setup.platform.reviews.review(case).first_confirmer == ""
    assert confirm_case(case, gate_setup.platform, "bob").first_confirmer == "bob"
    confirm_case(case, gate_setup.platform, "ada")
    assert gate_setup.platform.bank.claim(second).state is ClaimState.CONFIRMED


def test_later_confirmation_overrules_a_release_of_the_same_upload(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture, parts=False)
    confirm_case(judge_upload(jpeg(her_picture), gate_setup.platform).case, gate_setup.platform)
    edited = png(blur_square(her_picture))
    refused = judge_upload(edited, gate_setup.platform)
    assert refused.secret is not None
    submit_appeal(refused.case, refused.secret, edited, gate_setup.platform)
    release_case(refused.case, gate_setup.platform)
    assert judge_upload(edited, gate_setup.platform).outcome is Outcome.LET_THROUGH
    gate_setup.clock.advance(minutes=1)
    # Because of this new claim, the upload is held again.
    gate_setup.protect(her_picture, parts=False)
    confirm_case(judge_upload(edited, gate_setup.platform).case, gate_setup.platform)
    assert judge_upload(edited, gate_setup.platform).outcome is Outcome.REFUSE


def test_released_sound_is_not_held_for_an_unrelated_new_sound(
    gate_setup: GateSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unrelated sound is registered while the released file is judged again."""
    talk, upload = voice(14.0, seed=3), coded(voice(14.0, seed=3), 16_000, "aac", "ipod", 48_000)
    register(gate_setup, make_sound_fingerprint(talk, 16_000))
    release_case(judge_upload(upload, gate_setup.platform).case, gate_setup.platform)
    record = type(gate_setup.platform.reviews).record_upload

    def register_and_record(queue: Any, review: Any, untrusted_data: Any) -> None:
        record(queue, review, untrusted_data)
        register(gate_setup, make_sound_fingerprint(voice(14.0, seed=8), 16_000), Secret(b"y" * 32))

    monkeypatch.setattr(type(gate_setup.platform.reviews), "record_upload", register_and_record)
    decision = judge_upload(upload, gate_setup.platform)
    assert decision.outcome is Outcome.LET_THROUGH
    assert gate_setup.platform.reviews.review(decision.case).state is ReviewState.CLOSED


def test_reference_is_deleted_once_it_is_not_needed(her_picture: Any) -> None:
    gate_setup = GateSetup(limits=GateLimits(look_back_days=0))
    case = judge_upload(jpeg(her_picture), gate_setup.platform, "post 17").case
    # The gate keeps the reference until the deferred scan.
    assert gate_setup.platform.reviews.review(case).reference == "post 17"
    run_next_deferred_scan(gate_setup.platform)
    assert gate_setup.platform.reviews.review(case).reference == ""
    without = GateSetup(limits=GateLimits(look_back_days=0, slow_looks=0))
    case = judge_upload(jpeg(her_picture), without.platform, "post 17").case
    assert without.platform.reviews.review(case).reference == ""


def test_upload_that_no_longer_decodes_can_be_released(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture)
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    confirm_case(case, gate_setup.platform)
    upload = jpeg(her_picture, 60)
    refused = judge_upload(upload, gate_setup.platform)
    assert refused.secret is not None
    submit_appeal(refused.case, refused.secret, upload, gate_setup.platform)

    def fail_to_decode(_untrusted: bytes) -> Any:
        raise NotAPicture

    released = release_case(refused.case, replace(gate_setup.platform, read_picture=fail_to_decode))
    assert released.state is ReviewState.RELEASED
    assert gate_setup.platform.reviews.review(refused.case).state is ReviewState.RELEASED


def test_withdrawal_deletes_hashes_that_a_reviewer_added(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    protection = gate_setup.protect(her_picture)
    confirm_case(
        judge_upload(jpeg(her_picture[40:-40, 40:-40]), gate_setup.platform).case,
        gate_setup.platform,
    )
    assert set(gate_setup.platform.bank.hashes_added_to([protection.claim])) == {protection.claim}
    withdraw_protection(protection, gate_setup.gate, gate_setup.device)
    assert gate_setup.platform.bank.hashes_added_to([protection.claim]) == {}
    assert gate_setup.platform.bank.count_claims_and_hashes().hashes == 0


def edited_versions(pixels: Any) -> Iterator[tuple[int, Any]]:
    """Yield pairs of a distance from the original and an edited copy. In the copy, a square is
    blurred or black.
    """
    original = fingerprint(picture(pixels))
    for y, x, blurred_share, black in itertools.product(
        (0.1, 0.25, 0.4, 0.55, 0.7), (0.1, 0.25, 0.4, 0.55, 0.7), (0.02, 0.05), (True, False)
    ):
        version = pixels.copy()
        side = int((blurred_share * pixels.shape[0] * pixels.shape[1]) ** 0.5)
        top, left = int(y * pixels.shape[0]), int(x * pixels.shape[1])
        square = version[top : top + side, left : left + side]
        square[:] = 0 if black else cv2.GaussianBlur(square, (0, 0), 25)
        yield distance(fingerprint(picture(version)), original), version


def hash_distance(first: Any, second: Any) -> int:
    return distance(fingerprint(picture(first)), fingerprint(picture(second)))


@pytest.mark.threat("released-first")
def test_confirming_a_distant_version_does_not_refuse_a_nearer_version(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    far = next(version for bits, version in edited_versions(her_picture) if 18 <= bits <= 28)
    near = next(
        version
        for bits, version in edited_versions(her_picture)
        if 6 <= bits <= 14 and hash_distance(version, far) <= 31
    )
    gate_setup.protect(her_picture, parts=False)
    confirm_case(judge_upload(png(far), gate_setup.platform).case, gate_setup.platform)
    held = judge_upload(png(near), gate_setup.platform)
    assert held.outcome is Outcome.HOLD  # ``near`` is nearer to the original than ``far``
    release_case(held.case, gate_setup.platform)
    assert judge_upload(png(near), gate_setup.platform).outcome is Outcome.LET_THROUGH
    assert judge_upload(png(far), gate_setup.platform).outcome is Outcome.REFUSE
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.HOLD


@pytest.mark.threat("claim-censors")
def test_confirming_an_edited_famous_picture_does_not_refuse_the_original(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    edited = her_picture.copy()
    edited[20:80, 20:80] = cv2.resize(other_picture, (60, 60))
    assert 8 < hash_distance(edited, her_picture) <= 31
    claim = gate_setup.protect(her_picture, parts=False).claim
    confirm_case(judge_upload(jpeg(edited), gate_setup.platform).case, gate_setup.platform)
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.WAITING
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.HOLD
    assert judge_upload(jpeg(edited, 80), gate_setup.platform).outcome is Outcome.REFUSE


@pytest.mark.threat("claim-censors")
def test_collage_is_held_again_after_each_confirmation(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    gate_setup.protect(other_picture, parts=False)
    upload = jpeg(make_collage(her_picture, other_picture))
    case = judge_upload(upload, gate_setup.platform).case
    assert run_next_deferred_scan(gate_setup.platform)
    for _ in range(3):
        confirm_case(case, gate_setup.platform)
        held = judge_upload(upload, gate_setup.platform)
        assert held.outcome is Outcome.HOLD
        case = held.case


@pytest.mark.threat("claim-censors")
def test_confirming_a_waiting_upload_does_not_revive_a_suspended_claim(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    claim = gate_setup.protect(her_picture, parts=False).claim
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    suspend_claim(claim, gate_setup.platform)
    confirm_case(case, gate_setup.platform)
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.SUSPENDED
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.LET_THROUGH


@pytest.mark.threat("released-first")
def test_one_upload_disputes_a_claim_only_once(gate_setup: GateSetup, her_picture: Any) -> None:
    """The picture is registered three more times, and the upload is reviewed each time."""
    first = gate_setup.protect(her_picture, parts=False).claim
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    look_back_for_due_claims(gate_setup.platform)
    release_case(case, gate_setup.platform)
    for _ in range(3):
        gate_setup.clock.advance(minutes=5)
        other = gate_setup.protect(her_picture, parts=False).claim
        look_back_for_due_claims(gate_setup.platform)
        matches = gate_setup.platform.reviews.review(case).decision.matches
        assert [match.claim for match in matches] == [other]
        release_case(case, gate_setup.platform)
    held = gate_setup.platform.bank.claim(first)
    assert (held.disputes, held.state) == (1, ClaimState.WAITING)


def test_look_back_holds_a_released_cut_out_that_is_confirmed_later(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture)
    cut = her_picture[40:-40, 40:-40]
    first = judge_upload(jpeg(cut), gate_setup.platform)
    release_case(first.case, gate_setup.platform)
    look_back_for_due_claims(gate_setup.platform)
    gate_setup.clock.advance(minutes=1)
    gate_setup.protect(her_picture)  # because of this new claim, the upload is held again
    look_back_for_due_claims(gate_setup.platform)
    confirm_case(judge_upload(jpeg(cut, 80), gate_setup.platform).case, gate_setup.platform)
    assert judge_upload(jpeg(cut), gate_setup.platform).outcome is Outcome.REFUSE
    look_back_for_due_claims(gate_setup.platform)
    assert gate_setup.platform.reviews.review(first.case).state is ReviewState.WAITING


def test_look_back_skips_a_waiting_upload_that_names_the_claim(
    gate_setup: GateSetup, her_picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = gate_setup.protect(her_picture, parts=False).claim
    judge_upload(jpeg(her_picture), gate_setup.platform)
    held_again = []
    monkeypatch.setattr(
        type(gate_setup.platform.reviews), "hold_retroactively", lambda *one: held_again.append(one)
    )
    look_back([claim], gate_setup.platform)
    assert held_again == []
