"""Tests of a thumbnail's anchors: the nearest anchor, and the anchor with the most matches."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from entrenous.trace.clip_candidates import Anchor, ClipCandidate
from entrenous.trace.clip_frame import _anchor_thumbnail_mask

THUMBNAIL_TIMES_S = np.arange(0.0, 30.0, 0.125)


def clip_with_thumbnails() -> ClipCandidate:
    return cast(ClipCandidate, SimpleNamespace(thumb_times=THUMBNAIL_TIMES_S))


def anchor(clip: ClipCandidate, at_s: float, agreeing: int) -> Anchor:
    key: Any = SimpleNamespace(at_s=at_s)
    return Anchor(clip, 0, key, np.eye(3), agreeing)


def test_anchors_at_distant_times_have_thumbnails_of_their_own() -> None:
    clip = clip_with_thumbnails()
    surest, other = anchor(clip, 1.0, 300), anchor(clip, 19.0, 100)
    assert _anchor_thumbnail_mask(surest, [surest, other])[8]
    assert _anchor_thumbnail_mask(other, [surest, other])[19 * 8]
    assert not _anchor_thumbnail_mask(surest, [surest, other])[10 * 8]


def test_anchor_with_most_matches_is_used_beside_a_nearer_one() -> None:
    clip = clip_with_thumbnails()
    sure, near = anchor(clip, 1.0, 300), anchor(clip, 3.0, 12)
    at_s = int(2.9 * 8)
    assert _anchor_thumbnail_mask(sure, [sure, near])[at_s]
    assert _anchor_thumbnail_mask(near, [sure, near])[at_s]


@given(st.lists(st.tuples(st.integers(0, 29), st.integers(12, 500)), min_size=1, max_size=60))
def test_each_thumbnail_within_reach_has_one_or_two_anchors(
    keys: list[tuple[int, int]],
) -> None:
    clip = clip_with_thumbnails()
    likely = [anchor(clip, float(at_s), agreeing) for at_s, agreeing in keys]
    anchor_counts = np.sum([_anchor_thumbnail_mask(one, likely) for one in likely], axis=0)
    within = (
        np.abs(THUMBNAIL_TIMES_S[:, None] - np.array([at_s for at_s, _ in keys])).min(axis=1) <= 3.0
    )
    assert anchor_counts.max() <= 2
    assert np.array_equal(anchor_counts > 0, within)
