"""Each group of HMA's endpoints works at a real gate, and content can be disabled for a time."""

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
from tests.real.processes import wait_until
from tests.stop.commands.gates import RunningGate, start_gate
from tests.stop.platform_for_tests import jpeg

pytestmark = pytest.mark.real

PICTURE, OTHER_PICTURE = skimage.data.astronaut(), skimage.data.coffee()
LISTED_HASHES = [bytes([number] * 32).hex() for number in (1, 7, 21)]


@contextmanager
def run_gate_with_hma_client(data_folder: Path) -> Iterator[tuple[httpx.Client, RunningGate]]:
    with (
        start_gate(data_folder, "--no-slow-look") as gate,
        httpx.Client(
            base_url=f"{gate.url}/hma", headers=gate.operator_headers, timeout=60, trust_env=False
        ) as hma,
    ):
        yield hma, gate


def photo_upload(pixels: Any, quality: int = 90) -> dict[str, Any]:
    return {"photo": ("x.jpg", jpeg(pixels, quality), "image/jpeg")}


def checked_json(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def fetch_list(data_folder: Path) -> None:
    """Let the gate fetch a list of three hashes, as its operator does at the command line."""
    (data_folder.parent / "ally.csv").write_text("\n".join(LISTED_HASHES))
    app = typer.Typer()
    add_commands(app)
    add = ("add", "from-ally", "--kind", "file", "--from", str(data_folder.parent / "ally.csv"))
    for words in ((*add, "--bank", "ally"), ("fetch",)):
        done = CliRunner().invoke(app, ["exchange", *words, "--data", str(data_folder)])
        assert done.exit_code == 0, done.output


def test_every_group_of_endpoints_works_at_a_running_gate(tmp_path: Path) -> None:
    data_folder = tmp_path / "gate"
    with run_gate_with_hma_client(data_folder) as (hma, gate):
        fetch_list(data_folder)
        # show the status and the interface, and refuse a request without a token
        assert hma.get("/status").text == "I-AM-ALIVE"
        assert httpx.get(f"{gate.url}/hma/c/banks", trust_env=False).status_code == 401
        assert "/m/raw_lookup" in checked_json(hma.get("/site-map"))
        assert (
            checked_json(hma.get("/openapi/openapi.json"))["info"]["title"]
            == "Open Media Match API"
        )
        # create a bank and add content
        assert (
            checked_json(hma.post("/c/banks", json={"name": "TEST"}), 201)["matching_enabled_ratio"]
            == 1
        )
        words = {"metadata": '{"content_id": "upload-7", "json": {}}', "note": "from before"}
        content = checked_json(
            hma.post("/c/bank/TEST/content", files=photo_upload(PICTURE), data=words)
        )
        number, signal = content["id"], content["signals"]["pdq"]
        address = f"/c/bank/TEST/content/{number}"
        shown = checked_json(hma.get(address, params={"include_metadata": "true"}))
        assert (shown["note"], shown["metadata"]["content_id"]) == ("from before", "upload-7")
        # hash pictures, and look up hashes and pictures
        hashed = checked_json(hma.post("/h/hash", files=photo_upload(PICTURE)))["pdq"]
        assert checked_json(hma.post("/m/compare", json={"pdq": [hashed, signal]}))["pdq"][0]
        query = {"signal": signal, "signal_type": "pdq"}
        assert checked_json(hma.get("/m/raw_lookup", params=query)) == {"matches": [number]}
        assert list(checked_json(hma.get("/m/lookup", params=query))) == ["TEST"]
        mirrored = PICTURE[:, ::-1].copy()
        [hit] = checked_json(hma.post("/m/lookup", files=photo_upload(mirrored, 60)))["pdq"]["TEST"]
        assert hit["bank_content_id"] == number
        assert checked_json(hma.post("/m/lookup", files=photo_upload(OTHER_PICTURE))) == {"pdq": {}}
        assert checked_json(hma.get("/m/index/status"))["pdq"]["size"] == 1 + len(LISTED_HASHES)
        # the gate holds an upload of the picture that was added
        assert gate.upload(jpeg(PICTURE)).json()["decision"] == "hold"
        # list signal types and exchanges
        assert checked_json(hma.get("/c/signal_type"))[0]["name"] == "pdq"
        assert checked_json(hma.get("/c/exchanges")) == ["FROM_ALLY"]
        assert checked_json(hma.get("/c/exchange/FROM_ALLY"))["api"] == "local_file"
        status = checked_json(hma.get("/c/exchange/FROM_ALLY/status"))
        assert (status["fetched_items"], status["up_to_date"]) == (len(LISTED_HASHES), True)
        refused = hma.post("/c/exchanges", json={"bank": "X", "api": "ncmec", "api_json": {}})
        assert "entrenous gate exchange --help" in checked_json(refused, 501)["message"]
        # the gate downloads no URL
        for path in ("/h/hash", "/m/lookup"):
            answer = hma.get(path, params={"url": gate.url, "content_type": "photo"})
            assert "does not download" in checked_json(answer, 400)["message"]
        # disable the bank, then delete the content
        checked_json(hma.put("/c/bank/TEST", json={"enabled": False}))
        assert checked_json(hma.get("/m/lookup", params=query)) == {}
        assert checked_json(hma.delete(address)) == {"deleted": 1}
        assert checked_json(hma.get("/m/raw_lookup", params=query)) == {"matches": []}


def test_content_disabled_until_a_time_without_a_gate_is_enabled_after_the_restart(
    tmp_path: Path,
) -> None:
    data_folder = tmp_path / "gate"
    query = {"signal": LISTED_HASHES[0], "signal_type": "pdq"}
    with run_gate_with_hma_client(data_folder) as (hma, _):
        checked_json(hma.post("/c/banks", json={"name": "TEST"}), 201)
        number = checked_json(hma.post("/c/bank/TEST/signal", json={"pdq": LISTED_HASHES[0]}))["id"]
        until = int(time.time()) + 5
        off = hma.put(f"/c/bank/TEST/content/{number}", json={"disable_until_ts": until})
        assert checked_json(off)["disable_until_ts"] == until
        assert checked_json(hma.get("/m/raw_lookup", params=query)) == {"matches": []}
    assert wait_until(lambda: time.time() > until, 10)
    with run_gate_with_hma_client(data_folder) as (hma, _):
        assert wait_until(
            lambda: checked_json(hma.get("/m/raw_lookup", params=query))["matches"] != [], 120
        )
        assert checked_json(hma.get(f"/c/bank/TEST/content/{number}"))["disable_until_ts"] == 1
