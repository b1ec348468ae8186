"""Tests of the checks of values in fingerprints of videos and sounds."""

import pytest

from entrenous.fingerprint.nouns import (
    REGISTERED_FRAMES_MAX,
    SOUND_WORDS_MAX,
    FramePrint,
    SoundPrint,
    VideoPrint,
    VideoView,
    VideoViews,
)

ZERO_HASH = bytes(32)


@pytest.mark.parametrize(
    ("at_ms", "bits", "quality", "inner"),
    [
        (-1, ZERO_HASH, 50, None),
        (3_600_001, ZERO_HASH, 50, None),
        (0, ZERO_HASH[1:], 50, None),
        (0, ZERO_HASH, 101, None),
        (0, ZERO_HASH, 50, b""),
    ],
)
def test_an_impossible_frame_is_refused(
    at_ms: int, bits: bytes, quality: int, inner: bytes | None
) -> None:
    with pytest.raises(ValueError, match=r"frame|hash"):
        FramePrint(at_ms, bits, quality, inner)


def test_frames_are_in_order_and_limited_in_number() -> None:
    frames = tuple(FramePrint(at_ms, ZERO_HASH, 60) for at_ms in range(REGISTERED_FRAMES_MAX + 1))
    assert len(VideoPrint(frames[:-1]).hashes) == REGISTERED_FRAMES_MAX
    for wrong in ((), frames, frames[1::-1], (frames[0], frames[0])):
        with pytest.raises(ValueError, match="frames"):
            VideoPrint(wrong)


def test_a_view_has_a_hash_for_every_frame() -> None:
    with pytest.raises(ValueError, match="one hash per frame"):
        VideoViews((0, 250), (VideoView("as it is", (ZERO_HASH,)),))
    assert (
        VideoViews((0, 250, 700), (VideoView("as it is", (ZERO_HASH,) * 3),)).half_second_count == 2
    )


@pytest.mark.parametrize("words", [b"", bytes(3), bytes(4 * SOUND_WORDS_MAX + 4)])
def test_a_sound_with_an_invalid_number_of_words_is_refused(words: bytes) -> None:
    with pytest.raises(ValueError, match="words"):
        SoundPrint(words)
