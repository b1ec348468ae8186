"""Measure look-ups in an index file that two processes have mapped (for ``bench.stop``)."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np

from bench.stopping.hashes import random_hashes
from bench.stopping.lookups import BATCH
from entrenous.stop.index.base_file import read_base

_ROOT: Final = Path(__file__).resolve().parents[2]
SECONDS: Final = 4.0


def two_processes_per_s(path: Path, seconds: float = SECONDS) -> float:
    """Return the sum of both processes' look-ups per second of their own processor time.

    Look-ups are in batches of eight, like the orientations of an upload. Both processes have mapped
    the file before either is timed, and are timed at the same time.
    """
    command = [sys.executable, "-m", "bench.stopping.two", str(path.absolute()), f"{seconds:g}"]
    made = [
        subprocess.Popen(  # noqa: S603 -- this very file
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for one in made:
        if one.stdout is not None:
            one.stdout.readline()
    for one in made:
        if one.stdin is not None:
            one.stdin.write("go\n")
            one.stdin.flush()
    return sum(float(one.communicate()[0]) for one in made)


def main() -> None:
    """Map the file, print "ready", wait for a line, search for some seconds, and print the rate."""
    base = read_base(Path(sys.argv[1]))
    wanted = random_hashes(4096, np.random.default_rng())
    base.whole.pairs(wanted[:512], 31)
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    count, began, until = 0, time.process_time(), time.monotonic() + float(sys.argv[2])
    while time.monotonic() < until:
        start = count % (len(wanted) - BATCH)
        base.whole.pairs(wanted[start : start + BATCH], 31)
        count += BATCH
    print(count / (time.process_time() - began), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
