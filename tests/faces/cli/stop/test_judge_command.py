"""A busy gate has judges beside itself; a quiet one, or one that was told so, has none."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.village.world import photo

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this asks Linux for children"),
]

PATIENCE_S = 60
FILES = {"file": ("x.jpg", photo(width_px=300))}


@contextmanager
def running(data: Path, *more: str) -> Iterator[tuple[int, Callable[[], int]]]:
    """Its process, and what brings it an upload: the status of the answer."""
    arguments = ["gate", "run", "--data", str(data), "--listen", "127.0.0.1:0", "--json", *more]
    program = [sys.executable, "-m", "entrenous", *arguments]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            told = json.loads(server.stdout.readline())
            who = {"Authorization": f"Bearer {told['operator_token']}"}

            def bring() -> int:
                answer = httpx.post(
                    f"{told['url']}/v1/uploads", files=FILES, headers=who, timeout=60,
                    trust_env=False,
                )  # fmt: skip
                return answer.status_code

            yield server.pid, bring
        finally:
            server.terminate()
            server.wait(PATIENCE_S)


def judges_of(gate: int) -> set[int]:
    children = Path(f"/proc/{gate}/task/{gate}/children").read_text().split()
    return {int(child) for child in children if b"judge" in _command(int(child))}


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def ignores_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (ignored,) = (line for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(ignored.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def until_there_are(count: int, gate: int, bring: Callable[[], int]) -> set[int]:
    """Several uploads at a time, until there are so many judges."""
    deadline = time.monotonic() + PATIENCE_S
    with ThreadPoolExecutor(4) as crowd:
        while len(there := judges_of(gate)) < count:
            assert time.monotonic() < deadline
            assert set(crowd.map(lambda _: bring(), range(4))) == {200}
    return there


def test_a_busy_gate_has_judges_replaces_them_and_takes_them_along(tmp_path: Path) -> None:
    with running(tmp_path / "gate", "--judges", "2") as (gate, bring):
        assert bring() == 200
        assert not judges_of(gate)
        first = until_there_are(2, gate, bring)
        deadline = time.monotonic() + PATIENCE_S
        for judge in first:
            while not ignores_sigterm(judge):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(judge, signal.SIGTERM)  # as a service manager does, who stops the gate, too
        with ThreadPoolExecutor(4) as crowd:
            assert set(crowd.map(lambda _: bring(), range(8))) == {200}
        assert judges_of(gate) == first
        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while len(judges_of(gate) - {victim}) < 2:
            assert time.monotonic() < deadline
            with ThreadPoolExecutor(4) as crowd:
                answers = set(crowd.map(lambda _: bring(), range(4)))
            assert answers <= {200, 429}  # 429: it was at work on that one
        last = judges_of(gate)
    assert not any(_command(judge) for judge in first | last)


def test_one_that_was_told_so_has_none(tmp_path: Path) -> None:
    with running(tmp_path / "gate", "--judges", "0") as (gate, bring):
        with ThreadPoolExecutor(4) as crowd:
            assert set(crowd.map(lambda _: bring(), range(12))) == {200}
        assert not judges_of(gate)
