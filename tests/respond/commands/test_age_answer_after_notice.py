"""Test that evidence is stored even if the command cannot write its output."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., Any]
FULL = Path("/dev/full")


@contextmanager
def read_by_nobody() -> Iterator[int]:
    """Yield the writing end of a pipe without a reader, as in ``entrenous ... | true``."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def full_disk() -> Iterator[int]:
    writing = os.open(FULL, os.O_WRONLY)
    yield writing
    os.close(writing)


@pytest.mark.real
@pytest.mark.parametrize("answering", [read_by_nobody, full_disk])
@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_evidence_is_kept_though_its_answer_is_lost(
    answering: Callable[[], Any], ask: Ask, tmp_path: Path
) -> None:
    case = str(ask("case", "open", "--adults")["case"])
    shot = tmp_path / "screenshot.png"
    shot.write_bytes(b"as it was")
    add = ("-m", "entrenous", "case", "add", case, str(shot), "--url", "https://a.example/p")
    with answering() as out:
        subprocess.run([sys.executable, *add], stdout=out, stderr=subprocess.PIPE, check=False)
    kept = ask("case", "show", case)
    assert (len(kept["evidence"]), len(kept["sightings"])) == (1, 1)
