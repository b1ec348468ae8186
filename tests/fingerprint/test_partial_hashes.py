"""Tests of the windows of a picture that are registered, and of the hashes of these windows."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from entrenous.base.limits import REGISTERED_PARTS_MAX
from entrenous.base.picture import Picture
from entrenous.fingerprint.crops import grid_window_edges, registered_window_mask, window_hashes
from entrenous.fingerprint.linear_scan import ScanIndex
from entrenous.fingerprint.pdq import fingerprint

MakePicture = Callable[[Any], Picture]


def test_registration_can_contain_all_window_hashes() -> None:
    edges = grid_window_edges()
    assert registered_window_mask(edges, edges).sum() == 525
    assert REGISTERED_PARTS_MAX >= 525


def test_every_crop_of_two_thirds_has_a_window_within_one_grid_step() -> None:
    edges = grid_window_edges()
    long_enough = edges[edges[:, 1] - edges[:, 0] >= 7 / 12 - 1e-9]
    for length, place in product(np.linspace(2 / 3, 1, 40), np.linspace(0, 1, 80)):
        first = place * (1 - length)
        last = first + length
        inside = (long_enough[:, 0] >= first - 1e-9) & (long_enough[:, 1] <= last + 1e-9)
        close = (long_enough[:, 0] - first < 1 / 12) & (last - long_enough[:, 1] < 1 / 12)
        assert (inside & close).any(), (first, last)


@pytest.mark.slow
def test_window_hashes_match_the_hashes_of_crops(
    photographs: dict[str, Any], make_picture: MakePicture
) -> None:
    pixels = photographs["astronaut"][:480, :480]
    hashes = window_hashes(make_picture(pixels))
    assert 400 <= len(hashes) <= 525
    index = ScanIndex.empty().with_added(range(len(hashes)), hashes)
    for top, bottom, left, right in ((0, 12, 0, 7), (2, 11, 3, 12), (6, 12, 0, 12), (1, 11, 0, 6)):
        cut = pixels[40 * top : 40 * bottom, 40 * left : 40 * right]
        assert index.find_near_hashes([fingerprint(make_picture(cut)).bits]), (
            top,
            bottom,
            left,
            right,
        )


@pytest.mark.slow
def test_flat_windows_are_left_out(make_picture: MakePicture) -> None:
    assert window_hashes(make_picture(np.full((300, 300, 3), 60, dtype=np.uint8))) == ()


@pytest.mark.slow
def test_windows_of_too_few_pixels_are_left_out(make_picture: MakePicture) -> None:
    """PDQ divides each side into 64 blocks, so a side needs at least 64 pixels."""
    noise = np.random.default_rng(1).integers(0, 256, (96, 600, 3), dtype=np.uint8)
    assert len(window_hashes(make_picture(noise[:63]))) == 0
    edges = grid_window_edges()
    tall = 96 * (edges[:, 1] - edges[:, 0]) >= 64
    expected = int((registered_window_mask(edges, edges) & tall[:, None]).sum())
    assert 0 < expected < 525
    assert len(window_hashes(make_picture(noise))) == expected
