"""Tests of starting benchmarks with --help: each as a file, and one of them also as a module."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BENCH_FILES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "bench").rglob("*.py")
    if "argparse.ArgumentParser(" in path.read_text()
)
#: Runs each file as ``python FILE --help`` would, in one process, with ``bench`` imported anew.
_PRINT_HELP_OF_EACH = """
import contextlib, io, json, os, runpy, sys
path, said = [*sys.path], {}
for entry in sys.argv[1:]:
    sys.argv, sys.path[:] = [entry, "--help"], [os.path.dirname(entry), *path[1:]]
    for name in [one for one in sys.modules if one.partition(".")[0] == "bench"]:
        del sys.modules[name]
    with contextlib.redirect_stdout(io.StringIO()) as told:
        try:
            runpy.run_path(entry, run_name="__main__")
        except SystemExit as end:
            said[entry] = [end.code, told.getvalue()]
print(json.dumps(said))
"""


def test_benchmarks_are_found() -> None:
    assert {"bench/stop.py", "bench/trace.py", "bench/relay.py", "bench/send.py"} < set(BENCH_FILES)


def test_every_bench_prints_its_help_as_a_file(tmp_path: Path) -> None:
    """All files run in one process, because importing libraries takes most of the time."""
    results = json.loads(
        run_python(
            ["-c", _PRINT_HELP_OF_EACH, *(str(ROOT / entry) for entry in BENCH_FILES)], tmp_path
        )
    )
    assert {entry: code for entry, (code, _) in results.items() if code} == {}
    prints_usage = {entry: text.startswith("usage: ") for entry, (_, text) in results.items()}
    assert prints_usage == {str(ROOT / entry): True for entry in BENCH_FILES}


@pytest.mark.parametrize("arguments", [[str(ROOT / "bench/stop.py")], ["-m", "bench.stop"]])
def test_bench_can_be_started_as_a_file_and_as_a_module(
    arguments: list[str], tmp_path: Path
) -> None:
    folder = ROOT if arguments[0] == "-m" else tmp_path
    assert run_python([*arguments, "--help"], folder).startswith("usage: ")


def run_python(arguments: list[str], folder: Path) -> str:
    """Run Python in the folder with ``src`` in PYTHONPATH, and return what it prints."""
    source = {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | source,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
