"""Every route of HMA, as a running HMA answered it, and the intended differences."""

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
from tests.connectors.hma.conftest import OPERATOR, new_hma_app, open_hma_client, open_platform_at
from tests.deterministic import SettableClock
from tests.stop.platform_for_tests import jpeg, png

HEX, NEAR, FAR = "5" * 64, "5" * 63 + "6", "a" * 64
PDQ = {"signal": HEX, "signal_type": "pdq"}
OPERATOR_ONLY = GateAccess(Secret(b"operator-token"), upload_bytes_max=1_000_000)
FLAT = png(np.full((200, 200, 3), 128, np.uint8))


@dataclass(frozen=True)
class Row:
    """A request to a gate with a bank TEST that has one content 1, and the expected answer."""

    request: str
    body: Any = None
    form: dict[str, Any] | None = None
    query: dict[str, str] = field(default_factory=dict)
    status: int = 200
    answer: Any = ...

    def __str__(self) -> str:
        return f"{self.request} {self.query or self.body or ''} {self.status}"[:90]


BANK = {"name": "TEST", "matching_enabled_ratio": 1.0}
CONTENT = {
    "id": 1, "disable_until_ts": 1, "original_media_uri": None, "bank": BANK, "note": "a note",
}  # fmt: skip
CHANGED = CONTENT | {"signals": {"pdq": HEX}, "collab_metadata": {}, "user_metadata": {}}
METADATA = {"content_id": "7", "content_uri": "https://platform.example/7", "json": {"who": "her"}}
ALIVE = "I-AM-ALIVE"

