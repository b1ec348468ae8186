"""Tests of invalid names and texts in requests, appeal secrets, and hidden SQL parameters."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy as sa

from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.platform import Platform
from entrenous.stop.registration_format import write_registration_request
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.upload_record import Decision, Outcome, Review, ReviewState
from tests.stop.http.conftest import URL, AsgiTransport
from tests.stop.http.test_registration_requests import CLAIM_REQUEST
from tests.stop.store.bank_stores import DATABASE_KINDS, START_TIME, Stores, open_stores

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}
HOLDER_HEADERS = {"Authorization": f"Bearer {'A' * 43}"}
INVALID_NAMES = ("\0", "a\0b", "a\nb", "\x1b[31m", "\u202e", "\x7f", "a" * 65)


@pytest.fixture(params=DATABASE_KINDS)
def database_stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(request.param, request, tmp_path) as opened:
        yield opened


@pytest.fixture
def gate_client(
    database_stores: Stores, platform: Platform, access: GateAccess
) -> Iterator[httpx.Client]:
    """Yield an HTTP client of a gate on ``database_stores``."""
    served = replace(platform, bank=database_stores.bank, reviews=database_stores.reviews)
    with httpx.Client(transport=AsgiTransport(gate_app(served, access)), base_url=URL) as client:
        yield client


def test_invalid_name_in_an_address_is_not_found(gate_client: httpx.Client) -> None:
    for invalid_text, (method, path, headers) in product(
        INVALID_NAMES,
        (
            ("GET", "/v1/claims/{}", {}),
            ("DELETE", "/v1/claims/{}", HOLDER_HEADERS),
            ("POST", "/v1/claims/{}/opinions", {}),
            ("POST", "/v1/uploads/{}/appeal", {"Authorization": f"Bearer {'A' * 22}"}),
            ("GET", "/v1/reviews/{}", OPERATOR_HEADERS),
            ("GET", "/v1/reviews/{}/upload", OPERATOR_HEADERS),
            ("POST", "/v1/reviews/{}", OPERATOR_HEADERS),
        ),
    ):
        address, decision = path.format(quote(invalid_text)), {"decision": "release"}
        answer = gate_client.request(method, address, json=decision, headers=headers)
        assert answer.status_code == 404, (method, address, answer.text)
        assert invalid_text not in json.loads(answer.text)["detail"]


@pytest.mark.parametrize("invalid_text", ["\0", "a\nb", "\x1b[1m", "\u2028"])
@pytest.mark.parametrize("field_name", ["reason", "jurisdiction"])
def test_unprintable_claim_text_is_refused(
    gate_client: httpx.Client, invalid_text: str, field_name: str
) -> None:
    body = json.loads(write_registration_request(CLAIM_REQUEST)) | {field_name: invalid_text}
    answer = gate_client.post("/v1/claims", json=body)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:entrenous:malformed:bad-claim")
    accepted = gate_client.post("/v1/claims", json=body | {field_name: "é"})
    assert accepted.status_code == 201


@pytest.mark.parametrize("invalid_text", ["\0", "post\x0017", "\x85"])
def test_unprintable_reference_is_refused(gate_client: httpx.Client, invalid_text: str) -> None:
    form = {"files": {"file": ("x", b"any")}, "data": {"reference": invalid_text}}
    assert gate_client.post("/v1/uploads", headers=OPERATOR_HEADERS, **form).status_code == 400


def test_store_checks_the_secret_of_an_appeal(database_stores: Stores) -> None:
    secret = hashlib.sha256(b"secret").digest()
    review = Review(
        Decision(Outcome.REFUSE, "a"), START_TIME, ReviewState.CLOSED, secret_sha256=secret
    )
    database_stores.reviews.record_upload(review, None)
    database_stores.reviews.record_upload(
        replace(review, decision=Decision(Outcome.REFUSE, "b"), secret_sha256=None), None
    )
    assert database_stores.reviews.is_appeal_secret("a", secret)
    for case, shown in (
        ("a", bytes(32)),
        ("a", b""),
        ("b", secret),
        ("none", secret),
        ("none", b""),
    ):
        assert not database_stores.reviews.is_appeal_secret(case, shown)


def test_database_errors_hide_parameters(database_stores: Stores) -> None:
    assert isinstance(database_stores.bank, BankStore)
    query = sa.text("SELECT missing_column FROM claim WHERE id = :id")
    with (
        pytest.raises(sa.exc.DBAPIError) as error,
        database_stores.bank.engine.engine.connect() as db,
    ):
        db.execute(query, {"id": "canary 77ab1c"})
    assert "missing_column" in str(error.value)
    assert "77ab1c" not in str(error.value)
