"""Tests of the size at which uploads are decoded before an answer and in dry runs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from entrenous.base.limits import PART_COMPARISON_SIDE_PX_MIN, WHOLE_COMPARISON_SIDE_PX_MIN
from entrenous.base.picture import Picture, PictureDecodingFailed
from entrenous.media.picture_reader import read_picture
from entrenous.stop.judge.dry_run import dry_run
from entrenous.stop.judge.scan import first_scan
from entrenous.stop.platform import Platform
from entrenous.stop.upload_record import Outcome
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload

PlatformWithSides = tuple[Platform, list[int]]


@pytest.fixture
def large_picture(her_picture: Any) -> Any:
    """Return ``her_picture``, enlarged to four times the width and height."""
    return np.repeat(np.repeat(her_picture, 4, axis=0), 4, axis=1)


def recording_platform(gate_setup: GateSetup) -> PlatformWithSides:
    """Return a platform and a list.

    Each decoding of an upload appends the requested minimum side, in pixels, to the list.
    """
    sides: list[int] = []

    def read_luma(untrusted_data: bytes, at_least_px: int) -> Picture:
        sides.append(at_least_px)
        return read_picture(untrusted_data, at_least_px=at_least_px, luma=True)

    return replace(gate_setup.platform, read_luma=read_luma), sides


@pytest.mark.slow
def test_whole_pictures_are_decoded_with_few_pixels(
    gate_setup: GateSetup, large_picture: Any
) -> None:
    platform, sides = recording_platform(gate_setup)
    gate_setup.protect(large_picture, parts=False)
    decision = judge_upload(jpeg(large_picture), platform)
    assert (decision.outcome, sides) == (Outcome.HOLD, [WHOLE_COMPARISON_SIDE_PX_MIN])
    assert decision.matches[0].distance <= 4


@pytest.mark.slow
def test_picture_with_a_border_is_decoded_with_more_pixels(
    gate_setup: GateSetup, large_picture: Any
) -> None:
    platform, sides = recording_platform(gate_setup)
    gate_setup.protect(large_picture, parts=False)
    decision = judge_upload(jpeg(np.pad(large_picture, ((90, 90), (200, 200), (0, 0)))), platform)
    assert (decision.outcome, sides) == (
        Outcome.HOLD,
        [WHOLE_COMPARISON_SIDE_PX_MIN, PART_COMPARISON_SIDE_PX_MIN],
    )
    assert decision.matches[0].how == "border removed"


def test_small_picture_with_a_border_is_decoded_once(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    platform, sides = recording_platform(gate_setup)
    small = jpeg(np.pad(her_picture[::4, ::4], ((20, 20), (20, 20), (0, 0))))
    _, seen = first_scan(small, platform)
    assert seen.has_border
    assert sides == [WHOLE_COMPARISON_SIDE_PX_MIN]


@pytest.mark.slow
def test_scan_for_parts_decodes_more_pixels(gate_setup: GateSetup, large_picture: Any) -> None:
    platform, sides = recording_platform(gate_setup)
    gate_setup.protect(large_picture, parts=True)
    assert not platform.index.find_near_hashes([bytes(32)], part=True)  # this look-up loads parts
    cut = large_picture[large_picture.shape[0] // 5 :, large_picture.shape[1] // 5 :]
    decision = judge_upload(jpeg(cut), platform)
    assert (decision.outcome, sides) == (Outcome.HOLD, [PART_COMPARISON_SIDE_PX_MIN])


@pytest.mark.slow
def test_parts_registered_while_judging_are_scanned_with_more_pixels(
    gate_setup: GateSetup, large_picture: Any
) -> None:
    platform, sides = recording_platform(gate_setup)
    cut = large_picture[large_picture.shape[0] // 5 :, large_picture.shape[1] // 5 :]
    index = _InterruptingIndex(
        platform.index, lambda: gate_setup.protect(large_picture, parts=True)
    )
    decision = judge_upload(jpeg(cut), replace(platform, index=index), "post 17")
    assert (decision.outcome, sides) == (
        Outcome.LET_THROUGH,
        [WHOLE_COMPARISON_SIDE_PX_MIN, PART_COMPARISON_SIDE_PX_MIN],
    )
    review = gate_setup.platform.reviews.next_waiting_upload()
    assert review is not None
    assert review.reference == "post 17"


@pytest.mark.slow
def test_dry_run_can_include_the_deferred_scan(gate_setup: GateSetup, large_picture: Any) -> None:
    platform, sides = recording_platform(gate_setup)
    whole: list[bytes] = []

    def read_whole(untrusted_data: bytes) -> Picture:
        whole.append(untrusted_data)
        return read_picture(untrusted_data)

    dry_run(jpeg(large_picture), replace(platform, read_picture=read_whole), deep=True)
    assert sides == [WHOLE_COMPARISON_SIDE_PX_MIN]
    assert whole == [jpeg(large_picture)]


@pytest.mark.slow
def test_upload_that_fails_to_decode_again_is_judged_by_the_first_scan(
    gate_setup: GateSetup, large_picture: Any
) -> None:
    def read_luma(untrusted_data: bytes, at_least_px: int) -> Picture:
        if at_least_px > WHOLE_COMPARISON_SIDE_PX_MIN:
            raise PictureDecodingFailed
        return read_picture(untrusted_data, at_least_px=at_least_px, luma=True)

    index = _InterruptingIndex(
        gate_setup.platform.index, lambda: gate_setup.protect(large_picture, parts=True)
    )
    platform = replace(gate_setup.platform, read_luma=read_luma, index=index)
    decision = judge_upload(jpeg(large_picture), platform, "post 17")
    assert decision.secret is not None
    # The whole picture, registered during the scan, matches.
    review = gate_setup.platform.reviews.next_waiting_upload()
    assert review is not None
    assert review.case == decision.case


class _InterruptingIndex:
    """An index that calls ``event`` before the second look-up of hashes of whole pictures."""

    def __init__(self, index: Any, event: Callable[[], object]) -> None:
        self._index, self._event, self._look_ups = index, event, 0

    def find_near_hashes(self, hashes: Any, *, part: bool) -> Any:
        self._look_ups += not part
        if self._look_ups == 2:
            self._look_ups += 1
            self._event()
        return self._index.find_near_hashes(hashes, part=part)

    def part_hash_count(self) -> int:
        return int(self._index.part_hash_count())
