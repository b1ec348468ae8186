"""Tests of the systemd units that we ship.

systemd accepts the units and rates the relay's exposure as low. The units run the documented
commands.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS_FOLDER = Path(__file__).parents[2] / "share"
RELAY_UNIT = "entrenous-relay.service"
PROGRAM = "/opt/entrenous/.venv/bin/entrenous"
EXPOSURE_MAX = 2.0  # systemd rates the exposure from 0 to 10

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
    ),
]


@pytest.fixture
def relay_unit(tmp_path: Path) -> Path:
    """Copy the relay's unit, with a program that exists on this machine in place of our program."""
    text = (UNITS_FOLDER / RELAY_UNIT).read_text()
    assert text.count(PROGRAM) == 2
    (tmp_path / RELAY_UNIT).write_text(text.replace(PROGRAM, sys.executable))
    return tmp_path / RELAY_UNIT


def run_systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_accepts_the_relay_unit(relay_unit: Path) -> None:
    done = run_systemd_analyze("verify", "--man=no", str(relay_unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_unknown_setting_would_be_found(relay_unit: Path) -> None:
    relay_unit.write_text(relay_unit.read_text().replace("ProtectHome=", "ProtectHouse="))
    assert "ProtectHouse" in run_systemd_analyze("verify", "--man=no", str(relay_unit)).stderr


def test_systemd_rates_the_exposure_as_low(relay_unit: Path) -> None:
    text = run_systemd_analyze("security", "--offline=yes", str(relay_unit)).stdout
    found = re.search(r"exposure level for \S+: ([\d.]+)", text)
    assert found is not None, text
    assert float(found[1]) <= EXPOSURE_MAX


def test_relay_unit_starts_the_documented_commands() -> None:
    """Systemd gives ExecStartPre 90 seconds; a check of a large database takes longer."""
    lines = re.findall(r"ExecStart(?:Pre)?=(.*)", (UNITS_FOLDER / RELAY_UNIT).read_text())
    assert lines == [
        f"-/usr/bin/timeout 60 {PROGRAM} relay check --settings /etc/entrenous/relay.toml",
        f"{PROGRAM} relay run --settings /etc/entrenous/relay.toml",
    ]


@pytest.mark.parametrize("unit_name", ["entrenous-watch.service", "entrenous-watch.timer"])
def test_systemd_accepts_the_watching_units(tmp_path: Path, unit_name: str) -> None:
    for one in ("entrenous-watch.service", "entrenous-watch.timer"):
        (tmp_path / one).write_text((UNITS_FOLDER / one).read_text())
    done = subprocess.run(
        [
            "systemd-analyze",
            "--no-pager",
            "verify",
            "--man=no",
            "--user",
            str(tmp_path / unit_name),
        ],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_watching_unit_passes_the_passphrase_by_a_descriptor(
    tmp_path: Path,
) -> None:
    """Run the unit's command line with a program that prints its arguments and descriptor 3."""
    watching_unit = (UNITS_FOLDER / "entrenous-watch.service").read_text()
    (line,) = re.findall(r"ExecStart=(.*)", watching_unit)
    printing_program = tmp_path / "entrenous"
    printing_program.write_text('#!/bin/sh\necho "$*"; cat <&3\n')
    printing_program.chmod(0o700)
    (tmp_path / "passphrase").write_text("four or five words")
    done = subprocess.run(
        shlex.split(line),
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "CREDENTIALS_DIRECTORY": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "--passphrase-fd 3 case watch --once\nfour or five words"
