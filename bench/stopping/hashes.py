"""Make banks of hashes, and queries for them, from a random generator."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.fingerprint.linear_scan import Words

Counts = NDArray[np.int64]

_CENTRES: Final = 128
_SPREAD: Final = 96  # changed bits; with more, a crop is like a different picture
_BITS: Final = 256
_AT_ONCE: Final = 1 << 16


def random_hashes(count: int, rng: np.random.Generator) -> Words:
    """Return ``count`` uniformly random hashes, as (N, 4) words."""
    return rng.integers(0, 1 << 64, size=(count, 4), dtype=np.uint64)


def clustered_hashes(count: int, rng: np.random.Generator) -> Words:
    """Return (N, 4) words like the hashes of crops of 128 pictures.

    Each is one of 128 random hashes, with a random number of bits changed: about 0 to 96.
    """
    centres = random_hashes(_CENTRES, rng)
    hashes = centres[rng.integers(0, _CENTRES, count)]
    for start in range(0, count, _AT_ONCE):
        some = hashes[start : start + _AT_ONCE]
        share = rng.integers(0, _SPREAD + 1, (len(some), 1), np.uint8)  # 256ths
        bits = rng.integers(0, 256, (len(some), _BITS), np.uint8) < share
        some ^= np.packbits(bits, axis=1).view(np.uint64)
    return hashes


def changes(distances: Counts, rng: np.random.Generator) -> Words:
    """Return (N, 4) words with exactly ``distances`` (N,) bits set, at random positions."""
    ranks = rng.random((len(distances), _BITS), np.float32).argsort(axis=1).argsort(axis=1)
    return np.packbits(ranks < distances[:, None], axis=1).view(np.uint64)


def queries(bank: Words, count: int, rng: np.random.Generator) -> Words:
    """Return (N, 4) words, in random order, that are like the hashes of uploads.

    Half are random; half differ in 0 to 40 bits from a random hash of the bank.
    """
    wanted = random_hashes(count, rng)
    near = slice(0, count // 2)
    rows = rng.integers(0, len(bank), count // 2)
    wanted[near] = bank[rows] ^ changes(rng.integers(0, 41, count // 2), rng)
    return np.ascontiguousarray(wanted[rng.permutation(count)])
