"""Deferred scans and look-backs: the published list, links to uploads, answers, and warnings."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest

from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import Match
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.gate_app import gate_app, minutely_tasks
from entrenous.stop.http.review_requests import PUBLISHED_PER_PAGE_MAX
from entrenous.stop.judge.decide import decide_upload
from entrenous.stop.judge.deferred_scan import run_next_deferred_scan
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimEvent
from entrenous.stop.upload_record import Decision, Outcome, RetroactiveMatches, Review, ReviewState
from tests.deterministic import SettableClock
from tests.stop.judge.test_deferred_views import place_on_page
from tests.stop.platform_for_tests import jpeg, judge_upload, new_device, picture, protect_picture

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}
UPLOADER_HEADERS = {"Authorization": "Bearer uploader-token"}


def register_picture(gate: RegistrationClient, pixels: Any) -> Any:
    return protect_picture(
        picture(pixels), adult=True, parts=False, gate=gate, device=new_device()
    ).claim


def send_upload(web: httpx.Client, upload: bytes, headers: dict[str, str]) -> Any:
    form = {"files": {"file": ("x", upload)}, "data": {"reference": "post 17"}}
    return web.post("/v1/uploads", headers=headers, **form).json()  # type: ignore[arg-type]


@pytest.mark.slow
def test_upload_matched_by_a_deferred_scan_is_on_the_published_list(
    web: httpx.Client, device_gate: RegistrationClient, platform: Platform, her_picture: Any
) -> None:
    register_picture(device_gate, her_picture)
    answer = send_upload(web, jpeg(place_on_page(her_picture)), OPERATOR_HEADERS)
    assert answer["decision"] == "let through"
    assert web.get("/v1/reviews/published", headers=OPERATOR_HEADERS).json()["cases"] == []
    counts = web.get("/v1/status", headers=OPERATOR_HEADERS).json()
    assert counts["slow_looks"] == {"waiting": 1, "skipped": 0}
    assert run_next_deferred_scan(platform)
    listed = web.get("/v1/reviews/published", headers=OPERATOR_HEADERS).json()
    (shown,) = listed["cases"]
    assert (shown["case"], shown["found"], shown["reference"], listed["more"]) == (
        answer["case"], "slow look", "post 17", False,
    )  # fmt: skip
    assert web.get(shown["upload"], headers=OPERATOR_HEADERS).content == jpeg(
        place_on_page(her_picture)
    )
    after = web.get(
        "/v1/reviews/published", params={"after": shown["case"]}, headers=OPERATOR_HEADERS
    )
    assert after.json()["cases"] == []
    address = f"/v1/reviews/{shown['case']}"
    done = web.post(address, json={"decision": "confirm"}, headers=OPERATOR_HEADERS).json()
    assert (done["state"], done["upload"]) == ("confirmed", None)
    assert (
        send_upload(web, jpeg(place_on_page(her_picture)), OPERATOR_HEADERS)["decision"] == "hold"
    )


@pytest.mark.slow
@pytest.mark.parametrize("final_state", ["confirmed", "released", "closed"])
def test_state_of_a_case_after_a_decision_or_a_withdrawal(
    web: httpx.Client,
    device_gate: RegistrationClient,
    platform: Platform,
    her_picture: Any,
    final_state: str,
) -> None:
    """The published list contains a confirmed upload, but no released or closed upload."""
    claim = register_picture(device_gate, her_picture)
    case = send_upload(web, jpeg(place_on_page(her_picture)), OPERATOR_HEADERS)["case"]
    assert run_next_deferred_scan(platform)
    address = f"/v1/reviews/{case}"
    assert web.get(address, headers=OPERATOR_HEADERS).json()["state"] == "waiting"
    decision_word = {"confirmed": "confirm", "released": "release"}.get(final_state)
    if decision_word is None:
        platform.bank.apply_event(claim, ClaimEvent.WITHDRAW)
    else:
        web.post(address, json={"decision": decision_word}, headers=OPERATOR_HEADERS)
    listed = web.get("/v1/reviews/published", headers=OPERATOR_HEADERS).json()["cases"]
    expected = [("confirmed", "post 17")] if final_state == "confirmed" else []
    assert [(one["state"], one["reference"]) for one in listed] == expected
    review = web.get(address, headers=OPERATOR_HEADERS).json()
    assert (review["state"], review["case"]) == (final_state, case)
    if final_state == "closed":
        assert review["decision"] == "let through"


@pytest.mark.slow
def test_published_list_is_paged(
    web: httpx.Client, platform: Platform, device_gate: RegistrationClient, her_picture: Any
) -> None:
    claim = platform.bank.claim(register_picture(device_gate, her_picture))
    match = Match(claim.bank, claim.id, 3, "as it is")
    for number in range(PUBLISHED_PER_PAGE_MAX + 2):
        decision = Decision(Outcome.LET_THROUGH, f"{number:04}")
        at = platform.clock.now()
        platform.reviews.record_upload(Review(decision, at, ReviewState.CLOSED, bytes(32)), None)
        platform.reviews.hold_retroactively(RetroactiveMatches(decision.case, (match,), 1), 5)
    first = web.get("/v1/reviews/published", headers=OPERATOR_HEADERS).json()
    assert (len(first["cases"]), first["more"]) == (PUBLISHED_PER_PAGE_MAX, True)
    last = {"after": first["cases"][-1]["case"]}
    second = web.get("/v1/reviews/published", params=last, headers=OPERATOR_HEADERS).json()
    assert (len(second["cases"]), second["more"]) == (2, False)


@pytest.mark.parametrize("headers", [{}, UPLOADER_HEADERS])
def test_only_the_operator_reads_the_published_list(
    web: httpx.Client, headers: dict[str, str]
) -> None:
    assert web.get("/v1/reviews/published", headers=headers).status_code == 401


def test_published_list_after_an_invalid_case_is_not_found(web: httpx.Client) -> None:
    odd = web.get("/v1/reviews/published", params={"after": "\x00"}, headers=OPERATOR_HEADERS)
    assert odd.status_code == 404


def test_uploader_gets_the_same_answer_for_a_page_with_a_registered_picture(
    web: httpx.Client, device_gate: RegistrationClient, her_picture: Any, other_picture: Any
) -> None:
    register_picture(device_gate, her_picture)
    answers = [
        send_upload(web, jpeg(one), UPLOADER_HEADERS)
        for one in (place_on_page(her_picture), other_picture)
    ]
    for one in answers:
        del one["case"], one["secret"]
    assert answers[0] == answers[1]


def test_upload_link_appears_once_bytes_are_stored(
    web: httpx.Client, device_gate: RegistrationClient, platform: Platform, her_picture: Any
) -> None:
    """The gate stores the bytes of an upload after its answer; until then there is no link."""
    register_picture(device_gate, her_picture)
    case = decide_upload(jpeg(her_picture), platform).case
    shown = web.get("/v1/reviews", headers=OPERATOR_HEADERS).json()["next"]
    assert (shown["case"], shown["upload"]) == (case, None)
    platform.reviews.store_review_bytes(case, jpeg(her_picture), 3)
    shown = web.get("/v1/reviews", headers=OPERATOR_HEADERS).json()["next"]
    assert web.get(shown["upload"], headers=OPERATOR_HEADERS).status_code == 200


def test_appeal_without_a_file_has_no_upload_link(
    web: httpx.Client, device_gate: RegistrationClient, her_picture: Any
) -> None:
    register_picture(device_gate, her_picture)
    case = send_upload(web, jpeg(her_picture), OPERATOR_HEADERS)["case"]
    web.post(f"/v1/reviews/{case}", json={"decision": "confirm"}, headers=OPERATOR_HEADERS)
    again = send_upload(web, jpeg(her_picture), UPLOADER_HEADERS)
    secret = {"Authorization": f"Bearer {again['secret']}"}
    assert web.post(f"/v1/uploads/{again['case']}/appeal", headers=secret).status_code == 200
    shown = web.get("/v1/reviews", headers=OPERATOR_HEADERS).json()["next"]
    assert (shown["case"], shown["found"], shown["upload"]) == (again["case"], "appeal", None)


def test_gate_does_the_look_back_that_a_killed_gate_left(
    platform: Platform,
    device_gate: RegistrationClient,
    her_picture: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first gate stores a claim without a look-back; the next gate makes the look-back."""
    case = judge_upload(jpeg(her_picture), platform).case
    monkeypatch.setattr(
        "entrenous.stop.http.registration_requests.look_back_for_newest_claims",
        lambda _platform: None,
    )
    register_picture(device_gate, her_picture)
    app = gate_app(platform, GateAccess(Secret(b"o")))

    async def run_until_found() -> None:
        async with app.router.lifespan_context(app):
            with anyio.fail_after(20):
                while platform.reviews.count_waiting_items() == 0:  # noqa: ASYNC110 -- a thread changes the condition
                    await anyio.sleep(0.01)

    anyio.run(run_until_found)
    assert platform.reviews.review(case).found == "look back"


