"""Tests of linear search: comparison with brute force, equal hashes, and refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.fingerprint.linear_scan import ScanIndex

hashes = st.lists(st.binary(min_size=32, max_size=32), max_size=12)


def flip_bits(bits: bytes, places: list[int]) -> bytes:
    number = int.from_bytes(bits, "big")
    for place in places:
        number ^= 1 << place
    return number.to_bytes(32, "big")


@pytest.mark.slow
@given(hashes, hashes, st.integers(0, 40), st.data())
def test_search_equals_brute_force(
    known: list[bytes], others: list[bytes], radius: int, data: st.DataObject
) -> None:
    places = st.lists(st.integers(0, 255), max_size=40)
    wanted = others + [flip_bits(one, data.draw(places)) for one in known]
    index = ScanIndex.empty().with_added(range(len(known)), known)
    expected = {
        (query, entry, apart)
        for query, one in enumerate(wanted)
        for entry, other in enumerate(known)
        if (apart := (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count())
        <= radius
    }
    found = index.find_near_hashes(wanted, radius)
    assert {(one.query, one.entry, one.distance) for one in found} == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize("copies", [1, 2, 4, 8, 16])
def test_all_entries_with_the_same_hash_are_found(copies: int) -> None:
    bits = bytes(range(32))
    index = ScanIndex.empty().with_added(range(copies), [bits] * copies)
    assert sorted(one.entry for one in index.find_near_hashes([bits])) == list(range(copies))


def test_every_distance_up_to_the_radius_is_found() -> None:
    rng = np.random.default_rng(1)
    known = [rng.bytes(32) for _ in range(3000)]
    index = ScanIndex.empty().with_added(range(3000), known)
    for apart in range(33):
        places = [int(place) for place in rng.choice(256, apart, replace=False)]
        found = index.find_near_hashes([flip_bits(known[7 * apart], places)])
        assert [(one.entry, one.distance) for one in found] == (
            [(7 * apart, apart)] if apart <= 31 else []
        )


def test_adding_hashes_leaves_the_old_index_unchanged() -> None:
    one, other = bytes(32), b"\xff" * 32
    small = ScanIndex.empty().with_added([5], [one])
    large = small.with_added([9], [other])
    assert [near.entry for near in large.find_near_hashes([other])] == [9]
    assert small.find_near_hashes([other]) == []


def test_empty_index_finds_nothing() -> None:
    assert ScanIndex.empty().find_near_hashes([bytes(32)]) == []
    assert ScanIndex.empty().with_added([1], [bytes(32)]).find_near_hashes([]) == []


def test_a_hash_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        ScanIndex.empty().with_added([1], [bytes(31)])
