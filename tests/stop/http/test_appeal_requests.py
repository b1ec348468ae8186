"""Appeals, floods of similar uploads, earlier uploads compared with new claims (look-backs), and
upload references, over HTTP.
"""

from typing import Any

import httpx
import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimEvent
from tests.stop.platform_for_tests import jpeg, new_device, picture, protect_picture

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}
UPLOADER_HEADERS = {"Authorization": "Bearer uploader-token"}


def register_picture(pixels: Any, gate: RegistrationClient) -> ClaimId:
    protection = protect_picture(
        picture(pixels), adult=True, parts=False, gate=gate, device=new_device()
    )
    return protection.claim


def send_upload(
    web: httpx.Client,
    upload: bytes,
    headers: dict[str, str] = OPERATOR_HEADERS,
    reference: str = "",
) -> Any:
    form_fields = {"reference": reference} if reference else {}
    answer = web.post(
        "/v1/uploads", files={"file": ("x", upload)}, data=form_fields, headers=headers
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def get_next_review(web: httpx.Client) -> Any:
    return web.get("/v1/reviews", headers=OPERATOR_HEADERS).json()["next"]


def test_review_shows_the_reference_of_the_upload(
    web: httpx.Client, device_gate: RegistrationClient, her_picture: Any
) -> None:
    register_picture(her_picture, device_gate)
    case = send_upload(web, jpeg(her_picture), reference="post 17 é")["case"]
    assert get_next_review(web)["reference"] == "post 17 é"
    done = web.post(
        f"/v1/reviews/{case}", json={"decision": "confirm"}, headers=OPERATOR_HEADERS
    ).json()
    assert (done["reference"], done["state"], done["also"]) == ("post 17 é", "confirmed", [])


def test_reference_header_is_used_without_a_form(
    web: httpx.Client, device_gate: RegistrationClient, her_picture: Any
) -> None:
    register_picture(her_picture, device_gate)
    headers = {**OPERATOR_HEADERS, "Content-Type": "image/jpeg", "Entrenous-Reference": "post 17"}
    assert web.post("/v1/uploads", content=jpeg(her_picture), headers=headers).status_code == 200
    assert get_next_review(web)["reference"] == "post 17"


@pytest.mark.parametrize("reference", ["x" * 201, "a\nb", "\x1b[31m"])
def test_malformed_reference_is_refused(
    web: httpx.Client, her_picture: Any, reference: str
) -> None:
    files, data = {"file": ("x", jpeg(her_picture))}, {"reference": reference}
    answer = web.post("/v1/uploads", files=files, data=data, headers=OPERATOR_HEADERS)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:entrenous:malformed:bad-reference"


def test_reference_from_an_uploader_is_ignored(
    web: httpx.Client, device_gate: RegistrationClient, her_picture: Any
) -> None:
    register_picture(her_picture, device_gate)
    send_upload(web, jpeg(her_picture), UPLOADER_HEADERS, reference="the operator's post 1")
    assert get_next_review(web)["reference"] == ""


def test_appeal_needs_the_secret_and_the_same_file_and_is_accepted_once(
    web: httpx.Client, device_gate: RegistrationClient, platform: Platform, her_picture: Any
) -> None:
    platform.bank.apply_event(register_picture(her_picture, device_gate), ClaimEvent.CONFIRM)
    refused = send_upload(web, jpeg(her_picture), UPLOADER_HEADERS)
    where = f"/v1/uploads/{refused['case']}/appeal"
    secret = {"Authorization": f"Bearer {refused['secret']}"}
    other = web.post(where, headers={"Authorization": f"Bearer {'A' * 22}"})
    assert (other.status_code, web.post(where).status_code) == (404, 401)
    for odd in ("A" * 21, "A" * 23, "not a secret", "\u00e9".encode()):
        headers = {"Authorization": b"Bearer " + (odd if isinstance(odd, bytes) else odd.encode())}
        assert web.post(where, headers=headers).text == other.text
    wrong = web.post(where, files={"file": ("x", jpeg(her_picture, 51))}, headers=secret)
    assert wrong.json()["type"] == "urn:entrenous:unproven:upload-file-differs"
    asked = web.post(where, files={"file": ("x", jpeg(her_picture))}, headers=secret)
    assert asked.json() == {
        "schema": "entrenous/appeal/1", "case": refused["case"], "state": "waiting",
    }  # fmt: skip
    shown = get_next_review(web)
    assert (shown["case"], shown["found"], shown["decision"]) == (
        refused["case"],
        "appeal",
        "refuse",
    )
    assert web.get(shown["upload"], headers=OPERATOR_HEADERS).content == jpeg(her_picture)
    assert web.post(where, headers=secret).status_code == 409


@pytest.mark.threat("probing-registered")
def test_appeals_of_quarantined_and_accepted_uploads_get_the_same_answers(
    web: httpx.Client, device_gate: RegistrationClient, her_picture: Any, other_picture: Any
) -> None:
    register_picture(her_picture, device_gate)
    answers = []
    for pixels in (her_picture, other_picture):
        seen = send_upload(web, jpeg(pixels), UPLOADER_HEADERS)
        secret = {"Authorization": f"Bearer {seen['secret']}"}
        where = f"/v1/uploads/{seen['case']}/appeal"
        for _ in range(2):
            answer = web.post(where, files={"file": ("x", b"any")}, headers=secret)
            answers.append((answer.status_code, answer.text.replace(seen["case"], "CASE")))
    assert answers[:2] == answers[2:]
    assert [status for status, _ in answers] == [200, 409, 200, 409]


@pytest.mark.slow
def test_flood_is_shown_and_released_as_one_review_item(
    web: httpx.Client, device_gate: RegistrationClient, her_picture: Any
) -> None:
    register_picture(her_picture, device_gate)
    decisions = [send_upload(web, jpeg(her_picture, quality)) for quality in range(40, 46)]
    assert {one["decision"] for one in decisions} == {"hold"}
    waiting = web.get("/v1/reviews", headers=OPERATOR_HEADERS).json()
    assert (waiting["waiting"], waiting["next"]["gathered"]) == (1, 5)
    case = waiting["next"]["case"]
    done = web.post(
        f"/v1/reviews/{case}", json={"decision": "release"}, headers=OPERATOR_HEADERS
    ).json()
    assert {case, *done["also"]} == {one["case"] for one in decisions}


def test_registration_over_http_is_compared_with_earlier_uploads(
    web: httpx.Client, device_gate: RegistrationClient, her_picture: Any, other_picture: Any
) -> None:
    send_upload(web, jpeg(other_picture), reference="post 1")
    case = send_upload(web, jpeg(her_picture), reference="post 2")["case"]
    assert get_next_review(web) is None
    register_picture(her_picture, device_gate)
    shown = get_next_review(web)
    assert (shown["case"], shown["found"], shown["reference"]) == (case, "look back", "post 2")
    # The upload's bytes are still stored for the deferred scan.
    assert shown["upload"] == f"/v1/reviews/{case}/upload"
    assert web.get("/v1/status", headers=OPERATOR_HEADERS).json()["reviews"] == 1
