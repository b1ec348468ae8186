"""Uploads that match a registered video as a whole, as a part, or not at all."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.fingerprint.nouns import (
    VIDEO_KIND,
    Match,
    NearHash,
    TrimmedView,
    VideoPrint,
    VideoView,
    VideoViews,
)
from entrenous.fingerprint.pdq import fingerprint
from entrenous.fingerprint.video_hash import differing_bits, make_video_fingerprint, video_views
from entrenous.media.sandbox.decoders import decode_clip_untrusted
from entrenous.stop.judge.clips import ClaimWithFrameTime, trimmed_hits, video_hits
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.registration import Claim, ClaimState
from tests.clips import decode_frames, encode_clip, hand_held_frames

pytestmark = pytest.mark.slow

RADIUS_BY_BANK = {PEOPLE_BANK: 31, BankName("other"): 10}
Rgb = Any


def video_claim(claim_id: str, bank: BankName = PEOPLE_BANK, kind: str = VIDEO_KIND) -> Claim:
    made_at = datetime(2026, 1, 2, tzinfo=UTC)
    return Claim(ClaimId(claim_id), bank, ClaimState.WAITING, kind, 100, made_at)


def near_hashes(views: VideoViews, hashes: Sequence[bytes], radius: int = 31) -> list[NearHash]:
    """Compare each view with each hash; return the pairs that differ in at most ``radius`` bits."""
    pairs = (
        NearHash(query, entry, differing_bits(one, other))
        for query, one in enumerate(views.hashes)
        for entry, other in enumerate(hashes)
    )
    return [pair for pair in pairs if pair.distance <= radius]


def matches_by_claim(upload: bytes, **registered: VideoPrint) -> dict[str, Match]:
    """Return an upload's match with each registered video that it matches."""
    with decode_clip_untrusted(upload) as clip:
        views = video_views(clip.frames, clip.shown.length_s)
    frames = [
        (video_claim(name), one) for name, video in registered.items() for one in video.frames
    ]
    places: dict[int, list[ClaimWithFrameTime]] = {
        entry: [(of, one.at_ms)] for entry, (of, one) in enumerate(frames)
    }
    hits = video_hits(
        views, near_hashes(views, [one.bits for _, one in frames]), places, RADIUS_BY_BANK
    )
    return {str(match.claim): match for match, _ in hits}


def video_print(data: bytes) -> VideoPrint:
    with decode_clip_untrusted(data) as clip:
        return make_video_fingerprint(clip.frames, clip.shown.length_s)


@pytest.fixture(scope="module")
def her_frames() -> list[Rgb]:
    shots = [
        hand_held_frames(name, seconds=3.0, size=(360, 270))
        for name in ("astronaut", "cat", "coffee")
    ]
    return [frame for shot in shots for frame in shot]


@pytest.fixture(scope="module")
def her_video(her_frames: list[Rgb]) -> bytes:
    return encode_clip(her_frames)


@pytest.fixture(scope="module")
def other_video() -> bytes:
    frames = [
        *hand_held_frames("rocket", seconds=3.0),
        *hand_held_frames("hubble_deep_field", seconds=3.0),
    ]
    return encode_clip(frames)


@pytest.fixture(scope="module")
def registered_videos(her_video: bytes, other_video: bytes) -> dict[str, VideoPrint]:
    return {"hers": video_print(her_video), "other": video_print(other_video)}


def scale_down(pixels: Rgb) -> Rgb:
    return cv2.resize(pixels, (240, 180), interpolation=cv2.INTER_AREA)


EDITS: dict[str, Callable[[list[Rgb]], bytes]] = {
    "as it is": lambda frames: encode_clip(map(scale_down, frames), crf="38"),
    "mirror": lambda frames: encode_clip(map(np.fliplr, frames), crf="30"),
    "turned 90": lambda frames: encode_clip(map(np.rot90, frames), crf="30"),
    "bars removed": lambda frames: encode_clip(
        [np.pad(one, ((45, 45), (0, 0), (0, 0))) for one in frames], crf="30"
    ),
}


