"""Tests of ``media_kind_of``: texts, QuickTime and MP4 files, and a video in an Ogg file."""

import pytest

from entrenous.base.audio_video import DamagedSound
from entrenous.base.picture import MediaKind
from entrenous.media.file_kind import media_kind_of
from entrenous.media.sound_reader import read_sound
from tests.clips import encode_clip, hand_held_frames, sound_only_clip


@pytest.mark.parametrize(
    "text",
    [
        "a letter".encode("utf-16"),
        b"Get free tickets for the concert on Saturday",
        b"The wide river",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_a_text_is_neither_a_clip_nor_a_sound(text: bytes) -> None:
    assert media_kind_of(text) is MediaKind.PICTURE


def test_quicktime_and_mp4_containers_are_clips() -> None:
    film = encode_clip(hand_held_frames(seconds=0.5), container="mov")
    assert media_kind_of(film) is MediaKind.CLIP
    without_ftyp_box = film[int.from_bytes(film[:4], "big") :]
    assert media_kind_of(without_ftyp_box) is MediaKind.CLIP
    assert media_kind_of(sound_only_clip()) is MediaKind.CLIP


def test_video_in_an_ogg_file_is_refused() -> None:
    film = encode_clip(hand_held_frames(seconds=0.5), codec="libvpx", container="ogg")
    assert media_kind_of(film) is MediaKind.SOUND
    with pytest.raises(DamagedSound):
        read_sound(film)
