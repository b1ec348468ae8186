"""Claims and withdrawals that a gate acknowledged survive SIGKILL, also in a shared database."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrenous.device.client.http_courier import new_relay_client
from entrenous.stop.audit import verify_audit_log
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.nouns import GateUnreachable
from entrenous.stop.protect import withdraw_protection
from entrenous.stop.registration import ClaimState
from entrenous.stop.store.open_gate import open_platform
from tests.postgres import Cluster
from tests.ready import start_program
from tests.stop.platform_for_tests import (
    jpeg,
    new_device,
    picture,
    protect_picture,
    screenshot_crop,
)

pytestmark = pytest.mark.real

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}
GATE_PROGRAM = """
import sys
from pathlib import Path
from entrenous.serving.http_server import serve
from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.gate_app import gate_app
from entrenous.base.secret import Secret
from entrenous.stop.store.open_gate import open_platform

with open_platform(Path(sys.argv[1])) as (platform, _):
    app = gate_app(platform, GateAccess(Secret(b"operator-token")))
    serve(app, "127.0.0.1", 0, lambda url: print(url, flush=True))
"""


@contextmanager
def run_gate(data_folder: Path) -> Iterator[str]:
    command = [sys.executable, "-c", GATE_PROGRAM, str(data_folder)]
    with start_program(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture
def device_client() -> Iterator[httpx.Client]:
    """Yield the HTTP client that a real device uses."""
    with new_relay_client() as client:
        yield client


def upload_and_get_decision(url: str, upload: bytes) -> str:
    answer = httpx.post(
        f"{url}/v1/uploads", files={"file": ("x", upload)}, headers=OPERATOR_HEADERS, timeout=60
    )
    return str(answer.json()["decision"])


def test_claims_and_withdrawals_survive_sigkill(
    tmp_path: Path, device_client: httpx.Client, her_picture: Any, other_picture: Any
) -> None:
    data = tmp_path / "gate"
    with run_gate(data) as url:
        gate = RegistrationClient(url, device_client)
        protection = protect_picture(
            picture(her_picture), adult=True, parts=True, gate=gate, device=new_device()
        )
    with pytest.raises(GateUnreachable):
        RegistrationClient(url, device_client).status(protection.claim)
    with run_gate(data) as url:
        assert upload_and_get_decision(url, screenshot_crop(her_picture)) == "hold"
        assert upload_and_get_decision(url, jpeg(other_picture)) == "let through"
        gate = RegistrationClient(url, device_client)
        assert withdraw_protection(protection, gate, new_device()).state is ClaimState.WITHDRAWN
    with run_gate(data) as url:
        assert upload_and_get_decision(url, screenshot_crop(her_picture)) == "let through"


def test_two_gates_share_a_postgresql_database(
    tmp_path: Path, postgres: Cluster, device_client: httpx.Client, her_picture: Any
) -> None:
    """A claim that one gate acknowledged matches the next upload to the other gate."""
    url = postgres.create_database()
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        (folder / "gate.toml").write_text(f'database = "{url}"\nclaims_per_hour = 50\n')
    with run_gate(folders[0]) as one, run_gate(folders[1]) as two:
        gates = [RegistrationClient(where, device_client) for where in (one, two)]
        assert upload_and_get_decision(two, jpeg(her_picture)) == "let through"
        protection = protect_picture(
            picture(her_picture), adult=True, parts=False, gate=gates[0], device=new_device()
        )
        assert upload_and_get_decision(two, jpeg(her_picture)) == "hold"
        assert withdraw_protection(protection, gates[1], new_device()).state is ClaimState.WITHDRAWN
        assert upload_and_get_decision(one, jpeg(her_picture)) == "let through"
        kept = protect_picture(
            picture(her_picture), adult=True, parts=False, gate=gates[1], device=new_device()
        )
    with run_gate(folders[0]) as one:
        assert RegistrationClient(one, device_client).status(kept.claim).state is ClaimState.WAITING
        assert upload_and_get_decision(one, jpeg(her_picture)) == "hold"
    assert not (folders[0] / "bank.db").exists()
    with open_platform(folders[0]) as (platform, _):
        verify_audit_log(platform.bank)
        assert [one.state for one in platform.bank.changes(0, 9)] == [
            ClaimState.WITHDRAWN,
            ClaimState.WAITING,
        ]
