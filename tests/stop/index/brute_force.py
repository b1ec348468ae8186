"""Near hashes found by comparing every pair in plain Python, and helpers that make hashes."""

from collections.abc import Iterable, Sequence

import numpy as np

from entrenous.fingerprint.nouns import NearHash

MatchTriples = set[tuple[int, int, int]]


def matches_by_brute_force(
    known: Sequence[tuple[int, bytes]], queries: Sequence[bytes], radius: int
) -> MatchTriples:
    """Return (query index, entry number, distance) of every pair within ``radius`` bits."""
    known_numbers = [(entry, int.from_bytes(bits, "big")) for entry, bits in known]
    return {
        (query_index, entry, distance)
        for query_index, query in enumerate(int.from_bytes(one, "big") for one in queries)
        for entry, number in known_numbers
        if (distance := (query ^ number).bit_count()) <= radius
    }


def distinct_matches(found: Iterable[NearHash]) -> MatchTriples:
    """Return (query index, entry number, distance) of each result; assert that all differ."""
    triples = [(one.query, one.entry, one.distance) for one in found]
    assert len(set(triples)) == len(triples)
    return set(triples)


def flip_bits(picture_hash: bytes, positions: Iterable[int]) -> bytes:
    """Return the hash with the bits at these positions flipped; the lowest bit has position 0."""
    number = int.from_bytes(picture_hash, "big")
    for position in positions:
        number ^= 1 << int(position)
    return number.to_bytes(32, "big")


def hash_at_distance(picture_hash: bytes, distance: int, rng: np.random.Generator) -> bytes:
    """Return a hash that differs in exactly ``distance`` bits, at random positions."""
    return flip_bits(picture_hash, rng.choice(256, distance, replace=False))


def clustered_hashes(count: int, rng: np.random.Generator) -> list[bytes]:
    """Return random hashes, a cluster near one of them, and hashes with few one or zero bits."""
    random = [rng.bytes(32) for _ in range(count // 2)]
    crowd = [hash_at_distance(random[0], int(rng.integers(0, 60)), rng) for _ in range(count // 4)]
    low = [hash_at_distance(bytes(32), int(rng.integers(0, 40)), rng) for _ in range(count // 8)]
    high = [
        hash_at_distance(b"\xff" * 32, int(rng.integers(0, 40)), rng) for _ in range(count // 8)
    ]
    return [*random, *crowd, *low, *high, bytes(32), b"\xff" * 32]
