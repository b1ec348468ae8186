"""A running gate runs the alert program once for each kind of alert, or logs that it is missing."""

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from entrenous.stop.store.open_gate import open_platform
from entrenous.stop.upload_record import Decision, Outcome, Review, ReviewState
from tests.stop.commands.gates import start_gate

pytestmark = pytest.mark.real
WAIT_S_MAX = 60


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def create_gate_with_overdue_flood(folder: Path, command_toml: str) -> Path:
    """Create the folder of a gate in which a flood of four uploads has waited for 25 hours."""
    data = folder / "gate"
    data.mkdir()
    (data / "gate.toml").write_text(
        f"held_per_hash = 3\npage_after_hours = 24\npage = {command_toml}\n"
    )
    with open_platform(data) as (platform, _):
        at = platform.clock.now() - timedelta(hours=25)
        for number in range(4):
            case = f"3f9a-{number}"
            held = Review(Decision(Outcome.HOLD, case), at, ReviewState.WAITING, bytes(32), 7)
            platform.reviews.record_upload(held, None)
            platform.reviews.store_review_bytes(case, b"bytes", 3)
    return data


@pytest.mark.threat("uploads-flood")
def test_alert_program_runs_once_per_kind_also_after_a_restart(tmp_path: Path) -> None:
    script, received = tmp_path / "script", tmp_path / "received"
    script.write_text(f'#!/bin/sh\necho "$@" >> {received}\n')
    script.chmod(0o700)
    data = create_gate_with_overdue_flood(tmp_path, f'["{script}", "us"]')
    expected = {"us flood 1", "us reviews-waiting 1"}
    with start_gate(data, "--no-slow-look"):
        wait_until(lambda: received.exists() and len(received.read_text().splitlines()) >= 2)
    with start_gate(data, "--no-slow-look") as restarted_gate:
        assert restarted_gate.get_json("/v1/status")["reviews"] == 1
    assert set(received.read_text().splitlines()) == expected
    assert len(received.read_text().splitlines()) == 2


def test_missing_alert_program_is_only_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = create_gate_with_overdue_flood(tmp_path, f'["{tmp_path}/none", "hunter2"]')
    log = ""
    with start_gate(data, "--no-slow-look") as gate:

        def has_logged_both_failures() -> bool:
            nonlocal log
            log += capfd.readouterr().err
            return log.count("page-failed") == 2

        wait_until(has_logged_both_failures)
        assert gate.get_json("/v1/reviews")["waiting"] == 1
        os.kill(gate.pid, 0)  # the process exists
    assert "error page-failed kind=flood why=cannot be started" in log
    assert "hunter2" not in log
