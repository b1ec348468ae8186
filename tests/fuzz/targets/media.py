"""Targets for our own parsers of media files, and for the answers of decoder processes.

Third-party code decodes pixels, frames and samples in sandboxed processes (docs/spec/pictures.md
section 7). Of these processes, the targets read only the answers.
"""

import io
import struct
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

import numpy as np
from PIL import Image, ImageCms

from entrenous.base.audio_video import (
    Clip,
    ClipFormat,
    Frame,
    FramePrediction,
    Silence,
    Sound,
    SoundEncoding,
    SoundFormat,
    SoundTiming,
)
from entrenous.base.errors import Malformed
from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.media.completeness import clip_container_of as clip_container
from entrenous.media.completeness import (
    complete_jpeg_outline_of,
    jpeg_outline_of,
    require_complete_file,
)
from entrenous.media.copies.copy_check import STRUCTURE_CHECKS_AND_DECODERS, check_structure
from entrenous.media.file_kind import is_animated, media_kind_of, picture_format_of
from entrenous.media.icc_profile import is_srgb, is_usual, parse_profile, write_profile
from entrenous.media.metadata import Metadata, read_metadata
from entrenous.media.picture_place import has_gps_place
from entrenous.media.picture_reader import _is_lossless_webp, _webp_size
from entrenous.media.png_animation import (
    default_image,
    first_shown_image,
    has_separate_default_image,
)
from entrenous.media.sandbox.confinement import Confinement
from entrenous.media.sandbox.decoder_messages import (
    read_clip_answer,
    read_picture_answer,
    read_ready_message,
    read_sound_answer,
    write_clip_answer,
    write_picture_answer,
    write_ready_message,
    write_sound_answer,
)
from entrenous.media.sandbox.decoder_messages import sound_container_of as sound_container
from tests.fuzz.target import Target, property_check
from tests.media.animated_png import png_with_separate_default_image
from tests.send.commands.hostile_files import valid_copies

_REFUSALS: Final = (Malformed, ValueError)
_PICTURE_FORMATS: Final = tuple(PictureFormat)


def _reader_from_pipe(data: bytes) -> Callable[[int], bytes]:
    """Return a function that reads the next ``size`` bytes of the data, as from a pipe."""
    at = 0

    def read(size: int) -> bytes:
        nonlocal at
        found = data[at : at + size]
        if len(found) < size:
            raise ValueError("the child ended early")
        at += size
        return found

    return read


def _check_file(untrusted: bytes) -> None:
    """Detect a picture's format by its first bytes, then check its structure."""
    media_kind_of(untrusted)
    kind = picture_format_of(untrusted)
    if kind is PictureFormat.JPEG:
        complete_jpeg_outline_of(untrusted)
    require_complete_file(kind, untrusted)
    if kind is PictureFormat.WEBP:
        _is_lossless_webp(untrusted)
        _webp_size(untrusted)


def _check_copy(untrusted: bytes) -> None:
    """Check the structure of a received file; the first byte gives its media type."""
    check_structure(
        untrusted[1:],
        list(STRUCTURE_CHECKS_AND_DECODERS)[untrusted[0] % len(STRUCTURE_CHECKS_AND_DECODERS)]
        if untrusted
        else "",
    )


def _copy_seeds() -> Iterable[bytes]:
    return [
        bytes([list(STRUCTURE_CHECKS_AND_DECODERS).index(kind)]) + data
        for kind, data in valid_copies().items()
    ]


def _has_jpeg_end(untrusted: bytes) -> bool:
    outline = jpeg_outline_of(untrusted)
    return untrusted[outline.end : outline.end + 2] == b"\xff\xd9"


def _does_profile_round_trip(untrusted: bytes) -> bool:
    """Return whether a colour profile is the same after it is written and parsed again."""
    numbers = parse_profile(untrusted)
    if numbers is None:
        return True
    is_srgb(numbers)
    is_usual(numbers)
    return parse_profile(write_profile(numbers)) == numbers


