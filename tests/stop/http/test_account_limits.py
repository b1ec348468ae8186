"""Limits per account and hour: beyond them, a match and a miss get the same answer."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from entrenous import cli
from entrenous.base.identifiers import ClaimId
from entrenous.base.secret import Secret
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.http import access as counting
from entrenous.stop.http.access import AccountCounter, GateAccess, TokenRole, TooManyUploads
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimEvent
from tests.stop.commands.gates import running, within_an_hour
from tests.stop.http.conftest import URL, Direct, WoundClock
from tests.stop.platform_for_tests import a_device, jpeg, picture, protect_picture

pytestmark = pytest.mark.slow

OPERATOR = {"Authorization": "Bearer operator-token"}
UPLOADER = {"Authorization": "Bearer uploader-token"}
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
ANA, BEN = {**OPERATOR, "Entrenous-Account": "ana"}, {**OPERATOR, "Entrenous-Account": "ben"}


@pytest.fixture
def access(access: GateAccess) -> GateAccess:
    return replace(access, uploads_per_account=4, refused_per_account=2)


def registered(gate: RegistrationClient, pixels: Any) -> ClaimId:
    asked = protect_picture(picture(pixels), adult=True, parts=False, gate=gate, device=a_device())
    return asked.claim


@pytest.fixture
def waiting(device_gate: RegistrationClient, hers: Any) -> bytes:
    """Register a picture; return an upload of it that is quarantined."""
    registered(device_gate, hers)
    return jpeg(hers)


@pytest.fixture
def confirmed(device_gate: RegistrationClient, platform: Platform, hers: Any) -> bytes:
    """Register and confirm a picture; return an upload of it that is refused."""
    platform.bank.apply_event(registered(device_gate, hers), ClaimEvent.CONFIRM)
    return jpeg(hers)


def bring(web: httpx.Client, data: bytes, headers: dict[str, str]) -> httpx.Response:
    return web.post("/v1/uploads", files={"file": ("x", data)}, headers=headers)


def said(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    return answer.status_code, answer.content, sorted(answer.headers.items())


@pytest.mark.threat("probing-registered")
@pytest.mark.parametrize("who", [ANA, UPLOADER])
def test_over_limit_match_and_miss_get_the_same_answer(
    web: httpx.Client, clock: WoundClock, waiting: bytes, another: Any, who: dict[str, str]
) -> None:
    hit, miss = waiting, jpeg(another)
    clock.wind(minutes=20)
    assert [bring(web, data, who).status_code for data in (hit, hit, miss, hit)] == [200] * 4
    late = [bring(web, data, who) for data in (hit, miss, b"no picture")]
    assert said(late[0]) == said(late[1]) == said(late[2])
    assert (late[0].status_code, late[0].headers["retry-after"]) == (429, "2400")
    problem = late[0].json()
    assert problem["type"] == "urn:entrenous:unreachable:too-many-uploads"
    assert "Try again in 40 minutes" in problem["detail"]
    assert "here: https://platform.example/appeal" in problem["detail"]
    assert bring(web, miss, BEN).status_code == 200
    clock.wind(hours=1)
    assert bring(web, hit, who).status_code == 200


@pytest.mark.threat("probing-registered")
def test_few_refusals_reach_the_limit(web: httpx.Client, confirmed: bytes, another: Any) -> None:
    told = [bring(web, confirmed, ANA) for _ in range(3)]
    assert [answer.status_code for answer in told] == [200, 200, 429]
    assert said(bring(web, jpeg(another), ANA)) == said(told[-1])
    assert bring(web, confirmed, BEN).json()["decision"] == "refuse"


def test_quarantined_uploads_count_like_accepted_ones(web: httpx.Client, waiting: bytes) -> None:
    """Otherwise repeating an upload until the limit would reveal whether it matches."""
    answers = [bring(web, waiting, UPLOADER).status_code for _ in range(5)]
    assert answers == [200] * 4 + [429]


def test_unknown_accounts_share_a_higher_limit(web: httpx.Client, confirmed: bytes) -> None:
    """Uploads without an account count as one account."""
    assert {bring(web, confirmed, OPERATOR).status_code for _ in range(6)} == {200}


@pytest.mark.threat("probing-registered")
def test_unknown_accounts_are_limited_too(
    web: httpx.Client, confirmed: bytes, another: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uploads without a match are not limited, since many people share this account."""
    monkeypatch.setattr(counting, "_ANONYMOUS_LIMIT_FACTOR", 2)
    assert {bring(web, jpeg(another), OPERATOR).status_code for _ in range(6)} == {200}
    told = [bring(web, confirmed, OPERATOR) for _ in range(5)]
    assert [answer.status_code for answer in told] == [200] * 4 + [429]
    assert said(bring(web, jpeg(another), OPERATOR)) == said(told[-1])
    assert bring(web, confirmed, ANA).json()["decision"] == "refuse"


