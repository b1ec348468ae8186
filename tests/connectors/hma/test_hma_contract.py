"""HMA's routes: answers to many requests, the tokens that are needed, and the list of routes."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.routing import Route

from entrenous.base.identifiers import BankName
from entrenous.base.secret import Secret
from entrenous.connectors.exchange.fetchers import HashFileFetcher
from entrenous.stop.banks import create_built_in_banks
from entrenous.stop.exchange_fetch import fetch_source
from entrenous.stop.exchange_nouns import Source, SourceKind
from entrenous.stop.http.access import GateAccess
from entrenous.stop.platform import Platform
from entrenous.stop.store.open_gate import open_exchange
from tests.connectors.hma.conftest import (
    OPERATOR_HEADERS,
    new_hma_app,
    open_hma_client,
    open_platform_at,
)
from tests.deterministic import SettableClock
from tests.stop.platform_for_tests import jpeg, png

HASH, NEAR_HASH, FAR_HASH = "5" * 64, "5" * 63 + "6", "a" * 64
PDQ_QUERY = {"signal": HASH, "signal_type": "pdq"}
OPERATOR_ACCESS = GateAccess(Secret(b"operator-token"), upload_bytes_max=1_000_000)
FLAT_PICTURE = png(np.full((200, 200, 3), 128, np.uint8))


@dataclass(frozen=True)
class ContractRow:
    """A request, and the answer expected from a gate whose bank TEST has one content, number 1."""

    request: str
    body: Any = None
    form: dict[str, Any] | None = None
    query: dict[str, str] = field(default_factory=dict)
    status: int = 200
    answer: Any = ...

    def __str__(self) -> str:
        return f"{self.request} {self.query or self.body or ''} {self.status}"[:90]


BANK_JSON = {"name": "TEST", "matching_enabled_ratio": 1.0}
CONTENT_JSON = {
    "id": 1, "disable_until_ts": 1, "original_media_uri": None, "bank": BANK_JSON, "note": "a note",
}  # fmt: skip
CHANGED_CONTENT_JSON = CONTENT_JSON | {
    "signals": {"pdq": HASH},
    "collab_metadata": {},
    "user_metadata": {},
}
METADATA = {"content_id": "7", "content_uri": "https://platform.example/7", "json": {"who": "her"}}
ALIVE_TEXT = "I-AM-ALIVE"

CONTRACT_ROWS = [
    ContractRow("GET /status", answer=ALIVE_TEXT),
    ContractRow("GET /status/live", answer=ALIVE_TEXT),
    ContractRow("GET /", status=302),
    # hashes
    ContractRow("GET /h/hash", query={"url": "http://127.0.0.1/x.jpg"}, status=400),
    ContractRow("GET /h/hash", status=422),
    ContractRow("POST /h/hash", form={"photo": b"<p>"}, status=400),
    ContractRow("POST /h/hash", form={"photo": FLAT_PICTURE}, answer={"pdq": ""}),
    ContractRow(
        "POST /h/hash", form={"photo": FLAT_PICTURE}, query={"types": "pdq"}, answer={"pdq": ""}
    ),
    ContractRow(
        "POST /h/hash", form={"photo": FLAT_PICTURE}, query={"types": "pdq,video_md5"}, status=400
    ),
    ContractRow(
        "POST /h/hash", form={"photo": FLAT_PICTURE}, query={"url": "http://x"}, status=400
    ),
    ContractRow("POST /h/hash", form={"video": FLAT_PICTURE}, status=400),
    ContractRow("POST /h/hash", form={"photo": b""}, status=400),
    ContractRow("POST /h/hash", body={"photo": "x"}, status=400),
    ContractRow("POST /h/hash", form={"photo": bytes(1_000_001)}, status=413),
    # look-ups, the index and comparisons
    ContractRow("GET /m/raw_lookup", query=PDQ_QUERY, answer={"matches": [1]}),
    ContractRow(
        "GET /m/raw_lookup",
        query={"signal": NEAR_HASH, "signal_type": "pdq", "include_distance": "true"},
        answer={"matches": [{"bank_content_id": 1, "distance": "2"}]},
    ),
    ContractRow(
        "GET /m/raw_lookup", query={**PDQ_QUERY, "banks": "PEOPLE"}, answer={"matches": []}
    ),
    ContractRow(
        "GET /m/raw_lookup", query={**PDQ_QUERY, "banks": "TEST,PEOPLE"}, answer={"matches": [1]}
    ),
    ContractRow("GET /m/raw_lookup", query={**PDQ_QUERY, "banks": "NONE"}, status=404),
    ContractRow(
        "GET /m/raw_lookup", query={**PDQ_QUERY, "signal": FAR_HASH}, answer={"matches": []}
    ),
    ContractRow("GET /m/raw_lookup", query={**PDQ_QUERY, "signal": "xyz"}, status=400),
    ContractRow("GET /m/raw_lookup", query={**PDQ_QUERY, "signal": ""}, status=400),
    ContractRow("GET /m/raw_lookup", query={**PDQ_QUERY, "signal_type": "video_md5"}, status=400),
    ContractRow(
        "GET /m/raw_lookup", query={**PDQ_QUERY, "include_distance": "perhaps"}, status=400
    ),
    ContractRow("GET /m/raw_lookup", query={"signal": HASH}, status=422),
    ContractRow("GET /m/raw_lookup", query={"signal_type": "pdq"}, status=422),
    ContractRow(
        "GET /m/lookup", query=PDQ_QUERY, answer={"TEST": [{"bank_content_id": 1, "distance": "0"}]}
    ),
    ContractRow(
        "GET /m/lookup",
        query={**PDQ_QUERY, "seed": "7", "bypass_coinflip": "true"},
        answer={"TEST": [{"bank_content_id": 1, "distance": "0"}]},
    ),
    ContractRow("GET /m/lookup", query={**PDQ_QUERY, "signal": FAR_HASH}, answer={}),
    ContractRow("GET /m/lookup", query={**PDQ_QUERY, "banks": "PEOPLE"}, answer={}),
    ContractRow("GET /m/lookup", query={"url": "http://127.0.0.1/"}, status=400),
    ContractRow("GET /m/lookup", status=422),
    ContractRow("POST /m/lookup", form={"photo": FLAT_PICTURE}, answer={"pdq": {}}),
    ContractRow("POST /m/lookup", form={"photo": b"\xff\xd8 garbage"}, status=400),
    ContractRow(
        "GET /m/index/status",
        answer={"pdq": {"present": True, "built_to": 1795608000, "size": 1}},
    ),
    ContractRow("GET /m/index/status", query={"signal_type": "pdq"}),
    ContractRow("GET /m/index/status", query={"signal_type": "nope"}, status=400),
    ContractRow(
        "POST /m/compare", body={"pdq": [HASH, NEAR_HASH]}, answer={"pdq": [True, {"distance": 2}]}
    ),
    ContractRow(
        "POST /m/compare",
        body={"pdq": [HASH, FAR_HASH]},
        answer={"pdq": [False, {"distance": 256}]},
    ),
    ContractRow("POST /m/compare", body={"pdq": [HASH]}, status=400),
    ContractRow("POST /m/compare", body={"pdq": [HASH, 7]}, status=400),
    ContractRow("POST /m/compare", body={}, status=422),
    # banks
    ContractRow(
        "GET /c/banks", answer=[{"name": "PEOPLE", "matching_enabled_ratio": 1.0}, BANK_JSON]
    ),
    ContractRow(
        "POST /c/banks",
        body={"name": "NEW_1"},
        status=201,
        answer={"name": "NEW_1", "matching_enabled_ratio": 1.0},
    ),
    ContractRow(
        "POST /c/banks",
        body={"name": "_NEW", "enabled": False},
        status=201,
        answer={"name": "_NEW", "matching_enabled_ratio": 0.0},
    ),
    ContractRow("POST /c/banks", body={"name": "NEW", "enabled_ratio": 0}, status=201),
    ContractRow("POST /c/banks", body={"name": "NEW", "enabled_ratio": 0.5}, status=501),
    ContractRow("POST /c/banks", body={"name": "NEW", "enabled_ratio": True}, status=400),
    ContractRow("POST /c/banks", body={"name": "new"}, status=400),
    ContractRow("POST /c/banks", body={"name": "1NEW"}, status=400),
    ContractRow("POST /c/banks", body={"name": "TEST\n"}, status=400),
    ContractRow("POST /c/banks", body={"name": "TEST"}, status=403),
    ContractRow("POST /c/banks", body={"name": "RELEASED"}, status=403),
    ContractRow("POST /c/banks", body={}, status=422),
    ContractRow("POST /c/banks", body=["NEW"], status=400),
    ContractRow("GET /c/bank/TEST", answer=BANK_JSON),
    ContractRow("GET /c/bank/NONE", status=404),
    ContractRow("GET /c/bank/test", status=404),
    ContractRow("GET /c/bank/RELEASED", status=404),
    ContractRow(
        "PUT /c/bank/TEST",
        body={"enabled": False},
        answer=BANK_JSON | {"matching_enabled_ratio": 0.0},
    ),
    ContractRow("PUT /c/bank/TEST", body={"enabled_ratio": 1.0}, answer=BANK_JSON),
    ContractRow("PUT /c/bank/TEST", body={"enabled_ratio": 2}, status=400),
    ContractRow("PUT /c/bank/TEST", body={"enabled_ratio": "nan"}, status=400),
    ContractRow("PUT /c/bank/TEST", body={"enabled_ratio": "0.25"}, status=501),
    ContractRow("PUT /c/bank/TEST", body={"name": "TEST"}, answer=BANK_JSON),
    ContractRow("PUT /c/bank/TEST", body={"name": "OTHER"}, status=501),
    ContractRow("PUT /c/bank/NONE", body={}, status=404),
    ContractRow("DELETE /c/bank/TEST", status=501),
    ContractRow("DELETE /c/bank/NONE", status=404),
    # contents
    ContractRow(
        "POST /c/bank/TEST/signal", body={"pdq": HASH}, answer={"id": 1, "signals": {"pdq": HASH}}
    ),
    ContractRow(
        "POST /c/bank/TEST/signal",
        body={"pdq": FAR_HASH.upper(), "note": "x" * 255},
        answer={"id": 2, "signals": {"pdq": FAR_HASH}},
    ),
    ContractRow("POST /c/bank/TEST/signal", body={"pdq": FAR_HASH, "note": "x" * 256}, status=400),
    ContractRow(
        "POST /c/bank/TEST/signal",
        body={"pdq": FAR_HASH, "metadata": METADATA},
        answer={"id": 2, "signals": {"pdq": FAR_HASH}},
    ),
    ContractRow(
        "POST /c/bank/TEST/signal", body={"pdq": FAR_HASH, "metadata": "a text"}, status=400
    ),
    ContractRow(
        "POST /c/bank/TEST/signal",
        body={"pdq": FAR_HASH, "metadata": {"content_id": []}},
        status=400,
    ),
    ContractRow(
        "POST /c/bank/TEST/signal",
        body={"pdq": FAR_HASH, "metadata": {"content_id": "x" * 256}},
        status=400,
    ),
    ContractRow("POST /c/bank/TEST/signal", body={"pdq": FAR_HASH, "video_md5": "0"}, status=400),
    ContractRow("POST /c/bank/TEST/signal", body={"pdq": "zz"}, status=400),
    ContractRow("POST /c/bank/TEST/signal", body={}, status=422),
    ContractRow("POST /c/bank/NONE/signal", body={"pdq": HASH}, status=404),
    ContractRow("POST /c/bank/PEOPLE/signal", body={"pdq": HASH}, status=403),
    ContractRow("POST /c/bank/TEST/content", form={"photo": FLAT_PICTURE}, status=400),
    ContractRow("POST /c/bank/TEST/content", query={"url": "http://127.0.0.1/"}, status=400),
    ContractRow("POST /c/bank/TEST/content", status=400),
    ContractRow("POST /c/bank/NONE/content", form={"photo": FLAT_PICTURE}, status=404),
    ContractRow("GET /c/bank/TEST/content/1", answer=CONTENT_JSON),
    ContractRow(
        "GET /c/bank/TEST/content/1",
        query={"include_signals": "true", "include_metadata": "true"},
        answer=CONTENT_JSON
        | {
            "signals": {"pdq": HASH},
            "metadata": {"content_id": None, "content_uri": None, "json": {}, "collab": {}},
        },
    ),
    ContractRow("GET /c/bank/PEOPLE/content/1", status=404),
    ContractRow("GET /c/bank/TEST/content/2", status=404),
    ContractRow("GET /c/bank/TEST/content/0", status=404),
    ContractRow("GET /c/bank/TEST/content/-1", status=404),
    ContractRow("GET /c/bank/TEST/content/9223372036854775808", status=404),
    ContractRow("GET /c/bank/TEST/content/x", status=404),
    ContractRow("GET /c/bank/NONE/content/1", status=404),
    ContractRow(
        "PUT /c/bank/TEST/content/1",
        body={"disable_until_ts": 0},
        answer=CHANGED_CONTENT_JSON | {"disable_until_ts": 0},
    ),
    ContractRow("PUT /c/bank/TEST/content/1", body={"disable_until_ts": 1}),
    ContractRow("PUT /c/bank/TEST/content/1", body={"disable_until_ts": -5}, status=400),
    ContractRow("PUT /c/bank/TEST/content/1", body={"disable_until_ts": "soon"}, status=400),
    ContractRow(
        "PUT /c/bank/TEST/content/1",
        body={"disable_until_ts": 1795608000 + 5},
        answer=CHANGED_CONTENT_JSON | {"disable_until_ts": 1795608005},
    ),
    ContractRow(
        "PUT /c/bank/TEST/content/1",
        body={"disable_until_ts": 1795608000 - 5},
        answer=CHANGED_CONTENT_JSON,
    ),
    ContractRow("PUT /c/bank/TEST/content/1", body={"disable_until_ts": 1953374400}, status=400),
    ContractRow(
        "PUT /c/bank/TEST/content/1",
        body={"note": "x"},
        answer=CHANGED_CONTENT_JSON | {"note": "x"},
    ),
    ContractRow("PUT /c/bank/TEST/content/1", body={"note": "x" * 256}, status=400),
    ContractRow(
        "PUT /c/bank/TEST/content/1",
        body={"note": "", "disable_until_ts": 0},
        answer=CHANGED_CONTENT_JSON | {"note": None, "disable_until_ts": 0},
    ),
    ContractRow("PUT /c/bank/TEST/content/1", body={}, status=422),
    ContractRow("PUT /c/bank/TEST/content/2", body={"disable_until_ts": 0}, status=404),
    ContractRow("DELETE /c/bank/TEST/content/1", answer={"deleted": 1}),
    ContractRow("DELETE /c/bank/TEST/content/2", answer={"deleted": 0}),
    ContractRow("DELETE /c/bank/NONE/content/1", status=404),
    # exchanges, types and addresses without a route
    ContractRow("GET /c/exchanges", answer=["FROM_ALLY", "NCMEC"]),
    ContractRow("POST /c/exchanges", body={"bank": "X"}, status=501),
    ContractRow(
        "GET /c/exchanges/apis",
        answer=["fb_threatexchange", "hma", "local_file", "ncmec", "stop_ncii"],
    ),
    ContractRow("GET /c/exchanges/api/ncmec", status=501),
    ContractRow("POST /c/exchanges/api/ncmec", body={}, status=501),
    ContractRow("GET /c/exchanges/api/ncmec/schema", status=501),
    ContractRow("GET /c/exchange/NCMEC", answer={"name": "NCMEC", "api": "ncmec", "enabled": True}),
    ContractRow("GET /c/exchange/X", status=404),
    ContractRow("PUT /c/exchange/X", body={"enabled": True}, status=501),
    ContractRow("DELETE /c/exchange/X", status=501),
    ContractRow(
        "GET /c/exchange/FROM_ALLY/status",
        answer={
            "checkpoint_ts": 1795608000,
            "fetched_items": 0,
            "last_fetch_complete_ts": 1795608000,
            "last_fetch_succeeded": True,
            "running_fetch_start_ts": None,
            "up_to_date": True,
        },
    ),
    ContractRow(
        "GET /c/exchange/NCMEC/status",
        answer={
            "checkpoint_ts": None,
            "fetched_items": 0,
            "last_fetch_complete_ts": None,
            "last_fetch_succeeded": None,
            "running_fetch_start_ts": None,
            "up_to_date": False,
        },
    ),
    ContractRow("GET /c/exchange/X/status", status=404),
    ContractRow("GET /c/signal_type", answer=[{"name": "pdq", "enabled_ratio": 1.0}]),
    ContractRow("PUT /c/signal_type/pdq", body={"enabled_ratio": 0.0}, status=501),
    ContractRow(
        "GET /c/content_type",
        answer=[{"name": "photo", "enabled": True}, {"name": "video", "enabled": False}],
    ),
    ContractRow(
        "GET /c/signal_type/index",
        answer={
            "pdq": {
                "db_size": 1,
                "index_size": 1,
                "index_out_of_date": False,
                "newest_db_item": 1795608000,
                "index_built_to": 1795608000,
            }
        },
    ),
    ContractRow("GET /c/signal_type/index", query={"signal_type": "nope"}, status=400),
    ContractRow("GET /dev/factory_reset", status=404),
    ContractRow("GET /ui/", status=404),
    ContractRow("DELETE /c/banks", status=405),
]


@pytest.fixture(scope="session")
def prepared_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a bank TEST with one content, and two sources; return the path of the database."""
    path = tmp_path_factory.mktemp("hma") / "gate.sqlite"
    with open_platform_at(path, SettableClock()) as platform:
        create_built_in_banks(platform.bank)
        with open_hma_client(platform, OPERATOR_ACCESS) as hma:
            assert (
                hma.post("/c/banks", json={"name": "TEST"}, headers=OPERATOR_HEADERS).status_code
                == 201
            )
            words = {"pdq": HASH, "note": "a note"}
            added = hma.post("/c/bank/TEST/signal", json=words, headers=OPERATOR_HEADERS)
            assert added.json() == {"id": 1, "signals": {"pdq": HASH}}
        add_sources_and_fetch_first(platform, path.with_name("ally.csv"))
    return path


