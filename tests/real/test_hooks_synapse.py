"""Our module for Synapse checks uploads to a real Synapse on SQLite.

As in production, Synapse has its own environment, to which only our source and httpx are added. To
create it, run:

    make .venv-synapse/.done

The variable ENTRENOUS_TEST_SYNAPSE can name the Python of another environment.
"""

import base64
import hmac
import json
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.connectors.running_gates import (
    her_picture,
    her_picture_mirrored,
    jpeg,
    other_picture,
    running_gate,
    waiting_picture,
)
from tests.real.test_hooks_claims import UPLOAD_COUNT, Gate
from tests.stop.commands.gates import RunningGate, wait_if_hour_ends_within

ROOT = Path(__file__).parents[2]
SYNAPSE_PYTHON = Path(os.environ.get("ENTRENOUS_TEST_SYNAPSE", ROOT / ".venv-synapse/bin/python"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not SYNAPSE_PYTHON.exists(), reason="no Synapse in .venv-synapse"),
]
SYNAPSE_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src")}
REGISTRATION_SECRET = "only for this test"
HOMESERVER_CONFIG = """
server_name: homeserver.example
pid_file: {folder}/pid
report_stats: false
suppress_key_server_warning: true
signing_key_path: {folder}/signing.key
log_config: {folder}/log.yaml
media_store_path: {folder}/media
database: {{name: sqlite3, args: {{database: "{folder}/homeserver.db"}}}}
registration_shared_secret: "{secret}"
enable_authenticated_media: true
trusted_key_servers: []
listeners:
  - {{port: {port}, type: http, bind_addresses: [127.0.0.1], x_forwarded: false,
     resources: [{{names: [client]}}]}}
modules: {modules}
"""
MODULE_CLASS = "entrenous.connectors.synapse.GateModule"
TOKENS_FILE_NAME = "tokens.json"
LOG_CONFIG = """
version: 1
formatters: {plain: {format: "%(levelname)s %(name)s %(message)s"}}
handlers: {out: {class: logging.StreamHandler, formatter: plain, stream: ext://sys.stdout}}
root: {level: WARNING, handlers: [out]}
loggers: {entrenous.hooks: {level: INFO}}
disable_existing_loggers: false
"""


@pytest.fixture(scope="module")
def gate_url_and_token_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with running_gate(tmp_path_factory.mktemp("gate"), "--no-slow-look") as one:
        yield one


@pytest.fixture(scope="module")
def default_homeserver(
    gate_url_and_token_file: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, Path]]:
    """Run a homeserver with the module's default settings, and register Ana and Ben there. Yield
    Ana's client and the homeserver's folder.
    """
    folder = tmp_path_factory.mktemp("live")
    seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    (folder / "signing.key").write_text(f"ed25519 a_test {seed}\n")
    settings = module_settings(*gate_url_and_token_file)
    program, url = write_config(folder, f"[{{module: {MODULE_CLASS}, config: {settings}}}]")
    with run_synapse(folder, program, url):
        tokens = {name: _register(url, name) for name in ("ana", "ben")}
        (folder / TOKENS_FILE_NAME).write_text(json.dumps(tokens))
        with client_of_ana(url, folder) as web:
            yield web, folder


