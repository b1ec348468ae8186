"""A snapshot of an index answers a repeated question alike, and computes it once."""

import numpy as np

from entrenous.stop.index.snapshot import IndexSnapshot
from entrenous.stop.nouns import Entry

RNG = np.random.default_rng(9)
HASHES = [RNG.bytes(32) for _ in range(4)]


def known() -> IndexSnapshot:
    news = [Entry(number, bits, part=False) for number, bits in enumerate(HASHES[:3], start=1)]
    return IndexSnapshot.nothing().with_added_entries(news)


def test_second_look_up_is_cached_and_the_third_is_not() -> None:
    one = known()
    first = one.near(HASHES[:2], part=False)
    assert [(near.query, near.entry) for near in first] == [(0, 1), (1, 2)]
    assert one.near(HASHES[:2], part=False) is first
    again = one.near(HASHES[:2], part=False)
    assert again == first
    assert again is not first


def test_cache_is_not_used_after_new_entries() -> None:
    one = known()
    assert one.near(HASHES[3:], part=False) == []
    more = one.with_added_entries([Entry(4, HASHES[3], part=False)])
    assert [near.entry for near in more.near(HASHES[3:], part=False)] == [4]


def test_cache_of_unrepeated_look_ups_is_bounded() -> None:
    one = known()
    for number in range(100):
        one.near([number.to_bytes(32, "big")], part=False)
    assert len(one.cached_results) <= 32
