"""Fuzz every reader: ``python -m tests.fuzz.run --target all --runs 10000000 --hours 2``.

A target is done when it has read ``--runs`` inputs or has run for ``--hours``. Earlier runs count,
unless the code of the target has changed since. Name a target twice, with ``--jobs 2``, and two
processes share its corpus. You can stop the program at any time (Ctrl-C); the next run continues.
Inputs that revealed a bug are in ``bench-out/fuzz/TARGET/finds``. The table of all targets is
written after every slice of a few minutes.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tests.fuzz.reach import code_hash
from tests.fuzz.tally import Tally, read_tallies, tally_of, write_tallies
from tests.fuzz.target import Target
from tests.fuzz.targets.every import PLANTED, TARGETS, find_target, module_name_of

RESULTS_FILE: Final = Path("docs/benchmarks/fuzz.json")
WORK_FOLDER: Final = Path("bench-out/fuzz")
_EXECUTED_LINE: Final = re.compile(rb"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
_PROGRESS_LINE: Final = re.compile(rb"^#(\d+)\s", re.MULTILINE)
_EDGES_FIELD: Final = re.compile(rb"\bcov: (\d+)")
_LIBFUZZER_OPTIONS: Final = (
    "-timeout=20",
    "-rss_limit_mb=2048",
    "-len_control=0",
    "-print_final_stats=1",
)
_STOP_S_MAX: Final = 60
_SUBFOLDERS: Final = ("corpus", "seeds", "finds")
_LOG_NAME: Final = "log-{}.txt"  # {} is the id of a thread


class NoAtheris(SystemExit):
    """Atheris is not installed (the tests in tests/fuzz/test_targets.py do not need it)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The number of inputs or seconds after which a target is done, and the length of a slice."""

    runs: int
    seconds: float
    slice_s: float


@dataclass(slots=True)
class SharedTallies:
    """The tallies of all targets, shared by threads. After each change, all tallies are written."""

    out: Path
    work_folder: Path
    tallies: dict[str, Tally]
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def current(self, target: Target) -> Tally:
        """Return the target's tally, or an empty tally if the target's code has changed."""
        with self._lock:  # code_hash() runs the target, which only one thread may do at a time
            return tally_of(target.name, code_hash(target), self.tallies)

    def add_run(
        self, tally_before: Tally, counts: tuple[int, float, int], finds: tuple[str, ...]
    ) -> None:
        """Add a run's counts and finds to the target's tally; write all tallies; print a line."""
        with self._lock:
            tally = tally_of(tally_before.target, tally_before.code, self.tallies).with_run(
                *counts, finds
            )
            self.tallies[tally.target] = tally
            write_tallies(self.out, self.tallies)
            found = ", ".join(tally.finds) or "nothing found"
            sys.stdout.write(
                f"{tally.target}: {tally.inputs:,} in {tally.seconds:,.0f} s; {found}\n"
            )
            sys.stdout.flush()


def main() -> int:
    """Fuzz the chosen targets; return 1 if anything was found, otherwise 0."""
    arguments = _parse_arguments()
    if find_spec("atheris") is None:
        raise NoAtheris("atheris is not installed here: it exists for Linux on x86-64")
    names = list(TARGETS) if "all" in arguments.target else arguments.target
    limits = Limits(arguments.runs, arguments.hours * 3600, arguments.slice)
    shared = SharedTallies(arguments.out, arguments.room, read_tallies(arguments.out))
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda _number, _frame: shared.stop.set())
    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(lambda name: fuzz(find_target(name), limits, shared), names))
    return int(any(shared.tallies[name].finds for name in names if name in shared.tallies))


def fuzz(target: Target, limits: Limits, shared: SharedTallies) -> None:
    """Fuzz one target until the target is done, a bug is found, or ``shared.stop`` is set.

    Raises:
        RuntimeError: libFuzzer failed and left no find; the message names the folder of its log.
    """
    while not shared.stop.is_set():
        tally, before = shared.current(target), time.monotonic()
        if tally.is_done(limits.runs, limits.seconds):
            return
        output, failed = _run_slice(target, tally, limits, shared)
        finds = _find_names(shared.work_folder / target.name) if failed else ()
        if failed and not finds:
            raise RuntimeError(f"see {shared.work_folder / target.name}")
        shared.add_run(tally, parse_output(output, time.monotonic() - before), finds)
        if finds:
            return


def parse_output(output: bytes, seconds: float) -> tuple[int, float, int]:
    """Return the number of inputs, ``seconds``, and the number of covered edges.

    ``seconds`` is returned unchanged. The other two numbers are from libFuzzer's output, which is
    incomplete if libFuzzer was killed.
    """
    executed = _EXECUTED_LINE.findall(output) or _PROGRESS_LINE.findall(output) or [b"0"]
    return int(executed[-1]), seconds, int((_EDGES_FIELD.findall(output) or [b"0"])[-1])


def _run_slice(
    target: Target, tally: Tally, limits: Limits, shared: SharedTallies
) -> tuple[bytes, bool]:
    """Run libFuzzer for one slice; return its output, and whether it ended with an error."""
    work_folder = _prepare_folder(shared.work_folder / target.name, target)
    seconds = max(1, int(min(limits.slice_s, limits.seconds - tally.seconds)))
    command = [
        *(
            sys.executable,
            "-m",
            "tests.fuzz.one",
            module_name_of(target.name),
            target.name,
            *_LIBFUZZER_OPTIONS,
        ),
        *(f"-runs={limits.runs - tally.inputs}", f"-max_total_time={seconds}"),
        *(f"-max_len={target.input_bytes_max}", f"-artifact_prefix={work_folder}/finds/"),
        *(str(work_folder / folder) for folder in _SUBFOLDERS),
    ]
    log = work_folder / _LOG_NAME.format(threading.get_ident())
    with log.open("wb") as log_file, _run_process(command, log_file) as process:
        while process.poll() is None and not shared.stop.wait(0.2):
            pass
        failed = bool(process.poll())
    output = log.read_bytes()
    if not failed:
        log.unlink()
    return output, failed


@contextlib.contextmanager
def _run_process(command: list[str], log_file: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in its own session. At the end, interrupt it; kill it if it does not stop."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdout=log_file, stderr=log_file, env=environment, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _prepare_folder(work_folder: Path, target: Target) -> Path:
    """Create the subfolders of the work folder, and write the seeds; return the work folder."""
    for folder in _SUBFOLDERS:
        (work_folder / folder).mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (work_folder / "seeds" / f"{number:03d}").write_bytes(seed)
    return work_folder


def _find_names(work_folder: Path) -> tuple[str, ...]:
    """Return the names of stored inputs that made the process fail, not of merely slow inputs."""
    names = sorted(path.name for path in (work_folder / "finds").iterdir())
    return tuple(name for name in names if not name.startswith("slow-unit"))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    names = ["all", *TARGETS, PLANTED.name]
    add("--target", action="append", choices=names, help="May be given several times.")
    add("--runs", type=int, default=10_000_000, help="Inputs for each target.")
    add("--hours", type=float, default=2.0, help="Hours for each target, if they end first.")
    add("--jobs", type=int, default=1, help="How many targets to fuzz at a time.")
    add("--slice", type=float, default=300.0, help="Seconds after which counts are written.")
    add(
        "--out",
        type=Path,
        default=RESULTS_FILE,
        help="The table (JSON); a Markdown page is written beside it.",
    )
    add("--room", type=Path, default=WORK_FOLDER, help="The folder for inputs.")
    arguments = parser.parse_args()
    arguments.target = arguments.target or ["all"]
    return arguments


if __name__ == "__main__":
    sys.exit(main())
