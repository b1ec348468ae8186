"""Withdrawing claims: effects on uploads and other claims, repetition, and wrong tokens."""

from typing import Any

import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.base.secret import Secret
from entrenous.stop.protect import withdraw_protection
from entrenous.stop.register import withdraw_claim
from entrenous.stop.registration import ClaimState, NoSuchClaim, NotTheHolder
from entrenous.stop.upload_record import Outcome
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload


@pytest.mark.slow
@pytest.mark.threat("withdrawal-ignored")
def test_withdrawal_lets_the_next_upload_pass_and_deletes_hashes(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    protection = gate_setup.protect(her_picture)
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.HOLD
    assert (
        withdraw_protection(protection, gate_setup.gate, gate_setup.device).state
        is ClaimState.WITHDRAWN
    )
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.LET_THROUGH
    assert gate_setup.platform.bank.count_claims_and_hashes().hashes == 0


@pytest.mark.slow
def test_withdrawing_again_changes_nothing(gate_setup: GateSetup, her_picture: Any) -> None:
    protection = withdraw_protection(
        gate_setup.protect(her_picture), gate_setup.gate, gate_setup.device
    )
    assert withdraw_protection(protection, gate_setup.gate, gate_setup.device) == protection


@pytest.mark.slow
def test_withdrawing_one_claim_leaves_another_person_s_claim(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    first, second = gate_setup.protect(her_picture), gate_setup.protect(her_picture)
    withdraw_protection(first, gate_setup.gate, gate_setup.device)
    (match,) = judge_upload(jpeg(her_picture), gate_setup.platform).matches
    assert match.claim == second.claim


@pytest.mark.slow
def test_picture_registered_again_after_a_withdrawal_matches(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    withdraw_protection(gate_setup.protect(her_picture), gate_setup.gate, gate_setup.device)
    again = gate_setup.protect(her_picture)
    (match,) = judge_upload(jpeg(her_picture), gate_setup.platform).matches
    assert match.claim == again.claim


@pytest.mark.slow
def test_withdrawal_with_a_wrong_token_is_refused(gate_setup: GateSetup, her_picture: Any) -> None:
    protection = gate_setup.protect(her_picture)
    for wrong in (Secret(b""), Secret(bytes(32)), Secret(protection.token.reveal()[:31])):
        with pytest.raises(NotTheHolder):
            withdraw_claim(protection.claim, wrong, gate_setup.platform)
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.HOLD


def test_withdrawing_an_unknown_claim_raises(gate_setup: GateSetup) -> None:
    with pytest.raises(NoSuchClaim):
        withdraw_claim(ClaimId("0" * 32), Secret(bytes(32)), gate_setup.platform)
