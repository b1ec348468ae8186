"""The peers of our index: two indexes of faiss, if it is installed (``pip install faiss-cpu``).

One is a flat scan; the other is the multi-index hashing of ThreatExchange's matcher with the same
parameters: 16 substrings of 16 bits, one bit flipped in each (python-threatexchange,
``PDQMultiHashIndex``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from entrenous.fingerprint.linear_scan import Words

RADIUS: Final = 31
_BITS: Final = 256

Pairs = NDArray[np.int64]  # (K, 3): query, row, distance


@dataclass(frozen=True, slots=True)
class Peer:
    """An index of faiss, filled with a bank's hashes."""

    name: str
    index: Any

    def found(self, wanted: Words) -> Pairs:
        """Return every pair of a query and a hash within 31 bits; ``wanted`` is (Q, 4) words."""
        ends, distances, rows = self.index.range_search(wanted.view(np.uint8), RADIUS + 1)
        query = np.repeat(np.arange(len(wanted)), np.diff(ends.astype(np.int64)))
        return np.stack([query, rows, distances.astype(np.int64)], axis=1)


def flat(bank: Words) -> Peer | None:
    """Return an index that scans all hashes; None if faiss is not installed."""
    return _filled("faiss flat", lambda faiss: faiss.IndexBinaryFlat(_BITS), bank)


def multi_hash(bank: Words) -> Peer | None:
    """Return an index like that of ThreatExchange's matcher; None if faiss is not installed."""

    def made(faiss: Any) -> Any:
        index = faiss.IndexBinaryMultiHash(_BITS, 16, 16)
        index.nflip = 1
        return index

    return _filled("faiss MultiHash", made, bank)


def version() -> str | None:
    """Return the version of faiss; None if it is not installed."""
    faiss = _faiss()
    return None if faiss is None else str(faiss.__version__)


def _filled(name: str, made: Callable[[Any], Any], bank: Words) -> Peer | None:
    faiss = _faiss()
    if faiss is None:
        return None
    faiss.omp_set_num_threads(1)
    index = made(faiss)
    index.add(bank.view(np.uint8))
    return Peer(name, index)


def _faiss() -> Any:
    try:
        return import_module("faiss")
    except ImportError:
        return None
