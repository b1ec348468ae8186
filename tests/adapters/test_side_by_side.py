"""Rows gone through side by side: nobody waits for one that stands still."""

import threading
from collections.abc import Iterator

import pytest

from entrenous.adapters.side_by_side import side_by_side


def test_a_row_that_stands_still_keeps_no_other() -> None:
    others_are_through = threading.Event()

    def stands_still() -> Iterator[str]:
        others_are_through.wait()
        yield "late"

    came = list[str]()
    for item in side_by_side([stands_still(), "abc", "de"]):
        came.append(item)
        if len(came) == 5:
            others_are_through.set()
    assert came[-1] == "late"
    assert [item for item in came if item in "abc"] == ["a", "b", "c"]


def test_more_rows_than_threads_are_all_gone_through() -> None:
    assert sorted(side_by_side([[number] for number in range(200)])) == list(range(200))
    assert list(side_by_side([])) == []
    assert list(side_by_side([[1, 2]])) == [1, 2]


def test_what_a_row_raises_is_raised_here() -> None:
    def breaks() -> Iterator[int]:
        yield 1
        raise LookupError

    with pytest.raises(LookupError):
        list(side_by_side([breaks(), [2]]))


def test_one_row_needs_no_thread() -> None:
    here = threading.get_ident()
    assert list(side_by_side([(threading.get_ident() for _ in range(2))])) == [here] * 2
