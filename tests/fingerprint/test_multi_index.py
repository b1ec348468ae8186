"""Tests of multi-index hashing: comparison with brute force, complements, and refusals."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.fingerprint import multi_index
from entrenous.fingerprint.linear_scan import ScanIndex, hashes_as_words
from entrenous.fingerprint.multi_index import IndexSegment, build_hash_index, substring_plan
from tests.stop.index.brute_force import (
    clustered_hashes,
    distinct_matches,
    hash_at_distance,
    matches_by_brute_force,
)

SUBSTRING_COUNTS = (11, 12, 13, 16)
BANK_SIZE = 1_500


@cache
def numbered_hashes() -> list[tuple[int, bytes]]:
    """Return (entry number, hash) pairs; the numbers have gaps, as after withdrawals."""
    hashes = clustered_hashes(BANK_SIZE, np.random.default_rng(5))
    return [(3 * row + 7, bits) for row, bits in enumerate(hashes)]


@cache
def build_segment(substrings: int) -> IndexSegment:
    numbers, hashes = zip(*numbered_hashes(), strict=True)
    return IndexSegment.built(
        substring_plan(substrings), np.asarray(numbers), hashes_as_words(hashes)
    )


@pytest.mark.slow
@pytest.mark.parametrize("substrings", SUBSTRING_COUNTS)
def test_search_equals_brute_force_at_every_distance(substrings: int) -> None:
    rng = np.random.default_rng(substrings)
    queries = [
        hash_at_distance(
            numbered_hashes()[int(rng.integers(0, len(numbered_hashes())))][1], apart, rng
        )
        for apart in range(33)
        for _ in range(4)
    ]
    expected = matches_by_brute_force(numbered_hashes(), queries, 31)
    assert {apart for _, _, apart in expected} >= set(range(32))
    assert (
        distinct_matches(
            build_segment(substrings).pairs(hashes_as_words(queries), 31).to_near_hashes()
        )
        == expected
    )


@pytest.mark.slow
@pytest.mark.parametrize("substrings", SUBSTRING_COUNTS)
def test_single_queries_give_the_same_matches_as_a_batch(substrings: int) -> None:
    queries = [bits for _, bits in numbered_hashes()[:: BANK_SIZE // 20]]
    together = distinct_matches(
        build_segment(substrings).pairs(hashes_as_words(queries), 31).to_near_hashes()
    )
    apart = {
        (query, entry, bits)
        for query, one in enumerate(queries)
        for _, entry, bits in distinct_matches(
            build_segment(substrings).pairs(hashes_as_words([one]), 31).to_near_hashes()
        )
    }
    assert together == apart == matches_by_brute_force(numbered_hashes(), queries, 31)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(st.binary(min_size=32, max_size=32), max_size=4), st.integers(0, 31), st.data())
def test_search_equals_brute_force_at_any_radius(
    hashes: list[bytes], radius: int, data: st.DataObject
) -> None:
    stored_hashes = st.integers(0, len(numbered_hashes()) - 1).map(
        lambda row: numbered_hashes()[row][1]
    )
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    wanted = [
        *hashes,
        hash_at_distance(data.draw(stored_hashes), data.draw(st.integers(0, 40)), rng),
    ]
    for substrings in (12, 13, 16):
        found = build_segment(substrings).pairs(hashes_as_words(wanted), radius).to_near_hashes()
        assert distinct_matches(found) == matches_by_brute_force(numbered_hashes(), wanted, radius)


@pytest.mark.parametrize("copies", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("substrings", [12, 13, 16])
def test_copies_of_one_hash_are_all_found(substrings: int, copies: int) -> None:
    words = hashes_as_words([bytes(range(32))] * copies)
    index = IndexSegment.built(substring_plan(substrings), np.arange(copies), words)
    found = index.pairs(words[:1], 31)
    assert sorted(found.entry.tolist()) == list(range(copies))


def complement(bits: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in bits)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, BANK_SIZE - 1), st.integers(0, 34), st.booleans()), max_size=6
    ),
    st.integers(0, 31),
    st.integers(0, 2**32 - 1),
)
def test_complements_find_their_own_entries(
    specifications: list[tuple[int, int, bool]], radius: int, seed: int
) -> None:
    """The queries are near a stored hash or its complement, and some occur twice."""
    rng = np.random.default_rng(seed)
    wanted = []
    for row, apart, inverted in specifications:
        one = hash_at_distance(numbered_hashes()[row][1], apart, rng)
        wanted += [complement(one)] if inverted else [one, complement(one), one]
    found = distinct_matches(
        build_segment(12).pairs(hashes_as_words(wanted), radius).to_near_hashes()
    )
    assert found == matches_by_brute_force(numbered_hashes(), wanted, radius)


def test_a_hash_is_not_its_complement() -> None:
    """All 256 bits differ, and a distance of 256 would become 0 in one byte."""
    bits = bytes(range(32))
    index = IndexSegment.built(
        substring_plan(12), np.asarray([4, 7]), hashes_as_words([bits, complement(bits)])
    )
    found = index.pairs(hashes_as_words([bits, complement(bits)]), 31).to_near_hashes()
    assert distinct_matches(found) == {(0, 4, 0), (1, 7, 0)}


def test_candidates_compared_in_parts_give_the_same_matches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queries = [bits for _, bits in numbered_hashes()[:: BANK_SIZE // 6]]
    whole = distinct_matches(build_segment(16).pairs(hashes_as_words(queries), 31).to_near_hashes())
    monkeypatch.setattr(multi_index, "_CANDIDATES_AT_ONCE", 7)
    assert (
        distinct_matches(build_segment(16).pairs(hashes_as_words(queries), 31).to_near_hashes())
        == whole
    )
    monkeypatch.setattr(multi_index, "_PROBES_AT_ONCE", 1)
    assert (
        distinct_matches(build_segment(16).pairs(hashes_as_words(queries), 31).to_near_hashes())
        == whole
    )


def test_empty_index_finds_nothing() -> None:
    empty = IndexSegment.built(substring_plan(16), np.zeros(0, np.int64), hashes_as_words([]))
    assert empty.pairs(hashes_as_words([bytes(32)]), 31).to_near_hashes() == []
    assert build_segment(16).pairs(hashes_as_words([]), 31).to_near_hashes() == []


def test_a_radius_that_the_substrings_do_not_cover_is_refused() -> None:
    with pytest.raises(ValueError, match="31 bits"):
        build_segment(16).pairs(hashes_as_words([bytes(32)]), 32)


def test_too_many_rows_are_refused() -> None:
    words = np.broadcast_to(np.zeros(4, dtype=np.uint64), (1 << 29, 4))
    with pytest.raises(ValueError, match="too many"):
        IndexSegment.built(substring_plan(16), np.zeros(0, np.int64), words)


def test_index_type_depends_on_the_size_of_the_bank() -> None:
    rng = np.random.default_rng(2)
    for count, kind in ((10_000, ScanIndex), (10_001, IndexSegment)):
        words = rng.integers(0, 2**64, size=(count, 4), dtype=np.uint64)
        index = build_hash_index(np.arange(count), words)
        assert isinstance(index, kind)
        assert index.pairs(words[77:78], 31).to_near_hashes()[0].entry == 77
