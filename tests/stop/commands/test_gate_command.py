"""``entrenous gate run`` prints where it serves and where its tokens are."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrenous.fingerprint.pdq import fingerprint
from entrenous.media.picture_reader import read_picture
from tests.stop.commands.gates import PATIENCE_S, running
from tests.village.world import photo

pytestmark = pytest.mark.real


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[dict[str, Any]]:
    arguments = ["gate", "run", "--data", str(tmp_path / "gate"), "--listen", "127.0.0.1:0"]
    program = [sys.executable, "-m", "entrenous", *arguments, "--json"]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())
        finally:
            server.kill()


ROLES = ("operator", "uploader", "metrics")


def test_tokens_are_stored_named_and_reused(gate: dict[str, Any], tmp_path: Path) -> None:
    assert {"schema", "url", "operator_token_file"} <= set(gate)  # what scripts rely on
    assert gate["schema"] == "entrenous/gate/1"
    for role in ROLES:
        kept = tmp_path / "gate" / f"{role}.token"
        assert kept == Path(gate[f"{role}_token_file"])
        assert kept.stat().st_mode & 0o077 == 0
    tokens = {role: _kept(gate, role) for role in ROLES}
    answers = {role: _upload(gate["url"], tokens[role]) for role in ROLES[:2]}
    assert "appeal" in answers["uploader"]
    assert "appeal" not in answers["operator"]
    assert len(set(tokens.values())) == 3
    for token in ("another", tokens["metrics"]):
        with pytest.raises(httpx.HTTPStatusError):
            _upload(gate["url"], token)


@pytest.mark.threat("neighbours")
@pytest.mark.parametrize("form", [("--json",), ()], ids=["json", "words"])
def test_tokens_are_printed_only_on_request(tmp_path: Path, form: tuple[str, ...]) -> None:
    data, quiet, asked = tmp_path / "gate", tmp_path / "quiet.log", tmp_path / "asked.log"
    for log, more in ((quiet, ()), (asked, ("--show-tokens",))):
        _run_once(data, log, (*form, *more))
    tokens = [(data / f"{role}.token").read_text() for role in ROLES]
    assert [token in quiet.read_text() for token in tokens] == [False] * 3
    assert [token in asked.read_text() for token in tokens] == [True] * 3


def _run_once(data: Path, log: Path, words: tuple[str, ...]) -> None:
    """Run a gate as a service does, with one log, until it serves."""
    arguments = ["gate", "run", "--data", str(data), "--listen", "127.0.0.1:0", *words]
    program = [sys.executable, "-m", "entrenous", *arguments, "--no-slow-look", "--judges", "0"]
    with log.open("wb") as said, subprocess.Popen(program, stdout=said, stderr=said) as server:
        try:
            until = time.monotonic() + PATIENCE_S
            while "http://127.0.0.1" not in log.read_text():
                assert time.monotonic() < until
                time.sleep(0.05)
        finally:
            server.terminate()


def _kept(gate: dict[str, Any], role: str) -> str:
    return Path(gate[f"{role}_token_file"]).read_text()


def _upload(url: str, token: str) -> dict[str, Any]:
    answer = httpx.post(
        f"{url}/v1/uploads",
        files={"file": ("x.jpg", photo(width_px=200))},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
        trust_env=False,
    )
    answer.raise_for_status()
    decision: dict[str, Any] = answer.json()
    return decision


def test_running_gate_serves_metrics(gate: dict[str, Any]) -> None:
    _upload(gate["url"], _kept(gate, "operator"))
    bearer = {"Authorization": f"Bearer {_kept(gate, 'metrics')}"}
    told = httpx.get(f"{gate['url']}/v1/metrics", headers=bearer, timeout=60).text.splitlines()
    assert 'entrenous_gate_uploads_total{decision="let through"} 1.0' in told
    assert 'entrenous_gate_index_hashes{where="file"} 0.0' in told


def test_running_gate_tells_uploaders_where_to_appeal(tmp_path: Path) -> None:
    """As in gate.toml, for any decision; `gate run` warns if it is not set."""
    data, log = tmp_path / "gate", tmp_path / "log"
    page, hers = "https://platform.example/appeal?from=upload", photo(width_px=200)
    with running(data, log=log) as gate:
        assert "here:" not in _upload(gate.url, _token(data))["appeal"]
    assert "set appeal_url in gate.toml" in " ".join(log.read_text().split())
    (tmp_path / "list.txt").write_text(f"{fingerprint(read_picture(hers)).hex}\n")
    words = ["gate", "bank", "import", str(tmp_path / "list.txt"), "--bank", "trial", "--confirmed"]
    subprocess.run([sys.executable, "-m", "entrenous", *words, "--data", str(data)], check=True)
    (data / "gate.toml").write_text(f'appeal_url = "{page}"\n')
    log.unlink()
    with running(data, log=log) as gate:
        refused = _upload(gate.url, _token(data))
        assert refused["decision"] == "refuse"
        assert refused["case"]
        assert f"look at it here: {page}, and give the case number" in refused["appeal"]
    assert log.read_text() == ""


def _token(data: Path) -> str:
    return (data / "uploader.token").read_text()
