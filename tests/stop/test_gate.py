"""What is let through, held and refused: real photographs, real edits, the real index."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from entrenous.model.bank import PEOPLE, Bank
from entrenous.model.claim import ClaimEvent
from entrenous.model.decision import Outcome
from entrenous.model.picture import NotAPicture
from entrenous.stop.gate import judge_upload
from tests.stop.room import Room, jpeg, png, screenshot_crop

EDITS: dict[str, Callable[[Any], bytes]] = {
    "as it is": lambda pixels: jpeg(pixels, 30),
    "mirror": lambda pixels: jpeg(np.fliplr(pixels)),
    "turned 90": lambda pixels: jpeg(np.rot90(pixels)),
    "colours inverted": lambda pixels: png(255 - pixels),
    "border removed": lambda pixels: jpeg(_bordered(pixels, 40)),
    "mirror, border removed": lambda pixels: jpeg(_bordered(np.fliplr(pixels), 25)),
}


def _bordered(pixels: Any, width: int) -> Any:
    sides = (width, width, width, width)
    return cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_CONSTANT, value=(0, 0, 0))


@pytest.mark.threat("claim-censors")
@pytest.mark.parametrize("how", EDITS)
def test_an_edited_upload_is_held_and_says_how(room: Room, hers: Any, how: str) -> None:
    claim = room.protect(hers, parts=False).claim
    decision = judge_upload(EDITS[how](hers), room.platform)
    assert decision.outcome is Outcome.HOLD
    (match,) = decision.matches
    assert (match.bank, match.claim, match.how, match.part) == (PEOPLE, claim, how, False)
    assert match.distance <= 31


def test_a_cut_out_is_held_when_she_agreed_to_send_windows(room: Room, hers: Any) -> None:
    upload = screenshot_crop(hers)
    room.protect(hers, parts=False)
    assert judge_upload(upload, room.platform).outcome is Outcome.LET_THROUGH
    room.protect(hers, parts=True)
    decision = judge_upload(upload, room.platform)
    assert decision.outcome is Outcome.HOLD
    assert [(match.how, match.part) for match in decision.matches] == [("cut-out", True)]


def test_an_unrelated_photograph_passes(room: Room, hers: Any, another: Any) -> None:
    room.protect(hers)
    decision = judge_upload(jpeg(another), room.platform)
    assert (decision.outcome, decision.matches) == (Outcome.LET_THROUGH, ())
    assert room.platform.reviews.waiting() == 0


def test_a_confirmed_claim_refuses_the_whole_and_holds_the_part(room: Room, hers: Any) -> None:
    claim = room.protect(hers).claim
    room.platform.bank.move(claim, ClaimEvent.CONFIRM)
    assert judge_upload(jpeg(hers), room.platform).outcome is Outcome.REFUSE
    assert judge_upload(screenshot_crop(hers), room.platform).outcome is Outcome.HOLD


def test_a_banks_radius_is_its_own(room: Room, hers: Any) -> None:
    room.protect(hers, parts=False)
    upload = jpeg(cv2.GaussianBlur(hers, (0, 0), 3), 20)
    (match,) = judge_upload(upload, room.platform).matches
    assert match.distance > 0
    room.platform.bank.set_bank(replace(Bank(PEOPLE), radius=match.distance - 1))
    assert judge_upload(upload, room.platform).outcome is Outcome.LET_THROUGH


def test_two_claims_on_one_picture_are_two_matches(room: Room, hers: Any) -> None:
    claims = {room.protect(hers).claim, room.protect(hers).claim}
    matches = judge_upload(jpeg(hers), room.platform).matches
    assert {match.claim for match in matches} == claims


def test_an_upload_that_cannot_be_read_is_held_not_published(room: Room, hers: Any) -> None:
    decision = judge_upload(jpeg(hers)[:9000], room.platform)
    assert (decision.outcome, decision.matches) == (Outcome.HOLD, ())
    assert room.platform.reviews.upload(decision.case) == jpeg(hers)[:9000]


def test_what_is_no_picture_is_refused_as_such(room: Room) -> None:
    with pytest.raises(NotAPicture):
        judge_upload(b"MZ this is a program", room.platform)


def test_a_flat_upload_is_an_answer(room: Room, hers: Any) -> None:
    room.protect(hers)
    fog = np.full((300, 400, 3), 120, dtype=np.uint8)
    assert judge_upload(png(fog), room.platform).outcome is Outcome.LET_THROUGH


def test_every_upload_has_a_case_number_of_its_own(room: Room, another: Any) -> None:
    cases = {judge_upload(jpeg(another), room.platform).case for _ in range(3)}
    assert len(cases) == 3