def test_skipped_scans_are_logged_once(
    platform: Platform, clock: SettableClock, her_picture: Any, caplog: pytest.LogCaptureFixture
) -> None:
    changed_platform = replace(platform, limits=replace(platform.limits, slow_looks=1))
    tasks: tuple[Callable[[], object], ...] = minutely_tasks(changed_platform)
    for _ in range(3):
        judge_upload(jpeg(her_picture), changed_platform)
    clock.advance(minutes=2)
    with caplog.at_level(logging.WARNING):
        for task in (*tasks, *tasks):
            task()
    logged = [one.getMessage() for one in caplog.records if one.name == "entrenous.gate"]
    assert logged == ["slow look skipped: 2 uploads"]


def test_no_skipped_scans_are_logged_when_scans_are_off(
    platform: Platform, clock: SettableClock, her_picture: Any, caplog: pytest.LogCaptureFixture
) -> None:
    # No bytes are stored for the scan, as if the gate had been killed right after the decision.
    decide_upload(jpeg(her_picture), platform)
    clock.advance(minutes=2)
    changed_platform = replace(platform, limits=replace(platform.limits, slow_looks=0))
    with caplog.at_level(logging.WARNING):
        for task in minutely_tasks(changed_platform):
            task()
    assert [one for one in caplog.records if one.name == "entrenous.gate"] == []
    assert platform.reviews.count_due_work().slow_looks == 0


def test_clock_that_jumps_by_60_days_is_logged(
    platform: Platform, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        for task in minutely_tasks(platform):
            task()
        clock.advance(days=60)
    (logged,) = [one for one in caplog.records if one.name == "entrenous.gate"]
    assert (logged.levelname, logged.getMessage()) == ("WARNING", "clock ahead by 60 days")
