"""A gate starts and stops judge processes as needed, and they decide as the gate does."""

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import skimage.data

from entrenous.base.picture import NotAPicture
from entrenous.stop.commands.gate_run import judge_command
from entrenous.stop.judge.judge_pool import (
    ANSWER_LENGTH_STRUCT,
    READY_MESSAGE,
    decode_decision_or_raise,
    encode_judge_request,
)
from entrenous.stop.store.open_gate import open_platform
from entrenous.stop.upload_record import Decision, Outcome
from tests.ready import start_program
from tests.stop.commands.gates import TIMEOUT_S, RunningGate, start_gate
from tests.stop.platform_for_tests import (
    InProcessGate,
    jpeg,
    judge_upload,
    new_device,
    picture,
    protect_picture,
)
from tests.village.world import photo

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not Path("/proc/self/task").is_dir(),
        reason="child processes are read from /proc, as Linux has it",
    ),
]

UPLOAD_PICTURE = photo(width_px=300)


def judge_pids(gate_pid: int) -> set[int]:
    children = Path(f"/proc/{gate_pid}/task/{gate_pid}/children").read_text().split()
    return {int(child) for child in children if b"judge" in _command_line(int(child))}


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_sigterm_ignored(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (ignored,) = (line for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(ignored.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def upload_pictures(gate: RunningGate, count: int) -> set[int]:
    """Send ``count`` uploads, four at a time; return their statuses."""
    with ThreadPoolExecutor(4) as threads:
        return set(threads.map(lambda _: gate.upload(UPLOAD_PICTURE).status_code, range(count)))


def upload_until_judges_run(count: int, gate: RunningGate) -> set[int]:
    """Send uploads, four at a time, until ``count`` judges run; return the judges' process ids."""
    deadline = time.monotonic() + TIMEOUT_S
    while len(judges := judge_pids(gate.pid)) < count:
        assert time.monotonic() < deadline
        assert upload_pictures(gate, 4) == {200}
    return judges


def test_busy_gate_starts_replaces_and_stops_judges(tmp_path: Path) -> None:
    with start_gate(tmp_path / "gate", "--judges", "2", "--no-slow-look") as gate:
        assert upload_pictures(gate, 1) == {200}
        assert not judge_pids(gate.pid)
        first = upload_until_judges_run(2, gate)
        deadline = time.monotonic() + TIMEOUT_S
        for judge in first:
            while not is_sigterm_ignored(judge):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(judge, signal.SIGTERM)  # a service manager may send it to judges too
        assert upload_pictures(gate, 8) == {200}
        assert judge_pids(gate.pid) == first
        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + TIMEOUT_S
        while len(judge_pids(gate.pid) - {victim}) < 2:
            assert time.monotonic() < deadline
            assert upload_pictures(gate, 4) <= {
                200,
                429,
            }  # 429 for an upload that the killed judge was judging
        last = judge_pids(gate.pid)
    assert not any(_command_line(judge) for judge in first | last)


def request_decision(judge: subprocess.Popen[bytes], upload: bytes, reference: str) -> Decision:
    assert judge.stdin is not None
    assert judge.stdout is not None
    judge.stdin.write(b"".join(encode_judge_request(upload, reference)))
    judge.stdin.flush()
    (size,) = ANSWER_LENGTH_STRUCT.unpack(judge.stdout.read(ANSWER_LENGTH_STRUCT.size))
    return decode_decision_or_raise(judge.stdout.read(size))


def test_judge_process_decides_as_the_gate_does(tmp_path: Path) -> None:
    data, her_picture = tmp_path / "gate", skimage.data.astronaut()
    with open_platform(data) as (platform, _):
        protect_picture(
            picture(her_picture),
            adult=True,
            parts=False,
            gate=InProcessGate(platform),
            device=new_device(),
        )
        expected = judge_upload(jpeg(her_picture), platform)
    command, pipe = judge_command(data, slow_look=False), subprocess.PIPE
    with start_program(command, stdin=pipe, stdout=pipe) as judge:
        assert judge.stdout is not None
        assert judge.stdin is not None
        assert judge.stdout.read(len(READY_MESSAGE)) == READY_MESSAGE
        held = request_decision(judge, jpeg(her_picture), "post 17")
        passed = request_decision(judge, jpeg(skimage.data.coffee()), "")
        with pytest.raises(NotAPicture):
            request_decision(judge, b"GIF no more", "")
        judge.stdin.close()
        assert judge.wait(TIMEOUT_S) == 0
    assert (held.outcome, held.matches) == (Outcome.HOLD, expected.matches)
    assert held.secret is not None
    assert passed.outcome is Outcome.LET_THROUGH
    with open_platform(data) as (platform, _):
        assert platform.reviews.review(held.case).reference == "post 17"
        # The judge was started without deferred scans.
        assert platform.reviews.count_due_work().slow_looks == 0


def test_gate_runs_without_judges_or_deferred_scans(tmp_path: Path) -> None:
    with start_gate(tmp_path / "gate", "--judges", "0", "--no-slow-look") as gate:
        assert upload_pictures(gate, 12) == {200}
        assert not judge_pids(gate.pid)
        assert gate.get_json("/v1/status")["slow_looks"] == {"waiting": 0, "skipped": 0}