ROWS = [
    Row("GET /status", answer=ALIVE),
    Row("GET /status/live", answer=ALIVE),
    Row("GET /", status=302),
    # hashes
    Row("GET /h/hash", query={"url": "http://127.0.0.1/x.jpg"}, status=400),
    Row("GET /h/hash", status=422),
    Row("POST /h/hash", form={"photo": b"<p>"}, status=400),
    Row("POST /h/hash", form={"photo": FLAT}, answer={"pdq": ""}),
    Row("POST /h/hash", form={"photo": FLAT}, query={"types": "pdq"}, answer={"pdq": ""}),
    Row("POST /h/hash", form={"photo": FLAT}, query={"types": "pdq,video_md5"}, status=400),
    Row("POST /h/hash", form={"photo": FLAT}, query={"url": "http://x"}, status=400),
    Row("POST /h/hash", form={"video": FLAT}, status=400),
    Row("POST /h/hash", form={"photo": b""}, status=400),
    Row("POST /h/hash", body={"photo": "x"}, status=400),
    Row("POST /h/hash", form={"photo": bytes(1_000_001)}, status=413),
    # look-ups
    Row("GET /m/raw_lookup", query=PDQ, answer={"matches": [1]}),
    Row(
        "GET /m/raw_lookup",
        query={"signal": NEAR, "signal_type": "pdq", "include_distance": "true"},
        answer={"matches": [{"bank_content_id": 1, "distance": "2"}]},
    ),
    Row("GET /m/raw_lookup", query={**PDQ, "banks": "PEOPLE"}, answer={"matches": []}),
    Row("GET /m/raw_lookup", query={**PDQ, "banks": "TEST,PEOPLE"}, answer={"matches": [1]}),
    Row("GET /m/raw_lookup", query={**PDQ, "banks": "NONE"}, status=404),
    Row("GET /m/raw_lookup", query={**PDQ, "signal": FAR}, answer={"matches": []}),
    Row("GET /m/raw_lookup", query={**PDQ, "signal": "xyz"}, status=400),
    Row("GET /m/raw_lookup", query={**PDQ, "signal": ""}, status=400),
    Row("GET /m/raw_lookup", query={**PDQ, "signal_type": "video_md5"}, status=400),
    Row("GET /m/raw_lookup", query={**PDQ, "include_distance": "perhaps"}, status=400),
    Row("GET /m/raw_lookup", query={"signal": HEX}, status=422),
    Row("GET /m/raw_lookup", query={"signal_type": "pdq"}, status=422),
    Row("GET /m/lookup", query=PDQ, answer={"TEST": [{"bank_content_id": 1, "distance": "0"}]}),
    Row(
        "GET /m/lookup",
        query={**PDQ, "seed": "7", "bypass_coinflip": "true"},
        answer={"TEST": [{"bank_content_id": 1, "distance": "0"}]},
    ),
    Row("GET /m/lookup", query={**PDQ, "signal": FAR}, answer={}),
    Row("GET /m/lookup", query={**PDQ, "banks": "PEOPLE"}, answer={}),
    Row("GET /m/lookup", query={"url": "http://127.0.0.1/"}, status=400),
    Row("GET /m/lookup", status=422),
    Row("POST /m/lookup", form={"photo": FLAT}, answer={"pdq": {}}),
    Row("POST /m/lookup", form={"photo": b"\xff\xd8 garbage"}, status=400),
    Row(
        "GET /m/index/status",
        answer={"pdq": {"present": True, "built_to": 1795608000, "size": 1}},
    ),
    Row("GET /m/index/status", query={"signal_type": "pdq"}),
    Row("GET /m/index/status", query={"signal_type": "nope"}, status=400),
    Row("POST /m/compare", body={"pdq": [HEX, NEAR]}, answer={"pdq": [True, {"distance": 2}]}),
    Row("POST /m/compare", body={"pdq": [HEX, FAR]}, answer={"pdq": [False, {"distance": 256}]}),
    Row("POST /m/compare", body={"pdq": [HEX]}, status=400),
    Row("POST /m/compare", body={"pdq": [HEX, 7]}, status=400),
    Row("POST /m/compare", body={}, status=422),
    # banks
    Row("GET /c/banks", answer=[{"name": "PEOPLE", "matching_enabled_ratio": 1.0}, BANK]),
    Row(
        "POST /c/banks",
        body={"name": "NEW_1"},
        status=201,
        answer={"name": "NEW_1", "matching_enabled_ratio": 1.0},
    ),
    Row(
        "POST /c/banks",
        body={"name": "_NEW", "enabled": False},
        status=201,
        answer={"name": "_NEW", "matching_enabled_ratio": 0.0},
    ),
    Row("POST /c/banks", body={"name": "NEW", "enabled_ratio": 0}, status=201),
    Row("POST /c/banks", body={"name": "NEW", "enabled_ratio": 0.5}, status=501),
    Row("POST /c/banks", body={"name": "NEW", "enabled_ratio": True}, status=400),
    Row("POST /c/banks", body={"name": "new"}, status=400),
    Row("POST /c/banks", body={"name": "1NEW"}, status=400),
    Row("POST /c/banks", body={"name": "TEST\n"}, status=400),
    Row("POST /c/banks", body={"name": "TEST"}, status=403),
    Row("POST /c/banks", body={"name": "RELEASED"}, status=403),
    Row("POST /c/banks", body={}, status=422),
    Row("POST /c/banks", body=["NEW"], status=400),
    Row("GET /c/bank/TEST", answer=BANK),
    Row("GET /c/bank/NONE", status=404),
    Row("GET /c/bank/test", status=404),
    Row("GET /c/bank/RELEASED", status=404),
    Row("PUT /c/bank/TEST", body={"enabled": False}, answer=BANK | {"matching_enabled_ratio": 0.0}),
    Row("PUT /c/bank/TEST", body={"enabled_ratio": 1.0}, answer=BANK),
    Row("PUT /c/bank/TEST", body={"enabled_ratio": 2}, status=400),
    Row("PUT /c/bank/TEST", body={"enabled_ratio": "nan"}, status=400),
    Row("PUT /c/bank/TEST", body={"enabled_ratio": "0.25"}, status=501),
    Row("PUT /c/bank/TEST", body={"name": "TEST"}, answer=BANK),
    Row("PUT /c/bank/TEST", body={"name": "OTHER"}, status=501),
    Row("PUT /c/bank/NONE", body={}, status=404),
    Row("DELETE /c/bank/TEST", status=501),
    Row("DELETE /c/bank/NONE", status=404),
    # contents
    Row("POST /c/bank/TEST/signal", body={"pdq": HEX}, answer={"id": 1, "signals": {"pdq": HEX}}),
    Row(
        "POST /c/bank/TEST/signal",
        body={"pdq": FAR.upper(), "note": "x" * 255},
        answer={"id": 2, "signals": {"pdq": FAR}},
    ),
    Row("POST /c/bank/TEST/signal", body={"pdq": FAR, "note": "x" * 256}, status=400),
    Row(
        "POST /c/bank/TEST/signal",
        body={"pdq": FAR, "metadata": METADATA},
        answer={"id": 2, "signals": {"pdq": FAR}},
    ),
    Row("POST /c/bank/TEST/signal", body={"pdq": FAR, "metadata": "a text"}, status=400),
    Row("POST /c/bank/TEST/signal", body={"pdq": FAR, "metadata": {"content_id": []}}, status=400),
    Row(
        "POST /c/bank/TEST/signal",
        body={"pdq": FAR, "metadata": {"content_id": "x" * 256}},
        status=400,
    ),
    Row("POST /c/bank/TEST/signal", body={"pdq": FAR, "video_md5": "0"}, status=400),
    Row("POST /c/bank/TEST/signal", body={"pdq": "zz"}, status=400),
    Row("POST /c/bank/TEST/signal", body={}, status=422),
    Row("POST /c/bank/NONE/signal", body={"pdq": HEX}, status=404),
    Row("POST /c/bank/PEOPLE/signal", body={"pdq": HEX}, status=403),
    Row("POST /c/bank/TEST/content", form={"photo": FLAT}, status=400),
    Row("POST /c/bank/TEST/content", query={"url": "http://127.0.0.1/"}, status=400),
    Row("POST /c/bank/TEST/content", status=400),
    Row("POST /c/bank/NONE/content", form={"photo": FLAT}, status=404),
    Row("GET /c/bank/TEST/content/1", answer=CONTENT),
    Row(
        "GET /c/bank/TEST/content/1",
        query={"include_signals": "true", "include_metadata": "true"},
        answer=CONTENT
        | {
            "signals": {"pdq": HEX},
            "metadata": {"content_id": None, "content_uri": None, "json": {}, "collab": {}},
        },
    ),
    Row("GET /c/bank/PEOPLE/content/1", status=404),
    Row("GET /c/bank/TEST/content/2", status=404),
    Row("GET /c/bank/TEST/content/0", status=404),
    Row("GET /c/bank/TEST/content/-1", status=404),
    Row("GET /c/bank/TEST/content/9223372036854775808", status=404),
    Row("GET /c/bank/TEST/content/x", status=404),
    Row("GET /c/bank/NONE/content/1", status=404),
    Row(
        "PUT /c/bank/TEST/content/1",
        body={"disable_until_ts": 0},
        answer=CHANGED | {"disable_until_ts": 0},
    ),
    Row("PUT /c/bank/TEST/content/1", body={"disable_until_ts": 1}),
    Row("PUT /c/bank/TEST/content/1", body={"disable_until_ts": -5}, status=400),
    Row("PUT /c/bank/TEST/content/1", body={"disable_until_ts": "soon"}, status=400),
    Row(
        "PUT /c/bank/TEST/content/1",
        body={"disable_until_ts": 1795608000 + 5},
        answer=CHANGED | {"disable_until_ts": 1795608005},
    ),
    Row("PUT /c/bank/TEST/content/1", body={"disable_until_ts": 1795608000 - 5}, answer=CHANGED),
    Row("PUT /c/bank/TEST/content/1", body={"disable_until_ts": 1953374400}, status=400),
    Row("PUT /c/bank/TEST/content/1", body={"note": "x"}, answer=CHANGED | {"note": "x"}),
    Row("PUT /c/bank/TEST/content/1", body={"note": "x" * 256}, status=400),
    Row(
        "PUT /c/bank/TEST/content/1",
        body={"note": "", "disable_until_ts": 0},
        answer=CHANGED | {"note": None, "disable_until_ts": 0},
    ),
    Row("PUT /c/bank/TEST/content/1", body={}, status=422),
    Row("PUT /c/bank/TEST/content/2", body={"disable_until_ts": 0}, status=404),
    Row("DELETE /c/bank/TEST/content/1", answer={"deleted": 1}),
    Row("DELETE /c/bank/TEST/content/2", answer={"deleted": 0}),
    Row("DELETE /c/bank/NONE/content/1", status=404),
    # exchanges and types
    Row("GET /c/exchanges", answer=["FROM_ALLY", "NCMEC"]),
    Row("POST /c/exchanges", body={"bank": "X"}, status=501),
    Row(
        "GET /c/exchanges/apis",
        answer=["fb_threatexchange", "hma", "local_file", "ncmec", "stop_ncii"],
    ),
    Row("GET /c/exchanges/api/ncmec", status=501),
    Row("POST /c/exchanges/api/ncmec", body={}, status=501),
    Row("GET /c/exchanges/api/ncmec/schema", status=501),
    Row("GET /c/exchange/NCMEC", answer={"name": "NCMEC", "api": "ncmec", "enabled": True}),
    Row("GET /c/exchange/X", status=404),
    Row("PUT /c/exchange/X", body={"enabled": True}, status=501),
    Row("DELETE /c/exchange/X", status=501),
    Row(
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
    Row(
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
    Row("GET /c/exchange/X/status", status=404),
    Row("GET /c/signal_type", answer=[{"name": "pdq", "enabled_ratio": 1.0}]),
    Row("PUT /c/signal_type/pdq", body={"enabled_ratio": 0.0}, status=501),
    Row(
        "GET /c/content_type",
        answer=[{"name": "photo", "enabled": True}, {"name": "video", "enabled": False}],
    ),
    Row(
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
    Row("GET /c/signal_type/index", query={"signal_type": "nope"}, status=400),
    Row("GET /dev/factory_reset", status=404),
    Row("GET /ui/", status=404),
    Row("DELETE /c/banks", status=405),
]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a bank TEST with one content over the API; return the path of the database."""
    path = tmp_path_factory.mktemp("hma") / "gate.sqlite"
    with open_platform_at(path, SettableClock()) as platform:
        create_built_in_banks(platform.bank)
        with open_hma_client(platform, OPERATOR_ONLY) as hma:
            assert hma.post("/c/banks", json={"name": "TEST"}, headers=OPERATOR).status_code == 201
            words = {"pdq": HEX, "note": "a note"}
            added = hma.post("/c/bank/TEST/signal", json=words, headers=OPERATOR)
            assert added.json() == {"id": 1, "signals": {"pdq": HEX}}
        fetched_once(platform, path.with_name("ally.csv"))
    return path


def fetched_once(platform: Platform, file: Path) -> None:
    """Add two sources, of which only the first, an empty file, was fetched."""
    exchange = open_exchange(platform)
    file.write_text("# empty\n")
    ally = Source("from-ally", SourceKind.FILE, str(file), BankName("test"))
    exchange.sources.add(ally)
    exchange.sources.add(
        Source("ncmec", SourceKind.NCMEC, "https://private.example/npo", BankName("test"))
    )
    fetch_source(ally, HashFileFetcher(ally.name, file), exchange, platform)


@pytest.fixture
def hma_client(prepared: Path, tmp_path: Path, clock: SettableClock) -> Iterator[httpx.Client]:
    """Yield an operator's client of a gate on a copy of that database."""
    path = shutil.copy(prepared, tmp_path / "copy.sqlite")
    with open_platform_at(path, clock) as platform, open_hma_client(platform, OPERATOR_ONLY) as hma:
        hma.headers.update(OPERATOR)
        yield hma


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_hma_contract_table(hma_client: httpx.Client, row: Row) -> None:
    method, path = row.request.split()
    files = {name: ("x", data) for name, data in (row.form or {}).items()}
    answer = hma_client.request(method, path, params=row.query, json=row.body, files=files or None)
    assert answer.status_code == row.status, answer.text
    if row.status >= 400:
        assert set(answer.json()) - {"next"} == {"message"}
        assert not re.search(r"\{\w*\}", answer.json()["message"])  # no placeholder is left
    if row.answer is not ...:
        assert (answer.text if row.answer == ALIVE else answer.json()) == row.answer


def test_hma_hash_equals_the_gate_s(hma: httpx.Client, her_picture: Any) -> None:
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
    """For all routes, so that none can be forgotten."""
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


def test_home_redirects_to_the_mounted_status(hma: httpx.Client) -> None:
    assert hma.get("/").headers["location"] == "/hma/status"