def _rewrite_picture_answer(untrusted: bytes) -> bytes:
    """Read an answer about a picture, and write it again; the first byte gives the format."""
    kind = (
        _PICTURE_FORMATS[untrusted[0] % len(_PICTURE_FORMATS)] if untrusted else PictureFormat.JPEG
    )
    picture = read_picture_answer(_reader_from_pipe(untrusted[1:]), kind, luma=True)
    return untrusted[:1] + b"".join(write_picture_answer(picture))


def _clip_answer_size(untrusted: bytes) -> int:
    return sum(len(frame.planes) for frame in read_clip_answer(_reader_from_pipe(untrusted)).frames)


def _rewrite_sound_answer(untrusted: bytes) -> bytes:
    return b"".join(write_sound_answer(read_sound_answer(_reader_from_pipe(untrusted))))


def _starts_with_result(untrusted: bytes, read: Callable[[bytes], bytes]) -> bool:
    return untrusted.startswith(read(untrusted))


def _round_trip_of_prefix(read: Callable[[bytes], bytes]) -> Callable[[bytes], Any]:
    """Return a check: the bytes that ``read`` returns must be the beginning of the input."""
    return property_check(lambda untrusted: _starts_with_result(untrusted, read), bool, _REFUSALS)


def _encode_picture(format_name: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 30, 90)).save(out, format_name, **options)
    return out.getvalue()


def _picture_seeds() -> Iterable[bytes]:
    return [
        _encode_picture("JPEG"),
        *(
            _encode_picture("JPEG", progressive=True),
            _encode_picture("PNG"),
            _encode_picture("GIF"),
            _encode_picture("BMP"),
        ),
        *(
            _encode_picture("WEBP"),
            _encode_picture("WEBP", lossless=True),
            _encode_picture("TIFF"),
            _encode_picture("AVIF"),
        ),
        _mp4_box(b"ftyp", b"heic\0\0\0\0mif1heic")
        + _mp4_box(b"meta")
        + _mp4_box(b"mdat", b"pixels"),
    ]


def _mp4_box(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def _animation_seeds() -> Iterable[bytes]:
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("teal", "plum")]
    for kind in ("GIF", "PNG", "WEBP", "AVIF"):
        file = io.BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=frames[1:])
        yield file.getvalue()
    yield from _picture_seeds()


def _are_plain_pngs(data: bytes) -> bool:
    made = (default_image(data), first_shown_image(data))
    return not any(has_separate_default_image(one) for one in made)


def _png_with_two_pictures() -> bytes:
    pixels = np.zeros((2, 2, 3), np.uint8)
    return png_with_separate_default_image(pixels, pixels)


def _clip_seeds() -> Iterable[bytes]:
    mp4 = _mp4_box(b"ftyp", b"isom\0\0\2\0isommp42") + _mp4_box(b"mdat", b"frames")
    return [
        mp4 + _mp4_box(b"moov", _mp4_box(b"mvhd", bytes(20)) + _mp4_box(b"udta", b"name")),
        b"\x1aE\xdf\xa3\x84webm\x18S\x80g\x84data",
        b"\x1aE\xdf\xa3\x84webm\x18S\x80g\x01\xff\xff\xff\xff\xff\xff\xffdata",
        b"RIFF\x08\0\0\0AVI LIST",
        struct.pack(">I4sQ", 1, b"moov", 24) + bytes(8),
    ]


def _picture_answer_seeds() -> Iterable[bytes]:
    table = (tuple(range(1, 65)), (1,) * 64)
    jpeg = PictureEncoding(PictureFormat.JPEG, tables=dict(enumerate(table)), subsampling="4:2:0")
    profile = write_profile(_srgb_numbers())
    png, jpg = PictureFormat.PNG, PictureFormat.JPEG
    for kind, alpha, icc in ((png, bytes(4), profile), (jpg, None, None)):
        encoding = jpeg if kind is jpg else PictureEncoding(kind)
        picture = Picture(2, 2, bytes(12), encoding, alpha, icc)
        yield bytes([_PICTURE_FORMATS.index(kind)]) + b"".join(write_picture_answer(picture))
    luma = Picture(2, 2, bytes(4), PictureEncoding(jpg, grey=True))
    yield bytes([_PICTURE_FORMATS.index(jpg)]) + b"".join(write_picture_answer(luma))
    yield from (b"\0N", b"\0M" + bytes(8), b"\0G")