@pytest.mark.threat("shadow-acts")
def test_shadow_mode_counts_no_uploads(web: httpx.Client, confirmed: bytes) -> None:
    """Otherwise uploads beyond a limit would be published without being judged."""
    shadow = {**ANA, "Entrenous-Publishes": "all"}
    told = [bring(web, confirmed, shadow).json() for _ in range(6)]
    assert {(one["decision"], one["published"]) for one in told} == {("refuse", True)}
    listed = web.get("/v1/reviews/published", headers=OPERATOR).json()["cases"]
    assert {one["case"] for one in listed} == {one["case"] for one in told}
    assert bring(web, confirmed, ANA).json()["decision"] == "refuse"
    assert bring(web, confirmed, {**UPLOADER, "Entrenous-Publishes": "all"}).json()["appeal"]
    assert len(web.get("/v1/reviews/published", headers=OPERATOR).json()["cases"]) == 6


@pytest.mark.parametrize("word", ["", "nothing", "everything", "All", "held,all"])
def test_publishes_header_accepts_two_values(web: httpx.Client, another: Any, word: str) -> None:
    answer = bring(web, jpeg(another), {**OPERATOR, "Entrenous-Publishes": word})
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad publishes")
    assert bring(web, jpeg(another), {**UPLOADER, "Entrenous-Publishes": word}).status_code == 200


def test_account_header_of_an_uploader_is_ignored(web: httpx.Client, another: Any) -> None:
    odd = [{**UPLOADER, "Entrenous-Account": name} for name in "abcde"]
    answers = [bring(web, jpeg(another), headers).status_code for headers in odd]
    assert answers == [200] * 4 + [429]
    assert bring(web, b"x", {**UPLOADER, "Entrenous-Account": " "}).status_code == 429