@pytest.mark.parametrize("how", EDITS)
def test_re_encoded_excerpt_matches_as_the_whole_video(
    her_frames: list[Rgb], registered_videos: dict[str, VideoPrint], how: str
) -> None:
    found = matches_by_claim(EDITS[how](her_frames[20:80]), **registered_videos)
    assert set(found) == {"hers"}
    match = found["hers"]
    assert not match.part
    assert match.distance <= 24
    assert match.how.split(";")[0] == how


def test_another_frame_rate_still_matches(
    her_frames: list[Rgb], registered_videos: dict[str, VideoPrint]
) -> None:
    upload = her_frames[20:80:2]
    found = matches_by_claim(encode_clip(upload, fps=6), **registered_videos)
    assert not found["hers"].part


@pytest.mark.slow
def test_short_excerpt_in_another_video_matches_as_a_part(
    her_frames: list[Rgb], registered_videos: dict[str, VideoPrint]
) -> None:
    rest = hand_held_frames("retina", seconds=6.0, size=(360, 270))
    found = matches_by_claim(
        encode_clip([*rest, *her_frames[40:64], *rest]), hers=registered_videos["hers"]
    )
    assert found["hers"].part
    assert "from 6.0 s" in found["hers"].how


def test_unrelated_video_matches_nothing(
    registered_videos: dict[str, VideoPrint], other_video: bytes
) -> None:
    assert matches_by_claim(other_video, hers=registered_videos["hers"]) == {}
    assert (
        matches_by_claim(encode_clip([np.zeros((120, 160, 3), np.uint8)] * 20), **registered_videos)
        == {}
    )


def test_reversed_video_matches_as_a_part(
    her_frames: list[Rgb], registered_videos: dict[str, VideoPrint]
) -> None:
    found = matches_by_claim(encode_clip(her_frames[::-1]), **registered_videos)
    assert found["hers"].part


def test_registered_picture_in_a_video_matches_as_a_part(her_video: bytes) -> None:
    pixels = decode_frames(her_video)[50]
    height, width, _ = pixels.shape
    picture = Picture(width, height, pixels.tobytes(), PictureEncoding(PictureFormat.PNG))
    with decode_clip_untrusted(her_video) as clip:
        views = video_views(clip.frames)
    near = near_hashes(views, [fingerprint(picture).bits])
    ((match, _),) = video_hits(
        views, near, {0: [(video_claim("still", kind="pdq"), None)]}, RADIUS_BY_BANK
    )
    assert match.part
    assert match.distance <= 31


def synthetic_views(half_second_count: int) -> VideoViews:
    times = tuple(range(0, 500 * half_second_count, 500))
    hashes = tuple(bytes([n]) * 32 for n in range(half_second_count))
    return VideoViews(times, (VideoView("as it is", hashes), VideoView("mirror", hashes)))


def matches_of_frames(
    half_second_count: int,
    triples: Sequence[tuple[int, int, int]],
    *,
    bank: BankName = PEOPLE_BANK,
    bits: int = 8,
) -> list[Match]:
    """Match an upload of ``half_second_count`` half seconds.

    Each of the ``triples`` consists of the number of a view, the number of a frame of the upload,
    and the time of a matching frame of the claim in milliseconds.
    """
    near = [
        NearHash(view * half_second_count + frame, n, bits)
        for n, (view, frame, _) in enumerate(triples)
    ]
    places = {n: [(video_claim("hers", bank), at_ms)] for n, (_, _, at_ms) in enumerate(triples)}
    hits = video_hits(synthetic_views(half_second_count), near, places, RADIUS_BY_BANK)
    return [match for match, _ in hits]


def test_half_of_the_upload_in_order_matches_as_the_whole_video() -> None:
    assert not matches_of_frames(10, [(0, n, 500 * n) for n in range(5)])[0].part
    assert matches_of_frames(10, [(0, n, 500 * n) for n in range(4)])[0].part


def test_frames_of_different_views_are_counted_separately() -> None:
    (match,) = matches_of_frames(10, [(n % 2, n, 500 * n) for n in range(8)])
    assert match.part
    assert match.how.startswith("as it is; 4 of 10 half seconds")


