"""Tests of ``entrenous demo``.

In these tests, the demo's commands are forked from a prepared process (tests/ready.py). ``make
demo`` and ``make nightly`` start each command anew.
"""

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.sizes import NIGHTLY

pytestmark = pytest.mark.real
PROGRAM_WITH_FORKED_COMMANDS = """
import subprocess
from types import SimpleNamespace
from entrenous.__main__ import main
from entrenous.demo import stage
from tests.ready import run_program, start_program

def run(command, *, env, input, capture_output, timeout, check):
    return run_program(command, env=env, typed=input)

stage.subprocess = SimpleNamespace(**vars(subprocess) | {"Popen": start_program, "run": run})
main()
"""
ROOT = Path(__file__).parents[2]
STEP_NAMES = ["carry", "setup", "send", "stop", "leak", "trace", "recall", "respond", "summary"]


class DemoRun(NamedTuple):
    """The exit status and output of a demo, and the session id of its processes."""

    status: int
    out: str
    err: str
    session_id: int


def run_demo(*arguments: str, cwd: Path) -> DemoRun:
    program = ["-m", "entrenous"] if NIGHTLY else ["-c", PROGRAM_WITH_FORKED_COMMANDS]
    with subprocess.Popen(
        [sys.executable, *program, "demo", *arguments],
        cwd=cwd,
        env=os.environ | {"NO_COLOR": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=280)
        finally:
            process.kill()
    return DemoRun(process.returncode, out, err, process.pid)


@pytest.fixture(scope="module")
def folder_and_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoRun]:
    folder = tmp_path_factory.mktemp("demo")
    run = run_demo(cwd=folder)
    assert run.status == 0, run.out + run.err
    return folder / "demo-out", run


@pytest.fixture
def folder_and_output(folder_and_run: tuple[Path, DemoRun]) -> tuple[Path, str]:
    return folder_and_run[0], folder_and_run[1].out


def test_every_step_succeeds(folder_and_output: tuple[Path, str]) -> None:
    summary = json.loads((folder_and_output[0] / "summary.json").read_text())
    assert summary["schema"] == "entrenous/demo/1"
    assert summary["ok"] is True
    assert [step["name"] for step in summary["steps"]] == STEP_NAMES
    assert all(step["ok"] and step["outcome"] and step["seconds"] >= 0 for step in summary["steps"])


def test_summary_has_the_expected_figures(folder_and_output: tuple[Path, str]) -> None:
    summary = json.loads((folder_and_output[0] / "summary.json").read_text())
    steps = {step["name"]: step for step in summary["steps"]}
    assert steps["trace"]["named"] == ["caro"]
    assert 0 < steps["trace"]["chance"]["caro"] <= 1e-6 < steps["trace"]["chance"]["ben"]
    assert steps["leak"]["decision"] in ("hold", "refuse")
    assert steps["leak"]["match"]["distance"] <= 31
    assert steps["leak"]["unrelated"] == "let through"
    assert steps["send"]["gps_in_original"] is True
    assert steps["respond"]["law"].startswith("TAKE IT DOWN Act")


def test_page_has_no_script_loads_nothing_and_describes_its_pictures(
    folder_and_output: tuple[Path, str],
) -> None:
    page = html.unescape((folder_and_output[0] / "index.html").read_text())
    assert "default-src 'none'" in page
    assert not re.search(r"<script|javascript:|\son\w+=|@import|url\(", page)
    assert not re.search(r'(?:src|href)="(?!data:image/jpeg;base64,)', page)
    assert page.count('src="data:image/jpeg') == 6
    assert len(re.findall(r"<img[^>]*alt=\"[^\"]+\"", page)) == 6


def test_terminal_output_lists_all_steps_without_exclamation_marks(
    folder_and_output: tuple[Path, str],
) -> None:
    lines = folder_and_output[1].splitlines()
    assert sum(bool(re.match(r"\d  .+ \(\d+\.\d s\)$", line)) for line in lines) == len(STEP_NAMES)
    assert "!" not in folder_and_output[1]
    assert lines[-1].startswith("Look at it: ")


def test_no_process_is_left_behind(folder_and_run: tuple[Path, DemoRun]) -> None:
    """No process belongs to the demo's session or has the demo's folder among its arguments."""
    folder, session = str(folder_and_run[0]).encode(), str(folder_and_run[1].session_id).encode()
    processes = list(Path("/proc").glob("[0-9]*"))
    assert [one for one in processes if folder in _read_or_empty(one / "cmdline")] == []
    assert [one for one in processes if _session_id(_read_or_empty(one / "stat")) == session] == []


def _session_id(stat: bytes) -> bytes:
    """Return the session id, which is field 6 of /proc/PID/stat (proc(5)).

    Field 2 is in brackets and may contain spaces.
    """
    return b"".join(stat.rpartition(b")")[2].split()[3:4])


def test_folder_with_other_files_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "demo-out").mkdir()
    (tmp_path / "demo-out" / "diary.txt").write_text("mine")
    run = run_demo(cwd=tmp_path)
    assert run.status == 3
    assert (tmp_path / "demo-out" / "diary.txt").read_text() == "mine"


def test_missing_photo_is_reported(tmp_path: Path) -> None:
    run = run_demo("--photo", "nowhere.jpg", cwd=tmp_path)
    assert run.status == 4
    assert "nowhere.jpg" in run.err


def _read_or_empty(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
