"""Measure the cost of ``entrenous trace`` for one leak, after many photographs were sent.

    python -m bench.trace_cost [--sent 60] [--leaks 5]

``entrenous mark`` marks every photograph for two people. A leak is one person's copy, scaled down
and saved again at low quality. How long tracing takes depends on the photograph, so leaks of
several photographs are traced; they are spread evenly over those that were sent. The peer is
OpenCV: a new process decodes a leak and its original, and detects SIFT features in both, which is
the least that finding a photograph and its position costs. The two programs take turns, so that
other work on the machine affects both alike; processor time is reported too. The last line is JSON.
"""

import argparse
import contextlib
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from PIL import Image

from bench.photographs import PHOTOGRAPHS
from bench.start import PASSPHRASE, PROGRAM, Cost, cost_of, output_of

SCHEMA: Final = "entrenous/bench-trace-cost/2"
TRACE_S_MAX: Final = 3.0
_SIDES_PX: Final = (1280, 960)
_PEER: Final = """
import sys
import cv2

for name in sys.argv[1:]:
    cv2.SIFT_create().detectAndCompute(cv2.imread(name, cv2.IMREAD_GRAYSCALE), None)
"""


def measure(sent: int, leaks: int) -> dict[str, Any]:
    """Mark ``sent`` photographs, and trace one leak of each of ``leaks`` of them.

    Returns: the medians and the longest trace, with times in seconds and memory in MiB.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = {"ENTRENOUS_HOME": str(folder / "home"), "ENTRENOUS_PASSPHRASE": PASSPHRASE}
        surroundings = os.environ | home
        leaked = [number * sent // leaks for number in range(leaks)]
        _mark_and_leak(sent, leaked, folder, surroundings)
        named, turns = 0, list[tuple[Cost, Cost]]()
        for number in leaked:
            original, leak = folder / f"{number}.jpg", folder / f"leak-{number}.jpg"
            trace = [*PROGRAM, "trace", str(leak), "--json"]
            peer = [sys.executable, "-c", _PEER, str(leak), str(original)]
            named += json.loads(output_of(trace, surroundings))["named"] == ["ben"]  # a warm-up
            turns.append((cost_of(trace, surroundings), cost_of(peer, surroundings)))
    longest = max(traced.s for traced, _ in turns)
    traced, compared = (
        Cost(*map(median, zip(*costs, strict=True))) for costs in zip(*turns, strict=True)
    )
    return {
        "schema": SCHEMA,
        "sent": sent,
        "leaks": leaks,
        "named": named,
        "trace_s": round(traced.s, 2),
        "trace_s_longest": round(longest, 2),
        "trace_cpu_s": round(traced.cpu_s, 2),
        "trace_mb": round(traced.mb, 1),
        "peer_s": round(compared.s, 2),
        "trace_over_peer": round(traced.s / compared.s, 2),
        "trace_cpu_over_peer_cpu": round(traced.cpu_s / compared.cpu_s, 2),
    }


def _mark_and_leak(
    sent: int, leaked: list[int], folder: Path, surroundings: dict[str, str]
) -> None:
    """Mark the photographs for two people, and leak Ben's copies of those whose numbers are in
    ``leaked``. The originals are ``<number>.jpg`` and the leaks ``leak-<number>.jpg``.
    """
    output_of([*PROGRAM, "setup", "--name", "ana", "--offline"], surroundings)
    pieces = list(itertools.islice(_photographs(), sent))
    if len(pieces) < sent:
        raise SystemExit(
            f"only {len(pieces)} photographs: install budgie-backgrounds, or give --sent"
        )
    for number, photograph in enumerate(pieces):
        file, out = folder / f"{number}.jpg", folder / f"copies-{number}"
        photograph.save(file, quality=90)
        people = ["--to", "ben", "--to", "caro", "--out", str(out)]
        output_of([*PROGRAM, "mark", str(file), *people], surroundings)
        if number in leaked:
            with Image.open(min(out.iterdir())) as copy:
                small = copy.resize((copy.width * 3 // 4, copy.height * 3 // 4))
            small.save(folder / f"leak-{number}.jpg", quality=60)


def _photographs() -> Iterator[Image.Image]:
    """Yield pieces of the installed photographs; pieces of one photograph do not overlap."""
    width, height = _SIDES_PX
    for photograph in PHOTOGRAPHS.values():
        with contextlib.suppress(FileNotFoundError):
            whole = photograph.open().convert("RGB")
            for top in range(0, whole.height - height + 1, height):
                for left in range(0, whole.width - width + 1, width):
                    yield whole.crop((left, top, left + width, top + height))


def main() -> None:
    """Print the measured time and its limit, and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sent", type=int, default=60)
    parser.add_argument("--leaks", type=int, default=5)
    arguments = parser.parse_args()
    found = measure(arguments.sent, arguments.leaks)
    sys.stdout.write(
        f"trace: {found['trace_s']} s (at most {TRACE_S_MAX}), "
        f"longest {found['trace_s_longest']} s, "
        f"{found['trace_over_peer']} x OpenCV's SIFT of two pictures\n{json.dumps(found)}\n"
    )


if __name__ == "__main__":
    main()
