"""512 numbers as bytes, and the cosine of the angle between them."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.model.embedding import LARGEST, NUMBERS, Embedding

Floats = NDArray[np.float32]
Rows = NDArray[np.int8]

_ROWS: Final = 8_192  # made floats at a time: 16 MB


def quantised(numbers: Floats) -> Embedding:
    """An embedding of (512,) numbers, not all of them zero; their length is not kept.

    Raises:
        ValueError: there are not 512, or not finite ones, or they are all zero.
    """
    largest = float(np.abs(numbers).max(initial=0.0))
    if numbers.shape != (NUMBERS,) or not 0.0 < largest < np.inf:
        raise ValueError("an embedding is made of 512 finite numbers, not all zero")
    return Embedding(np.rint(numbers * (LARGEST / largest)).astype(np.int8).tobytes())


def rows(embeddings: Sequence[Embedding]) -> Rows:
    """Their numbers, (N, 512)."""
    every = b"".join(one.numbers for one in embeddings)
    return np.frombuffer(every, np.int8).reshape(-1, NUMBERS)


def cosines(queries: Rows, kept: Rows) -> Floats:
    """The cosine of each of (Q, 512) with each of (N, 512): (Q, N), exact to rounding."""
    asked = queries.astype(np.float32)
    found = np.empty((len(queries), len(kept)), np.float32)
    for start in range(0, len(kept), _ROWS):
        some = kept[start : start + _ROWS].astype(np.float32)
        found[:, start : start + _ROWS] = asked @ some.T / _lengths(some)
    found /= _lengths(asked)[:, None]
    return found


def _lengths(numbers: Floats) -> Floats:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", numbers, numbers)), np.float32)
