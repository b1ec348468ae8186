"""Tests of ``media_kind_of``: clips and sounds, and ordinary files that begin in a similar way."""

import pytest

from entrenous.base.audio_video import DamagedSound
from entrenous.base.picture import MediaKind
from entrenous.media.file_kind import media_kind_of
from entrenous.media.sound_reader import read_sound
from entrenous.stop.client.uploaded_files import is_media
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


def make_box(name: bytes, content: bytes = b"", *, is_long: bool = False) -> bytes:
    if is_long:
        return b"\0\0\0\1" + name + (16 + len(content)).to_bytes(8) + content
    return (8 + len(content)).to_bytes(4) + name + content


@pytest.mark.parametrize(
    "start",
    [
        make_box(b"skip", bytes(16)),
        make_box(b"abcd", bytes(16)),
        make_box(b"\0\1\2\3", bytes(5000)),
        make_box(b"uuid", bytes(16), is_long=True),
        make_box(b"free") * 100 + make_box(b"junk", b"x"),
        make_box(b"skip") * 20_000,
    ],
)
@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_film_after_boxes_that_players_skip_is_a_clip(start: bytes, container: str) -> None:
    film = encode_clip(hand_held_frames(seconds=0.5), container=container)
    without_ftyp_box = film[int.from_bytes(film[:4], "big") :]
    assert media_kind_of(start + film) is MediaKind.CLIP
    assert media_kind_of(start + without_ftyp_box) is MediaKind.CLIP


def test_sound_after_an_ape_tag_is_a_sound() -> None:
    assert media_kind_of(b"APETAGEX" + bytes(24) + b"\xff\xfb\x90\x44") is MediaKind.SOUND


ORDINARY_STARTS = {
    "zeros": bytes(4000),
    "ZIP, office file": b"PK\3\4\x14\0\6\0\x08\0\0\0!\0" + b"[Content_Types].xml" * 99,
    "PDF": b"%PDF-1.7\n" + b"ftyp moov mdat" * 99,
    "text": b"ftyp, moov and mdat\n" * 99,
    "UTF-16": "moov, mdat and ftyp\n".encode("utf-16-be") * 99,
    "UTF-32": "moov, mdat and ftyp\n".encode("utf-32-be") * 99,
    "CSV": b"\n\n1,2,3,4\n" * 99,
    "TrueType font": b"\0\1\0\0\0\x0f\0\x80\0\3\0pGDEF" + b"\0\0\0\x10glyf" * 99,
    "Access database": b"\0\1\0\0Standard Jet DB\0" + bytes(4096),
    "colour profile": b"\0\0\x0c\x48Lino\2\x10\0\0mntrRGB XYZ " + bytes(3000),
    "WebAssembly": b"\0asm\1\0\0\0" + bytes(999),
    "Java class": b"\xca\xfe\xba\xbe\0\0\0\x41" + bytes(999),
    "gRPC": b"\0\0\0\0\x10" + b"abcdefghijklmnop" * 9,
    "XDR": b"\0\0\0\4abcd\0\0\0\4ftyp" * 99,
    "box without a next one": make_box(b"abcd", bytes(16)),
}


@pytest.mark.parametrize("name", ORDINARY_STARTS)
def test_ordinary_file_is_neither_a_clip_nor_a_sound(name: str) -> None:
    data = ORDINARY_STARTS[name]
    assert media_kind_of(data) is MediaKind.PICTURE
    assert not is_media(data)


@pytest.mark.parametrize("start", [b"\0\0\0\x0cjP  \r\n\x87\n", b"\0\0\0\x0cJXL \r\n\x87\n"])
def test_picture_whose_second_box_is_ftyp_is_no_clip(start: bytes) -> None:
    data = start + make_box(b"ftyp", start[4:8].lower() + bytes(4))
    assert media_kind_of(data) is MediaKind.PICTURE


def test_video_in_an_ogg_file_is_refused() -> None:
    film = encode_clip(hand_held_frames(seconds=0.5), codec="libvpx", container="ogg")
    assert media_kind_of(film) is MediaKind.SOUND
    with pytest.raises(DamagedSound):
        read_sound(film)
