"""Opinions of partner platforms about a claim, over HTTP."""

from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from entrenous.base.identifiers import ClaimId
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.partners import OPINION_CONTEXT, add_partner, signed_bytes_of_opinion
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Opinion, Stance
from tests.deterministic import SettableClock
from tests.stop.platform_for_tests import new_device, picture, protect_picture, write_opinion

PARTNER_KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(1, 4)]


@pytest.fixture
def claim(device_gate: RegistrationClient, platform: Platform, her_picture: Any) -> ClaimId:
    for number, key in enumerate(PARTNER_KEYS):
        add_partner(f"platform {number}", key.public_key().public_bytes_raw().hex(), platform)
    protection = protect_picture(
        picture(her_picture), adult=True, parts=False, gate=device_gate, device=new_device()
    )
    return protection.claim


def signed_opinion(claim: ClaimId, key: Ed25519PrivateKey, clock: SettableClock) -> bytes:
    opinion = Opinion(claim, Stance.DISPUTED, clock.now(), key.public_key().public_bytes_raw())
    return write_opinion(
        opinion, key.sign(OPINION_CONTEXT + b"\x00" + signed_bytes_of_opinion(opinion))
    )


def test_three_opinions_suspend_a_claim(
    web: httpx.Client, claim: ClaimId, clock: SettableClock
) -> None:
    states = []
    for key in (PARTNER_KEYS[0], PARTNER_KEYS[0], PARTNER_KEYS[1], PARTNER_KEYS[2]):
        answer = web.post(f"/v1/claims/{claim}/opinions", content=signed_opinion(claim, key, clock))
        assert answer.status_code == 200
        states.append(answer.json()["state"])
    assert states == ["waiting", "waiting", "waiting", "suspended"]


def test_invalid_opinions_are_refused(
    web: httpx.Client, claim: ClaimId, clock: SettableClock
) -> None:
    valid_opinion = signed_opinion(claim, PARTNER_KEYS[0], clock)
    opinion_of_stranger = signed_opinion(claim, Ed25519PrivateKey.generate(), clock)
    cases = {
        (
            valid_opinion.replace(b"disputed", b"confirmed"),
            422,
            "urn:entrenous:unproven:bad-signature",
        ),
        (opinion_of_stranger, 404, "urn:entrenous:not-found:no-such-partner"),
        (b"{}", 400, "urn:entrenous:malformed:bad-opinion"),
        (valid_opinion[:-1] + b',"more":1}', 400, "urn:entrenous:malformed:bad-opinion"),
        (bytes(5000), 413, "urn:entrenous:malformed:too-large"),
    }
    for content, status, problem_type in cases:
        answer = web.post(f"/v1/claims/{claim}/opinions", content=content)
        assert (answer.status_code, answer.json()["type"]) == (status, problem_type)
    other = web.post(f"/v1/claims/{'0' * 32}/opinions", content=valid_opinion)
    assert other.status_code == 422  # the signature is for another claim
