"""Deferred scans are run by a running gate and by the command ``entrenous gate slow-look``."""

import sys
import time
from pathlib import Path
from typing import Any

import cv2
import pytest
import skimage.data

from entrenous.device.client.http_courier import new_relay_client
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.store.open_gate import open_platform
from tests.ready import run_program
from tests.stop.commands.gates import TIMEOUT_S, RunningGate, start_gate
from tests.stop.judge.test_deferred_views import place_on_page
from tests.stop.platform_for_tests import (
    InProcessGate,
    jpeg,
    judge_upload,
    new_device,
    picture,
    protect_picture,
)

pytestmark = pytest.mark.real


def small_screenshot(pixels: Any) -> bytes:
    """Return a screenshot that contains the picture, small enough to be scanned quickly."""
    return jpeg(cv2.resize(place_on_page(pixels), (256, 440), interpolation=cv2.INTER_AREA))


def protect_and_upload_screenshot(gate: RunningGate) -> Any:
    """Register a picture, upload a screenshot that shows it, and return the gate's answer."""
    her_picture = skimage.data.astronaut()
    with new_relay_client() as client:
        bank = RegistrationClient(gate.url, client)
        protect_picture(
            picture(her_picture), adult=True, parts=False, gate=bank, device=new_device()
        )
    return gate.upload(small_screenshot(her_picture), "post 17").json()


def test_running_gate_scans_after_its_answer(tmp_path: Path) -> None:
    with start_gate(tmp_path / "gate") as gate:
        answer = protect_and_upload_screenshot(gate)
        assert answer["decision"] == "let through"
        deadline = time.monotonic() + TIMEOUT_S
        while not (found := gate.get_json("/v1/reviews/published")["cases"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert [(one["case"], one["found"], one["reference"]) for one in found] == [
            (answer["case"], "slow look", "post 17")
        ]


def test_slow_look_command_runs_due_scans(tmp_path: Path) -> None:
    data, her_picture = tmp_path / "gate", skimage.data.astronaut()
    with open_platform(data) as (platform, _):
        gate = InProcessGate(platform)
        protect_picture(
            picture(her_picture), adult=True, parts=False, gate=gate, device=new_device()
        )
        case = judge_upload(small_screenshot(her_picture), platform).case
    program = [sys.executable, "-m", "entrenous", "gate", "slow-look", "--data", str(data)]
    ended = run_program(program, text=True)
    assert (ended.returncode, ended.stdout) == (0, "Uploads searched: 1.\n")
    with open_platform(data) as (platform, _):
        assert [one.case for one in platform.reviews.published_to_review_or_remove("", 9)] == [case]
        assert platform.reviews.count_due_work().slow_looks == 0
