"""Reviews of quarantined uploads over HTTP, the status of a gate, and unknown addresses."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.base.program import this_program_version
from entrenous.fingerprint.pdq import fingerprint
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Claim, ClaimState, Opinion, Partner, Registration, Stance
from tests.stop.platform_for_tests import jpeg, new_device, picture, protect_picture

pytestmark = pytest.mark.slow

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}
UPLOADER_HEADERS = {"Authorization": "Bearer uploader-token"}
PARTNER_KEY = b"\x11" * 32
NO_SUCH_REVIEW = "urn:entrenous:not-found:no-such-review"


@pytest.fixture
def case(web: httpx.Client, device_gate: RegistrationClient, her_picture: Any) -> str:
    """Return the case number of a quarantined upload."""
    protect_picture(
        picture(her_picture), adult=True, parts=False, gate=device_gate, device=new_device()
    )
    answer = web.post(
        "/v1/uploads", files={"file": ("x", jpeg(her_picture))}, headers=OPERATOR_HEADERS
    )
    return str(answer.json()["case"])


def test_operator_views_and_confirms_a_case(web: httpx.Client, case: str, her_picture: Any) -> None:
    listed = web.get("/v1/reviews", headers=OPERATOR_HEADERS).json()
    assert (listed["waiting"], listed["next"]["case"]) == (1, case)
    shown = web.get(listed["next"]["upload"], headers=OPERATOR_HEADERS)
    assert shown.content == jpeg(her_picture)
    assert shown.headers["content-disposition"] == "attachment"
    assert shown.headers["content-type"] == "application/octet-stream"
    done = web.post(f"/v1/reviews/{case}", json={"decision": "confirm"}, headers=OPERATOR_HEADERS)
    assert done.json()["state"] == "confirmed"
    assert web.get("/v1/reviews", headers=OPERATOR_HEADERS).json()["next"] is None
    assert web.get(f"/v1/reviews/{case}/upload", headers=OPERATOR_HEADERS).status_code == 404
    again = web.post(
        "/v1/uploads", files={"file": ("x", jpeg(her_picture))}, headers=OPERATOR_HEADERS
    )
    assert again.json()["decision"] == "refuse"


@pytest.mark.parametrize(("decision", "state"), [("confirm", "confirmed"), ("release", "released")])
def test_decided_case_can_be_queried(
    web: httpx.Client, case: str, decision: str, state: str
) -> None:
    address = f"/v1/reviews/{case}"
    before = web.get(address, headers=OPERATOR_HEADERS).json()
    assert before == web.get("/v1/reviews", headers=OPERATOR_HEADERS).json()["next"]
    done = web.post(address, json={"decision": decision}, headers=OPERATOR_HEADERS).json()
    after = web.get(address, headers=OPERATOR_HEADERS).json()
    assert (before["state"], after["state"], done["state"]) == ("waiting", state, state)
    assert (after["schema"], after["upload"], after["reference"]) == (
        "entrenous/review/1", None, "",
    )  # fmt: skip
    deleted_upload = web.get(f"{address}/upload", headers=OPERATOR_HEADERS)
    assert (deleted_upload.status_code, deleted_upload.json()["type"]) == (
        404,
        "urn:entrenous:not-found:upload-not-kept",
    )
    assert "deletes files after the decision" in deleted_upload.json()["detail"]
    unknown = web.get("/v1/reviews/0000-0000-0000/upload", headers=OPERATOR_HEADERS)
    assert (unknown.status_code, unknown.json()["type"]) == (404, NO_SUCH_REVIEW)


def test_review_shows_the_state_of_each_claim(
    web: httpx.Client, case: str, platform: Platform
) -> None:
    (match,) = platform.reviews.review(case).decision.matches
    platform.bank.add_partner(Partner("another", PARTNER_KEY))
    opinion = Opinion(match.claim, Stance.CONFIRMED, platform.clock.now(), PARTNER_KEY)
    platform.bank.record_opinion(opinion)
    shown = web.get("/v1/reviews", headers=OPERATOR_HEADERS).json()["next"]["matches"]
    assert shown == [
        {
            "bank": "people", "distance": match.distance, "how": "as it is", "claim": match.claim,
            "state": "waiting",
            "opinions": {"confirmed": 1, "disputed": 0, "not intimate": 0},
        }
    ]  # fmt: skip
    address = f"/v1/reviews/{case}"
    done = web.post(address, json={"decision": "confirm"}, headers=OPERATOR_HEADERS).json()
    assert [one["state"] for one in done["matches"]] == ["confirmed"]
    assert web.get(address, headers=OPERATOR_HEADERS).json()["matches"] == done["matches"]


def test_reason_of_a_claim_is_shown_in_the_review_but_not_in_the_answer(
    web: httpx.Client, platform: Platform, her_picture: Any
) -> None:
    bits = fingerprint(picture(her_picture)).bits
    claim = Claim(ClaimId("a"), PEOPLE_BANK, ClaimState.WAITING, "pdq", 90, platform.clock.now())
    platform.bank.register(Registration(replace(claim, reason="my former partner has it"), (bits,)))
    answer = web.post(
        "/v1/uploads", files={"file": ("x", jpeg(her_picture))}, headers=OPERATOR_HEADERS
    ).json()
    assert set(answer["matches"][0]) == {"bank", "distance", "how"}
    shown = web.get(f"/v1/reviews/{answer['case']}", headers=OPERATOR_HEADERS).json()
    assert shown["matches"][0]["reason"] == "my former partner has it"


def test_next_review_after_a_given_case_is_returned(
    web: httpx.Client, case: str, her_picture: Any
) -> None:
    again = web.post(
        "/v1/uploads", files={"file": ("x", jpeg(her_picture, 60))}, headers=OPERATOR_HEADERS
    )

    def get_next_after(seen_case: str) -> Any:
        answer = web.get(
            "/v1/reviews", params={"after": seen_case}, headers=OPERATOR_HEADERS
        ).json()
        return answer["waiting"], answer["next"] and answer["next"]["case"]

    second = again.json()["case"]
    assert [get_next_after(earlier) for earlier in ("", case, second)] == [
        (2, case),
        (2, second),
        (2, None),
    ]
    odd = web.get("/v1/reviews", params={"after": "\0"}, headers=OPERATOR_HEADERS)
    assert odd.status_code == 404


def test_case_is_decided_only_once(web: httpx.Client, case: str) -> None:
    release = {"decision": "release"}
    first = web.post(f"/v1/reviews/{case}", json=release, headers=OPERATOR_HEADERS)
    second = web.post(f"/v1/reviews/{case}", json=release, headers=OPERATOR_HEADERS)
    assert (first.status_code, second.status_code) == (200, 409)
    assert second.json()["type"] == "urn:entrenous:refused:already-decided"


def test_release_needs_all_claims_of_the_case_to_be_shown(web: httpx.Client, case: str) -> None:
    address = f"/v1/reviews/{case}"
    shown = [one["claim"] for one in web.get(address, headers=OPERATOR_HEADERS).json()["matches"]]
    assert shown
    release = {"decision": "release", "shown": []}
    unseen = web.post(address, json=release, headers=OPERATOR_HEADERS)
    refusal = (unseen.status_code, unseen.json()["type"])
    assert refusal == (409, "urn:entrenous:refused:unshown-matches")
    assert web.get(address, headers=OPERATOR_HEADERS).json()["state"] == "waiting"
    release_answer = web.post(
        address, json=release | {"shown": [*shown, "another"]}, headers=OPERATOR_HEADERS
    )
    assert release_answer.json()["state"] == "released"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"decision":"perhaps"}',
        b'{"decision":1}',
        b'{"decision":"confirm","shown":"ab"}',
        b'{"decision":"confirm","shown":[1]}',
    ],
)
def test_malformed_decision_is_refused(web: httpx.Client, case: str, body: bytes) -> None:
    answer = web.post(f"/v1/reviews/{case}", content=body, headers=OPERATOR_HEADERS)
    assert (answer.status_code, answer.json()["type"]) == (
        400,
        "urn:entrenous:malformed:bad-verdict",
    )


def test_reviews_are_refused_without_a_token_and_to_uploaders(web: httpx.Client, case: str) -> None:
    for header in ({}, UPLOADER_HEADERS):
        assert web.get("/v1/reviews", headers=header).status_code == 401
        assert web.get(f"/v1/reviews/{case}", headers=header).status_code == 401
        assert web.get(f"/v1/reviews/{case}/upload", headers=header).status_code == 401
        assert web.post(f"/v1/reviews/{case}", headers=header).status_code == 401


@pytest.mark.usefixtures("case")
def test_gate_status_has_counts_only_for_the_operator(web: httpx.Client) -> None:
    assert web.get("/v1/status").json() == {
        "schema": "entrenous/gate-status/1",
        "state": "serving",
        "embedding": None,
        "version": this_program_version().version,
        "commit": this_program_version().commit,
    }
    counts = web.get("/v1/status", headers=OPERATOR_HEADERS).json()
    assert (counts["claims"], counts["hashes"], counts["reviews"]) == (1, 1, 1)


def test_unknown_addresses_methods_and_cases_get_errors(web: httpx.Client) -> None:
    answer = web.get("/v1/nothing")
    assert answer.status_code == 404
    assert answer.json() == {"type": "about:blank", "title": "Not Found", "status": 404}
    assert answer.headers["content-type"] == "application/problem+json"
    assert web.put("/v1/reviews/nothing", headers=OPERATOR_HEADERS).status_code == 405
    unknown = web.get("/v1/reviews/nothing", headers=OPERATOR_HEADERS)
    assert (unknown.status_code, unknown.json()["type"]) == (404, NO_SUCH_REVIEW)
