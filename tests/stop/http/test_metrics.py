"""Metrics of a gate: access, counted events, and data that they must not contain."""

import re
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from entrenous.base.identifiers import BankName
from entrenous.base.program import this_program_version
from entrenous.base.secret import Secret
from entrenous.stop.banks import import_hashes
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.http.metrics import (
    FiguresAndIndexSize,
    GateMetrics,
    MetricsMiddleware,
    request_kind,
)
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.nouns import PEOPLE_BANK, Bank
from entrenous.stop.platform import Platform
from entrenous.stop.store.gate_figures import count_platform_figures
from entrenous.stop.upload_record import Outcome
from tests.deterministic import SettableClock
from tests.new_bank import fail_statements
from tests.stop.http.conftest import URL, AsgiTransport
from tests.stop.platform_for_tests import jpeg, new_device, picture, protect_picture

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}
POST_REFERENCE = "photo-of-anna-771"
MetricValues = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def count_rows(platform: Platform, tmp_path: Path) -> Any:
    index = FileIndex(tmp_path / "index", platform.bank)

    def count_figures() -> FiguresAndIndexSize:
        return count_platform_figures(platform), index.size()

    return count_figures


@pytest.fixture
def web(platform: Platform, access: GateAccess, count_rows: Any) -> Any:
    app = gate_app(platform, access, count_rows=count_rows)
    with httpx.Client(transport=AsgiTransport(app), base_url=URL) as client:
        yield client


@pytest.fixture
def device_gate(web: httpx.Client) -> RegistrationClient:
    return RegistrationClient(URL, web)


def get_metrics_text(web: httpx.Client) -> str:
    answer = web.get("/v1/metrics", headers=OPERATOR_HEADERS)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def read_metrics(web: httpx.Client) -> MetricValues:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(get_metrics_text(web))
        for sample in family.samples
    }


def metric_value(metrics: MetricValues, name: str, **labels: str) -> float:
    return metrics[f"entrenous_gate_{name}", tuple(sorted(labels.items()))]


def send_upload(web: httpx.Client, pixels: Any, **form_fields: str) -> dict[str, Any]:
    sent = {"file": ("x.jpg", jpeg(pixels), "image/jpeg")}
    answer = web.post("/v1/uploads", files=sent, data=form_fields, headers=OPERATOR_HEADERS)
    assert answer.status_code == 200
    decision: dict[str, Any] = answer.json()
    return decision


def register_picture(gate: RegistrationClient, pixels: Any) -> Any:
    return protect_picture(picture(pixels), adult=True, parts=False, gate=gate, device=new_device())


@pytest.mark.parametrize("token", [{}, {"Authorization": "Bearer uploader-token"}])
def test_metrics_are_refused_without_a_token_and_to_uploaders(
    web: httpx.Client, token: dict[str, str]
) -> None:
    assert web.get("/v1/metrics", headers=token).status_code == 401


def test_metrics_token_opens_nothing_else(
    platform: Platform, access: GateAccess, count_rows: Any, her_picture: Any
) -> None:
    app = gate_app(platform, replace(access, metrics=Secret(b"figures")), count_rows=count_rows)
    bearer = {"Authorization": "Bearer figures"}
    with httpx.Client(transport=AsgiTransport(app), base_url=URL, headers=bearer) as web:
        case = send_upload(web, her_picture)["case"]
        assert web.get("/v1/metrics").status_code == 200
        requests = [
            ("GET", "/v1/status"),
            ("GET", "/v1/reviews"),
            ("GET", "/v1/reviews/published"),
            ("GET", f"/v1/reviews/{case}/upload"),
            ("POST", f"/v1/reviews/{case}"),
            ("POST", "/v1/uploads"),
        ]
        assert {
            web.request(*one, json={"decision": "release"}).status_code for one in requests
        } == {401}


def test_uploads_reviews_answers_and_the_queue_are_counted(
    web: httpx.Client,
    device_gate: RegistrationClient,
    clock: SettableClock,
    her_picture: Any,
    other_picture: Any,
) -> None:
    register_picture(device_gate, her_picture)
    send_upload(web, other_picture)
    upload_answer = send_upload(web, her_picture)
    clock.advance(hours=2)
    decided = web.post(
        f"/v1/reviews/{upload_answer['case']}",
        json={"decision": "confirm"},
        headers=OPERATOR_HEADERS,
    )
    assert decided.status_code == 200
    send_upload(web, her_picture)
    web.get("/v1/claims/nothing")
    metrics = read_metrics(web)
    for decision in Outcome:
        assert metric_value(metrics, "uploads_total", decision=decision.value) == 1
    assert metric_value(metrics, "reviews_total", decision="confirmed") == 1
    assert metric_value(metrics, "answers_total", event="upload", status="200") == 3
    assert metric_value(metrics, "answers_total", event="claim", status="404") == 1
    assert metric_value(metrics, "answer_seconds_count", event="upload") == 3
    quantiles = [
        metric_value(metrics, "upload_seconds", quantile=q) for q in ("0.5", "0.95", "0.99")
    ]
    assert 0 < quantiles[0] <= quantiles[1] <= quantiles[2]
    assert metric_value(metrics, "claims", kind="pdq", state="confirmed") == 1
    assert (
        metric_value(metrics, "review_seconds", quantile="0.5")
        == timedelta(hours=2).total_seconds()
    )
    assert metric_value(metrics, "reviews_waiting") == 0
    assert metric_value(metrics, "review_oldest_seconds") == 0
    # The hashes of the registered picture and of the confirmed upload.
    assert metric_value(metrics, "hashes") >= 2
    assert metric_value(metrics, "index_hashes", where="file") == 0
    assert metric_value(metrics, "index_hashes", where="later") == metric_value(metrics, "hashes")
    assert metric_value(metrics, "index_bytes") > 0