def _srgb_numbers() -> Any:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return parse_profile(srgb)


def _profile_seeds() -> Iterable[bytes]:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return [srgb, write_profile(_srgb_numbers())]


def _clip_answer_seeds() -> Iterable[bytes]:
    frames = [Frame(place / 25, 4, 2, bytes(12), FramePrediction.FORWARD) for place in range(2)]
    clip = Clip(ClipFormat(4, 2, Fraction(25), 0.08), iter(frames))
    return [b"".join(write_clip_answer(clip)), b"L", b"M" + bytes(8), b"C"]


def _sound_answer_seeds() -> Iterable[bytes]:
    sound = Sound(16_000, 1, bytes(16), SoundEncoding(SoundFormat.OPUS, 24_000))
    with_timing = replace(sound, timing=SoundTiming(3, (Silence(0, 9), Silence(2, 1))))
    whole = [b"".join(write_sound_answer(one)) for one in (sound, with_timing)]
    return [*whole, b"N", b"U", b"L", b"G"]


def _place_seeds() -> Iterable[bytes]:
    """Yield pictures with a GPS position, in Exif or XMP, and some without one."""
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (50.0, 5.0, 1.0), 3: "E", 4: (14.0, 2.0, 3.0)})
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        yield _encode_picture(kind, exif=exif.tobytes())
    yield _encode_picture("WEBP", xmp=b"<x exif:GPSLatitude='50'/>")
    yield from _picture_seeds()


TARGETS: Final = (
    Target(
        "picture-place",
        property_check(has_gps_place, lambda result: result in (True, False, None)),
        _place_seeds,
    ),
    Target(
        "metadata",
        property_check(read_metadata, lambda result: isinstance(result, Metadata)),
        lambda: [
            *_place_seeds(),
            *_clip_seeds(),
            b"ID3\x04\0\0\0\0\0\x10TPE1\0\0\0\x04\0\0\x03Ana",
        ],
    ),
    Target("picture-walk", property_check(_check_file, lambda _: True), _picture_seeds),
    Target(
        "copy-form",
        property_check(_check_copy, lambda _: True),
        _copy_seeds,
        input_bytes_max=100_000,
    ),
    Target(
        "picture-moves",
        property_check(is_animated, lambda result: result in (True, False)),
        _animation_seeds,
    ),
    Target(
        "png-animation",
        property_check(_are_plain_pngs, bool),
        lambda: [*_animation_seeds(), _png_with_two_pictures()],
    ),
    Target("jpeg-outline", property_check(_has_jpeg_end, bool), lambda: list(_picture_seeds())[:2]),
    Target("colour-profile", property_check(_does_profile_round_trip, bool), _profile_seeds),
    Target("clip-walk", property_check(clip_container, bool), _clip_seeds, input_bytes_max=1024),
    Target(
        "sound-start",
        property_check(sound_container, bool),
        lambda: [b"OggS", b"RIFF\0\0\0\0WAVE", b"ID3", b"\xff\xf1", *_clip_seeds()],
        input_bytes_max=128,
    ),
    Target("picture-answer", _round_trip_of_prefix(_rewrite_picture_answer), _picture_answer_seeds),
    Target(
        "clip-answer",
        property_check(_clip_answer_size, lambda size: size >= 0, _REFUSALS),
        _clip_answer_seeds,
    ),
    Target("sound-answer", _round_trip_of_prefix(_rewrite_sound_answer), _sound_answer_seeds),
    Target(
        "child-ready",
        _round_trip_of_prefix(
            lambda data: write_ready_message(read_ready_message(_reader_from_pipe(data)))
        ),
        lambda: [write_ready_message(Confinement(0)), write_ready_message(Confinement(15))],
        input_bytes_max=2,
    ),
)