@pytest.fixture(scope="module")
def initial_data(
    default_homeserver: tuple[httpx.Client, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a folder with the data of the default homeserver. ``run_homeserver`` copies this
    folder, because creating tables and accounts takes as long as several starts.
    """
    folder = tmp_path_factory.mktemp("initial")
    for name in ("signing.key", TOKENS_FILE_NAME):
        shutil.copy(default_homeserver[1] / name, folder)
    with (
        closing(sqlite3.connect(default_homeserver[1] / "homeserver.db")) as original,
        closing(sqlite3.connect(folder / "homeserver.db")) as copy,
    ):
        original.backup(copy)
    return folder


def module_settings(gate_url: str, token_file: Path, **extra_settings: str) -> str:
    """Return settings of our module as a YAML mapping."""
    settings = {"gate": f"'{gate_url}'", "token_file": str(token_file), "budget_s": "20"}
    pairs = (settings | extra_settings).items()
    return "{" + ", ".join(f"{name}: {value}" for name, value in pairs) + "}"


def write_config(folder: Path, modules: str) -> tuple[list[str], str]:
    """Write the configuration; return the command that starts the homeserver, and the URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "homeserver.yaml"
    config.write_text(
        HOMESERVER_CONFIG.format(
            folder=folder, port=port, modules=modules, secret=REGISTRATION_SECRET
        )
    )
    (folder / "log.yaml").write_text(LOG_CONFIG)
    program = [str(SYNAPSE_PYTHON), "-m", "synapse.app.homeserver", "--config-path", str(config)]
    return program, f"http://127.0.0.1:{port}"


@contextmanager
def run_homeserver(
    folder: Path,
    initial_data: Path,
    settings: str,
    module: str = MODULE_CLASS,
    extra_source_folder: str = "",
) -> Iterator[httpx.Client]:
    """Run a homeserver with our module, and yield a client that is logged in as Ana."""
    shutil.copytree(initial_data, folder, dirs_exist_ok=True)
    program, url = write_config(folder, f"[{{module: {module}, config: {settings}}}]")
    with (
        run_synapse(folder, program, url, extra_source_folder),
        client_of_ana(url, initial_data) as web,
    ):
        yield web


def client_of_ana(url: str, initial_data: Path) -> httpx.Client:
    return httpx.Client(base_url=url, headers=headers_of("ana", initial_data), timeout=120)


@contextmanager
def run_synapse(
    folder: Path, program: list[str], url: str, extra_source_folder: str = ""
) -> Iterator[None]:
    """Run a homeserver whose output goes to out.log, and wait until it answers."""
    path = ":".join(filter(None, (SYNAPSE_ENVIRONMENT["PYTHONPATH"], extra_source_folder)))
    environment = SYNAPSE_ENVIRONMENT | {"PYTHONPATH": path}
    with (
        (folder / "out.log").open("wb") as log,
        subprocess.Popen(program, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            _wait_until_serving(url, process)
            yield
        finally:
            process.terminate()
            process.wait(60)


def headers_of(user_name: str, initial_data: Path) -> dict[str, str]:
    """Return the headers with which a registered person sends requests."""
    tokens = json.loads((initial_data / TOKENS_FILE_NAME).read_text())
    return {"Authorization": f"Bearer {tokens[user_name]}"}


def _wait_until_serving(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    # One client for all tries, because creating a client takes as long as a try.
    with httpx.Client() as web:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                web.get(f"{url}/_matrix/client/versions")
            except httpx.HTTPError:
                time.sleep(0.1)
            else:
                return
    raise AssertionError("Synapse did not start; see out.log")


def _register(url: str, user_name: str) -> str:
    """Register a person as Synapse's own program does, and return the access token."""
    with httpx.Client(base_url=f"{url}/_synapse/admin/v1", timeout=120) as web:
        nonce = web.get("/register").json()["nonce"]
        words = f"{nonce}\0{user_name}\0a long word\0notadmin"
        mac = hmac.new(REGISTRATION_SECRET.encode(), words.encode(), "sha1").hexdigest()
        account = {"nonce": nonce, "username": user_name, "password": "a long word", "mac": mac}
        answer = web.post("/register", json=account | {"admin": False})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


def upload(web: httpx.Client, data: bytes, content_type: str = "image/jpeg") -> httpx.Response:
    headers = {"Content-Type": content_type}
    return web.post("/_matrix/media/v3/upload", content=data, headers=headers)


def download(web: httpx.Client, answer: httpx.Response, query: str = "") -> httpx.Response:
    place = answer.json()["content_uri"].removeprefix("mxc://")
    verb = "thumbnail" if query else "download"
    return web.get(f"/_matrix/client/v1/media/{verb}/{place}{query}")


def test_uploads_are_stored_refused_and_listed(
    gate_url_and_token_file: tuple[str, Path], default_homeserver: tuple[httpx.Client, Path]
) -> None:
    web, folder = default_homeserver
    fine = upload(web, other_picture())
    assert fine.status_code == 200, fine.text
    assert download(web, fine).content == other_picture()
    small = download(web, fine, "?width=32&height=32&method=crop")
    assert small.headers["content-type"].startswith("image/")
    listed = upload(web, waiting_picture())
    assert listed.status_code == 200, listed.text
    assert download(web, listed).content == waiting_picture()
    for data in (her_picture(), her_picture_mirrored(), b"OggS" + bytes(60)):
        refused = upload(web, data)
        # Synapse gives this answer for every refused file, whatever code the module returns.
        assert (refused.status_code, refused.json()["error"]) == (400, "Bad content")
    cipher = upload(web, bytes(range(256)) * 9, "application/octet-stream")
    assert cipher.status_code == 200  # files from encrypted rooms cannot be checked
    log = (folder / "out.log").read_text()
    assert "entrenous.hooks upload decision=refuse why=gate case=" in log
    original = [path for path in (folder / "media").rglob("*") if path.is_file()]
    refused_ones = {her_picture(), her_picture_mirrored()}
    assert refused_ones.isdisjoint(path.read_bytes() for path in original)
    assert published_states(gate_url_and_token_file)[media_id(listed)] == "waiting"


@pytest.mark.threat("shadow-acts")
def test_in_shadow_mode_all_passes_and_is_listed(
    gate_url_and_token_file: tuple[str, Path], initial_data: Path, tmp_path: Path
) -> None:
    """The gate lists matching uploads as waiting for review, and after a review as confirmed."""
    settings = module_settings(*gate_url_and_token_file, shadow="true")
    famous = gate_handle(gate_url_and_token_file).unregistered_picture(3)
    with run_homeserver(tmp_path, initial_data, settings) as web:
        gate_handle(gate_url_and_token_file).register(famous)
        for data in (her_picture(), jpeg(famous)):
            answer = upload(web, data)
            assert answer.status_code == 200
            assert published_states(gate_url_and_token_file)[media_id(answer)] == "waiting"
            confirm_all(gate_url_and_token_file, answer)


@pytest.mark.threat("claim-censors")
def test_only_a_confirmed_claim_stops_uploads(
    gate_url_and_token_file: tuple[str, Path], default_homeserver: tuple[httpx.Client, Path]
) -> None:
    """Until a review confirms the claim, the gate lists matching uploads as waiting for review."""
    gate_client, famous, (web, _) = (
        gate_handle(gate_url_and_token_file),
        gate_handle(gate_url_and_token_file).unregistered_picture(),
        default_homeserver,
    )
    gate_client.register(famous)
    answers = [upload(web, jpeg(famous, 60 + number)) for number in range(UPLOAD_COUNT)]
    assert [answer.status_code for answer in answers] == [200] * UPLOAD_COUNT
    assert {published_states(gate_url_and_token_file)[media_id(one)] for one in answers} == {
        "waiting"
    }
    confirm_all(gate_url_and_token_file, *answers)
    refused = upload(web, jpeg(famous, 50))
    assert (refused.status_code, refused.json()["error"]) == (400, "Bad content")


@pytest.mark.threat("claim-censors")
def test_quarantine_hides_a_held_file_but_no_earlier_copy(
    initial_data: Path, tmp_path: Path
) -> None:
    """A copy that was uploaded before anybody registered the picture stays visible."""
    (tmp_path / "often.py").write_text(QUICK_POLLING_MODULE)
    with running_gate(tmp_path, "--no-slow-look") as gate_url_and_token_file:
        gate_client, famous, confirmed = (
            gate_handle(gate_url_and_token_file),
            gate_handle(gate_url_and_token_file).unregistered_picture(1),
            gate_handle(gate_url_and_token_file).unregistered_picture(2),
        )
        settings = module_settings(*gate_url_and_token_file, on_hold="quarantine")
        folder, data = tmp_path / "homeserver", jpeg(famous)
        with run_homeserver(folder, initial_data, settings, "often.Often", str(tmp_path)) as web:
            before = upload(web, data)
            gate_client.register(famous)
            gate_client.register(confirmed)
            held, other = upload(web, data), upload(web, jpeg(confirmed))
            assert (held.status_code, other.status_code) == (200, 200)
            wait_until(lambda: download(web, held).status_code == 404)
            wait_until(lambda: download(web, other).status_code == 404)
            assert download(web, before).content == data
            # The list may contain the earlier upload, if a look-back found it. It must not contain
            # the two hidden uploads.
            assert set(published_states(gate_url_and_token_file)) <= {media_id(before)}
            case = case_of(gate_url_and_token_file, media_id(other))
            decide(gate_url_and_token_file, case, "confirm")
            decide(
                gate_url_and_token_file, case_of(gate_url_and_token_file, media_id(held)), "release"
            )
            wait_until(lambda: download(web, held).status_code == 200)
            assert download(web, held).content == data
            assert download(web, other).status_code == 404
            assert upload(web, jpeg(confirmed)).status_code == 400


@pytest.mark.threat("probing-registered")
def test_uploads_are_limited_per_person_and_hour(initial_data: Path, tmp_path: Path) -> None:
    """The limit applies to the Synapse user who sends the request. No upload passes while the gate
    is unreachable.
    """
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate/gate.toml").write_text("uploads_per_account = 2\n")
    headers_of_ben = {**headers_of("ben", initial_data), "Content-Type": "image/jpeg"}
    with ExitStack() as opened:
        with running_gate(tmp_path, "--no-slow-look") as (gate_url, token_file):
            settings = module_settings(gate_url, token_file)
            web = opened.enter_context(
                run_homeserver(tmp_path / "homeserver", initial_data, settings)
            )
            wait_if_hour_ends_within(60)
            assert [upload(web, other_picture()).status_code for _ in range(3)] == [200, 200, 400]
            answer = web.post(
                "/_matrix/media/v3/upload", content=other_picture(), headers=headers_of_ben
            )
            assert answer.status_code == 200
        answer = web.post(
            "/_matrix/media/v3/upload", content=other_picture(), headers=headers_of_ben
        )
        assert answer.status_code == 400
    log = (tmp_path / "homeserver/out.log").read_text()
    assert log.count("why=too-many-of-one-account") == 1
    assert log.count("why=gate-away") == 1
    assert "homeserver.example" not in "".join(line for line in log.splitlines() if "hooks" in line)


# Our module, changed to ask the gate about hidden files twice a second.
QUICK_POLLING_MODULE = """
from entrenous.connectors import synapse

synapse._POLL_INTERVAL_MS = 500
Often = synapse.GateModule
"""


def gate_handle(gate_url_and_token_file: tuple[str, Path]) -> Gate:
    who = {"Authorization": f"Bearer {gate_url_and_token_file[1].read_text().strip()}"}
    return Gate(RunningGate(0, gate_url_and_token_file[0], who), gate_url_and_token_file[1])


def media_id(answer: httpx.Response) -> str:
    return str(answer.json()["content_uri"]).rpartition("/")[2]


def published_states(gate_url_and_token_file: tuple[str, Path]) -> dict[str, str]:
    """Return, by media id, the state of each file that the gate lists as published."""
    listed = gate_handle(gate_url_and_token_file).running.get_json("/v1/reviews/published")
    return {one["reference"]: one["state"] for one in listed["cases"]}


def case_of(gate_url_and_token_file: tuple[str, Path], reference: str) -> str:
    """Return the case of a file that waits for review."""
    after, ask = "", gate_handle(gate_url_and_token_file).running.get_json
    while review := ask(f"/v1/reviews?after={after}")["next"]:
        after = review["case"]
        if review["reference"] == reference:
            return str(after)
    raise AssertionError(reference)


def decide(gate_url_and_token_file: tuple[str, Path], case: str, decision: str) -> None:
    url, who = (
        f"{gate_url_and_token_file[0]}/v1/reviews/{case}",
        gate_handle(gate_url_and_token_file).running.operator_headers,
    )
    answer = httpx.post(url, json={"decision": decision}, headers=who, timeout=60)
    assert answer.status_code == 200, answer.text


def confirm_all(gate_url_and_token_file: tuple[str, Path], *uploads: httpx.Response) -> None:
    """Confirm the cases of these uploads; check that the gate lists the uploads as confirmed."""
    media, after, ask = (
        {media_id(one) for one in uploads},
        "",
        gate_handle(gate_url_and_token_file).running.get_json,
    )
    while review := ask(f"/v1/reviews?after={after}")["next"]:
        after = review["case"]
        if review["reference"] in media:
            decide(gate_url_and_token_file, after, "confirm")
            after = ""
    listed = published_states(gate_url_and_token_file)
    assert {listed[one] for one in media} == {"confirmed"}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


PARSE_PROGRAM = """
import json, sys
from synapse.module_api.errors import ConfigError
from entrenous.connectors.synapse import GateModule

for given in json.loads(sys.argv[1]):
    try:
        print(GateModule.parse_config(given).on_hold)
    except ConfigError as problem:
        print(problem)
"""


def test_wrong_setting_is_reported(gate_url_and_token_file: tuple[str, Path]) -> None:
    good = {"gate": "https://gate.example", "token_file": str(gate_url_and_token_file[1])}
    wrong = {"gate": "http://gate.example", "token_file": "/nowhere", "on_hold": "refuse", "key": 1}
    given = [
        good,
        good | {"on_hold": "quarantine"},
        *[good | {name: wrong[name]} for name in wrong],
    ]
    done = subprocess.run(
        [str(SYNAPSE_PYTHON), "-c", PARSE_PROGRAM, json.dumps(given)],
        check=True,
        capture_output=True,
        text=True,
        env=SYNAPSE_ENVIRONMENT,
    )
    lines = done.stdout.splitlines()
    assert lines[:2] == ["publish", "quarantine"]
    assert [line.partition(" should be")[0] for line in lines[2:]] == [
        f"The setting {name}" for name in wrong
    ]
