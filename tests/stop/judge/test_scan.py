"""Tests of the hashes of an upload and its parts, and of the descriptions of edits."""

from typing import Any

import numpy as np
import pytest

from entrenous.fingerprint.pdq import fingerprint
from entrenous.stop.judge.scan import describe_edits, hash_parts, hash_whole_picture
from tests.stop.platform_for_tests import picture


def differing_bits(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def test_first_scan_has_sixteen_hashes_and_sixteen_for_each_border(her_picture: Any) -> None:
    assert len(hash_whole_picture(picture(her_picture)).whole) == 16
    framed = np.pad(her_picture, ((40, 40), (40, 40), (0, 0)))
    twice = np.pad(framed, ((30, 30), (30, 30), (0, 0)), constant_values=255)
    assert len(hash_whole_picture(picture(framed)).whole) == 32
    assert len(hash_whole_picture(picture(twice)).whole) == 48


def test_first_hash_is_of_the_unedited_upload(her_picture: Any) -> None:
    seen = hash_whole_picture(picture(her_picture))
    assert seen.whole[0] == ("as it is", seen.bits)
    assert seen.bits == fingerprint(picture(her_picture)).bits
    assert hash_parts(picture(her_picture), seen)


def test_views_describe_their_edits(her_picture: Any) -> None:
    done = np.pad(255 - np.fliplr(her_picture), ((50, 50), (50, 50), (0, 0)), constant_values=90)
    wanted = fingerprint(picture(her_picture)).bits
    how, bits = min(
        hash_whole_picture(picture(done)).whole, key=lambda view: differing_bits(view[1], wanted)
    )
    assert how == "mirror, border removed, colours inverted"
    assert differing_bits(bits, wanted) <= 16


def test_flat_upload_has_no_hashes_of_parts() -> None:
    flat = picture(np.full((90, 120, 3), 200, dtype=np.uint8))
    assert hash_parts(flat, hash_whole_picture(flat)) == ()


@pytest.mark.slow
def test_parts_inside_a_border_are_hashed_as_well(her_picture: Any) -> None:
    framed = picture(np.pad(her_picture, ((40, 40), (40, 40), (0, 0))))
    bare = picture(her_picture)
    assert len(hash_parts(bare, hash_whole_picture(bare))) == 8 * 313
    assert len(hash_parts(framed, hash_whole_picture(framed))) == 2 * 8 * 313


def test_edits_are_described_in_words() -> None:
    assert describe_edits("as it is") == "as it is"
    assert describe_edits("as it is", "", "cut-out") == "cut-out"
    assert describe_edits("mirror", "cut-out") == "mirror, cut-out"
