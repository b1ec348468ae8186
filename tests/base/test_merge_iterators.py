"""Tests of merging iterators in threads: a stalled iterator, errors, and 0, 1 or 200 iterators."""

import threading
from collections.abc import Iterator

import pytest

from entrenous.base.merge_iterators import merge_iterators


def test_stalled_iterator_delays_no_other() -> None:
    others_finished = threading.Event()

    def stalled() -> Iterator[str]:
        others_finished.wait()
        yield "late"

    items = list[str]()
    for item in merge_iterators([stalled(), "abc", "de"]):
        items.append(item)
        if len(items) == 5:
            others_finished.set()
    assert items[-1] == "late"
    assert [item for item in items if item in "abc"] == ["a", "b", "c"]


def test_more_iterators_than_threads_are_all_consumed() -> None:
    assert sorted(merge_iterators([[number] for number in range(200)])) == list(range(200))
    assert list(merge_iterators([])) == []
    assert list(merge_iterators([[1, 2]])) == [1, 2]


def test_iterator_error_is_raised_to_the_caller() -> None:
    def yield_then_fail() -> Iterator[int]:
        yield 1
        raise LookupError

    with pytest.raises(LookupError):
        list(merge_iterators([yield_then_fail(), [2]]))


def test_single_iterator_needs_no_thread() -> None:
    this_thread = threading.get_ident()
    assert list(merge_iterators([(threading.get_ident() for _ in range(2))])) == [this_thread] * 2
