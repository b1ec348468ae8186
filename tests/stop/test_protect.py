"""Registering pictures: requests and records of the device, also when answers get lost."""

import hashlib
import io
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from entrenous.base.environment import Proxy
from entrenous.base.errors import OnionNeedsProxy, ProxyUnreachable
from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import TooFlat
from entrenous.fingerprint.pdq import fingerprint
from entrenous.stop.client.registration_client import open_registration_client
from entrenous.stop.nouns import BadAnswer, GateRefused, GateUnreachable, NoConnection
from entrenous.stop.protect import (
    all_protections,
    find_active_registration,
    find_protection,
    fingerprint_file,
    fingerprint_picture,
    refresh_protection,
    register_fingerprints,
    withdraw_protection,
)
from entrenous.stop.registration import (
    ClaimEvent,
    ClaimRequest,
    ClaimState,
    ClaimStatus,
    Consent,
    NoSuchProtection,
    NotEverybodyAdult,
    RegistrationUnanswered,
    holder_token_hash,
)
from entrenous.stop.registration_format import write_registration_request
from tests.stop.platform_for_tests import GateSetup, InProcessGate, picture

pytestmark = pytest.mark.slow


def test_request_has_only_fingerprints_and_a_token_hash(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    protection = gate_setup.protect(her_picture)
    (sent,) = gate_setup.gate.sent_requests
    request = json.loads(sent)
    assert set(request) == {
        "schema", "kind", "hex", "quality", "holder", "parts", "reason", "jurisdiction",
    }  # fmt: skip
    assert request["hex"] == fingerprint(picture(her_picture)).hex
    assert 400 <= len(request["parts"]) <= 534
    assert request["holder"] == hashlib.sha256(protection.token.reveal()).hexdigest()
    assert protection.token.reveal().hex() not in sent.decode()
    assert protection.state is ClaimState.WAITING


def test_no_hash_of_a_part_is_sent_without_consent(gate_setup: GateSetup, her_picture: Any) -> None:
    gate_setup.protect(her_picture, parts=False)
    assert json.loads(gate_setup.gate.sent_requests[0])["parts"] == []


def test_registered_claim_has_no_reason_jurisdiction_or_disputes(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    claim = gate_setup.platform.bank.claim(gate_setup.protect(her_picture).claim)
    assert (claim.reason, claim.jurisdiction, claim.disputes) == ("", "", 0)


@pytest.mark.threat("under-eighteen")
def test_under_eighteen_is_referred_to_take_it_down(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    file = io.BytesIO()
    Image.fromarray(her_picture).save(file, "PNG")
    with pytest.raises(NotEverybodyAdult, match=r"takeitdown\.ncmec\.org"):
        fingerprint_file(file.getvalue(), Consent(adult=False, parts=True), gate_setup.device)
    assert gate_setup.gate.sent_requests == []


def test_a_flat_picture_is_refused_before_anything_is_sent(gate_setup: GateSetup) -> None:
    flat = np.full((300, 400, 3), 120, dtype=np.uint8)
    with pytest.raises(TooFlat, match="quality 0 of 100"):
        gate_setup.protect(flat)
    assert gate_setup.gate.sent_requests == []


@dataclass
class GateWithLostAnswers(InProcessGate):
    """A gate that registers every request, but whose answers get lost while ``lost`` is true."""

    lost: bool = True

    def register(self, request: ClaimRequest) -> ClaimStatus:
        status = super().register(request)
        if self.lost:
            raise GateUnreachable(url=self.url)
        return status


def test_a_claim_whose_answer_was_lost_can_be_withdrawn(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.gate = GateWithLostAnswers(gate_setup.platform)
    with pytest.raises(RegistrationUnanswered) as caught:
        gate_setup.protect(her_picture)
    (record,) = all_protections(gate_setup.device)
    assert record.state is None
    assert f"entrenous unprotect {record.claim}" in " ".join(str(caught.value).split())
    assert gate_setup.platform.bank.claim(record.claim).state is ClaimState.WAITING
    withdraw_protection(record, gate_setup.gate, gate_setup.device)
    assert gate_setup.platform.bank.claim(record.claim).state is ClaimState.WITHDRAWN
    assert all_protections(gate_setup.device)[0].state is ClaimState.WITHDRAWN


def test_registration_is_recorded_before_the_request(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    """The record is kept when the program is interrupted before the answer."""

    class GateInterruptingProgram(InProcessGate):
        def register(self, request: ClaimRequest) -> ClaimStatus:
            super().register(request)
            raise KeyboardInterrupt

    gate_setup.gate = GateInterruptingProgram(gate_setup.platform)
    with pytest.raises(KeyboardInterrupt):
        gate_setup.protect(her_picture)
    (record,) = all_protections(gate_setup.device)
    assert gate_setup.platform.bank.claim(record.claim).holder_sha256 == holder_token_hash(
        record.token
    )


def test_repeated_request_after_a_lost_answer_makes_one_claim(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.gate = gate = GateWithLostAnswers(gate_setup.platform)
    with pytest.raises(RegistrationUnanswered):
        gate_setup.protect(her_picture)
    gate.lost = False
    protection = gate_setup.protect(her_picture)
    assert all_protections(gate_setup.device) == (protection,)
    assert protection.state is ClaimState.WAITING
    assert gate_setup.platform.bank.count_claims_and_hashes().claims == 1
    # After an answer, registering the picture again makes a new claim.
    assert gate_setup.protect(her_picture).claim != protection.claim


def test_record_is_kept_only_if_a_request_may_have_arrived(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    @dataclass
    class UnreachableGate(InProcessGate):
        receives_next: bool = False

        def register(self, request: ClaimRequest) -> ClaimStatus:
            self.sent_requests.append(write_registration_request(request))
            if self.receives_next:
                self.receives_next = False
                raise GateUnreachable(url=self.url)
            raise NoConnection(url=self.url)

    gate_setup.gate = gate = UnreachableGate(gate_setup.platform)
    with pytest.raises(NoConnection, match="Nothing was sent"):
        gate_setup.protect(her_picture)
    assert all_protections(gate_setup.device) == ()
    gate.receives_next = True
    for _ in range(2):  # the second try fails, but the first request may have arrived
        with pytest.raises(RegistrationUnanswered):
            gate_setup.protect(her_picture)
    assert len(all_protections(gate_setup.device)) == 1


@pytest.mark.parametrize(
    ("url", "proxy", "problem"),
    [
        ("https://abc.onion", None, OnionNeedsProxy),
        pytest.param(
            "https://gate.example",
            Proxy("127.0.0.1", 0),  # no program can listen on port 0
            ProxyUnreachable,
            marks=pytest.mark.real,
        ),
    ],
)
def test_no_record_is_kept_if_no_proxy_answers(
    gate_setup: GateSetup, her_picture: Any, url: str, proxy: Proxy | None, problem: type[Exception]
) -> None:
    consent = Consent(adult=True, parts=False)
    fingerprints = fingerprint_picture(picture(her_picture), consent, gate_setup.device)
    with open_registration_client(url, proxy) as gate, pytest.raises(problem):
        register_fingerprints(fingerprints, gate, gate_setup.device)
    assert all_protections(gate_setup.device) == ()


def test_only_an_active_registration_is_found(gate_setup: GateSetup, her_picture: Any) -> None:
    fingerprints = fingerprint_picture(
        picture(her_picture), Consent(adult=True, parts=False), gate_setup.device
    )
    assert find_active_registration(fingerprints, gate_setup.gate, gate_setup.device) is None
    made = register_fingerprints(fingerprints, gate_setup.gate, gate_setup.device)
    assert find_active_registration(fingerprints, gate_setup.gate, gate_setup.device) == made
    withdraw_protection(made, gate_setup.gate, gate_setup.device)
    assert find_active_registration(fingerprints, gate_setup.gate, gate_setup.device) is None


def test_registration_that_never_arrived_can_be_withdrawn(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    class SilentGate(InProcessGate):
        def register(self, request: ClaimRequest) -> ClaimStatus:
            self.sent_requests.append(write_registration_request(request))
            raise GateUnreachable(url=self.url)

    gate_setup.gate = SilentGate(gate_setup.platform)
    with pytest.raises(RegistrationUnanswered):
        gate_setup.protect(her_picture)
    (record,) = all_protections(gate_setup.device)
    assert (
        withdraw_protection(record, gate_setup.gate, gate_setup.device).state
        is ClaimState.WITHDRAWN
    )


def test_no_record_is_kept_of_a_refused_registration(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    class RefusingGate(InProcessGate):
        def register(self, request: ClaimRequest) -> ClaimStatus:
            self.sent_requests.append(write_registration_request(request))
            raise GateRefused(url=self.url, detail="no")

    gate_setup.gate = RefusingGate(gate_setup.platform)
    with pytest.raises(GateRefused):
        gate_setup.protect(her_picture)
    assert all_protections(gate_setup.device) == ()


def test_answer_about_another_claim_is_refused(gate_setup: GateSetup, her_picture: Any) -> None:
    class GateNamingAnotherClaim(InProcessGate):
        def register(self, request: ClaimRequest) -> ClaimStatus:
            return replace(super().register(request), claim=ClaimId("0" * 32))

    gate_setup.gate = GateNamingAnotherClaim(gate_setup.platform)
    with pytest.raises(BadAnswer):
        gate_setup.protect(her_picture)
    (record,) = all_protections(gate_setup.device)
    assert record.state is None


def test_refreshing_stores_the_current_state(gate_setup: GateSetup, her_picture: Any) -> None:
    protection = gate_setup.protect(her_picture)
    gate_setup.platform.bank.apply_event(protection.claim, ClaimEvent.CONFIRM)
    assert (
        refresh_protection(protection, gate_setup.gate, gate_setup.device).state
        is ClaimState.CONFIRMED
    )
    assert find_protection(protection.claim, gate_setup.device).state is ClaimState.CONFIRMED
    with pytest.raises(NoSuchProtection):
        find_protection("nothing", gate_setup.device)
