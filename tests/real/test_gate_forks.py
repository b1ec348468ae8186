"""A gate never calls vfork. If a gate were killed just after vfork, its child might never end."""

import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import pytest
import skimage.data

from tests.stop.commands.gates import TIMEOUT_S, start_gate

pytestmark = pytest.mark.real

TRACED_CALLS = "trace=vfork,clone,clone3,fork,execve"
# The test repeats two simultaneous uploads until a judge process starts. This is the most rounds
# that it makes.
ROUNDS_MAX = 20


def strace_command(trace_file: Path) -> list[str]:
    program = shutil.which("strace")
    if program is None:
        pytest.skip("needs strace: apt-get install strace")
    # With -D, strace runs as a grandchild of the test, and the traced program as a
    # child, so that the test can stop the program itself.
    return [
        program,
        "-D",
        "-f",
        "--seccomp-bpf",
        "-q",
        "-s",
        "200",
        "-e",
        TRACED_CALLS,
        "-o",
        str(trace_file),
    ]


def vfork_lines(trace: str) -> list[str]:
    return [
        call
        for call in trace.splitlines()
        if "CLONE_VFORK" in call or re.match(r"\d+ +vfork\(", call)
    ]


@pytest.mark.parametrize("is_disabled", [True, False])
def test_python_uses_vfork_unless_it_is_disabled(tmp_path: Path, *, is_disabled: bool) -> None:
    from_module = "from entrenous.stop.judge.judge_pool import disable_vfork"
    disable = f"{from_module}; disable_vfork()" if is_disabled else ""
    program = f"{disable}\nimport subprocess; subprocess.run(['true'], check=True)"
    trace = tmp_path / "trace"
    with subprocess.Popen([*strace_command(trace), sys.executable, "-c", program]) as process:
        calls = wait_for_trace(trace, process.pid)
    assert '"true"]' in calls
    assert bool(vfork_lines(calls)) is not is_disabled


def wait_for_trace(trace: Path, pid: int) -> str:
    """Wait until the trace contains the end of the process ``pid``, and return the trace."""
    until = time.monotonic() + TIMEOUT_S
    calls = ""
    while not re.search(rf"^{pid} +\+\+\+", calls, re.MULTILINE):
        assert time.monotonic() < until
        time.sleep(0.05)  # strace is not our child, so we cannot wait for it
        calls = trace.read_text() if trace.exists() else ""
    return calls


def encode_jpeg(pixels: Any) -> bytes:
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def test_gate_judges_and_their_children_use_no_vfork(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    first, second = encode_jpeg(skimage.data.astronaut()), encode_jpeg(skimage.data.coffee())
    started_by = start_gate(tmp_path / "gate", "--judges", "2", launcher=strace_command(trace))
    with started_by as gate, ThreadPoolExecutor(2) as both:
        for _ in range(ROUNDS_MAX):
            answers = list(both.map(gate.upload, (first, second)))
            assert [answer.status_code for answer in answers] == [200, 200]
            if "judge" in trace.read_text():
                break
    calls = wait_for_trace(trace, gate.pid)
    for name in ("judge", "slow-look", "sandbox.fork_server"):
        assert any("execve" in call and name in call for call in calls.splitlines()), name
    assert vfork_lines(calls) == []
