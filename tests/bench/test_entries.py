"""Every bench says what it measures, as a module and as a file, wherever it is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ENTRIES = sorted(
    str(file.relative_to(ROOT))
    for file in (ROOT / "bench").rglob("*.py")
    if "argparse.ArgumentParser(" in file.read_text()
)


def test_there_are_some() -> None:
    assert {"bench/stop.py", "bench/trace.py", "bench/relay.py", "bench/send.py"} < set(ENTRIES)


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES)
def test_it_is_run_as_a_file(entry: str, tmp_path: Path) -> None:
    said = helped([str(ROOT / entry)], tmp_path)
    assert said.startswith("usage: ")


def test_it_is_run_as_a_module() -> None:
    assert helped(["-m", "bench.stop"], ROOT).startswith("usage: ")


def helped(words: list[str], where: Path) -> str:
    """Without anything but the program itself on the path."""
    source = {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, *words, "--help"],
        cwd=where,
        env=os.environ | source,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
