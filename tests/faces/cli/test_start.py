"""What a command loads before it does anything: everybody waits for it each time."""

import subprocess
import sys

import pytest

from entrenous.faces.cli.main import MODULES

HEAVY = {"av", "fpdf", "jinja2", "sklearn", "skimage", "matplotlib"}


@pytest.mark.real
@pytest.mark.parametrize("command", ["trace", "mark", "inbox"])
def test_no_command_loads_decoders_or_printers_before_they_are_needed(command: str) -> None:
    told = f"import sys, entrenous.faces.cli.{MODULES[command]}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, check=True, text=True, timeout=60
    )
    assert "entrenous.ports" in done.stdout.split()
    assert not HEAVY & set(done.stdout.split())
