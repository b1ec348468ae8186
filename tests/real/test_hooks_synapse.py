"""A real Synapse on SQLite with the module loaded: a person uploads, and is refused.

Synapse has an environment of its own, as where it really runs; of ours it has the source alone, and
httpx. It is made with:

    make .venv-synapse/.done

or ENTRENOUS_TEST_SYNAPSE names another environment's Python.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.faces.cli.stop.gates import within_an_hour
from tests.faces.hooks.gates import another, hers, hers_mirrored, running_gate, waiting

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("ENTRENOUS_TEST_SYNAPSE", ROOT / ".venv-synapse/bin/python"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not PYTHON.exists(), reason="no Synapse in .venv-synapse"),
]
SURROUNDINGS = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src")}
CONFIG = """
server_name: house.example
pid_file: {folder}/pid
report_stats: false
suppress_key_server_warning: true
signing_key_path: {folder}/signing.key
log_config: {folder}/log.yaml
media_store_path: {folder}/media
database: {{name: sqlite3, args: {{database: "{folder}/house.db"}}}}
registration_shared_secret: "only for this test"
enable_authenticated_media: true
trusted_key_servers: []
listeners:
  - {{port: {port}, type: http, bind_addresses: [127.0.0.1], x_forwarded: false,
     resources: [{{names: [client]}}]}}
