"""Compare ways of searching in banks of several sizes (``python -m bench.stop --sizes``).

The limits of ``substring_count_for`` in :mod:`entrenous.fingerprint.multi_index` were chosen by
this comparison.
"""

import time
from collections.abc import Iterator
from typing import Final

import numpy as np

from bench.stopping.hashes import clustered_hashes, queries, random_hashes
from entrenous.fingerprint.linear_scan import ScanIndex, Words
from entrenous.fingerprint.multi_index import HashIndex, IndexSegment, substring_plan

_COUNTS: Final = (1_000, 10_000, 50_000, 300_000, 1_000_000, 2_000_000, 4_000_000)
_SCANNED_MAX: Final = 300_000
_ASKED: Final = 256


def timings_by_size() -> Iterator[str]:
    """Yield a line for each size, kind of bank and way of searching.

    The line has the milliseconds per look-up, one at a time and in batches of eight.
    """
    rng = np.random.default_rng(1)
    for count in _COUNTS:
        for kind, bank in (
            ("random", random_hashes(count, rng)),
            ("clustered", clustered_hashes(count, rng)),
        ):
            wanted = queries(bank, _ASKED, rng)
            for name, index in _ways(bank):
                single, together = (_ms(index, wanted, batch) for batch in (1, 8))
                yield f"{count:>9,} {kind:9} {name:>4}: {single:.3f} ms, {together:.3f} by eight"


def _ways(bank: Words) -> Iterator[tuple[str, HashIndex]]:
    numbers = np.arange(len(bank))
    if len(bank) <= _SCANNED_MAX:
        yield "scan", ScanIndex(numbers, np.ascontiguousarray(bank.T))
    for substrings in (16, 13, 12, 11):
        yield str(substrings), IndexSegment.built(substring_plan(substrings), numbers, bank)


def _ms(index: HashIndex, wanted: Words, batch: int) -> float:
    """Return the milliseconds per query by the clock, in the best of three rounds."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        for start in range(0, len(wanted), batch):
            index.pairs(wanted[start : start + batch], 31)
        taken.append(time.perf_counter() - began)
    return 1e3 * min(taken) / len(wanted)
