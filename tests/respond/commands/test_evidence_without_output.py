"""Test that evidence is stored even if the command cannot write its output."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
FULL_DEVICE = Path("/dev/full")


@contextmanager
def open_pipe_without_reader() -> Iterator[int]:
    """Yield the writing end of a pipe without a reader, as in ``entrenous ... | true``."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def open_full_device() -> Iterator[int]:
    writing = os.open(FULL_DEVICE, os.O_WRONLY)
    yield writing
    os.close(writing)


@pytest.mark.real
@pytest.mark.parametrize("open_output", [open_pipe_without_reader, open_full_device])
@pytest.mark.skipif(not FULL_DEVICE.exists(), reason="no /dev/full here")
def test_evidence_is_stored_even_if_the_output_is_lost(
    open_output: Callable[[], Any], cli: Cli, tmp_path: Path
) -> None:
    case = str(cli("case", "open", "--adults")["case"])
    shot = tmp_path / "screenshot.png"
    shot.write_bytes(b"as it was")
    add = ("-m", "entrenous", "case", "add", case, str(shot), "--url", "https://a.example/p")
    with open_output() as output:
        subprocess.run([sys.executable, *add], stdout=output, stderr=subprocess.PIPE, check=False)
    shown = cli("case", "show", case)
    assert (len(shown["evidence"]), len(shown["sightings"])) == (1, 1)
