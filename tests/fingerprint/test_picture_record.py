"""Tests of the record of a picture: content, size, and damaged records."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.fingerprint.pdq import fingerprint, pixels_on_white
from entrenous.fingerprint.picture_record import (
    POINT_ENTRY_DTYPE,
    STORED_POINTS_MAX,
    compute_colour_layout,
    make_picture_record,
    read_picture_record,
)


@pytest.mark.slow
def test_a_record_contains_hash_points_and_colours_in_8000_bytes(
    photographs: dict[str, Any], make_picture: Callable[[Any], Any]
) -> None:
    picture = make_picture(photographs["coffee"])
    record = make_picture_record(picture)
    kept = read_picture_record(record)
    assert kept is not None
    assert kept.bits == fingerprint(picture).bits
    assert len(kept.points) == STORED_POINTS_MAX * POINT_ENTRY_DTYPE.itemsize
    assert np.array_equal(kept.cells, compute_colour_layout(pixels_on_white(picture)))
    assert len(record) < 8000
    assert make_picture_record(picture) == record


@pytest.mark.parametrize(
    "damage",
    [
        lambda r: r[:-1],
        lambda r: r[:32],
        lambda r: r[:0],
        lambda r: b"\x01" + r[1:],
        lambda r: r + b"x",
        lambda r: r[:33] + b"\x00\x0c" + r[35:],
        lambda r: r[:33] + b"\xff\xff" + r[35:],
    ],
)
def test_damaged_record_is_read_as_none(
    damage: Callable[[bytes], bytes],
    photographs: dict[str, Any],
    make_picture: Callable[[Any], Any],
) -> None:
    assert (
        read_picture_record(
            damage(make_picture_record(make_picture(photographs["coffee"][:100, :100])))
        )
        is None
    )


@given(
    st.binary(max_size=200)
    | st.binary(min_size=60, max_size=60).map(lambda r: r[:32] + b"\x02\x03" + r[32:])
)
def test_any_bytes_are_read_or_rejected(record: bytes) -> None:
    kept = read_picture_record(b"\x02" + record)
    assert kept is None or len(kept.points) % POINT_ENTRY_DTYPE.itemsize == 0
    assert kept is None or kept.cells.size == len(kept.layout) - 2