def add_sources_and_fetch_first(platform: Platform, file: Path) -> None:
    """Add two sources, and fetch the first, a file without hashes."""
    exchange = open_exchange(platform)
    file.write_text("# empty\n")
    ally = Source("from-ally", SourceKind.FILE, str(file), BankName("test"))
    exchange.sources.add(ally)
    exchange.sources.add(
        Source("ncmec", SourceKind.NCMEC, "https://private.example/npo", BankName("test"))
    )
    fetch_source(ally, HashFileFetcher(ally.name, file), exchange, platform)


@pytest.fixture
def hma_client(
    prepared_database: Path, tmp_path: Path, clock: SettableClock
) -> Iterator[httpx.Client]:
    """Yield an operator's client of a gate on a copy of the prepared database."""
    path = shutil.copy(prepared_database, tmp_path / "copy.sqlite")
    with (
        open_platform_at(path, clock) as platform,
        open_hma_client(platform, OPERATOR_ACCESS) as hma,
    ):
        hma.headers.update(OPERATOR_HEADERS)
        yield hma


@pytest.mark.parametrize("row", CONTRACT_ROWS, ids=str)
def test_hma_route_answers_as_the_contract_says(hma_client: httpx.Client, row: ContractRow) -> None:
    method, path = row.request.split()
    files = {name: ("x", data) for name, data in (row.form or {}).items()}
    answer = hma_client.request(method, path, params=row.query, json=row.body, files=files or None)
    assert answer.status_code == row.status, answer.text
    if row.status >= 400:
        assert set(answer.json()) - {"next"} == {"message"}
        assert not re.search(r"\{\w*\}", answer.json()["message"])  # no placeholder is left
    if row.answer is not ...:
        assert (answer.text if row.answer == ALIVE_TEXT else answer.json()) == row.answer


