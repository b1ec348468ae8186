"""``keep_running`` restarts a subprocess that ends; none outlives the context or the parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from entrenous.stop.judge.judge_pool import keep_running

pytestmark = pytest.mark.real

CHILD_PROGRAM = """
import os, sys
with open(sys.argv[1], "a") as pid_file:
    pid_file.write(f"{os.getpid()}\\n")
sys.stdin.buffer.read()
"""
PARENT_PROGRAM = """
import signal, sys
from entrenous.stop.judge.judge_pool import keep_running
with keep_running([sys.executable, "-c", sys.argv[1], sys.argv[2]]):
    signal.pause()
"""
TIMEOUT_S = 30


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def started_pids(pid_file: Path) -> list[int]:
    return [int(line) for line in pid_file.read_text().split()] if pid_file.exists() else []


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_subprocess_is_restarted_and_ends_with_the_context(tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    with keep_running([sys.executable, "-c", CHILD_PROGRAM, str(pid_file)], restart_after_s=0.01):
        wait_until(lambda: len(started_pids(pid_file)) == 1)
        os.kill(started_pids(pid_file)[0], signal.SIGKILL)
        wait_until(lambda: len(started_pids(pid_file)) == 2)
        assert is_alive(started_pids(pid_file)[1])
    assert not any(is_alive(pid) for pid in started_pids(pid_file))


def test_subprocess_ends_if_its_parent_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    with subprocess.Popen(
        [sys.executable, "-c", PARENT_PROGRAM, CHILD_PROGRAM, str(pid_file)]
    ) as parent:
        wait_until(lambda: len(started_pids(pid_file)) == 1)
        parent.kill()
    wait_until(lambda: not is_alive(started_pids(pid_file)[0]))


def test_several_subprocesses_run_and_end_together(tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    with keep_running([sys.executable, "-c", CHILD_PROGRAM, str(pid_file)], count=3):
        wait_until(lambda: len(started_pids(pid_file)) == 3)
        assert all(map(is_alive, started_pids(pid_file)))
    assert len(set(started_pids(pid_file))) == 3
    assert not any(map(is_alive, started_pids(pid_file)))


def test_command_that_cannot_be_started_raises_nothing(tmp_path: Path) -> None:
    done = False
    with keep_running([str(tmp_path / "missing")], restart_after_s=0.01):
        done = True
    assert done
