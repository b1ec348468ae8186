"""Measure the processor time to decode an upload, by the number of pictures per decoder process.

    python -m bench.stopping.children

The luma of a JPEG of one megapixel is decoded as a gate does before its answer. The time is that of
the decoder process, of the server that forks it, and of the parent that reads the samples. In each
round, every number of pictures is measured once; the medians of the rounds are printed. The last
line is one JSON object.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import median
from typing import Final

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.load.processor import tree_cpu_s
from bench.stopping.gates import pictures
from entrenous.base.limits import WHOLE_COMPARISON_SIDE_PX_MIN
from entrenous.media.sandbox.decoder_pool import DecoderPool

_KEPT_FOR: Final = (1, 4, 16, 64)
_ROUNDS: Final = 5
_PICTURES: Final = 192  # a multiple of each of _KEPT_FOR


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the median of each number of pictures per process."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    some = pictures()
    rounds = [{kept: _ms(kept, some) for kept in _KEPT_FOR} for _ in range(_ROUNDS)]
    medians = {kept: median(one[kept] for one in rounds) for kept in _KEPT_FOR}
    for kept, ms in medians.items():
        sys.stdout.write(f"{kept:3} pictures a child: {ms:.1f} ms a picture\n")
    figures = {str(kept): round(ms, 2) for kept, ms in medians.items()}
    document = {"schema": "entrenous/bench-children/1", "cpu_ms_by_pictures_per_child": figures}
    sys.stdout.write(f"{json.dumps(document)}\n")


def _ms(kept: int, some: list[bytes]) -> float:
    with DecoderPool(pictures_per_child=kept) as jails:
        # Before the measurement, start the server, and let its first child decode all pictures that
        # it may (half of them if ``kept`` is 64).
        for untrusted_data in some[:kept]:
            jails.read(untrusted_data, at_least_px=WHOLE_COMPARISON_SIDE_PX_MIN, luma=True)
        before = tree_cpu_s(os.getpid())
        for number in range(_PICTURES):
            jails.read(
                some[number % len(some)], at_least_px=WHOLE_COMPARISON_SIDE_PX_MIN, luma=True
            )
        return 1e3 * (tree_cpu_s(os.getpid()) - before) / _PICTURES


if __name__ == "__main__":
    main()
