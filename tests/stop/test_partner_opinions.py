"""Signed opinions of partner platforms about claims; three opinions against a claim suspend it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from entrenous.base.identifiers import ClaimId
from entrenous.base.identity import BadSignature
from entrenous.stop.nouns import BankUnreachable
from entrenous.stop.partners import (
    OPINION_CONTEXT,
    accept_opinion,
    add_partner,
    remove_partner,
    signed_bytes_of_opinion,
)
from entrenous.stop.protect import withdraw_protection
from entrenous.stop.registration import (
    BadOpinion,
    BadPartner,
    ClaimEvent,
    ClaimState,
    NoSuchClaim,
    NoSuchPartner,
    Opinion,
    Stance,
)
from tests.new_bank import fail_statements
from tests.stop.platform_for_tests import GateSetup

PARTNER_KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(1, 6)]


@pytest.fixture
def claim(gate_setup: GateSetup, her_picture: Any) -> ClaimId:
    for number, key in enumerate(PARTNER_KEYS):
        add_partner(
            f"platform {number}", key.public_key().public_bytes_raw().hex(), gate_setup.platform
        )
    return gate_setup.protect(her_picture, parts=False).claim


def make_opinion(
    gate_setup: GateSetup, claim: ClaimId, stance: Stance, key: Ed25519PrivateKey
) -> Opinion:
    at = gate_setup.clock.now().replace(microsecond=0)
    return Opinion(claim, stance, at, key.public_key().public_bytes_raw())


def submit_opinion(
    gate_setup: GateSetup, claim: ClaimId, stance: Stance, partner_number: int
) -> ClaimState:
    gate_setup.clock.advance(minutes=1)
    statement = make_opinion(gate_setup, claim, stance, PARTNER_KEYS[partner_number])
    signature = PARTNER_KEYS[partner_number].sign(
        OPINION_CONTEXT + b"\x00" + signed_bytes_of_opinion(statement)
    )
    return accept_opinion(statement, signature, gate_setup.platform).state


@pytest.mark.threat("claim-censors")
def test_three_platforms_suspend_a_claim_and_each_key_counts_once(
    gate_setup: GateSetup, claim: ClaimId
) -> None:
    assert [submit_opinion(gate_setup, claim, Stance.DISPUTED, 0) for _ in range(4)] == [
        ClaimState.WAITING
    ] * 4
    assert submit_opinion(gate_setup, claim, Stance.NOT_INTIMATE, 1) is ClaimState.WAITING
    assert submit_opinion(gate_setup, claim, Stance.CONFIRMED, 3) is ClaimState.WAITING
    assert submit_opinion(gate_setup, claim, Stance.DISPUTED, 2) is ClaimState.SUSPENDED


def test_new_opinions_suspend_a_claim_that_a_reviewer_confirmed(
    gate_setup: GateSetup, claim: ClaimId
) -> None:
    gate_setup.platform.bank.apply_event(claim, ClaimEvent.CONFIRM)
    assert [submit_opinion(gate_setup, claim, Stance.NOT_INTIMATE, number) for number in range(3)][
        -1
    ] is ClaimState.SUSPENDED
    gate_setup.platform.bank.apply_event(claim, ClaimEvent.CONFIRM)
    # This partner already opposed the claim.
    assert submit_opinion(gate_setup, claim, Stance.DISPUTED, 1) is ClaimState.CONFIRMED
    assert submit_opinion(gate_setup, claim, Stance.DISPUTED, 4) is ClaimState.SUSPENDED


def test_opinion_changed_back_counts_as_new(gate_setup: GateSetup, claim: ClaimId) -> None:
    for number in (0, 1):
        submit_opinion(gate_setup, claim, Stance.DISPUTED, number)
    submit_opinion(gate_setup, claim, Stance.CONFIRMED, 0)
    assert submit_opinion(gate_setup, claim, Stance.DISPUTED, 2) is ClaimState.WAITING
    assert submit_opinion(gate_setup, claim, Stance.DISPUTED, 0) is ClaimState.SUSPENDED


def test_confirming_opinions_confirm_no_claim(gate_setup: GateSetup, claim: ClaimId) -> None:
    assert {submit_opinion(gate_setup, claim, Stance.CONFIRMED, number) for number in range(5)} == {
        ClaimState.WAITING
    }


@pytest.mark.usefixtures("claim")  # the fixture adds the partners
def test_opinions_do_not_change_a_withdrawn_claim(gate_setup: GateSetup, her_picture: Any) -> None:
    protection = gate_setup.protect(her_picture, parts=False)
    withdraw_protection(protection, gate_setup.gate, gate_setup.device)
    for number in range(4):
        assert (
            submit_opinion(gate_setup, protection.claim, Stance.DISPUTED, number)
            is ClaimState.WITHDRAWN
        )


def test_opinion_with_a_wrong_signature_is_refused(gate_setup: GateSetup, claim: ClaimId) -> None:
    statement = make_opinion(gate_setup, claim, Stance.DISPUTED, PARTNER_KEYS[0])
    signature = PARTNER_KEYS[0].sign(OPINION_CONTEXT + b"\x00" + signed_bytes_of_opinion(statement))
    for forged in (
        replace(statement, stance=Stance.NOT_INTIMATE),
        replace(statement, claim=ClaimId("0" * 32)),
        replace(statement, at=statement.at + timedelta(seconds=1)),
        replace(statement, key=PARTNER_KEYS[1].public_key().public_bytes_raw()),
    ):
        with pytest.raises(BadSignature):
            accept_opinion(forged, signature, gate_setup.platform)
    for invalid_signature in (
        b"",
        bytes(64),
        signature[:63],
        PARTNER_KEYS[0].sign(signed_bytes_of_opinion(statement)),
    ):
        with pytest.raises(BadSignature):
            accept_opinion(statement, invalid_signature, gate_setup.platform)
    assert gate_setup.platform.bank.opinions(claim) == ()


def test_opinions_by_strangers_from_the_future_or_about_unknown_claims_are_refused(
    gate_setup: GateSetup, claim: ClaimId
) -> None:
    stranger = Ed25519PrivateKey.generate()
    statement = make_opinion(gate_setup, claim, Stance.DISPUTED, stranger)
    signed = stranger.sign(OPINION_CONTEXT + b"\x00" + signed_bytes_of_opinion(statement))
    with pytest.raises(NoSuchPartner):
        accept_opinion(statement, signed, gate_setup.platform)
    future_opinion = make_opinion(gate_setup, claim, Stance.DISPUTED, PARTNER_KEYS[0])
    future_opinion = replace(future_opinion, at=future_opinion.at + timedelta(minutes=6))
    signed = PARTNER_KEYS[0].sign(
        OPINION_CONTEXT + b"\x00" + signed_bytes_of_opinion(future_opinion)
    )
    with pytest.raises(BadOpinion, match="in the future"):
        accept_opinion(future_opinion, signed, gate_setup.platform)
    with pytest.raises(NoSuchClaim):
        submit_opinion(gate_setup, ClaimId("0" * 32), Stance.DISPUTED, 0)


def test_opinion_of_a_removed_partner_is_refused(gate_setup: GateSetup, claim: ClaimId) -> None:
    remove_partner(PARTNER_KEYS[0].public_key().public_bytes_raw().hex(), gate_setup.platform)
    with pytest.raises(NoSuchPartner):
        submit_opinion(gate_setup, claim, Stance.DISPUTED, 0)


def test_failed_suspension_succeeds_when_the_opinion_is_repeated(her_picture: Any) -> None:
    gate_setup = GateSetup()
    for number, key in enumerate(PARTNER_KEYS):
        add_partner(
            f"platform {number}", key.public_key().public_bytes_raw().hex(), gate_setup.platform
        )
    claim = gate_setup.protect(her_picture, parts=False).claim
    for number in (0, 1):
        submit_opinion(gate_setup, claim, Stance.DISPUTED, number)
    statement = make_opinion(gate_setup, claim, Stance.DISPUTED, PARTNER_KEYS[2])
    signature = PARTNER_KEYS[2].sign(OPINION_CONTEXT + b"\x00" + signed_bytes_of_opinion(statement))
    with fail_statements(gate_setup.bank, "UPDATE claim"), pytest.raises(BankUnreachable):
        accept_opinion(statement, signature, gate_setup.platform)
    assert len(gate_setup.bank.opinions(claim)) == 2
    assert accept_opinion(statement, signature, gate_setup.platform).state is ClaimState.SUSPENDED


@pytest.mark.parametrize(("name", "key"), [("", "00" * 32), ("a", "00"), ("a", "x"), ("\n", "00")])
def test_partner_with_a_bad_name_or_key_is_refused(
    gate_setup: GateSetup, name: str, key: str
) -> None:
    with pytest.raises(BadPartner):
        add_partner(name, key, gate_setup.platform)
