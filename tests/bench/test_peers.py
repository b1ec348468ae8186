"""Tests of the comparison with other watermarking libraries: match radius and named copies."""

import pytest

from bench.photographs import PHOTOGRAPHS, Size
from bench.tracing.grid import Cell
from bench.tracing.memory_sender import people
from bench.tracing.peers import BITS, Sending, compared, installed, radius


def test_radius_of_a_match_depends_on_the_length_of_the_mark() -> None:
    assert radius(BITS, 24) == 10
    assert radius(32, 24) == 1


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["dwtDctSvd", "blind-watermark"])
def test_library_names_the_right_copy_of_an_unedited_picture(name: str) -> None:
    peer = installed().get(name)
    if peer is None:
        pytest.skip(f"{name} is not installed (dependency group bench)")
    sending = Sending(peer, PHOTOGRAPHS["coffee"].at(Size.XS), 1)
    row = compared(Cell("coffee", Size.XS, "none", 1), sending)
    assert row.right
    assert not row.wrong


@pytest.mark.nightly
def test_no_library_names_a_copy_for_an_unmarked_picture() -> None:
    for peer in installed().values():
        sending = Sending(peer, PHOTOGRAPHS["coffee"].at(Size.XS), 1)
        named, distances = sending.traced(PHOTOGRAPHS["coffee"].file_at(Size.XS))
        assert named is None
        assert set(distances) == set(people())