modules: {modules}
"""
TOKENS = "tokens.json"
LOG = """
version: 1
formatters: {plain: {format: "%(levelname)s %(name)s %(message)s"}}
handlers: {out: {class: logging.StreamHandler, formatter: plain, stream: ext://sys.stdout}}
root: {level: WARNING, handlers: [out]}
loggers: {entrenous.hooks: {level: INFO}}
disable_existing_loggers: false
"""


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with running_gate(tmp_path_factory.mktemp("gate")) as one:
        yield one


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a homeserver keeps, with Ana and Ben registered. Each test has a copy, since its tables
    and its people cost as much as several starts.
    """
    folder = tmp_path_factory.mktemp("house")
    program, url = configured(folder, modules="[]")
    subprocess.run([*program, "--generate-keys"], check=True, capture_output=True, env=SURROUNDINGS)
    with running(folder, program, url):
        tokens = {name: _registered(folder, url, name) for name in ("ana", "ben")}
    (folder / TOKENS).write_text(json.dumps(tokens))
    return folder


def configured(folder: Path, modules: str) -> tuple[list[str], str]:
    """The command that starts it, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "homeserver.yaml"
    config.write_text(CONFIG.format(folder=folder, port=port, modules=modules))
    (folder / "log.yaml").write_text(LOG)
    program = [str(PYTHON), "-m", "synapse.app.homeserver", "--config-path", str(config)]
    return program, f"http://127.0.0.1:{port}"


@contextmanager
def homeserver(folder: Path, house: Path, settings: str) -> Iterator[httpx.Client]:
    """A homeserver with our module, as Ana sees it, who is registered there."""
    shutil.copytree(house, folder, dirs_exist_ok=True)
    module = f"[{{module: entrenous.faces.hooks.synapse.GateModule, config: {settings}}}]"
    program, url = configured(folder, module)
    with (
        running(folder, program, url),
        httpx.Client(base_url=url, headers=seen_as("ana", house), timeout=30) as web,
    ):
        yield web


@contextmanager
def running(folder: Path, program: list[str], url: str) -> Iterator[None]:
    """A homeserver that answers; what it says is in out.log."""
    with (
        (folder / "out.log").open("wb") as log,
        subprocess.Popen(program, stdout=log, stderr=log, env=SURROUNDINGS) as process,
    ):
        try:
            _wait_for(url, process)
            yield
        finally:
            process.terminate()
            process.wait(20)


def seen_as(name: str, house: Path) -> dict[str, str]:
    """The headers of somebody who is registered there."""
    return {"Authorization": f"Bearer {json.loads((house / TOKENS).read_text())[name]}"}


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/_matrix/client/versions")
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("Synapse did not start; see out.log")


def _registered(folder: Path, url: str, name: str) -> str:
    """Her access token."""
    config = ["-c", str(folder / "homeserver.yaml"), "-u", name, "-p", "a long word", "--no-admin"]
    program = str(PYTHON.parent / "register_new_matrix_user")
    subprocess.run([program, *config, url], check=True, capture_output=True)
    user = {"type": "m.id.user", "user": name}
    said = {"type": "m.login.password", "identifier": user, "password": "a long word"}
    answer = httpx.post(f"{url}/_matrix/client/v3/login", json=said).json()
    return str(answer["access_token"])


def upload(web: httpx.Client, data: bytes, kind: str = "image/jpeg") -> httpx.Response:
    headers = {"Content-Type": kind}
    return web.post("/_matrix/media/v3/upload", content=data, headers=headers)


def download(web: httpx.Client, answer: httpx.Response, query: str = "") -> httpx.Response:
    place = answer.json()["content_uri"].removeprefix("mxc://")
    verb = "thumbnail" if query else "download"
    return web.get(f"/_matrix/client/v1/media/{verb}/{place}{query}")


def test_uploads(gate: tuple[str, Path], house: Path, tmp_path: Path) -> None:
    settings = f"{{gate: '{gate[0]}', token_file: {gate[1]}, budget_s: 20}}"
    with homeserver(tmp_path, house, settings) as web:
        fine = upload(web, another())
        assert fine.status_code == 200, fine.text
        assert download(web, fine).content == another()
        small = download(web, fine, "?width=32&height=32&method=crop")
        assert small.headers["content-type"].startswith("image/")
        for data in (hers(), hers_mirrored(), waiting(), b"OggS" + bytes(60)):
            refused = upload(web, data)
            # Synapse's own words for every file that a module refuses, whatever its code
            assert (refused.status_code, refused.json()["error"]) == (400, "Bad content")
        cipher = upload(web, bytes(range(256)) * 9, "application/octet-stream")
        assert cipher.status_code == 200  # what an encrypted room carries can't be looked at
    log = (tmp_path / "out.log").read_text()
    assert "entrenous.hooks upload decision=refuse why=gate case=" in log
    kept = [path for path in (tmp_path / "media").rglob("*") if path.is_file()]
    held = {hers(), hers_mirrored(), waiting()}
    assert held.isdisjoint(path.read_bytes() for path in kept)


def test_in_shadow_mode_and_with_a_gate_that_is_away(
    gate: tuple[str, Path], house: Path, tmp_path: Path
) -> None:
    settings = f"{{gate: '{gate[0]}', token_file: {gate[1]}, budget_s: 20, shadow: true}}"
    with homeserver(tmp_path / "shadow", house, settings) as web:
        assert upload(web, hers()).status_code == 200
    away = f"{{gate: 'http://127.0.0.1:9', token_file: {gate[1]}}}"
    with homeserver(tmp_path / "away", house, away) as web:
        assert upload(web, another()).status_code == 400
    assert "why=gate-away" in (tmp_path / "away/out.log").read_text()


@pytest.mark.threat("probing-registered")
def test_each_person_has_her_uploads_of_an_hour(house: Path, tmp_path: Path) -> None:
    """Whose an upload is, is with the request that Synapse answers."""
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate/gate.toml").write_text("uploads_per_account = 2\n")
    with running_gate(tmp_path) as (gate, token_file):
        settings = f"{{gate: '{gate}', token_file: {token_file}, budget_s: 20}}"
        with homeserver(tmp_path / "house", house, settings) as web:
            within_an_hour(60)
            assert [upload(web, another()).status_code for _ in range(3)] == [200, 200, 400]
            his = {**seen_as("ben", house), "Content-Type": "image/jpeg"}
            answer = web.post("/_matrix/media/v3/upload", content=another(), headers=his)
            assert answer.status_code == 200
    log = (tmp_path / "house/out.log").read_text()
    assert log.count("why=too-many-of-one-account") == 1
    assert "house.example" not in "".join(line for line in log.splitlines() if "hooks" in line)


PARSE = """
import json, sys
from synapse.module_api.errors import ConfigError
from entrenous.faces.hooks.synapse import GateModule

for given in json.loads(sys.argv[1]):
    try:
        print(GateModule.parse_config(given).on_hold)
    except ConfigError as problem:
        print(problem)
"""


def test_a_wrong_setting_is_said(gate: tuple[str, Path]) -> None:
    good = {"gate": "https://gate.example", "token_file": str(gate[1])}
    wrong = {"gate": "http://gate.example", "token_file": "/nowhere", "on_hold": "keep", "key": 1}
    given = [good, good | {"on_hold": "pass"}, *[good | {name: wrong[name]} for name in wrong]]
    done = subprocess.run(
        [str(PYTHON), "-c", PARSE, json.dumps(given)],
        check=True,
        capture_output=True,
        text=True,
        env=SURROUNDINGS,
    )
    said = done.stdout.splitlines()
    assert said[:2] == ["refuse", "pass"]
    assert [line.partition(" should be")[0] for line in said[2:]] == [
        f"The setting {name}" for name in wrong
    ]
