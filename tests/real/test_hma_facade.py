"""A client of HMA can use a real gate by changing the URL: every group of endpoints."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import skimage.data
import typer
from typer.testing import CliRunner

from entrenous.connectors.exchange.commands import add_commands
from tests.real.stage import wait_until
from tests.stop.commands.gates import RunningGate, start_gate
from tests.stop.platform_for_tests import jpeg

pytestmark = pytest.mark.real

PICTURE, OTHER_PICTURE = skimage.data.astronaut(), skimage.data.coffee()
LISTED = [bytes([number] * 32).hex() for number in (1, 7, 21)]


@contextmanager
def facade(data: Path) -> Iterator[tuple[httpx.Client, RunningGate]]:
    with (
        start_gate(data, "--no-slow-look") as gate,
        httpx.Client(
            base_url=f"{gate.url}/hma", headers=gate.operator_headers, timeout=60, trust_env=False
        ) as hma,
    ):
        yield hma, gate


def photo(pixels: Any, quality: int = 90) -> dict[str, Any]:
    return {"photo": ("x.jpg", jpeg(pixels, quality), "image/jpeg")}


def json_of(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def fetch_list(data: Path) -> None:
    """Let the gate fetch a list of three hashes, as its operator does at the command line."""
    (data.parent / "ally.csv").write_text("\n".join(LISTED))
    app = typer.Typer()
    add_commands(app)
    add = ("add", "from-ally", "--kind", "file", "--from", str(data.parent / "ally.csv"))
    for words in ((*add, "--bank", "ally"), ("fetch",)):
        done = CliRunner().invoke(app, ["exchange", *words, "--data", str(data)])
        assert done.exit_code == 0, done.output


def test_every_group_of_endpoints_at_a_running_gate(tmp_path: Path) -> None:
    data = tmp_path / "gate"
    with facade(data) as (hma, gate):
        fetch_list(data)
        # status and access
        assert hma.get("/status").text == "I-AM-ALIVE"
        assert httpx.get(f"{gate.url}/hma/c/banks", trust_env=False).status_code == 401
        assert "/m/raw_lookup" in json_of(hma.get("/site-map"))
        assert json_of(hma.get("/openapi/openapi.json"))["info"]["title"] == "Open Media Match API"
        # banks and contents
        assert (
            json_of(hma.post("/c/banks", json={"name": "TEST"}), 201)["matching_enabled_ratio"] == 1
        )
        words = {"metadata": '{"content_id": "upload-7", "json": {}}', "note": "from before"}
        content = json_of(hma.post("/c/bank/TEST/content", files=photo(PICTURE), data=words))
        number, signal = content["id"], content["signals"]["pdq"]
        address = f"/c/bank/TEST/content/{number}"
        shown = json_of(hma.get(address, params={"include_metadata": "true"}))
        assert (shown["note"], shown["metadata"]["content_id"]) == ("from before", "upload-7")
        # hash and look up
        hashed = json_of(hma.post("/h/hash", files=photo(PICTURE)))["pdq"]
        assert json_of(hma.post("/m/compare", json={"pdq": [hashed, signal]}))["pdq"][0]
        query = {"signal": signal, "signal_type": "pdq"}
        assert json_of(hma.get("/m/raw_lookup", params=query)) == {"matches": [number]}
        assert list(json_of(hma.get("/m/lookup", params=query))) == ["TEST"]
        mirrored = PICTURE[:, ::-1].copy()
        [hit] = json_of(hma.post("/m/lookup", files=photo(mirrored, 60)))["pdq"]["TEST"]
        assert hit["bank_content_id"] == number
        assert json_of(hma.post("/m/lookup", files=photo(OTHER_PICTURE))) == {"pdq": {}}
        assert json_of(hma.get("/m/index/status"))["pdq"]["size"] == 1 + len(LISTED)
        # the gate itself acts on it
        assert gate.upload(jpeg(PICTURE)).json()["decision"] == "hold"
        # types and exchanges
        assert json_of(hma.get("/c/signal_type"))[0]["name"] == "pdq"
        assert json_of(hma.get("/c/exchanges")) == ["FROM_ALLY"]
        assert json_of(hma.get("/c/exchange/FROM_ALLY"))["api"] == "local_file"
        status = json_of(hma.get("/c/exchange/FROM_ALLY/status"))
        assert (status["fetched_items"], status["up_to_date"]) == (len(LISTED), True)
        refused = hma.post("/c/exchanges", json={"bank": "X", "api": "ncmec", "api_json": {}})
        assert "entrenous gate exchange --help" in json_of(refused, 501)["message"]
        # no URL is downloaded, whoever asks
        for path in ("/h/hash", "/m/lookup"):
            answer = hma.get(path, params={"url": gate.url, "content_type": "photo"})
            assert "does not download" in json_of(answer, 400)["message"]
        # disable the bank, then delete the content
        json_of(hma.put("/c/bank/TEST", json={"enabled": False}))
        assert json_of(hma.get("/m/lookup", params=query)) == {}
        assert json_of(hma.delete(address)) == {"deleted": 1}
        assert json_of(hma.get("/m/raw_lookup", params=query)) == {"matches": []}


def test_disabled_content_is_enabled_at_its_time_while_no_gate_runs(tmp_path: Path) -> None:
    data = tmp_path / "gate"
    query = {"signal": LISTED[0], "signal_type": "pdq"}
    with facade(data) as (hma, _):
        json_of(hma.post("/c/banks", json={"name": "TEST"}), 201)
        number = json_of(hma.post("/c/bank/TEST/signal", json={"pdq": LISTED[0]}))["id"]
        until = int(time.time()) + 5
        off = hma.put(f"/c/bank/TEST/content/{number}", json={"disable_until_ts": until})
        assert json_of(off)["disable_until_ts"] == until
        assert json_of(hma.get("/m/raw_lookup", params=query)) == {"matches": []}
    assert wait_until(lambda: time.time() > until, 10)
    with facade(data) as (hma, _):
        assert wait_until(
            lambda: json_of(hma.get("/m/raw_lookup", params=query))["matches"] != [], 120
        )
        assert json_of(hma.get(f"/c/bank/TEST/content/{number}"))["disable_until_ts"] == 1
