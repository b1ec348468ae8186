"""Requests with reviewers' tokens, gates with two confirmers, and blurred views of uploads."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from entrenous.stop.audit import audit_rows, verify_audit_log
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimState
from entrenous.stop.reviewers import add_reviewer
from entrenous.stop.upload_record import Decision, Outcome, Review, ReviewState
from tests.stop.http.conftest import URL, AsgiTransport
from tests.stop.platform_for_tests import jpeg, new_device, picture, protect_picture

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}
CONFIRM_BODY, RELEASE_BODY = {"decision": "confirm"}, {"decision": "release"}
HeadersByReviewer = dict[str, dict[str, str]]


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


@pytest.fixture
def reviewer_headers(platform: Platform) -> HeadersByReviewer:
    tokens = {name: add_reviewer(name, platform).reveal().decode() for name in ("ana", "ben")}
    return {name: {"Authorization": f"Bearer {token}"} for name, token in tokens.items()}


@pytest.fixture
def web_with_two_confirmers(platform: Platform, access: GateAccess) -> Iterator[httpx.Client]:
    """Yield an HTTP client of the gate with ``confirmers=2``."""
    strict = replace(platform, limits=replace(platform.limits, confirmers=2))
    with httpx.Client(transport=AsgiTransport(gate_app(strict, access)), base_url=URL) as client:
        yield client


def audit_events(platform: Platform, event_kind: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (row.of, dict(row.details)) for row in audit_rows(platform.bank) if row.what == event_kind
    ]


@pytest.mark.threat("insider-decides")
def test_log_names_the_deciding_reviewer(
    web: httpx.Client, case: str, reviewer_headers: HeadersByReviewer, platform: Platform
) -> None:
    listed = web.get("/v1/reviews", headers=reviewer_headers["ana"]).json()
    assert (listed["reviewer"], listed["confirmers"], listed["next"]["case"]) == ("ana", 1, case)
    assert web.get(f"/v1/reviews/{case}", headers=reviewer_headers["ben"]).json() == listed["next"]
    done = web.post(f"/v1/reviews/{case}", json=CONFIRM_BODY, headers=reviewer_headers["ana"])
    assert (done.status_code, done.json()["state"]) == (200, "confirmed")
    assert audit_events(platform, "case confirmed") == [(case, {"also": 0, "by": "ana"})]
    assert web.get("/v1/reviews", headers=OPERATOR_HEADERS).json()["reviewer"] == "operator"


def test_reviewer_token_opens_reviews_only_and_nothing_once_removed(
    web: httpx.Client,
    case: str,
    reviewer_headers: HeadersByReviewer,
    platform: Platform,
    her_picture: Any,
) -> None:
    for path in ("/v1/reviews/published", "/v1/status", "/v1/metrics"):
        assert web.get(path, headers=reviewer_headers["ana"]).status_code == 401
    upload = web.post(
        "/v1/uploads", files={"file": ("x", jpeg(her_picture))}, headers=reviewer_headers["ana"]
    )
    assert upload.status_code == 401
    platform.reviews.remove_reviewer("ana")
    for method, path in (
        ("GET", ""), ("GET", f"/{case}"), ("GET", f"/{case}/view"), ("GET", f"/{case}/upload"),
        ("POST", f"/{case}"),
    ):  # fmt: skip
        for header in (reviewer_headers["ana"], {"Authorization": "Bearer " + "A" * 43}, {}):
            answer = web.request(method, f"/v1/reviews{path}", json=CONFIRM_BODY, headers=header)
            assert answer.status_code == 401
    assert audit_events(platform, "upload seen") == []


@pytest.mark.threat("insider-decides")
def test_upload_is_refused_only_after_two_people_confirm(
    web_with_two_confirmers: httpx.Client,
    case: str,
    reviewer_headers: HeadersByReviewer,
    platform: Platform,
    her_picture: Any,
) -> None:
    address = f"/v1/reviews/{case}"
    first = web_with_two_confirmers.post(
        address, json=CONFIRM_BODY, headers=reviewer_headers["ana"]
    )
    assert first.status_code == 200
    assert (first.json()["state"], first.json()["first_confirmer"]) == ("waiting", "ana")
    again = web_with_two_confirmers.post(
        address, json=CONFIRM_BODY, headers=reviewer_headers["ana"]
    )
    assert (again.status_code, again.json()["type"]) == (
        409,
        "urn:entrenous:refused:second-person-needed",
    )
    held = web_with_two_confirmers.post(
        "/v1/uploads", files={"file": ("x", jpeg(her_picture, 60))}, headers=OPERATOR_HEADERS
    )
    assert held.json()["decision"] == "hold"  # one confirmation is not enough for a refusal
    (match,) = platform.reviews.review(case).decision.matches
    assert platform.bank.claim(match.claim).state is ClaimState.WAITING
    listed = web_with_two_confirmers.get("/v1/reviews", headers=reviewer_headers["ana"]).json()
    assert (listed["waiting"], listed["next"]["case"]) == (2, held.json()["case"])
    assert (
        web_with_two_confirmers.get("/v1/reviews", headers=reviewer_headers["ben"]).json()["next"][
            "case"
        ]
        == case
    )
    second = web_with_two_confirmers.post(
        address, json=CONFIRM_BODY, headers=reviewer_headers["ben"]
    ).json()
    assert (second["state"], second["first_confirmer"]) == ("confirmed", None)
    assert platform.bank.claim(match.claim).state is ClaimState.CONFIRMED
    assert audit_events(platform, "case confirmed first") == [(case, {"by": "ana"})]
    assert audit_events(platform, "case confirmed") == [
        (case, {"also": 0, "by": "ben", "first": "ana"})
    ]
    verify_audit_log(platform.bank)


def test_operator_counts_as_one_of_two_confirmers(
    web_with_two_confirmers: httpx.Client, case: str, reviewer_headers: HeadersByReviewer
) -> None:
    for _ in range(2):
        web_with_two_confirmers.post(
            f"/v1/reviews/{case}", json=CONFIRM_BODY, headers=OPERATOR_HEADERS
        )
        shown = web_with_two_confirmers.get(f"/v1/reviews/{case}", headers=OPERATOR_HEADERS).json()
        assert (shown["state"], shown["first_confirmer"]) == ("waiting", "operator")
    done = web_with_two_confirmers.post(
        f"/v1/reviews/{case}", json=CONFIRM_BODY, headers=reviewer_headers["ana"]
    )
    assert done.json()["state"] == "confirmed"


def test_first_confirmer_may_release_alone(
    web_with_two_confirmers: httpx.Client,
    case: str,
    reviewer_headers: HeadersByReviewer,
    platform: Platform,
) -> None:
    web_with_two_confirmers.post(
        f"/v1/reviews/{case}", json=CONFIRM_BODY, headers=reviewer_headers["ana"]
    )
    done = web_with_two_confirmers.post(
        f"/v1/reviews/{case}", json=RELEASE_BODY, headers=reviewer_headers["ana"]
    ).json()
    assert (done["state"], done["first_confirmer"]) == ("released", None)
    assert audit_events(platform, "case released") == [
        (case, {"also": 0, "by": "ana", "first": "ana"})
    ]


@pytest.mark.threat("insider-decides")
def test_confirmation_by_a_removed_reviewer_does_not_count(
    web_with_two_confirmers: httpx.Client,
    case: str,
    reviewer_headers: HeadersByReviewer,
    platform: Platform,
) -> None:
    web_with_two_confirmers.post(
        f"/v1/reviews/{case}", json=CONFIRM_BODY, headers=reviewer_headers["ana"]
    )
    platform.reviews.remove_reviewer("ana")
    second = web_with_two_confirmers.post(
        f"/v1/reviews/{case}", json=CONFIRM_BODY, headers=reviewer_headers["ben"]
    ).json()
    assert (second["state"], second["first_confirmer"]) == ("waiting", "ben")


@pytest.mark.threat("reviewer-harm")
def test_view_is_small_grey_and_blurred(
    web: httpx.Client,
    case: str,
    reviewer_headers: HeadersByReviewer,
    platform: Platform,
    her_picture: Any,
) -> None:
    shown = web.get(f"/v1/reviews/{case}", headers=reviewer_headers["ana"]).json()
    answer = web.get(shown["view"], headers=reviewer_headers["ana"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["cache-control"] == "no-store"
    view = Image.open(io.BytesIO(answer.content))
    assert (view.mode, view.size, view.format) == ("L", (256, 256), "PNG")
    assert (
        _amount_of_detail(np.asarray(view, np.float64))
        < _amount_of_detail(_grey_values(her_picture)) / 20
    )
    small = np.asarray(view.resize((8, 8), Image.Resampling.BOX), np.float64)
    hers_small = Image.fromarray(_grey_values(her_picture).astype(np.uint8)).resize(
        (8, 8), Image.Resampling.BOX
    )
    correlation = np.corrcoef(small.ravel(), np.asarray(hers_small, np.float64).ravel())[0, 1]
    assert correlation > 0.98  # the view still resembles the picture
    assert audit_events(platform, "upload seen") == [(case, {"by": "ana", "as": "view"})]
    clear = web.get(shown["upload"], headers=reviewer_headers["ben"])
    assert clear.content == jpeg(her_picture)
    assert audit_events(platform, "upload seen")[1:] == [(case, {"by": "ben", "as": "bytes"})]


@pytest.mark.parametrize("upload", [b"\xff\xd8\xff no picture", b"OggS" + bytes(50), b"RIFFxxxx"])
def test_unreadable_upload_has_no_view(
    web: httpx.Client, platform: Platform, upload: bytes
) -> None:
    held = Decision(Outcome.HOLD, "3f9a")
    platform.reviews.record_upload(Review(held, platform.clock.now(), ReviewState.WAITING), upload)
    answer = web.get("/v1/reviews/3f9a/view", headers=OPERATOR_HEADERS)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:entrenous:not-found:no-view")
    assert audit_events(platform, "upload seen") == []
    assert web.get("/v1/reviews/3f9a/upload", headers=OPERATOR_HEADERS).content == upload


def test_decided_case_has_no_view(web: httpx.Client, case: str) -> None:
    web.post(f"/v1/reviews/{case}", json=RELEASE_BODY, headers=OPERATOR_HEADERS)
    shown = web.get(f"/v1/reviews/{case}", headers=OPERATOR_HEADERS).json()
    assert (shown["view"], shown["upload"]) == (None, None)
    gone = web.get(f"/v1/reviews/{case}/view", headers=OPERATOR_HEADERS)
    assert gone.json()["type"] == "urn:entrenous:not-found:upload-not-kept"


def _grey_values(pixels: Any) -> Any:
    small = Image.fromarray(pixels).convert("L").resize((256, 256), Image.Resampling.BOX)
    return np.asarray(small, np.float64)


def _amount_of_detail(grey_values: Any) -> float:
    """Return the mean square of the second differences between rows."""
    return float(np.square(np.diff(grey_values, 2, axis=0)).mean())
