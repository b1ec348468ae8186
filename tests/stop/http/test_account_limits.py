"""Hourly limits by account or address, and the headers Entrenous-Account and
Entrenous-Publishes.
"""

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
from entrenous.stop.http import access as access_module
from entrenous.stop.http.access import AccountCounter, GateAccess, TokenRole, TooManyUploads
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimEvent
from tests.deterministic import SettableClock
from tests.stop.commands.gates import start_gate, wait_if_hour_ends_within
from tests.stop.http.conftest import URL, AsgiTransport
from tests.stop.platform_for_tests import jpeg, new_device, picture, protect_picture

pytestmark = pytest.mark.slow

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}
UPLOADER_HEADERS = {"Authorization": "Bearer uploader-token"}
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
ANA_HEADERS, BEN_HEADERS = (
    {**OPERATOR_HEADERS, "Entrenous-Account": "ana"},
    {**OPERATOR_HEADERS, "Entrenous-Account": "ben"},
)


@pytest.fixture
def access(access: GateAccess) -> GateAccess:
    return replace(access, uploads_per_account=4, refused_per_account=2)


def register_picture(gate: RegistrationClient, pixels: Any) -> ClaimId:
    protection = protect_picture(
        picture(pixels), adult=True, parts=False, gate=gate, device=new_device()
    )
    return protection.claim


@pytest.fixture
def quarantined_upload(device_gate: RegistrationClient, her_picture: Any) -> bytes:
    """Register a picture; return a JPEG that the gate quarantines."""
    register_picture(device_gate, her_picture)
    return jpeg(her_picture)


@pytest.fixture
def refused_upload(device_gate: RegistrationClient, platform: Platform, her_picture: Any) -> bytes:
    """Register and confirm a picture; return a JPEG that the gate refuses."""
    platform.bank.apply_event(register_picture(device_gate, her_picture), ClaimEvent.CONFIRM)
    return jpeg(her_picture)


def send_upload(web: httpx.Client, upload: bytes, headers: dict[str, str]) -> httpx.Response:
    return web.post("/v1/uploads", files={"file": ("x", upload)}, headers=headers)


