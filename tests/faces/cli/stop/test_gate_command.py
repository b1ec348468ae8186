"""``entrenous gate run`` says, in one line, where it serves and which tokens it takes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.craft.media.picture import read_picture
from tests.faces.cli.stop.gates import running
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


def test_tokens_are_kept_told_and_taken(gate: dict[str, Any], tmp_path: Path) -> None:
    assert {"schema", "url", "operator_token"} <= set(gate)  # what scripts rely on
    assert gate["schema"] == "entrenous/gate/1"
    roles = ("operator", "uploader", "metrics")
    for role in roles:
        kept = tmp_path / "gate" / f"{role}.token"
        assert kept.read_text() == gate[f"{role}_token"]
        assert kept.stat().st_mode & 0o077 == 0
    answers = {role: _upload(gate["url"], gate[f"{role}_token"]) for role in roles[:2]}
    assert "appeal" in answers["uploader"]
    assert "appeal" not in answers["operator"]
    assert len({gate[f"{role}_token"] for role in roles}) == 3
    for token in ("another", gate["metrics_token"]):
        with pytest.raises(httpx.HTTPStatusError):
            _upload(gate["url"], token)


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


def test_its_figures_are_served(gate: dict[str, Any]) -> None:
    _upload(gate["url"], gate["operator_token"])
    bearer = {"Authorization": f"Bearer {gate['metrics_token']}"}
    told = httpx.get(f"{gate['url']}/v1/metrics", headers=bearer, timeout=60).text.splitlines()
    assert 'entrenous_gate_uploads_total{decision="let through"} 1.0' in told
    assert 'entrenous_gate_index_hashes{where="file"} 0.0' in told


def test_where_to_appeal_is_told_to_whoever_uploads(tmp_path: Path) -> None:
    """What gate.toml says, held or refused or let through; `gate run` says when it says nothing."""
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
