"""A real gate, started by ``entrenous gate run``."""

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

PATIENCE_S = 60
#: Options for requests to a gate on this machine, over plain HTTP. Without verify=False, httpx
#: would read the certificates of all authorities, which takes longer than the request.
_REQUEST_OPTIONS: dict[str, Any] = {"timeout": PATIENCE_S, "trust_env": False, "verify": False}


class Running(NamedTuple):
    """A running gate: its process id, its URL, and the operator's headers."""

    pid: int
    url: str
    who: dict[str, str]

    def ask(self, path: str) -> Any:
        return httpx.get(f"{self.url}{path}", headers=self.who, **_REQUEST_OPTIONS).json()

    def bring(self, untrusted: bytes, reference: str = "") -> httpx.Response:
        return httpx.post(
            f"{self.url}/v1/uploads", files={"file": ("x", untrusted)},
            data={"reference": reference}, headers=self.who, **_REQUEST_OPTIONS,
        )  # fmt: skip


def within_an_hour(seconds: float) -> None:
    """Wait until at least ``seconds`` are left of the clock hour, by which a gate counts."""
    while time.time() % 3600 > 3600 - seconds:
        time.sleep(0.5)


@contextmanager
def running(
    data: Path, *more: str, under: Sequence[str] = (), log: Path | None = None
) -> Iterator[Running]:
    """Run a gate with the options ``more``, and stop it at the end.

    ``under`` are the words of a program that runs it. Its standard error is appended to ``log``.
    """
    arguments = ["gate", "run", "--data", str(data), "--listen", "127.0.0.1:0", "--json", *more]
    program = [*under, sys.executable, "-m", "entrenous", *arguments]
    with ExitStack() as opened:
        errors = None if log is None else opened.enter_context(log.open("ab"))
        started = start_program(program, stdout=subprocess.PIPE, stderr=errors)
        server = opened.enter_context(started)
        try:
            assert server.stdout is not None
            startup = json.loads(server.stdout.readline())
            who = {"Authorization": f"Bearer {Path(startup['operator_token_file']).read_text()}"}
            yield Running(server.pid, startup["url"], who)
        finally:
            server.terminate()
            try:
                server.wait(PATIENCE_S)
            finally:
                server.kill()
