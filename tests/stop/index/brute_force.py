"""Compare every pair of hashes in plain Python: the reference for every index."""

from collections.abc import Iterable, Sequence

import numpy as np

from entrenous.fingerprint.nouns import NearHash

Found = set[tuple[int, int, int]]


def brute_force(known: Sequence[tuple[int, bytes]], queries: Sequence[bytes], radius: int) -> Found:
    """Return (query, entry number, distance) of every pair within ``radius`` bits."""
    numbers = [(entry, int.from_bytes(bits, "big")) for entry, bits in known]
    return {
        (query, entry, apart)
        for query, wanted in enumerate(int.from_bytes(one, "big") for one in queries)
        for entry, bits in numbers
        if (apart := (wanted ^ bits).bit_count()) <= radius
    }


def told(found: Iterable[NearHash]) -> Found:
    """Return an index's results in the same form, after checking that none occurs twice."""
    pairs = [(one.query, one.entry, one.distance) for one in found]
    assert len(set(pairs)) == len(pairs)
    return set(pairs)


def flipped(bits: bytes, places: Iterable[int]) -> bytes:
    """Return the hash with these bits flipped."""
    number = int.from_bytes(bits, "big")
    for place in places:
        number ^= 1 << int(place)
    return number.to_bytes(32, "big")


def at_distance(bits: bytes, apart: int, rng: np.random.Generator) -> bytes:
    """Return a hash that differs in exactly ``apart`` bits, at random positions."""
    return flipped(bits, rng.choice(256, apart, replace=False))


def odd_bank(count: int, rng: np.random.Generator) -> list[bytes]:
    """Return random hashes, a cluster around one of them, and some with few or nearly all ones."""
    random = [rng.bytes(32) for _ in range(count // 2)]
    crowd = [at_distance(random[0], int(rng.integers(0, 60)), rng) for _ in range(count // 4)]
    low = [at_distance(bytes(32), int(rng.integers(0, 40)), rng) for _ in range(count // 8)]
    high = [at_distance(b"\xff" * 32, int(rng.integers(0, 40)), rng) for _ in range(count // 8)]
    return [*random, *crowd, *low, *high, bytes(32), b"\xff" * 32]
