"""Helpers that start a gate as a process (``entrenous gate run``) and send requests to it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.ready import start_program

TIMEOUT_S = 60
#: Options for requests to a gate on this machine, over plain HTTP. Without verify=False, httpx
#: would first read the certificates of all authorities.
_REQUEST_OPTIONS: dict[str, Any] = {"timeout": TIMEOUT_S, "trust_env": False, "verify": False}


class RunningGate(NamedTuple):
    """A running gate: the process id, the URL, and headers with the operator's token."""

    pid: int
    url: str
    operator_headers: dict[str, str]

    def get_json(self, path: str) -> Any:
        return httpx.get(
            f"{self.url}{path}", headers=self.operator_headers, **_REQUEST_OPTIONS
        ).json()

    def upload(self, untrusted: bytes, reference: str = "") -> httpx.Response:
        return httpx.post(
            f"{self.url}/v1/uploads", files={"file": ("x", untrusted)},
            data={"reference": reference}, headers=self.operator_headers, **_REQUEST_OPTIONS,
        )  # fmt: skip


def wait_if_hour_ends_within(seconds: float) -> None:
    """If the clock hour ends within ``seconds``, wait for its end: gates count by clock hours."""
    while time.time() % 3600 > 3600 - seconds:
        time.sleep(0.5)


@contextmanager
def start_gate(
    data_folder: Path, *options: str, launcher: Sequence[str] = (), log: Path | None = None
) -> Iterator[RunningGate]:
    """Start a gate, yield it, and stop it at the end.

    ``launcher`` is a command that starts the gate, such as strace. The standard error of the gate
    is appended to ``log``.
    """
    arguments = ["gate", "run", "--data", str(data_folder), "--listen", "127.0.0.1:0", "--json"]
    program = [*launcher, sys.executable, "-m", "entrenous", *arguments, *options]
    with ExitStack() as opened:
        errors = None if log is None else opened.enter_context(log.open("ab"))
        started = start_program(program, stdout=subprocess.PIPE, stderr=errors)
        server = opened.enter_context(started)
        try:
            assert server.stdout is not None
            startup = json.loads(server.stdout.readline())
            token = Path(startup["operator_token_file"]).read_text()
            headers = {"Authorization": f"Bearer {token}"}
            yield RunningGate(server.pid, startup["url"], headers)
        finally:
            server.terminate()
            try:
                server.wait(TIMEOUT_S)
            finally:
                server.kill()
