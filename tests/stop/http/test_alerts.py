"""A serving gate runs the operator's alert program, and continues when that fails."""

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from entrenous.stop.store.open_gate import open_platform
from entrenous.stop.upload_record import Decision, Outcome, Review, ReviewState
from tests.stop.commands.gates import running

pytestmark = pytest.mark.real
PATIENCE_S = 60


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gate_with(folder: Path, command: str) -> Path:
    """Create a gate in which a flood of four uploads has waited for 25 hours."""
    data = folder / "gate"
    data.mkdir()
    (data / "gate.toml").write_text(f"held_per_hash = 3\npage_after_hours = 24\npage = {command}\n")
    with open_platform(data) as (platform, _):
        at = platform.clock.now() - timedelta(hours=25)
        for number in range(4):
            case = f"3f9a-{number}"
            held = Review(Decision(Outcome.HOLD, case), at, ReviewState.WAITING, bytes(32), 7)
            platform.reviews.record_upload(held, None)
            platform.reviews.store_review_bytes(case, b"bytes", 3)
    return data


@pytest.mark.threat("uploads-flood")
def test_alert_program_runs_once_per_kind(tmp_path: Path) -> None:
    tell, told = tmp_path / "tell", tmp_path / "told"
    tell.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    tell.chmod(0o700)
    data = gate_with(tmp_path, f'["{tell}", "us"]')
    expected = {"us flood 1", "us reviews-waiting 1"}
    with running(data, "--no-slow-look"):
        until(lambda: told.exists() and len(told.read_text().splitlines()) >= 2)
    with running(data, "--no-slow-look") as again:
        assert again.ask("/v1/status")["reviews"] == 1
    assert set(told.read_text().splitlines()) == expected
    assert len(told.read_text().splitlines()) == 2  # also after a restart within the hour


def test_failing_alert_program_is_only_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = gate_with(tmp_path, f'["{tmp_path}/none", "hunter2"]')
    said = ""
    with running(data, "--no-slow-look") as gate:

        def both() -> bool:
            nonlocal said
            said += capfd.readouterr().err
            return said.count("page-failed") == 2

        until(both)
        assert gate.ask("/v1/reviews")["waiting"] == 1
        os.kill(gate.pid, 0)  # the gate still runs
    assert "error page-failed kind=flood why=cannot be started" in said
    assert "hunter2" not in said
