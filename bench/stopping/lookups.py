"""Measure how long a look-up takes in our index, mapped from its file, and in the peers.

Our index and the peers take turns in one thread. Only processor time counts, because time by the
clock would include the turns of other programs on the same cores. Such turns lengthen long
computations most, and the peers' computations are longer than ours.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from bench.stopping import peers
from bench.stopping.hashes import queries
from entrenous.fingerprint.linear_scan import ScanIndex, Words
from entrenous.fingerprint.multi_index import build_hash_index
from entrenous.stop.index.base_file import MappedBase, read_base, write_base

BATCH: Final = 8  # the orientations of one upload
_SPENT_S: Final = 0.6  # processor seconds for each index in each round
_OURS: Final = "ours"


@dataclass(frozen=True, slots=True)
class LookupTimes:
    """Times in ms: of single look-ups by round, in our index (``ours``) and in the peers.

    ``batched_ms`` is the median time of each query in batches of eight, by round. ``pass_ms`` is
    the time of one pass over all hashes in memory: the shortest of NumPy's and of faiss's scan.
    """

    ours: list[list[float]]
    flat: list[list[float]]
    multi_hash: list[list[float]]
    batched_ms: list[float]
    pass_ms: float

    @property
    def p50_ms(self) -> float:
        """Return the median of all look-ups."""
        return float(np.percentile([one for some in self.ours for one in some], 50))

    @property
    def p99_ms(self) -> float:
        """Return the median of the rounds' 99th percentiles, which a noisy round hardly affects."""
        return median(float(np.percentile(one, 99)) for one in self.ours)

    @property
    def flat_ratio(self) -> float | None:
        """Return how many times as long faiss's scan takes; None if it was not measured."""
        return _ratio(self.flat, self.ours)

    @property
    def multi_hash_ratio(self) -> float | None:
        """Return how many times as long faiss's multi-index hashing takes; None if not measured."""
        return _ratio(self.multi_hash, self.ours)


def scratch_folder() -> Path:
    """Return the folder ``bench-out`` for temporary files; create it if it is missing.

    The system's own folder for them may be in memory, not on the disk.
    """
    folder = Path("bench-out")
    folder.mkdir(exist_ok=True)
    return folder


@dataclass(frozen=True, slots=True)
class OnFile:
    """Our index, mapped from its file, and the seconds to build, write and open it."""

    path: Path
    base: MappedBase
    build_s: float
    write_s: float
    open_s: float


@contextmanager
def on_file(bank: Words) -> Iterator[OnFile]:
    """Build the index of a bank, write it to a temporary file, map and check it, and query it."""
    with TemporaryDirectory(dir=scratch_folder()) as made:
        path = Path(made) / "base"
        began = time.perf_counter()
        index = build_hash_index(np.arange(1, len(bank) + 1), bank, inverted=True)
        built = time.perf_counter()
        write_base(path, index, ScanIndex.empty())
        written = time.perf_counter()
        del index
        base = read_base(path)
        base.whole.pairs(bank[:BATCH], peers.RADIUS)
        opened = time.perf_counter()
        yield OnFile(path, base, built - began, written - built, opened - written)


def measure_lookups(
    base: MappedBase, bank: Words, rng: np.random.Generator, rounds: int, *, multi_hash: bool = True
) -> LookupTimes:
    """Measure single look-ups in ``rounds`` rounds, in our index and in the peers by turns."""
    wanted = queries(bank, 4096, rng)
    asked: dict[str, Callable[[Words], object]] = {_OURS: lambda one: base.whole.pairs(one, 31)}
    for peer in (peers.flat(bank), peers.multi_hash(bank) if multi_hash else None):
        if peer is not None:
            asked[peer.name] = peer.found
    times: dict[str, list[list[float]]] = {name: [] for name in asked}
    batched, passes = [], []
    for turn in range(rounds):
        for name, ask in asked.items():
            times[name].append(_timed(ask, np.roll(wanted, 64 * turn, axis=0)))
        batched.append(median(_timed(asked[_OURS], wanted, BATCH)))
        passes.append(_pass_ms(bank))
    flat = times.get("faiss flat", [])
    best_flat = [float(np.percentile(one, 10)) for one in flat]
    found = times.get("faiss MultiHash", [])
    return LookupTimes(times[_OURS], flat, found, batched, min(passes + best_flat))


def _timed(ask: Callable[[Words], object], wanted: Words, batch: int = 1) -> list[float]:
    """Return the milliseconds per query of each call; 16 calls before them warm the caches."""
    for start in range(0, 16 * batch, batch):
        ask(wanted[start : start + batch])
    taken: list[float] = []
    until = time.process_time() + _SPENT_S
    for start in range(0, len(wanted) - batch, batch):
        began = time.process_time()
        ask(wanted[start : start + batch])
        ended = time.process_time()
        taken.append(1e3 * (ended - began) / batch)
        if ended > until and len(taken) >= 16:
            break
    return taken


def _pass_ms(bank: Words) -> float:
    """Return the milliseconds in which NumPy reads all hashes once."""
    began = time.process_time()
    np.bitwise_xor.reduce(bank, axis=None)
    return 1e3 * (time.process_time() - began)


def _ratio(theirs: list[list[float]], ours: list[list[float]]) -> float | None:
    """Return the median, over the rounds, of the ratio of the medians."""
    if not theirs:
        return None
    return median(median(one) / median(own) for one, own in zip(theirs, ours, strict=True))