@pytest.mark.parametrize("name", ["", " ", "a b", "x" * 129, "\xe9", "a\tb"])
def test_malformed_account_name_is_refused(web: httpx.Client, another: Any, name: str) -> None:
    headers = {**OPERATOR, "Entrenous-Account": name.encode("latin-1")}
    answer = web.post("/v1/uploads", files={"file": ("x", jpeg(another))}, headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad account")


def test_over_limit_upload_is_not_counted(
    platform: Platform, access: GateAccess, another: Any
) -> None:
    """An upload that a busy gate did not take may be sent again."""
    none = replace(access, uploads_at_once=0)
    with httpx.Client(transport=Direct(gate_app(platform, none)), base_url=URL) as web:
        answers = [bring(web, jpeg(another), ANA) for _ in range(6)]
    assert {answer.json()["title"] for answer in answers} == {"Gate busy"}


def test_account_name_is_neither_stored_nor_logged(
    access: GateAccess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    one, other = (AccountCounter(access, Secret(key * 32)) for key in (b"a", b"b"))
    names = [
        each.counted_names(_request(b"ana@example.org"), TokenRole.OPERATOR)
        for each in (one, other)
    ]
    assert names[0] != names[1]  # each process has its own key
    one.count_or_refuse(names[0], NOON)
    one.count_refusal(names[0], NOON)
    kept = repr((one.uploads, one.refused))
    assert "ana" not in kept
    assert [len(name) for name in one.uploads] == [16]
    assert "ana" not in caplog.text
    one.count_or_refuse((), NOON + timedelta(hours=1))
    assert (one.uploads, one.refused) == ({}, {})


def test_number_of_remembered_accounts_is_limited(
    access: GateAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_NAMES_REMEMBERED_MAX", 3)
    one = AccountCounter(access, Secret(bytes(32)))
    names = [((bytes([number]), 1),) for number in range(5)]
    for _ in range(4):
        for each in names:
            one.count_or_refuse(each, NOON)
    assert len(one.uploads) == 3
    with pytest.raises(TooManyUploads):
        one.count_or_refuse(names[0], NOON)
    one.count_or_refuse(names[4], NOON)


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8:1:2::7"])
def test_limit_of_zero_accepts_all(access: GateAccess, address: str) -> None:
    one = AccountCounter(
        replace(access, uploads_per_account=0, refused_per_account=0), Secret(bytes(32))
    )
    names = one.counted_names(_request(b"", address), TokenRole.UPLOADER)
    for _ in range(1000):
        one.count_or_refuse(names, NOON)
        one.count_refusal(names, NOON)


def test_ipv6_household_counts_as_one_account(access: GateAccess) -> None:
    one = AccountCounter(access, Secret(bytes(32)))
    for number in range(4):
        one.count_or_refuse(
            one.counted_names(_request(b"", f"2001:db8:1:2::{number}"), TokenRole.UPLOADER), NOON
        )
    with pytest.raises(TooManyUploads):
        one.count_or_refuse(
            one.counted_names(_request(b"", "2001:db8:1:2:ffff::9"), TokenRole.UPLOADER), NOON
        )
    one.count_or_refuse(
        one.counted_names(_request(b"", "2001:db8:1:3::9"), TokenRole.UPLOADER), NOON
    )


def _request(account: bytes, address: str = "192.0.2.1") -> Any:
    headers = [(b"entrenous-account", account)] if account else []
    return Request({"type": "http", "headers": headers, "client": (address, 1)})


@pytest.mark.real
@pytest.mark.threat("probing-registered")
def test_account_limits_hold_in_a_running_gate_with_judges(tmp_path: Path, another: Any) -> None:
    data = tmp_path / "gate"
    data.mkdir()
    (data / "gate.toml").write_text("uploads_per_account = 3\n")
    within_an_hour(60)
    with (
        running(data, "--no-slow-look") as gate,
        httpx.Client(base_url=gate.url, timeout=60) as web,
    ):
        ana, ben = ({**gate.who, "Entrenous-Account": name} for name in ("ana", "ben"))
        answers = [bring(web, jpeg(another), ana) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200] * 3 + [429]
        assert int(answers[-1].headers["retry-after"]) <= 3600
        assert bring(web, jpeg(another), ben).status_code == 200
        uploader = {"Authorization": f"Bearer {(data / 'uploader.token').read_text()}"}
        answers = [bring(web, jpeg(another), uploader) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200] * 3 + [429]


@pytest.mark.real
def test_gate_drop_sends_the_account(
    tmp_path: Path, another: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "gate"
    data.mkdir()
    (data / "gate.toml").write_text("uploads_per_account = 2\n")
    file = tmp_path / "x.jpg"
    file.write_bytes(jpeg(another))
    within_an_hour(60)
    with running(data, "--no-slow-look") as gate:
        asked = ["--gate", gate.url, "--token-file", str(data / "operator.token")]
        drop = ["gate", "drop", *[str(file)] * 3, *asked, "--account"]
        assert cli.run([*drop, "ana@example.org"], {}) == 6
        said = capsys.readouterr().out.splitlines()
        assert [line.split(": ")[1].split("  case")[0] for line in said] == [
            *("let through  gate", "let through  gate", "hold  too many of one account")
        ]
        assert cli.run([*drop[:3], *asked, "--account", "ben@example.org"], {}) == 0
