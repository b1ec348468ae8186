"""The rules of hooks: requests that may contain uploads, and replies to uploads."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.environment import BadSetting
from entrenous.connectors.upload_rules import (
    decision_header_value,
    make_rules,
    may_have_body,
    reply_headers,
    reply_to,
)
from entrenous.stop.client.gate_answer import GateAnswer, GateReason, GateVerdict, strictest_answer
from tests.connectors.running_gates import CASE

MEDIA_RULES = make_rules(["/api/v2/media", "/avatar/"], "publish")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2/media",
        "/api/v2/media/",
        "/api/v2/media/7",
        "/api/v2/media.json",
        "/api/v2/media;a=b",
        "//api//v2/media",
        "/api/./v2/media",
        "/API/v2/Media",
        "/elsewhere/../api/v2/media",
        "/avatar",
        "//host/api/v2/media",
        "///host//api/v2/media",
        "http://host/api/v2/media",
        "//host/x/../api/v2/media",
        *("//host/other", "//host", "//", "/a//avatar", "http://host"),
        *("/api;x/v2/media", "/x/..;/api/v2/media", "/other;x", "/other/..", "/other%2e", "/a\\b"),
        *("api/v2/media", "/avatar\0", "/other\x7f", "/other\ufffd", "/\uff41pi/v2/media"),
        *("/other./a", "/other ", "/index.php/api/v2/media", "/other\u200b"),
    ],
)
def test_paths_that_may_receive_uploads(path: str) -> None:
    for method in ("POST", "PUT", "PATCH", "post"):
        assert MEDIA_RULES.may_contain_upload(method, path)
    for method in ("GET", "DELETE", "HEAD", "MKCOL"):
        assert not MEDIA_RULES.may_contain_upload(method, path, has_body=False)
        assert MEDIA_RULES.may_contain_upload(method, path, has_body=True)


@pytest.mark.parametrize(
    ("length", "transfer_encoding", "version", "expected"),
    [
        (None, None, "1.1", False),
        ("0", None, "1.1", False),
        ("7", None, "1.0", True),
        ("0, 7", None, "1.1", True),
        (None, "chunked", "1.1", True),
        ("0", "chunked", "1.1", True),
        # HTTP/2 and HTTP/3 need no header for a body.
        (None, None, "2", True),
        (None, None, "3", True),
        ("0", None, "2", False),
        (None, None, "", True),
    ],
)
def test_headers_say_whether_a_request_may_have_a_body(
    length: str | None, transfer_encoding: str | None, version: str, *, expected: bool
) -> None:
    assert may_have_body(length, transfer_encoding, version) is expected


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/api/v2/mediation", "/api/v2/media-other", "/api/v1/media", "/avatars", "", "*"),
        *(
            "/@ana/7",
            "/a.b/c-d_e~f",
            "/caf\u00e9/\u65e5\u672c",
            "/.well-known/x",
            "/rooms/!a:b/send",
        ),
    ],
)
def test_paths_that_receive_no_uploads(path: str) -> None:
    for method in ("POST", "GET"):
        assert not MEDIA_RULES.may_contain_upload(method, path, has_body=True)


@pytest.mark.parametrize(
    "raw_target", [b"/a%2Fb", b"/a%5cb", b"/%2e/a", b"/a%3Bb", b"/%2561", b"/\xc0\xaf"]
)
def test_request_with_an_encoded_raw_target_may_contain_uploads(raw_target: bytes) -> None:
    """A server behind the hook may decode the raw target a second time, or differently."""
    assert MEDIA_RULES.may_contain_upload("POST", "/other", raw_target)
    assert not MEDIA_RULES.may_contain_upload("POST", "/other", b"/other%20one?a=%2F..;")


@pytest.mark.parametrize("path", ["/caf%C3%A9//up", "/caf\u00e9/up/", "/CAFE\u0301/up"])
def test_path_settings_are_normalized(path: str) -> None:
    assert make_rules([path], "publish").may_contain_upload(
        "POST", "/caf\u00e9/up/7", b"/caf%c3%a9/up/7"
    )


@given(st.text())
def test_root_path_covers_everything(path: str) -> None:
    assert make_rules(["/"], "publish").may_contain_upload("POST", f"/{path}")


@pytest.mark.parametrize("paths", [[], "/upload", ["upload"], [7], ["/a/../b"]])
def test_invalid_paths_are_refused(paths: list[str]) -> None:
    with pytest.raises(BadSetting, match="paths"):
        make_rules(paths, "publish")


@pytest.mark.parametrize("on_hold", ["refuse", "answer", "Publish", ""])
def test_invalid_on_hold_is_refused(on_hold: str) -> None:
    with pytest.raises(BadSetting, match="on_hold"):
        make_rules(["/"], on_hold)


# In this answer, the gate does not say that it has listed the upload as published.
HELD_ANSWER = GateAnswer(GateVerdict.HOLD, GateReason.GATE, CASE)


@pytest.mark.parametrize(
    ("answer", "on_hold", "status", "problem_type"),
    [
        (
            GateAnswer(GateVerdict.REFUSE, GateReason.GATE, CASE),
            "header",
            422,
            "refused:stopped-upload",
        ),
        (
            GateAnswer(GateVerdict.REFUSE, GateReason.GATE, CASE),
            "publish",
            422,
            "refused:stopped-upload",
        ),
        (HELD_ANSWER, "publish", 422, "refused:held-upload"),
        (
            GateAnswer(GateVerdict.HOLD, GateReason.AWAY),
            "publish",
            503,
            "unreachable:unchecked-upload",
        ),
        (
            GateAnswer(GateVerdict.HOLD, GateReason.BUSY),
            "publish",
            503,
            "unreachable:unchecked-upload",
        ),
        (
            GateAnswer(GateVerdict.HOLD, GateReason.OTHER_MEDIA),
            "publish",
            415,
            "refused:uncheckable-upload",
        ),
        (
            GateAnswer(GateVerdict.HOLD, GateReason.TOO_LARGE),
            "publish",
            413,
            "refused:large-upload",
        ),
        (GateAnswer(GateVerdict.HOLD, GateReason.TOO_MANY), "publish", 413, "refused:large-upload"),
        (
            GateAnswer(GateVerdict.HOLD, GateReason.UNREADABLE),
            "publish",
            400,
            "malformed:odd-upload",
        ),
    ],
)
def test_reply_to_an_uploader_has_status_type_and_appeal_address(
    answer: GateAnswer, on_hold: str, status: int, problem_type: str
) -> None:
    reply = reply_to(answer, on_hold, "https://site.example/appeal")
    assert reply is not None
    problem = json.loads(reply.body)
    assert reply.status == status
    assert problem.get("case", "") == answer.case
    assert problem.get("type", "") == (f"urn:entrenous:{problem_type}" if problem_type else "")
    assert ("https://site.example/appeal" in problem["detail"]) is bool(answer.case)
    assert (("Retry-After", "30") in reply_headers(reply)) is (status == 503)


def test_account_limit_reply_has_retry_after() -> None:
    answer = GateAnswer(GateVerdict.HOLD, GateReason.ACCOUNT, retry_after_s=1501)
    reply = reply_to(answer, "publish", "https://site.example/appeal")
    assert reply is not None
    problem = json.loads(reply.body)
    assert (reply.status, problem["type"]) == (429, "urn:entrenous:unreachable:many-uploads")
    assert "Try again in 26 minutes" in problem["detail"]
    assert "https://site.example/appeal" in problem["detail"]
    assert ("Retry-After", "1501") in reply_headers(reply)


@pytest.mark.parametrize(
    ("answer", "on_hold"),
    [
        (GateAnswer(GateVerdict.LET_THROUGH, GateReason.GATE, CASE), "publish"),
        (GateAnswer(GateVerdict.HOLD, GateReason.GATE, CASE, listed=True), "publish"),
        (HELD_ANSWER, "header"),
        (GateAnswer(GateVerdict.HOLD, GateReason.AWAY), "header"),
        (GateAnswer(GateVerdict.REFUSE, GateReason.GATE, CASE, shadow=True), "publish"),
        (GateAnswer(GateVerdict.HOLD, GateReason.AWAY, shadow=True), "publish"),
    ],
)
def test_answers_that_pass_an_upload_need_no_reply(answer: GateAnswer, on_hold: str) -> None:
    assert reply_to(answer, on_hold, "") is None


def test_format_of_the_decision_header() -> None:
    assert decision_header_value(HELD_ANSWER) == f"hold; case={CASE}; why=gate"
    assert (
        decision_header_value(GateAnswer(GateVerdict.HOLD, GateReason.AWAY))
        == "hold; why=gate-away"
    )
    named = GateAnswer(GateVerdict.HOLD, GateReason.GATE, CASE, secret="AAEC")
    assert decision_header_value(named) == f"hold; case={CASE}; secret=AAEC; why=gate"
    shadowed = GateAnswer(GateVerdict.REFUSE, GateReason.GATE, CASE, shadow=True)
    assert decision_header_value(shadowed) == f"refuse; case={CASE}; why=gate; shadow"
    listed = GateAnswer(GateVerdict.HOLD, GateReason.GATE, CASE, listed=True, also=("3f9a", "70c2"))
    assert (
        decision_header_value(listed) == f"hold; case={CASE}; why=gate; also=3f9a,70c2; published"
    )


LISTED_ANSWER = GateAnswer(GateVerdict.HOLD, GateReason.GATE, CASE, listed=True)


@pytest.mark.parametrize(
    ("answers", "action"),
    [
        ([LISTED_ANSWER, GateAnswer(GateVerdict.HOLD, GateReason.AWAY)], GateVerdict.HOLD),
        ([LISTED_ANSWER, GateAnswer(GateVerdict.REFUSE, GateReason.GATE, "1")], GateVerdict.REFUSE),
        (
            [LISTED_ANSWER, GateAnswer(GateVerdict.LET_THROUGH, GateReason.GATE, "1")],
            GateVerdict.LET_THROUGH,
        ),
        ([LISTED_ANSWER, LISTED_ANSWER], GateVerdict.LET_THROUGH),
    ],
)
def test_listed_held_answer_does_not_outweigh_others(
    answers: list[GateAnswer], action: GateVerdict
) -> None:
    for order in (answers, answers[::-1]):
        worst = strictest_answer(order)
        assert worst is not None
        assert worst.action is action
        cases = {worst.case, *worst.also} - {""}
        assert cases == {one.case for one in answers} - {""}