def test_hma_hash_equals_the_hash_of_the_gate(hma: httpx.Client, her_picture: Any) -> None:
    answer = hma.post("/h/hash", files={"photo": ("x.png", png(her_picture))})
    assert answer.status_code == 200
    hashed = answer.json()["pdq"]
    hma.post("/c/banks", json={"name": "TEST"})
    added = hma.post("/c/bank/TEST/content", files={"photo": ("x.png", png(her_picture))})
    assert added.json() == {"id": 1, "signals": {"pdq": hashed}}
    (hit,) = hma.post("/m/lookup", files={"photo": ("x", jpeg(her_picture))}).json()["pdq"]["TEST"]
    assert hit["bank_content_id"] == 1
    assert 0 <= int(hit["distance"]) <= 10


def test_hma_routes_need_a_token_except_status(
    hma_without_token: httpx.Client, platform: Platform, access: GateAccess
) -> None:
    """Every method of every route is requested without a token and with an uploader's token."""
    count = 0
    for route in new_hma_app(platform, access).routes:
        assert isinstance(route, Route)
        path = re.sub(r"\{.*?\}", "1", route.path)
        for method in sorted(route.methods):
            for header in ({}, {"Authorization": "Bearer uploader-token"}):
                answer = hma_without_token.request(method, path, headers=header)
                expected = 200 if path.startswith("/status") else 401
                assert answer.status_code == expected, (method, path)
                count += 1
    assert count > 60


def test_site_map_lists_every_route(hma: httpx.Client) -> None:
    paths = hma.get("/site-map").json()
    assert paths == sorted(paths)
    assert {"/m/raw_lookup", "/c/bank/<bank>/content/<content>"} <= set(paths)
    described = hma.get("/openapi/openapi.json").json()
    assert described["info"]["title"] == "Open Media Match API"
    assert {re.sub(r"\{(.*?)\}", r"<\1>", path) for path in described["paths"]} == set(paths)
    assert set(described["paths"]["/m/lookup"]) == {"get", "post"}


def test_root_redirects_to_the_mounted_status_page(hma: httpx.Client) -> None:
    assert hma.get("/").headers["location"] == "/hma/status"
