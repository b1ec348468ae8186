"""Registering and withdrawing claims over HTTP: answers, refusals and limits."""

import hashlib
from dataclasses import replace
from typing import Any

import httpx
import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import (
    ClipPrint,
    Fingerprint,
    FramePrint,
    MediaFingerprint,
    PicturePrint,
    SoundPrint,
    SoundTooQuiet,
    TooFlat,
    VideoPrint,
)
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.nouns import GateBusy, GateRefused
from entrenous.stop.protect import withdraw_protection
from entrenous.stop.registration import (
    ClaimRequest,
    ClaimState,
    NoSuchClaim,
    NotTheHolder,
    Protection,
    claim_id_of,
    holder_token_hash,
)
from entrenous.stop.registration_format import write_registration_request
from tests.deterministic import SettableClock
from tests.stop.platform_for_tests import jpeg, new_device, picture, protect_picture

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}
VIDEO = VideoPrint(tuple(FramePrint(125 * at, bytes([at] * 32), 90) for at in range(9)))
SOUND = SoundPrint(hashlib.shake_256(b"sound").digest(400))
CLAIM_REQUEST = ClaimRequest(PicturePrint(Fingerprint("pdq", b"\x55" * 32, 90)), bytes(32))


def register_picture(pixels: Any, gate: RegistrationClient) -> Protection:
    return protect_picture(picture(pixels), adult=True, parts=True, gate=gate, device=new_device())


def upload_and_get_decision(web: httpx.Client, upload: bytes) -> str:
    answer = web.post("/v1/uploads", files={"file": ("x", upload)}, headers=OPERATOR_HEADERS)
    return str(answer.json()["decision"])


@pytest.mark.slow
def test_register_query_and_withdraw(
    web: httpx.Client, device_gate: RegistrationClient, her_picture: Any
) -> None:
    protection = register_picture(her_picture, device_gate)
    assert device_gate.status(protection.claim).state is ClaimState.WAITING
    assert upload_and_get_decision(web, jpeg(her_picture)) == "hold"
    assert withdraw_protection(protection, device_gate, new_device()).state is ClaimState.WITHDRAWN
    assert device_gate.status(protection.claim).state is ClaimState.WITHDRAWN
    assert upload_and_get_decision(web, jpeg(her_picture)) == "let through"
    withdraw_protection(protection, device_gate, new_device())


@pytest.mark.slow
def test_wrong_token_or_claim_is_refused(device_gate: RegistrationClient, her_picture: Any) -> None:
    protection = register_picture(her_picture, device_gate)
    with pytest.raises(NotTheHolder):
        withdraw_protection(replace(protection, token=Secret(bytes(32))), device_gate, new_device())
    for request in (
        lambda: device_gate.status(ClaimId("0" * 32)),
        lambda: device_gate.withdraw(ClaimId("0" * 32), protection.token),
    ):
        with pytest.raises(NoSuchClaim):
            request()
    assert device_gate.status(protection.claim).state is ClaimState.WAITING


def test_gate_refuses_flat_pictures(device_gate: RegistrationClient) -> None:
    with pytest.raises(TooFlat, match="quality 49"):
        device_gate.register(
            replace(CLAIM_REQUEST, print=PicturePrint(Fingerprint("pdq", bytes(32), 49)))
        )


@pytest.mark.parametrize("media", [ClipPrint(VIDEO, SOUND), ClipPrint(VIDEO), SOUND])
def test_videos_and_sounds_are_registered_and_withdrawn(
    device_gate: RegistrationClient, media: MediaFingerprint
) -> None:
    token = Secret(bytes(32))
    request = ClaimRequest(media, holder_token_hash(token))
    first = device_gate.register(request)
    assert (first.kind, first.state) == (media.kind, ClaimState.WAITING)
    assert device_gate.register(request) == first
    assert device_gate.withdraw(first.claim, token).state is ClaimState.WITHDRAWN
    assert device_gate.status(first.claim).kind == media.kind


def test_gate_refuses_flat_frames_and_quiet_sounds(device_gate: RegistrationClient) -> None:
    flat = VideoPrint((FramePrint(0, bytes(32), 90), FramePrint(125, bytes(32), 49)))
    with pytest.raises(GateRefused, match="quality below 50"):
        device_gate.register(replace(CLAIM_REQUEST, print=ClipPrint(flat)))
    quiet = SoundPrint(bytes(400))
    for media in (quiet, ClipPrint(VideoPrint(flat.frames[:1]), quiet)):
        with pytest.raises(SoundTooQuiet):
            device_gate.register(replace(CLAIM_REQUEST, print=media))
    with pytest.raises(NoSuchClaim):
        device_gate.status(claim_id_of(CLAIM_REQUEST.holder_sha256))


@pytest.mark.threat("claims-flood")
def test_registration_requests_per_hour_are_limited(
    device_gate: RegistrationClient, clock: SettableClock
) -> None:
    first, *again = [device_gate.register(CLAIM_REQUEST) for _ in range(4)]
    assert again == [first] * 3  # requests with the same holder hash make one claim
    with pytest.raises(GateBusy):
        device_gate.register(CLAIM_REQUEST)
    clock.advance(hours=1)
    device_gate.register(CLAIM_REQUEST)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"schema":"entrenous/claim-request/1"}', b"\xff", b"[" * 60_000]
)
def test_malformed_registration_is_refused(web: httpx.Client, body: bytes) -> None:
    answer = web.post("/v1/claims", content=body)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:entrenous:malformed:bad-claim")


def test_large_registration_is_refused(web: httpx.Client) -> None:
    assert web.post("/v1/claims", content=bytes(330_000)).status_code == 413


@pytest.mark.parametrize(
    ("media", "limit_kib"), [(CLAIM_REQUEST.print, 64), (ClipPrint(VIDEO), 320), (SOUND, 96)]
)
def test_each_kind_of_claim_has_its_own_size_limit(
    web: httpx.Client, media: MediaFingerprint, limit_kib: int
) -> None:
    whole = write_registration_request(replace(CLAIM_REQUEST, print=media)).ljust(1024 * limit_kib)
    assert web.post("/v1/claims", content=whole + b" ").status_code == 413
    assert web.post("/v1/claims", content=whole).status_code == 201


def test_withdrawing_without_a_valid_token_is_refused(web: httpx.Client) -> None:
    for header in ({}, {"Authorization": "Bearer %%%"}):
        assert web.delete(f"/v1/claims/{'0' * 32}", headers=header).status_code == 401


def test_holder_hash_with_the_claim_number_of_another_is_refused(
    device_gate: RegistrationClient,
) -> None:
    device_gate.register(CLAIM_REQUEST)
    odd = replace(CLAIM_REQUEST, holder_sha256=bytes(31) + b"\x01")
    with pytest.raises(GateRefused, match="already has this number"):
        device_gate.register(odd)
