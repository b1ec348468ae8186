"""``entrenous gate run``: the token files, printed tokens, and the address for appeals."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrenous.base.identifiers import BankName
from entrenous.fingerprint.pdq import fingerprint
from entrenous.media.picture_reader import read_picture
from entrenous.stop.banks import import_hashes
from entrenous.stop.store.open_gate import open_platform
from tests.ready import start_program
from tests.stop.commands.gates import TIMEOUT_S, start_gate
from tests.village.world import photo

pytestmark = pytest.mark.real


TOKEN_ROLES = ("operator", "uploader", "metrics")


def test_gate_writes_token_files_and_accepts_their_tokens(tmp_path: Path) -> None:
    data_folder, log = tmp_path / "gate", tmp_path / "log"
    with _start_gate_with_log(data_folder, log, "--json") as said:
        gate = json.loads(said)
        assert {"schema", "url", "operator_token_file"} <= set(gate)  # fields that scripts use
        assert gate["schema"] == "entrenous/gate/1"
        for role in TOKEN_ROLES:
            token_file = data_folder / f"{role}.token"
            assert token_file == Path(gate[f"{role}_token_file"])
            assert token_file.stat().st_mode & 0o077 == 0
        tokens = {role: (data_folder / f"{role}.token").read_text() for role in TOKEN_ROLES}
        answers = {role: _upload_picture(gate["url"], tokens[role]) for role in TOKEN_ROLES[:2]}
        assert "appeal" not in answers["operator"]
        assert "here:" not in answers["uploader"]["appeal"]  # no appeal_url is set
        assert len(set(tokens.values())) == 3
        for token in ("another", tokens["metrics"]):
            with pytest.raises(httpx.HTTPStatusError):
                _upload_picture(gate["url"], token)
        bearer = {"Authorization": f"Bearer {tokens['metrics']}"}
        text = httpx.get(f"{gate['url']}/v1/metrics", headers=bearer, timeout=60).text.splitlines()
        assert 'entrenous_gate_uploads_total{decision="let through"} 2.0' in text
        assert 'entrenous_gate_index_hashes{where="file"} 0.0' in text
    assert "set appeal_url in gate.toml" in " ".join(log.read_text().split())
    assert not any(token in log.read_text() for token in tokens.values())


@pytest.mark.threat("neighbours")
@pytest.mark.parametrize(
    "format_options",
    [pytest.param(("--json",), marks=pytest.mark.nightly), ()],
    ids=["json", "text"],
)
def test_tokens_are_printed_only_on_request(
    tmp_path: Path, format_options: tuple[str, ...]
) -> None:
    data_folder, quiet, asked = tmp_path / "gate", tmp_path / "quiet.log", tmp_path / "asked.log"
    for log, token_options in ((quiet, ()), (asked, ("--show-tokens",))):
        with _start_gate_with_log(data_folder, log, *format_options, *token_options):
            pass
    tokens = [(data_folder / f"{role}.token").read_text() for role in TOKEN_ROLES]
    assert [token in quiet.read_text() for token in tokens] == [False] * 3
    assert [token in asked.read_text() for token in tokens] == [True] * 3


@contextmanager
def _start_gate_with_log(data_folder: Path, log: Path, *options: str) -> Iterator[str]:
    """Run a gate with all its output in ``log``; yield the line of output with the URL."""
    arguments = ["gate", "run", "--data", str(data_folder), "--listen", "127.0.0.1:0", *options]
    program = [sys.executable, "-m", "entrenous", *arguments, "--no-slow-look", "--judges", "0"]
    with log.open("wb") as output, start_program(program, stdout=output, stderr=output) as server:
        try:
            until = time.monotonic() + TIMEOUT_S
            while not (lines := _url_lines(log.read_text())):
                assert time.monotonic() < until
                time.sleep(0.05)
            yield lines[0]
        finally:
            server.terminate()


def _url_lines(output: str) -> list[str]:
    return [one for one in output.splitlines(keepends=True) if "http://127" in one and "\n" in one]


def _upload_picture(url: str, token: str) -> dict[str, Any]:
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


def test_running_gate_tells_uploaders_where_to_appeal(tmp_path: Path) -> None:
    """The address is the setting ``appeal_url`` in gate.toml."""
    data_folder, log = tmp_path / "gate", tmp_path / "log"
    page, her_picture = "https://platform.example/appeal?from=upload", photo(width_px=200)
    with open_platform(data_folder) as (platform, _):
        listed = f"{fingerprint(read_picture(her_picture)).hex}\n"
        import_hashes(listed, BankName("trial"), platform, confirmed=True)
    (data_folder / "gate.toml").write_text(f'appeal_url = "{page}"\n')
    with start_gate(data_folder, "--no-slow-look", log=log) as gate:
        refused = _upload_picture(gate.url, (data_folder / "uploader.token").read_text())
        assert refused["decision"] == "refuse"
        assert refused["case"]
        assert f"look at it here: {page}, and give the case number" in refused["appeal"]
    assert log.read_text() == ""
