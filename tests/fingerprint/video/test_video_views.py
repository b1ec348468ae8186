"""Tests of the views of an uploaded video: edits that a view undoes, bars, and cut edges."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.base.audio_video import Frame
from entrenous.fingerprint.nouns import VideoPrint, VideoViews
from entrenous.fingerprint.video_hash import (
    BarDetector,
    differing_bits,
    make_video_fingerprint,
    video_views,
)

MakeFrames = Callable[[Any, float], list[Frame]]


def matching_share_by_view(upload: VideoViews, registered: VideoPrint) -> dict[str, float]:
    """Return, for each view, the share of the upload's half seconds that have a matching frame.

    A frame matches if its hash is near a registered hash.
    """
    return {
        view.how: len(
            {
                upload.half_second_of_frame(frame)
                for frame, one in enumerate(view.hashes)
                if min(differing_bits(one, bits) for bits in registered.hashes) <= 31
            }
        )
        / upload.half_second_count
        for view in upload.views
    }


EDITS: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda pixels: pixels,
    "mirror": np.fliplr,
    "turned 180": lambda pixels: np.rot90(pixels, 2),
    "turned 90": np.rot90,
    "bars removed": lambda pixels: np.pad(pixels, ((40, 40), (0, 0), (0, 0))),
    "mirror, bars removed": lambda pixels: np.pad(np.fliplr(pixels), ((0, 0), (30, 50), (0, 0))),
}


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS)
def test_the_view_that_reverses_the_edit_matches(
    scene: Any, make_frames: MakeFrames, edit: str
) -> None:
    registered = make_video_fingerprint(make_frames(scene, 12.0))
    upload = video_views(make_frames([EDITS[edit](pixels) for pixels in scene], 12.0))
    shares = matching_share_by_view(upload, registered)
    assert max(shares, key=shares.__getitem__) == edit
    assert shares[edit] >= 0.9
    assert sorted(shares.values())[-2] <= 0.5


@pytest.mark.slow
def test_another_video_matches_in_no_view(
    scene: Any, another_scene: Any, make_frames: MakeFrames
) -> None:
    registered = make_video_fingerprint(make_frames(scene, 12.0))
    assert set(
        matching_share_by_view(video_views(make_frames(another_scene, 12.0)), registered).values()
    ) == {0.0}


def test_without_bars_there_are_eight_views(scene: Any, make_frames: MakeFrames) -> None:
    upload = video_views(make_frames(scene[:30], 12.0))
    assert len(upload.views) == 8
    assert len(upload.hashes) == 8 * len(upload.at_ms)
    assert upload.view_and_frame(len(upload.at_ms) + 1) == (1, 1)


def test_flat_videos_have_no_view(make_frames: MakeFrames) -> None:
    assert video_views([]) == VideoViews((), ())
    assert video_views(make_frames([np.zeros((90, 160, 3), np.uint8)] * 20, 12.0)) == VideoViews(
        (), ()
    )


def test_a_dark_frame_does_not_widen_the_bars(scene: Any, make_frames: MakeFrames) -> None:
    barred = np.pad(scene[0], ((40, 40), (0, 0), (0, 0)))
    dark = barred.copy()
    dark[:180] = 0
    bars = BarDetector()
    left = [
        bars.update_and_remove_bars(np.asarray(one))
        for one in make_frames([dark, barred, dark], 12.0)
    ]
    assert [None if one is None else one.shape for one in left] == [
        (100, 320),
        (240, 320),
        (240, 320),
    ]


def test_no_bars_are_detected_in_a_video_without_bars(scene: Any, make_frames: MakeFrames) -> None:
    bars = BarDetector()
    assert all(
        bars.update_and_remove_bars(np.asarray(one)) is None
        for one in make_frames(scene[:12], 12.0)
    )
    assert BarDetector().update_and_remove_bars(np.zeros((90, 160), np.uint8)) is None


@given(st.binary(min_size=96, max_size=96), st.sampled_from([(8, 8), (16, 4), (4, 16), (2, 32)]))
@settings(max_examples=50)
def test_any_small_frame_is_handled(planes: bytes, size: tuple[int, int]) -> None:
    frame = Frame(0.0, *size, planes)
    upload = video_views([frame])
    assert len(upload.at_ms) in (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("cut_share", [0.02, 0.05, 0.07])
def test_cut_edges_are_found_by_the_inner_hashes(
    scene: Any, make_frames: MakeFrames, cut_share: float
) -> None:
    registered = make_video_fingerprint(make_frames(scene, 12.0), parts=True)
    assert len(registered.inner) == len(registered.frames)
    rng = np.random.default_rng(round(100 * cut_share))
    height, width = scene[0].shape[:2]
    tall, wide = int((1 - cut_share) * height) & ~1, int((1 - cut_share) * width) & ~1
    top, left = (
        int(rng.uniform(max(0.0, cut_share - 0.04), min(cut_share, 0.04)) * n)
        for n in (height, width)
    )
    cut = [pixels[top : top + tall, left : left + wide] for pixels in scene]
    upload = video_views(make_frames([np.fliplr(one) for one in cut], 12.0), len(scene) / 12.0)
    matches = {
        (view.how, view.at_ms // 500)
        for view in upload.trimmed
        if min(differing_bits(view.bits, bits) for bits in registered.inner) <= 31
    }
    assert {edit for edit, _ in matches} == {"mirror, edges cut"}
    assert len(matches) >= 4


@pytest.mark.slow
def test_trimmed_views_are_few_and_spread_over_time(scene: Any, make_frames: MakeFrames) -> None:
    upload = video_views(make_frames(scene, 12.0), len(scene) / 12.0)
    half_seconds = sorted({view.at_ms // 500 for view in upload.trimmed})
    assert len(half_seconds) == 8
    assert half_seconds[-1] >= 14
    silent = video_views(make_frames(scene, 12.0))  # no length is given
    assert {view.at_ms // 500 for view in silent.trimmed} == set(range(8))


def test_fingerprint_has_no_inner_hashes_by_default(scene: Any, make_frames: MakeFrames) -> None:
    assert make_video_fingerprint(make_frames(scene[:12], 12.0)).inner == ()
