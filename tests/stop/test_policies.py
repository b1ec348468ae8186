"""Policies of banks. The outcome of a bank in shadow mode is only recorded."""

from dataclasses import replace
from typing import Any

import pytest

from entrenous.base.identifiers import BankName
from entrenous.fingerprint.pdq import fingerprint
from entrenous.stop.banks import PolicyChange, import_hashes, set_policy
from entrenous.stop.nouns import PEOPLE_BANK, RELEASED_BANK, BadPolicy, Bank, NoSuchBank
from entrenous.stop.registration import ClaimEvent, ClaimState
from entrenous.stop.review import confirm_case, release_case
from entrenous.stop.upload_record import Outcome
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload, picture

SHADOW_ON = PolicyChange(shadow=True)


def test_unset_fields_of_a_policy_stay(gate_setup: GateSetup) -> None:
    set_policy(PEOPLE_BANK, PolicyChange(radius=20), gate_setup.platform)
    after = set_policy(PEOPLE_BANK, PolicyChange(on_confirmed=Outcome.HOLD), gate_setup.platform)
    assert after == Bank(PEOPLE_BANK, 20, Outcome.HOLD, Outcome.HOLD)
    assert gate_setup.platform.bank.bank(PEOPLE_BANK) == after


@pytest.mark.threat("claim-censors")
@pytest.mark.parametrize(
    ("bank", "change"),
    [
        (PEOPLE_BANK, PolicyChange(radius=32)),
        (PEOPLE_BANK, PolicyChange(radius=-1)),
        (PEOPLE_BANK, PolicyChange(on_claimed=Outcome.REFUSE)),
        (RELEASED_BANK, PolicyChange(on_confirmed=Outcome.REFUSE)),
        (RELEASED_BANK, SHADOW_ON),
    ],
)
def test_forbidden_policies_are_refused(
    gate_setup: GateSetup, bank: BankName, change: PolicyChange
) -> None:
    before = gate_setup.platform.bank.banks()
    with pytest.raises(BadPolicy):
        set_policy(bank, change, gate_setup.platform)
    assert gate_setup.platform.bank.banks() == before


def test_policy_of_a_missing_bank_is_refused(gate_setup: GateSetup) -> None:
    with pytest.raises(NoSuchBank):
        set_policy(BankName("x"), SHADOW_ON, gate_setup.platform)


def test_shadow_bank_records_its_outcome_without_effect(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    claim = gate_setup.protect(her_picture, parts=False).claim
    gate_setup.platform.bank.apply_event(claim, ClaimEvent.CONFIRM)
    set_policy(PEOPLE_BANK, SHADOW_ON, gate_setup.platform)
    decision = judge_upload(jpeg(her_picture), gate_setup.platform)
    assert (decision.outcome, decision.would) == (Outcome.LET_THROUGH, Outcome.REFUSE)
    assert [match.claim for match in decision.matches] == [claim]
    assert gate_setup.platform.reviews.count_waiting_items() == 0
    kept = gate_setup.platform.reviews.review(decision.case).decision
    assert kept == replace(decision, secret=None)
    set_policy(PEOPLE_BANK, PolicyChange(shadow=False), gate_setup.platform)
    decision = judge_upload(jpeg(her_picture), gate_setup.platform)
    assert (decision.outcome, decision.would) == (Outcome.REFUSE, None)


def test_shadow_bank_does_not_affect_uploads_held_for_another_bank(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    """Releasing or confirming the upload does not count as a dispute of the shadow bank's claim."""
    trial = BankName("tried")
    listed = fingerprint(picture(her_picture)).hex
    import_hashes(listed, trial, gate_setup.platform, confirmed=True)
    set_policy(trial, SHADOW_ON, gate_setup.platform)
    would: Outcome | None = Outcome.REFUSE
    for decide, state in ((release_case, ClaimState.WAITING), (confirm_case, ClaimState.CONFIRMED)):
        gate_setup.clock.advance(minutes=1)
        # In the second round, the new claim is newer than the release in the first round.
        new_claim = gate_setup.protect(her_picture, parts=False).claim
        decision = judge_upload(jpeg(her_picture), gate_setup.platform)
        assert (decision.outcome, decision.would) == (Outcome.HOLD, would)
        would = None
        decide(decision.case, gate_setup.platform)
        shadowed = next(one.claim for one in decision.matches if one.bank == trial)
        assert gate_setup.platform.bank.claim(shadowed).disputes == 0
        assert gate_setup.platform.bank.claim(new_claim).state is state