def test_queue_metrics_are_not_counted_anew_at_each_request(
    web: httpx.Client,
    platform: Platform,
    device_gate: RegistrationClient,
    clock: Any,
    her_picture: Any,
) -> None:
    register_picture(device_gate, her_picture)
    send_upload(web, her_picture)
    clock.advance(hours=30)
    assert metric_value(read_metrics(web), "review_oldest_seconds") == 30 * 3600
    clock.advance(hours=1)
    assert metric_value(read_metrics(web), "review_oldest_seconds") == 30 * 3600
    access = GateAccess(Secret(b"operator-token"))
    restarted_app = gate_app(
        platform, access, count_rows=lambda: (count_platform_figures(platform), None)
    )
    with httpx.Client(transport=AsgiTransport(restarted_app), base_url=URL) as client:
        metrics = read_metrics(client)
    assert metric_value(metrics, "review_oldest_seconds") == 31 * 3600
    assert metric_value(metrics, "reviews_waiting") == 1


def test_metrics_of_the_process_are_served_while_the_database_fails(
    web: httpx.Client, platform: Platform
) -> None:
    web.get("/v1/claims/nothing")
    with fail_statements(platform.bank, "SELECT"):
        assert web.get("/v1/status").status_code == 503
        metrics = read_metrics(web)
    assert metric_value(metrics, "answers_total", event="status", status="503") == 1
    assert ("entrenous_gate_reviews_waiting", ()) not in metrics
    assert metric_value(read_metrics(web), "reviews_waiting") == 0


def test_shadow_metrics_are_by_bank_and_distance(
    web: httpx.Client, platform: Platform, her_picture: Any, device_gate: RegistrationClient
) -> None:
    trial = BankName("trial")
    platform.bank.set_bank(Bank(trial, shadow=True))
    platform.bank.set_bank(replace(platform.bank.bank(PEOPLE_BANK), shadow=True))
    decision = send_upload(web, her_picture)
    assert decision["matches"] == []
    (accepted,) = platform.reviews.stored_picture_hashes(0, 10)
    near = int.from_bytes(accepted.bits, "big") ^ 0b10101
    import_hashes(near.to_bytes(32, "big").hex(), trial, platform, confirmed=True, looks_back=False)
    register_picture(device_gate, her_picture)
    assert send_upload(web, her_picture)["shadow"] == "refuse"
    metrics = read_metrics(web)
    assert metric_value(metrics, "shadow_total", bank="trial", decision="refuse", distance="2") == 1
    (people,) = [
        labels for name, labels in metrics if "shadow_total" in name and "people" in str(labels)
    ]
    assert dict(people)["decision"] == "refuse"
    assert int(dict(people)["distance"]) % 2 == 0


def test_metrics_contain_no_identifier_hash_or_address(
    web: httpx.Client, device_gate: RegistrationClient, platform: Platform, her_picture: Any
) -> None:
    claim = register_picture(device_gate, her_picture)
    upload_answer = send_upload(web, her_picture, reference=POST_REFERENCE)
    web.get(f"/v1/claims/{claim.claim}")
    web.get(f"/v1/reviews/{upload_answer['case']}/upload", headers=OPERATOR_HEADERS)
    text = get_metrics_text(web)
    bits = platform.bank.whole_picture_hashes_of(claim.claim)[0].hex()
    for name in (
        claim.claim,
        upload_answer["case"],
        upload_answer["secret"],
        POST_REFERENCE,
        bits,
        "127.0.0.1",
    ):
        assert name not in text
    labels = set(re.findall(r"(\w+)=\"", text))
    known = {"decision", "event", "status", "le", "kind", "state", "where", "quantile"}
    assert labels <= known | {"bank", "distance", "version", "commit"}


def test_metrics_have_the_version_of_the_program(web: httpx.Client) -> None:
    assert metric_value(read_metrics(web), "build_info", **asdict(this_program_version())) == 1


def test_failure_counts_as_500_only_before_the_answer(count_rows: Any) -> None:
    gate_metrics = GateMetrics(count_rows)

    async def answer_and_fail(scope: Any, _receive: Any, send: Any) -> None:
        if scope["path"] == "/v1/uploads":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        raise ArithmeticError

    for path in ("/v1/uploads", "/v1/claims"):
        with (
            httpx.Client(
                transport=AsgiTransport(MetricsMiddleware(answer_and_fail, gate_metrics))
            ) as web,
            pytest.raises(ArithmeticError),
        ):
            web.post(f"{URL}{path}")
    text = gate_metrics.prometheus_text().decode()
    assert 'answers_total{event="upload",status="200"} 1.0' in text
    assert 'answers_total{event="upload",status="500"}' not in text
    assert 'answers_total{event="claims",status="500"} 1.0' in text


@pytest.mark.parametrize(
    ("method", "path", "event"),
    [
        ("POST", "/v1/uploads", "upload"),
        ("POST", "/v1/uploads/3f9a/appeal", "appeal"),
        ("DELETE", "/v1/claims/3f9a", "withdraw"),
        ("GET", "/v1/claims/3f9a", "claim"),
        ("GET", "/v1/reviews/3f9a/upload", "held upload"),
        ("GET", "/v1/reviews/3f9a/view", "view"),
        ("GET", "/hma/c/banks", "hma"),
        ("GET", "/exchange/ncmec/v2/entries", "exchange"),
        ("GET", "/v1/uploads/3f9a", "other"),
        ("GET", "/somebody@example.org", "other"),
    ],
)
def test_event_label_of_a_request_contains_no_id(method: str, path: str, event: str) -> None:
    assert request_kind(method, path) == event
