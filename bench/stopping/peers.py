"""What others search hashes with: faiss, where it is installed (``pip install faiss-cpu``).

A flat scan, and the multi-index hashing that ThreatExchange's matcher uses, with its numbers: 16
substrings of 16 bits, one bit flipped in each (python-threatexchange, ``PDQMultiHashIndex``).
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
    """An index of somebody else's; ``found`` takes (Q, 4) words."""

    name: str
    index: Any

    def found(self, wanted: Words) -> Pairs:
        """Every pair within 31 bits."""
        ends, distances, rows = self.index.range_search(wanted.view(np.uint8), RADIUS + 1)
        query = np.repeat(np.arange(len(wanted)), np.diff(ends.astype(np.int64)))
        return np.stack([query, rows, distances.astype(np.int64)], axis=1)


def flat(bank: Words) -> Peer | None:
    """A scan of all; None if faiss is not installed."""
    return _filled("faiss flat", lambda faiss: faiss.IndexBinaryFlat(_BITS), bank)


def multi_hash(bank: Words) -> Peer | None:
    """As ThreatExchange's matcher has it; None if faiss is not installed."""

    def made(faiss: Any) -> Any:
        index = faiss.IndexBinaryMultiHash(_BITS, 16, 16)
        index.nflip = 1
        return index

    return _filled("faiss MultiHash", made, bank)


def version() -> str | None:
    """Of faiss."""
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
