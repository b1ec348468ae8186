"""Tests of multi-index hashing: the substrings of hashes, and the cells that a query reads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.fingerprint.linear_scan import hashes_as_words
from entrenous.fingerprint.multi_index import SubstringPlan, substring_count_for, substring_plan
from tests.stop.index.brute_force import flip_bits

SUBSTRING_COUNTS = (11, 12, 13, 16)
RADIUS_BITS = 31


def substring_of_each_bit(plan: SubstringPlan) -> list[int]:
    """Return the substring that each of the 256 bits belongs to."""
    bits = hashes_as_words([flip_bits(bytes(32), [place]) for place in range(256)])
    mine = plan.cells(bits) != plan.cells(hashes_as_words([bytes(32)]))
    assert mine.sum(axis=1).tolist() == [1] * 256
    return [int(place) for place in mine.argmax(axis=1)]


def is_found(plan: SubstringPlan, changed: list[int]) -> bool:
    """Return whether a query for the zero hash finds the hash in which only these bits are set."""
    probes = plan.cells_to_probe(plan.cells(hashes_as_words([bytes(32)])))[0]
    cells = plan.cells(hashes_as_words([flip_bits(bytes(32), changed)]))[0]
    return bool(np.isin(cells, probes).any())


@pytest.mark.parametrize("substrings", SUBSTRING_COUNTS)
def test_every_bit_is_in_one_substring(substrings: int) -> None:
    plan = substring_plan(substrings)
    counts = np.bincount(substring_of_each_bit(plan), minlength=substrings)
    assert counts.sum() == 256
    assert set(counts.tolist()) <= {256 // substrings, 256 // substrings + 1}


@pytest.mark.parametrize("substrings", SUBSTRING_COUNTS)
def test_tables_are_adjacent_and_probes_stay_inside_their_table(substrings: int) -> None:
    plan = substring_plan(substrings)
    ends = [*plan.first[1:].tolist(), plan.buckets]
    assert list(plan.table_sizes) == np.diff([0, *ends]).tolist()
    assert all(first % size == 0 for first, size in zip(plan.first, plan.table_sizes, strict=True))
    full = plan.cells_to_probe(plan.cells(hashes_as_words([b"\xff" * 32, bytes(32)])))
    assert (full >= plan.first[plan.which]).all()
    assert (full < np.asarray(ends)[plan.which]).all()
    assert len(set(full[0].tolist())) == full.shape[1]


@given(st.sampled_from(SUBSTRING_COUNTS), st.sets(st.integers(0, 255), max_size=RADIUS_BITS))
def test_no_hash_within_the_radius_is_missed(substrings: int, changed: set[int]) -> None:
    assert is_found(substring_plan(substrings), sorted(changed))


@pytest.mark.parametrize("substrings", SUBSTRING_COUNTS)
def test_hash_can_be_missed_at_32_bits_but_never_at_31(substrings: int) -> None:
    plan = substring_plan(substrings)
    reach = np.zeros(substrings, dtype=int)
    changed = np.bitwise_count(plan.flips)
    if plan.is_folded:  # a substring and its complement are in the same cell
        changed = np.minimum(changed, np.bitwise_count(plan.mask)[plan.which] - changed)
    np.maximum.at(reach, plan.which, changed)
    owner = substring_of_each_bit(plan)
    escape = [
        place
        for one in range(substrings)
        for place in [bit for bit in range(256) if owner[bit] == one][: reach[one] + 1]
    ]
    assert len(escape) == RADIUS_BITS + 1
    assert not is_found(plan, escape)
    assert all(is_found(plan, escape[:left] + escape[left + 1 :]) for left in range(len(escape)))


def test_larger_banks_are_cut_into_fewer_substrings() -> None:
    sizes = [0, 1, 16, 10_000, 10_001, 300_001, 2_000_001, 100_000_000]
    assert [substring_count_for(size) for size in sizes] == [0, 0, 0, 0, 16, 13, 11, 11]
    inverted = [substring_count_for(size, inverted=True) for size in sizes]
    assert inverted == [0, 0, 0, 0, 16, 12, 11, 11]


@given(st.binary(min_size=32, max_size=32))
def test_in_a_folded_plan_a_hash_and_its_complement_lie_together(bits: bytes) -> None:
    one, other = hashes_as_words([bits]), hashes_as_words([bytes(byte ^ 0xFF for byte in bits)])
    plan = substring_plan(12)
    assert plan.is_folded
    assert (plan.cells(one) == plan.cells(other)).all()
    columns = [
        [int(plan.substring_column(words, place)[0]) for place in range(12)]
        for words in (one, other)
    ]
    assert columns[0] == columns[1] == (plan.cells(one)[0] - plan.first).tolist()
