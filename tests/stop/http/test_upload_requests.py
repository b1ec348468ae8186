"""Uploads over HTTP: answers to the operator and to uploaders, and refused requests."""

import json
from typing import Any

import anyio
import httpx
import pytest

from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimEvent, Protection
from tests.stop.platform_for_tests import (
    jpeg,
    new_device,
    picture,
    protect_picture,
    screenshot_crop,
)

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}
UPLOADER_HEADERS = {"Authorization": "Bearer uploader-token"}


def register_picture(pixels: Any, gate: RegistrationClient) -> Protection:
    return protect_picture(picture(pixels), adult=True, parts=True, gate=gate, device=new_device())


def send_upload(web: httpx.Client, upload: bytes, headers: dict[str, str]) -> Any:
    answer = web.post("/v1/uploads", files={"file": ("x.jpg", upload)}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


@pytest.mark.slow
def test_operator_is_told_the_bank_distance_and_kind_of_a_match(
    web: httpx.Client, device_gate: RegistrationClient, her_picture: Any, other_picture: Any
) -> None:
    register_picture(her_picture, device_gate)
    held = send_upload(web, screenshot_crop(her_picture), OPERATOR_HEADERS)
    assert (held["schema"], held["decision"]) == ("entrenous/decision/1", "hold")
    (match,) = held["matches"]
    assert (match["bank"], match["how"]) == ("people", "cut-out")
    assert 0 <= match["distance"] <= 31
    passed = send_upload(web, jpeg(other_picture), OPERATOR_HEADERS)
    assert (passed["decision"], passed["matches"]) == ("let through", [])


def test_upload_without_a_form_is_judged(web: httpx.Client, other_picture: Any) -> None:
    for content_type in ("image/jpeg", "application/octet-stream"):
        answer = web.post(
            "/v1/uploads",
            content=jpeg(other_picture),
            headers={**OPERATOR_HEADERS, "Content-Type": content_type},
        )
        assert answer.json()["decision"] == "let through"


@pytest.mark.slow
@pytest.mark.threat("probing-registered")
def test_quarantined_and_accepted_uploads_get_the_same_answer(
    web: httpx.Client, device_gate: RegistrationClient, her_picture: Any, other_picture: Any
) -> None:
    register_picture(her_picture, device_gate)
    held, passed = (
        send_upload(web, jpeg(her_picture), UPLOADER_HEADERS),
        send_upload(web, jpeg(other_picture), UPLOADER_HEADERS),
    )
    for own in ("case", "secret"):
        assert held.pop(own) != passed.pop(own)
    assert held == passed
    assert held["matches"] == []
    assert web.get("/v1/reviews", headers=OPERATOR_HEADERS).json()["waiting"] == 1


@pytest.mark.slow
def test_uploader_is_told_of_a_refusal_and_of_the_appeal_address(
    web: httpx.Client, device_gate: RegistrationClient, platform: Platform, her_picture: Any
) -> None:
    claim = register_picture(her_picture, device_gate).claim
    platform.bank.apply_event(claim, ClaimEvent.CONFIRM)
    refused = send_upload(web, jpeg(her_picture), UPLOADER_HEADERS)
    assert (refused["decision"], refused["matches"]) == ("refuse", [])
    assert "https://platform.example/appeal" in refused["appeal"]
    assert send_upload(web, jpeg(her_picture), OPERATOR_HEADERS)["matches"][0]["distance"] <= 8


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "x"}])
def test_upload_needs_a_valid_token(
    web: httpx.Client, other_picture: Any, header: dict[str, str]
) -> None:
    answer = web.post("/v1/uploads", files={"file": ("x.jpg", jpeg(other_picture))}, headers=header)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


def test_upload_with_a_large_content_length_is_refused(web: httpx.Client) -> None:
    answer = web.post(
        "/v1/uploads",
        content=b"",
        headers={**OPERATOR_HEADERS, "Content-Type": "image/jpeg", "Content-Length": "1000001"},
    )
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:entrenous:malformed:too-large"


def test_large_upload_is_refused_while_streaming(platform: Platform, access: GateAccess) -> None:
    """An endless body without a length is cut off soon after the limit."""
    sent = 0
    answer: list[Any] = []

    async def receive() -> dict[str, Any]:
        nonlocal sent
        sent += 50_000
        return {"type": "http.request", "body": bytes(50_000), "more_body": True}

    async def send(message: Any) -> None:
        answer.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/uploads", "query_string": b"",
        "headers": [
            (b"authorization", b"Bearer operator-token"), (b"content-type", b"image/png"),
        ],
    }  # fmt: skip
    anyio.run(gate_app(platform, access), scope, receive, send)
    assert answer[0]["status"] == 413
    assert json.loads(answer[1]["body"])["status"] == 413
    assert sent <= 1_100_000


def test_large_file_in_a_form_is_refused(web: httpx.Client) -> None:
    answer = web.post(
        "/v1/uploads", files={"file": ("x", bytes(1_000_001))}, headers=OPERATOR_HEADERS
    )
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/html", b"<p>", 415),
        ("image/jpeg", b"<p>this is no picture", 415),
        ("image/jpeg", b"", 415),
        ("multipart/form-data", b"no boundary", 400),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nno end", 400),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n',
            400,
        ),
    ],
)
def test_upload_without_media_or_a_valid_form_is_refused(
    web: httpx.Client, content_type: str, body: bytes, status: int
) -> None:
    answer = web.post(
        "/v1/uploads", content=body, headers={**OPERATOR_HEADERS, "Content-Type": content_type}
    )
    assert answer.status_code == status
    assert answer.json()["status"] == status


def test_too_many_concurrent_uploads_get_429(platform: Platform, access: GateAccess) -> None:
    """A gate for one upload at a time refuses a second upload while the first arrives."""

    async def run_scenario() -> int:
        app = gate_app(platform, GateAccess(access.operator, uploads_at_once=1))
        arriving, never = anyio.Event(), anyio.Event()
        status = 0

        async def receive_slowly() -> dict[str, Any]:
            arriving.set()
            await never.wait()
            raise AssertionError

        async def receive_empty_body() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def ignore_answer(_message: Any) -> None:
            return None

        async def record_status(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        scope = {
            "type": "http", "method": "POST", "path": "/v1/uploads", "query_string": b"",
            "headers": [
                (b"authorization", b"Bearer operator-token"), (b"content-type", b"image/png"),
            ],
        }  # fmt: skip
        async with anyio.create_task_group() as group:
            group.start_soon(app, dict(scope), receive_slowly, ignore_answer)
            await arriving.wait()
            await app(dict(scope), receive_empty_body, record_status)
            group.cancel_scope.cancel()
        return status

    assert anyio.run(run_scenario) == 429


def test_truncated_picture_is_held(web: httpx.Client, her_picture: Any) -> None:
    assert send_upload(web, jpeg(her_picture)[:9000], OPERATOR_HEADERS)["decision"] == "hold"