def test_frames_out_of_order_match_as_a_part() -> None:
    assert matches_of_frames(8, [(0, n, 9000 - 500 * n) for n in range(8)])[0].part


def test_two_matching_half_seconds_match_as_a_part() -> None:
    assert matches_of_frames(2, [(0, 0, 0), (0, 1, 500)])[0].part
    # Eight frames of the upload match one frame of the claim.
    assert matches_of_frames(8, [(0, n, 1000) for n in range(8)])[0].part


def test_bank_radius_limits_video_matches() -> None:
    pairs = [(0, n, 500 * n) for n in range(5)]
    assert matches_of_frames(5, pairs, bank=BankName("other"), bits=10)
    assert matches_of_frames(5, pairs, bank=BankName("other"), bits=11) == []


def test_entry_without_a_claim_is_ignored() -> None:
    assert video_hits(synthetic_views(4), [NearHash(0, 99, 2)], {}, RADIUS_BY_BANK) == []


@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 11), st.integers(0, 30)), max_size=40),
)
def test_whole_match_needs_half_of_the_upload_in_one_view(
    count: int, frames_and_times: list[tuple[int, int, int]]
) -> None:
    pairs = [(view, frame, 500 * at) for view, frame, at in frames_and_times if frame < count]
    for match in matches_of_frames(count, pairs):
        seen = [{frame for view, frame, _ in pairs if view == one} for one in (0, 1)]
        assert match.part or max(map(len, seen)) >= max(3, count / 2)


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 9)), min_size=1, max_size=10))
def test_whole_match_depends_on_the_longest_chain_in_order(
    frames_and_times: list[tuple[int, int]],
) -> None:
    """The expected length comes from a search through all chains."""
    by_frame: dict[int, set[int]] = {}
    for frame, at in frames_and_times:
        by_frame.setdefault(frame, set()).add(at)

    def longest_chain(frames: list[int], floor: int) -> int:
        if not frames:
            return 0
        first, *rest = frames
        taken = [at for at in by_frame[first] if at >= floor]
        return max([longest_chain(rest, floor), *(1 + longest_chain(rest, at) for at in taken)])

    length = longest_chain(sorted(by_frame), 0)
    (match,) = matches_of_frames(12, [(0, frame, at) for frame, at in frames_and_times])
    assert match.part or length >= 6
    if length >= 6 and len({at for _, at in frames_and_times}) >= 3:
        assert not match.part


def matches_of_trimmed_frames(
    views: Sequence[tuple[str, int]], times_ms: Sequence[int], bits: int = 8
) -> list[Match]:
    """Match views of an upload with frames of a claim.

    For each view, ``views`` contains the name of an edit and the number of a half second, and
    ``times_ms`` contains the time of the claim's frame that the view resembles.
    """
    seen = tuple(TrimmedView(500 * moment, how, bytes(32)) for how, moment in views)
    upload_views = VideoViews(tuple(range(0, 4000, 500)), (), seen)
    near = [NearHash(n, n, bits) for n in range(len(seen))]
    places = {n: [(video_claim("hers"), at_ms)] for n, at_ms in enumerate(times_ms)}
    return [match for match, _ in trimmed_hits(upload_views, near, places, RADIUS_BY_BANK)]


def test_trimmed_frames_need_two_half_seconds_to_match() -> None:
    (match,) = matches_of_trimmed_frames(
        [("mirror, edges cut", 1), ("mirror, edges cut", 3)], [500, 1500]
    )
    assert match.part
    assert match.how == "mirror, edges cut; 2 of 8 half seconds, from 0.5 s"
    assert matches_of_trimmed_frames([("edges cut", 1), ("edges cut", 1)], [500, 1500]) == []
    assert matches_of_trimmed_frames([("edges cut", 1), ("edges cut", 2)], [500, 500]) == []
    assert matches_of_trimmed_frames([("edges cut", 1), ("mirror, edges cut", 2)], [500, 900]) == []
    assert (
        matches_of_trimmed_frames([("edges cut", 1), ("edges cut", 2)], [500, 900], bits=32) == []
    )
