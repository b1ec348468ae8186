"""docs/gate.md, followed literally: what it tells an engineer to type is typed, in its order."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faces.hooks.gates import hers

pytestmark = pytest.mark.real

PAGE = Path(__file__).parents[2] / "docs/gate.md"


@pytest.fixture
def typed(tmp_path: Path) -> dict[str, str]:
    """What each numbered step says to type, with a folder and a port of this test's own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    way = PAGE.read_text().partition("## From nothing")[2].partition("\n## ")[0]
    steps = re.findall(r"\*\*(\d)\. .*?```\n(.*?)```", way, re.DOTALL)
    own = {"/var/lib/entrenous-gate": str(tmp_path / "data"), "7802": port}
    return {
        number: re.sub("|".join(own), lambda found: own[found[0]], block) for number, block in steps
    }


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A search path on which ``entrenous`` is the program under test."""
    program = tmp_path / "bin/entrenous"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m entrenous "$@"\n')
    program.chmod(0o755)
    return f"{program.parent}:/usr/bin:/bin"


def test_the_way_to_shadow_mode_and_on(typed: dict[str, str], path: str, tmp_path: Path) -> None:
    (tmp_path / "test.jpg").write_bytes(hers())
    given = {"cwd": tmp_path, "env": os.environ | {"PATH": path}}

    def type_in(step: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-ec", typed[step]], check=False, capture_output=True, text=True, **given
        )

    with subprocess.Popen(["sh", "-ec", f"exec {typed['2'].strip()}"], **given) as gate:
        try:
            _wait_for(typed["2"])
            taught = type_in("3")
            assert taught.returncode == 0, taught.stderr
            in_shadow = type_in("4")
            assert in_shadow.returncode == 0, in_shadow.stderr
            assert in_shadow.stdout.startswith("test.jpg: let through  gate  case ")
            assert "a bank in shadow would refuse" in in_shadow.stdout
            assert type_in("7").returncode == 0
            live = type_in("4")
            assert (live.returncode, live.stdout.split()[1]) == (3, "refuse")
        finally:
            gate.terminate()
            gate.wait(20)


def _wait_for(command: str) -> None:
    port = int(command.strip().rpartition(":")[2])
    for _ in range(600):
        with socket.socket() as line:
            if line.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the gate did not start")
