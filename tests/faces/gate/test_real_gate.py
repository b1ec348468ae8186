"""A real gate in a process of its own, killed hard: what it acknowledged is still there."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrenous.adapters.bank.client import HttpBankClient
from entrenous.adapters.courier.http import new_client
from entrenous.model.bank import ClaimState, GateUnreachable
from entrenous.stop.protect import protect_picture
from entrenous.stop.withdraw import unprotect
from tests.stop.room import a_device, jpeg, picture, screenshot_crop

pytestmark = pytest.mark.real

OPERATOR = {"Authorization": "Bearer operator-token"}
PROGRAM = """
import sys
from pathlib import Path
from entrenous.adapters.http_server import serve
from entrenous.faces.gate.access import GateAccess
from entrenous.faces.gate.app import gate_app
from entrenous.model.secret import Secret
from entrenous.wiring.platform import open_platform

with open_platform(Path(sys.argv[1])) as (platform, _):
    app = gate_app(platform, GateAccess(Secret(b"operator-token")))
    serve(app, "127.0.0.1", 0, lambda url: print(url, flush=True))
"""


@contextmanager
def running(data: Path) -> Iterator[str]:
    command = [sys.executable, "-c", PROGRAM, str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture
def outside() -> Iterator[httpx.Client]:
    """The client that a device really has."""
    with new_client() as client:
        yield client


def decision(url: str, data: bytes) -> str:
    answer = httpx.post(
        f"{url}/v1/uploads", files={"file": ("x", data)}, headers=OPERATOR, timeout=60
    )
    return str(answer.json()["decision"])


def test_claims_and_withdrawals_survive_sigkill(
    tmp_path: Path, outside: httpx.Client, hers: Any, another: Any
) -> None:
    data = tmp_path / "gate"
    with running(data) as url:
        gate = HttpBankClient(url, outside)
        protection = protect_picture(
            picture(hers), adult=True, parts=True, gate=gate, device=a_device()
        )
    with pytest.raises(GateUnreachable):
        HttpBankClient(url, outside).status(protection.claim)
    with running(data) as url:
        assert decision(url, screenshot_crop(hers)) == "hold"
        assert decision(url, jpeg(another)) == "let through"
        gate = HttpBankClient(url, outside)
        assert unprotect(protection, gate, a_device()).state is ClaimState.WITHDRAWN
    with running(data) as url:
        assert decision(url, screenshot_crop(hers)) == "let through"
