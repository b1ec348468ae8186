"""Error answers to large bodies, unknown addresses and requests without a token."""

import httpx
import pytest

from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.platform import Platform
from tests.connectors.hma.conftest import new_hma_app
from tests.stop.http.conftest import URL, AsgiTransport

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/v1/uploads", "1 MB"),
        ("/v1/claims", "0.33 MB"),
        (f"/v1/claims/{'0' * 32}/opinions", "0.0041 MB"),
    ],
)
def test_error_about_a_large_body_names_the_limit_even_below_1_mb(
    web: httpx.Client, path: str, limit: str
) -> None:
    content_type = {"Content-Type": "application/octet-stream"}
    answer = web.post(path, content=bytes(1_000_001), headers=OPERATOR_HEADERS | content_type)
    assert answer.status_code == 413
    assert f"larger than the {limit} that" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/uploads/", "/v1/claims/", "/hma", "/hma/m/lookup/"])
def test_almost_right_address_gets_404_without_a_redirect(
    platform: Platform, access: GateAccess, path: str
) -> None:
    app = gate_app(platform, access)
    app.mount("/hma", new_hma_app(platform, access))
    with httpx.Client(transport=AsgiTransport(app), base_url=URL, headers=OPERATOR_HEADERS) as web:
        answer = web.post(path, content=b"x", headers={"Host": "elsewhere.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("path", "status"), [("/v1/nothing", 404), ("/v1/reviews", 401), ("/v1/claims/nothing", 404)]
)
def test_problem_documents_are_not_cached(web: httpx.Client, path: str, status: int) -> None:
    answer = web.get(path)
    assert answer.status_code == status
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/problem+json"
