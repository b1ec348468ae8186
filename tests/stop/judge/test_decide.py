"""Tests of decisions about uploads of photographs: let through, hold or refuse."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import pytest

from entrenous.base.picture import NotAPicture, Picture
from entrenous.fingerprint.nouns import NearHash
from entrenous.media.picture_reader import read_picture
from entrenous.stop.judge.decide import needs_upload_bytes
from entrenous.stop.judge.deferred_scan import run_next_deferred_scan
from entrenous.stop.nouns import PEOPLE_BANK, Bank, GateLimits
from entrenous.stop.platform import IndexStore
from entrenous.stop.registration import ClaimEvent
from entrenous.stop.review import confirm_case
from entrenous.stop.upload_record import Decision, FoundBy, Outcome
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload, png, screenshot_crop

EDITS: dict[str, Callable[[Any], bytes]] = {
    "as it is": lambda pixels: jpeg(pixels, 30),
    "mirror": lambda pixels: jpeg(np.fliplr(pixels)),
    "turned 90": lambda pixels: jpeg(np.rot90(pixels)),
    "colours inverted": lambda pixels: png(255 - pixels),
    "border removed": lambda pixels: jpeg(_add_border(pixels, 40)),
    "mirror, border removed": lambda pixels: jpeg(_add_border(np.fliplr(pixels), 25)),
}


def _add_border(pixels: Any, width: int) -> Any:
    sides = (width, width, width, width)
    return cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_CONSTANT, value=(0, 0, 0))


@pytest.mark.threat("claim-censors")
@pytest.mark.parametrize("how", EDITS)
def test_an_edited_upload_is_held_and_the_match_names_the_edit(
    gate_setup: GateSetup, her_picture: Any, how: str
) -> None:
    claim = gate_setup.protect(her_picture, parts=False).claim
    decision = judge_upload(EDITS[how](her_picture), gate_setup.platform)
    assert decision.outcome is Outcome.HOLD
    (match,) = decision.matches
    assert (match.bank, match.claim, match.how, match.part) == (PEOPLE_BANK, claim, how, False)
    assert match.distance <= 31


@pytest.mark.slow
def test_cut_out_is_held_only_if_parts_were_registered(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    upload = screenshot_crop(her_picture)
    gate_setup.protect(her_picture, parts=False)
    assert judge_upload(upload, gate_setup.platform).outcome is Outcome.LET_THROUGH
    gate_setup.protect(her_picture, parts=True)
    decision = judge_upload(upload, gate_setup.platform)
    assert decision.outcome is Outcome.HOLD
    assert [(match.how, match.part) for match in decision.matches] == [("cut-out", True)]


def are_parts_scanned(gate_setup: GateSetup, upload: bytes, **limits: int) -> bool:
    """Judge an upload and return whether its parts were scanned before the answer."""
    index = RecordingIndex(gate_setup.platform.index)
    limited = replace(gate_setup.platform.limits, **limits)
    judge_upload(upload, replace(gate_setup.platform, index=index, limits=limited))
    return True in index.searched_parts


@dataclass(frozen=True, slots=True)
class RecordingIndex:
    """An index that records for each look-up whether parts were searched."""

    index: IndexStore
    searched_parts: list[bool] = field(default_factory=list)

    def find_near_hashes(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[NearHash]:
        self.searched_parts.append(part)
        return self.index.find_near_hashes(hashes, part=part)

    def part_hash_count(self) -> int:
        return self.index.part_hash_count()


@pytest.mark.slow
@pytest.mark.threat("probing-registered")
def test_whether_parts_are_scanned_depends_on_the_bank_and_limits_alone(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    uploads = (jpeg(her_picture), jpeg(other_picture), screenshot_crop(her_picture))
    gate_setup.protect(her_picture, parts=False)
    assert not any(are_parts_scanned(gate_setup, one) for one in uploads)
    gate_setup.protect(her_picture, parts=True)
    assert all(are_parts_scanned(gate_setup, one) for one in uploads)
    count = gate_setup.platform.index.part_hash_count()
    for limits, expected in (
        ({"second_look_hashes": count}, True),
        ({"second_look_hashes": count - 1}, False),
        ({"second_look_hashes": count - 1, "slow_looks": 0}, True),
    ):
        scanned = [are_parts_scanned(gate_setup, one, **limits) for one in uploads]
        assert scanned == [expected] * 3


@pytest.mark.slow
def test_deferred_scan_finds_a_cut_out_if_the_bank_has_too_many_parts(her_picture: Any) -> None:
    gate_setup = GateSetup(limits=GateLimits(second_look_hashes=1))
    gate_setup.protect(her_picture, parts=True)
    decision = judge_upload(screenshot_crop(her_picture), gate_setup.platform)
    assert decision.outcome is Outcome.LET_THROUGH
    assert run_next_deferred_scan(gate_setup.platform)
    (review,) = gate_setup.platform.reviews.published_to_review_or_remove("", 9)
    assert (review.case, review.found) == (decision.case, FoundBy.SLOW_LOOK)


@pytest.mark.slow
def test_unrelated_photograph_is_let_through(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    gate_setup.protect(her_picture)
    decision = judge_upload(jpeg(other_picture), gate_setup.platform)
    assert (decision.outcome, decision.matches) == (Outcome.LET_THROUGH, ())
    assert gate_setup.platform.reviews.count_waiting_items() == 0


@pytest.mark.slow
def test_confirmed_claim_refuses_a_whole_picture_and_holds_a_part(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    claim = gate_setup.protect(her_picture).claim
    gate_setup.platform.bank.apply_event(claim, ClaimEvent.CONFIRM)
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.REFUSE
    assert judge_upload(screenshot_crop(her_picture), gate_setup.platform).outcome is Outcome.HOLD


def test_each_bank_has_its_own_radius(gate_setup: GateSetup, her_picture: Any) -> None:
    gate_setup.protect(her_picture, parts=False)
    upload = jpeg(cv2.GaussianBlur(her_picture, (0, 0), 3), 20)
    (match,) = judge_upload(upload, gate_setup.platform).matches
    assert match.distance > 0
    gate_setup.platform.bank.set_bank(replace(Bank(PEOPLE_BANK), radius=match.distance - 1))
    assert judge_upload(upload, gate_setup.platform).outcome is Outcome.LET_THROUGH


@pytest.mark.slow
def test_two_claims_on_one_picture_give_two_matches(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    claims = {gate_setup.protect(her_picture).claim, gate_setup.protect(her_picture).claim}
    matches = judge_upload(jpeg(her_picture), gate_setup.platform).matches
    assert {match.claim for match in matches} == claims


def test_unreadable_upload_is_held(gate_setup: GateSetup, her_picture: Any) -> None:
    decision = judge_upload(jpeg(her_picture)[:9000], gate_setup.platform)
    assert (decision.outcome, decision.matches) == (Outcome.HOLD, ())
    assert gate_setup.platform.reviews.upload_bytes(decision.case) == jpeg(her_picture)[:9000]


def test_file_that_is_not_a_picture_raises(gate_setup: GateSetup) -> None:
    with pytest.raises(NotAPicture):
        judge_upload(b"MZ this is a program", gate_setup.platform)


@pytest.mark.slow
def test_flat_upload_is_let_through(gate_setup: GateSetup, her_picture: Any) -> None:
    gate_setup.protect(her_picture)
    fog = np.full((300, 400, 3), 120, dtype=np.uint8)
    assert judge_upload(png(fog), gate_setup.platform).outcome is Outcome.LET_THROUGH


def test_each_upload_gets_its_own_case_number(gate_setup: GateSetup, other_picture: Any) -> None:
    cases = {judge_upload(jpeg(other_picture), gate_setup.platform).case for _ in range(3)}
    assert len(cases) == 3


@pytest.mark.slow
def test_luma_only_decoding_finds_a_near_match(gate_setup: GateSetup, her_picture: Any) -> None:
    gate_setup.protect(her_picture)
    seen: list[bytes] = []

    def read_luma(untrusted_data: bytes, at_least_px: int) -> Picture:
        seen.append(untrusted_data)
        return read_picture(untrusted_data, at_least_px=at_least_px, luma=True)

    quicker = replace(gate_setup.platform, read_luma=read_luma)
    upload = jpeg(her_picture)
    decision = judge_upload(upload, quicker)
    assert set(seen) == {upload}
    assert (decision.outcome, decision.matches[0].distance <= 4) == (Outcome.HOLD, True)


def test_refused_upload_is_stored_with_the_platform_s_reference(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture)
    confirm_case(judge_upload(jpeg(her_picture), gate_setup.platform).case, gate_setup.platform)
    refused = judge_upload(jpeg(her_picture), gate_setup.platform, "post 9")
    assert refused.outcome is Outcome.REFUSE
    assert gate_setup.platform.reviews.review(refused.case).reference == "post 9"


@pytest.mark.parametrize("look_back_days", [0, 1])
def test_hashes_of_an_accepted_upload_are_stored_for_look_backs_only(
    her_picture: Any, look_back_days: int
) -> None:
    gate_setup = GateSetup(limits=GateLimits(look_back_days=look_back_days))
    accepted = judge_upload(jpeg(her_picture), gate_setup.platform)
    assert accepted.outcome is Outcome.LET_THROUGH
    assert (gate_setup.platform.reviews.review(accepted.case).bits is None) == (look_back_days == 0)


@pytest.mark.parametrize(
    ("outcome", "listed", "deferred_scans", "needed"),
    [
        (Outcome.HOLD, False, 0, True),
        (Outcome.REFUSE, False, 200, False),
        (Outcome.REFUSE, True, 0, True),
        (Outcome.LET_THROUGH, False, 200, True),
        (Outcome.LET_THROUGH, False, 0, False),
    ],
)
def test_bytes_are_stored_only_for_a_reviewer_or_the_deferred_scan(
    gate_setup: GateSetup, outcome: Outcome, deferred_scans: int, *, listed: bool, needed: bool
) -> None:
    limits = replace(gate_setup.platform.limits, slow_looks=deferred_scans)
    platform = replace(gate_setup.platform, limits=limits)
    assert needs_upload_bytes(Decision(outcome, "case", listed=listed), platform) is needed
