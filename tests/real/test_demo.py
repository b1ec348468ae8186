"""The main job, whole: ``entrenous demo`` in a process of its own, and what it leaves behind."""

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real
STEPS = ["carry", "setup", "send", "stop", "leak", "trace", "recall", "respond", "summary"]


def demo(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "entrenous", "demo", *arguments],
        cwd=cwd,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo")
    run = demo(cwd=folder)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder / "demo-out", run.stdout


def test_every_step_ends_as_it_should(told: tuple[Path, str]) -> None:
    summary = json.loads((told[0] / "summary.json").read_text())
    assert summary["schema"] == "entrenous/demo/1"
    assert summary["ok"] is True
    assert [step["name"] for step in summary["steps"]] == STEPS
    assert all(step["ok"] and step["outcome"] and step["seconds"] >= 0 for step in summary["steps"])


def test_the_figures_are_the_storys(told: tuple[Path, str]) -> None:
    steps = {s["name"]: s for s in json.loads((told[0] / "summary.json").read_text())["steps"]}
    assert steps["trace"]["named"] == ["caro"]
    assert 0 < steps["trace"]["chance"]["caro"] <= 1e-6 < steps["trace"]["chance"]["ben"]
    assert steps["leak"]["decision"] in ("hold", "refuse")
    assert steps["leak"]["match"]["distance"] <= 31
    assert steps["leak"]["unrelated"] == "let through"
    assert steps["send"]["gps_in_original"] is True
    assert steps["respond"]["law"].startswith("TAKE IT DOWN Act")


def test_the_page_runs_and_loads_nothing(told: tuple[Path, str]) -> None:
    page = html.unescape((told[0] / "index.html").read_text())
    assert "default-src 'none'" in page
    assert not re.search(r"<script|javascript:|\son\w+=|@import|url\(", page)
    assert not re.search(r'(?:src|href)="(?!data:image/jpeg;base64,)', page)
    assert page.count('src="data:image/jpeg') == 6
    assert len(re.findall(r"<img[^>]*alt=\"[^\"]+\"", page)) == 6


def test_the_terminal_tells_it_calmly(told: tuple[Path, str]) -> None:
    lines = told[1].splitlines()
    assert sum(bool(re.match(r"\d  .+ \(\d+\.\d s\)$", line)) for line in lines) == len(STEPS)
    assert "!" not in told[1]
    assert lines[-1].startswith("Look at it: ")


def test_no_process_is_left_behind(told: tuple[Path, str]) -> None:
    left = [
        command
        for command in Path("/proc").glob("[0-9]*/cmdline")
        if str(told[0]).encode() in _read(command)
    ]
    assert left == []


def test_it_empties_only_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "demo-out").mkdir()
    (tmp_path / "demo-out" / "diary.txt").write_text("mine")
    run = demo(cwd=tmp_path)
    assert run.returncode == 3
    assert (tmp_path / "demo-out" / "diary.txt").read_text() == "mine"


def test_a_photo_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    run = demo("--photo", "nowhere.jpg", cwd=tmp_path)
    assert run.returncode == 4
    assert "nowhere.jpg" in run.stderr


def _read(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError:
        return b""