def comparable_parts(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    return answer.status_code, answer.content, sorted(answer.headers.items())


@pytest.mark.threat("probing-registered")
@pytest.mark.parametrize("headers", [ANA_HEADERS, UPLOADER_HEADERS])
def test_match_and_miss_over_the_limit_get_the_same_429_until_the_next_hour(
    web: httpx.Client,
    clock: SettableClock,
    quarantined_upload: bytes,
    other_picture: Any,
    headers: dict[str, str],
) -> None:
    hit, miss = quarantined_upload, jpeg(other_picture)
    clock.advance(minutes=20)
    assert [send_upload(web, data, headers).status_code for data in (hit, hit, miss, hit)] == [
        200
    ] * 4
    over_limit = [send_upload(web, data, headers) for data in (hit, miss, b"no picture")]
    assert (
        comparable_parts(over_limit[0])
        == comparable_parts(over_limit[1])
        == comparable_parts(over_limit[2])
    )
    assert (over_limit[0].status_code, over_limit[0].headers["retry-after"]) == (429, "2400")
    problem = over_limit[0].json()
    assert problem["type"] == "urn:entrenous:unreachable:too-many-uploads"
    assert "Try again in 40 minutes" in problem["detail"]
    assert "here: https://platform.example/appeal" in problem["detail"]
    assert send_upload(web, miss, BEN_HEADERS).status_code == 200
    clock.advance(hours=1)
    assert send_upload(web, hit, headers).status_code == 200


@pytest.mark.threat("probing-registered")
def test_refused_uploads_have_a_lower_limit(
    web: httpx.Client, refused_upload: bytes, other_picture: Any
) -> None:
    answers = [send_upload(web, refused_upload, ANA_HEADERS) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert comparable_parts(send_upload(web, jpeg(other_picture), ANA_HEADERS)) == comparable_parts(
        answers[-1]
    )
    assert send_upload(web, refused_upload, BEN_HEADERS).json()["decision"] == "refuse"


def test_quarantined_uploads_count_towards_the_limit(
    web: httpx.Client, quarantined_upload: bytes
) -> None:
    """If they did not count, the limit would reveal which uploads match."""
    answers = [send_upload(web, quarantined_upload, UPLOADER_HEADERS).status_code for _ in range(5)]
    assert answers == [200] * 4 + [429]


def test_refusals_without_an_account_have_a_higher_limit(
    web: httpx.Client, refused_upload: bytes
) -> None:
    assert {send_upload(web, refused_upload, OPERATOR_HEADERS).status_code for _ in range(6)} == {
        200
    }


@pytest.mark.threat("probing-registered")
def test_refusals_without_an_account_are_limited(
    web: httpx.Client, refused_upload: bytes, other_picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All uploads that the operator sends without an account share one limit on refusals."""
    monkeypatch.setattr(access_module, "_ANONYMOUS_LIMIT_FACTOR", 2)
    assert {
        send_upload(web, jpeg(other_picture), OPERATOR_HEADERS).status_code for _ in range(6)
    } == {200}
    answers = [send_upload(web, refused_upload, OPERATOR_HEADERS) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert comparable_parts(
        send_upload(web, jpeg(other_picture), OPERATOR_HEADERS)
    ) == comparable_parts(answers[-1])
    assert send_upload(web, refused_upload, ANA_HEADERS).json()["decision"] == "refuse"


@pytest.mark.threat("shadow-acts")
def test_uploads_in_shadow_mode_are_listed_and_not_counted(
    web: httpx.Client, refused_upload: bytes
) -> None:
    """A connector in shadow mode publishes every upload, so uploaders learn nothing from it."""
    shadow_headers = {**ANA_HEADERS, "Entrenous-Publishes": "all"}
    answers = [send_upload(web, refused_upload, shadow_headers).json() for _ in range(6)]
    assert {(one["decision"], one["published"]) for one in answers} == {("refuse", True)}
    listed = web.get("/v1/reviews/published", headers=OPERATOR_HEADERS).json()["cases"]
    assert {one["case"] for one in listed} == {one["case"] for one in answers}
    assert send_upload(web, refused_upload, ANA_HEADERS).json()["decision"] == "refuse"
    assert send_upload(
        web, refused_upload, {**UPLOADER_HEADERS, "Entrenous-Publishes": "all"}
    ).json()["appeal"]
    assert len(web.get("/v1/reviews/published", headers=OPERATOR_HEADERS).json()["cases"]) == 6


@pytest.mark.parametrize("header_value", ["", "nothing", "everything", "All", "held,all"])
def test_invalid_publishes_header_is_refused_only_from_the_operator(
    web: httpx.Client, other_picture: Any, header_value: str
) -> None:
    answer = send_upload(
        web, jpeg(other_picture), {**OPERATOR_HEADERS, "Entrenous-Publishes": header_value}
    )
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad publishes")
    assert (
        send_upload(
            web, jpeg(other_picture), {**UPLOADER_HEADERS, "Entrenous-Publishes": header_value}
        ).status_code
        == 200
    )


def test_account_header_of_an_uploader_is_ignored(web: httpx.Client, other_picture: Any) -> None:
    odd = [{**UPLOADER_HEADERS, "Entrenous-Account": name} for name in "abcde"]
    answers = [send_upload(web, jpeg(other_picture), headers).status_code for headers in odd]
    assert answers == [200] * 4 + [429]
    assert send_upload(web, b"x", {**UPLOADER_HEADERS, "Entrenous-Account": " "}).status_code == 429


@pytest.mark.parametrize("account_name", ["", " ", "a b", "x" * 129, "\xe9", "a\tb"])
def test_malformed_account_name_is_refused(
    web: httpx.Client, other_picture: Any, account_name: str
) -> None:
    headers = {**OPERATOR_HEADERS, "Entrenous-Account": account_name.encode("latin-1")}
    answer = web.post("/v1/uploads", files={"file": ("x", jpeg(other_picture))}, headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad account")


def test_upload_refused_by_a_busy_gate_is_not_counted(
    platform: Platform, access: GateAccess, other_picture: Any
) -> None:
    access_without_slots = replace(access, uploads_at_once=0)
    with httpx.Client(
        transport=AsgiTransport(gate_app(platform, access_without_slots)), base_url=URL
    ) as web:
        answers = [send_upload(web, jpeg(other_picture), ANA_HEADERS) for _ in range(6)]
    assert {answer.json()["title"] for answer in answers} == {"Gate busy"}


def test_account_name_is_neither_stored_nor_logged(
    access: GateAccess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    counter, other = (AccountCounter(access, Secret(key * 32)) for key in (b"a", b"b"))
    names = [
        each.counted_names(_make_request(b"ana@example.org"), TokenRole.OPERATOR)
        for each in (counter, other)
    ]
    assert names[0] != names[1]  # counters with different keys name an account differently
    counter.count_or_refuse(names[0], NOON)
    counter.count_refusal(names[0], NOON)
    counter_contents = repr((counter.uploads, counter.refused))
    assert "ana" not in counter_contents
    assert [len(name) for name in counter.uploads] == [16]
    assert "ana" not in caplog.text
    counter.count_or_refuse((), NOON + timedelta(hours=1))
    assert (counter.uploads, counter.refused) == ({}, {})


def test_number_of_remembered_accounts_is_limited(
    access: GateAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "_NAMES_REMEMBERED_MAX", 3)
    counter = AccountCounter(access, Secret(bytes(32)))
    names = [((bytes([number]), 1),) for number in range(5)]
    for _ in range(4):
        for each in names:
            counter.count_or_refuse(each, NOON)
    assert len(counter.uploads) == 3
    with pytest.raises(TooManyUploads):
        counter.count_or_refuse(names[0], NOON)
    counter.count_or_refuse(names[4], NOON)


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8:1:2::7"])
def test_account_limits_of_zero_refuse_nothing(access: GateAccess, address: str) -> None:
    counter = AccountCounter(
        replace(access, uploads_per_account=0, refused_per_account=0), Secret(bytes(32))
    )
    names = counter.counted_names(_make_request(b"", address), TokenRole.UPLOADER)
    for _ in range(1000):
        counter.count_or_refuse(names, NOON)
        counter.count_refusal(names, NOON)


def test_addresses_of_one_ipv6_network_count_as_one_account(access: GateAccess) -> None:
    counter = AccountCounter(access, Secret(bytes(32)))
    for number in range(4):
        counter.count_or_refuse(
            counter.counted_names(
                _make_request(b"", f"2001:db8:1:2::{number}"), TokenRole.UPLOADER
            ),
            NOON,
        )
    with pytest.raises(TooManyUploads):
        counter.count_or_refuse(
            counter.counted_names(_make_request(b"", "2001:db8:1:2:ffff::9"), TokenRole.UPLOADER),
            NOON,
        )
    counter.count_or_refuse(
        counter.counted_names(_make_request(b"", "2001:db8:1:3::9"), TokenRole.UPLOADER), NOON
    )


def _make_request(account: bytes, address: str = "192.0.2.1") -> Any:
    headers = [(b"entrenous-account", account)] if account else []
    return Request({"type": "http", "headers": headers, "client": (address, 1)})


@pytest.mark.real
@pytest.mark.threat("probing-registered")
def test_account_limits_hold_in_a_running_gate(tmp_path: Path, other_picture: Any) -> None:
    data = tmp_path / "gate"
    data.mkdir()
    (data / "gate.toml").write_text("uploads_per_account = 3\n")
    wait_if_hour_ends_within(60)
    with (
        start_gate(data, "--no-slow-look") as gate,
        httpx.Client(base_url=gate.url, timeout=60) as web,
    ):
        ana, ben = ({**gate.operator_headers, "Entrenous-Account": name} for name in ("ana", "ben"))
        answers = [send_upload(web, jpeg(other_picture), ana) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200] * 3 + [429]
        assert int(answers[-1].headers["retry-after"]) <= 3600
        assert send_upload(web, jpeg(other_picture), ben).status_code == 200
        uploader = {"Authorization": f"Bearer {(data / 'uploader.token').read_text()}"}
        answers = [send_upload(web, jpeg(other_picture), uploader) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200] * 3 + [429]


@pytest.mark.real
def test_gate_drop_sends_the_account(
    tmp_path: Path, other_picture: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "gate"
    data.mkdir()
    (data / "gate.toml").write_text("uploads_per_account = 2\n")
    file = tmp_path / "x.jpg"
    file.write_bytes(jpeg(other_picture))
    wait_if_hour_ends_within(60)
    with start_gate(data, "--no-slow-look") as gate:
        options = ["--gate", gate.url, "--token-file", str(data / "operator.token")]
        drop = ["gate", "drop", *[str(file)] * 3, *options, "--account"]
        assert cli.run([*drop, "ana@example.org"], {}) == 6
        printed = capsys.readouterr().out.splitlines()
        assert [line.split(": ")[1].split("  case")[0] for line in printed] == [
            *("let through  gate", "let through  gate", "hold  too many of one account")
        ]
        assert cli.run([*drop[:3], *options, "--account", "ben@example.org"], {}) == 0
