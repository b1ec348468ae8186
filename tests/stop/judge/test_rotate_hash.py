"""Tests of hash_orientations, which turns and mirrors a hash without the picture."""

import itertools
from typing import Any

import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from entrenous.fingerprint.pdq import UNCHANGED_ORIENTATION_NAME, orientation_fingerprints
from entrenous.stop.judge.retroactive_matches import hash_orientations, hashes_of_reoriented_uploads
from tests.stop.platform_for_tests import picture

PICTURE_NAMES = ["astronaut", "coffee", "chelsea", "rocket", "retina", "immunohistochemistry"]


def differing_bits(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


@pytest.mark.parametrize("picture_name", PICTURE_NAMES)
def test_rotated_hash_is_close_to_the_hash_of_the_rotated_picture(picture_name: str) -> None:
    hashes_of_rotated_pictures = orientation_fingerprints(
        picture(getattr(skimage.data, picture_name)())
    )
    rotated_hashes = hash_orientations(hashes_of_rotated_pictures[UNCHANGED_ORIENTATION_NAME].bits)
    assert rotated_hashes.keys() == hashes_of_rotated_pictures.keys()
    assert (
        max(
            differing_bits(rotated_hashes[how], hashes_of_rotated_pictures[how].bits)
            for how in hashes_of_rotated_pictures
        )
        <= 18
    )


@given(st.binary(min_size=32, max_size=32))
def test_rotating_back_restores_the_hash(bits: bytes) -> None:
    for how, turn in hash_orientations(bits).items():
        assert hashes_of_reoriented_uploads(turn)[how] == bits


def test_orientations_of_a_hash_are_far_apart(her_picture: Any) -> None:
    orientations = list(
        hash_orientations(
            orientation_fingerprints(picture(her_picture))[UNCHANGED_ORIENTATION_NAME].bits
        ).values()
    )
    pairs = itertools.combinations(orientations, 2)
    assert min(differing_bits(one, other) for one, other in pairs) > 60
