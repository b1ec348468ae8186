"""The holder's token withdraws a claim at once; another token does not."""

from typing import Any

import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.base.secret import Secret
from entrenous.stop.protect import withdraw_protection
from entrenous.stop.register import withdraw_claim
from entrenous.stop.registration import ClaimState, NoSuchClaim, NotTheHolder
from entrenous.stop.upload_record import Outcome
from tests.stop.platform_for_tests import Room, jpeg, judge_upload


@pytest.mark.slow
@pytest.mark.threat("withdrawal-ignored")
def test_withdrawal_lets_the_next_upload_pass_and_deletes_hashes(
    room: Room, her_picture: Any
) -> None:
    protection = room.protect(her_picture)
    assert judge_upload(jpeg(her_picture), room.platform).outcome is Outcome.HOLD
    assert withdraw_protection(protection, room.gate, room.device).state is ClaimState.WITHDRAWN
    assert judge_upload(jpeg(her_picture), room.platform).outcome is Outcome.LET_THROUGH
    assert room.platform.bank.count_claims_and_hashes().hashes == 0


@pytest.mark.slow
def test_withdrawing_again_changes_nothing(room: Room, her_picture: Any) -> None:
    protection = withdraw_protection(room.protect(her_picture), room.gate, room.device)
    assert withdraw_protection(protection, room.gate, room.device) == protection


@pytest.mark.slow
def test_one_persons_withdrawal_leaves_the_others_claim(room: Room, her_picture: Any) -> None:
    first, second = room.protect(her_picture), room.protect(her_picture)
    withdraw_protection(first, room.gate, room.device)
    (match,) = judge_upload(jpeg(her_picture), room.platform).matches
    assert match.claim == second.claim


@pytest.mark.slow
def test_registration_after_a_withdrawal_matches(room: Room, her_picture: Any) -> None:
    withdraw_protection(room.protect(her_picture), room.gate, room.device)
    again = room.protect(her_picture)
    (match,) = judge_upload(jpeg(her_picture), room.platform).matches
    assert match.claim == again.claim


@pytest.mark.slow
def test_somebody_elses_token_is_refused(room: Room, her_picture: Any) -> None:
    protection = room.protect(her_picture)
    for wrong in (Secret(b""), Secret(bytes(32)), Secret(protection.token.reveal()[:31])):
        with pytest.raises(NotTheHolder):
            withdraw_claim(protection.claim, wrong, room.platform)
    assert judge_upload(jpeg(her_picture), room.platform).outcome is Outcome.HOLD


def test_withdrawing_an_unknown_claim_raises(room: Room) -> None:
    with pytest.raises(NoSuchClaim):
        withdraw_claim(ClaimId("0" * 32), Secret(bytes(32)), room.platform)
