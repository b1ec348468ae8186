"""Tests of the copy check: our writers' files are accepted, and hostile files are rejected."""

import io
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from entrenous.base.audio_video import (
    ClipFormat,
    ColourSpace,
    FramePrediction,
    Silence,
    Sound,
    SoundEncoding,
    SoundFormat,
    SoundTiming,
)
from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.media.clip_writer import ClipSoundTrack, ClipWriter
from entrenous.media.copies.copy_check import STRUCTURE_CHECKS_AND_DECODERS, check_copy
from entrenous.media.copies.cursor import NotACopy
from entrenous.media.picture_reader import read_picture
from entrenous.media.picture_writer import write_picture
from entrenous.media.sound_writer import write_sound, written_format
from tests.send.commands.hostile_files import make_hostile_files, valid_copies

pytestmark = pytest.mark.slow

PICTURE_SIZES = ((1, 1), (8, 8), (7, 33), (100, 75))
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {},
    "JPEG coarse": {"quality": 30},
    "JPEG 4:4:4": {"quality": 95, "subsampling": 0},
    "JPEG 4:2:2": {"quality": 90, "subsampling": 1},
    "JPEG progressive": {"progressive": True},
    "PNG": {},
    "WEBP": {},
    "WEBP coarse": {"quality": 20},
    "WEBP lossless": {"lossless": True},
    "AVIF": {},
}
COLOUR_MODES = ("RGB", "L", "RGBA", "LA", "P")


def is_accepted_copy(data: bytes, media_type: str) -> bool:
    try:
        for _ in check_copy(data, media_type):
            pass
    except NotACopy:
        return False
    return True


def sample_pixels(width: int, height: int) -> dict[str, np.ndarray[Any, np.dtype[np.uint8]]]:
    """Return flat, noisy, smooth and mixed pixels, by name."""
    rng = np.random.default_rng(width * height)
    noise = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    flat = np.full((height, width, 3), (10, 200, 30), np.uint8)
    slope = np.add.outer(np.arange(height), np.arange(width)) * 255 // (height + width)
    mixed = flat.copy()
    mixed[: height // 2] = noise[: height // 2]
    smooth = np.stack([slope, slope[::-1], 255 - slope], 2).astype(np.uint8)
    return {"flat": flat, "noise": noise, "smooth": smooth, "mixed": mixed}


@pytest.mark.parametrize("encoding_name", SAVE_OPTIONS)
def test_every_written_picture_is_accepted(encoding_name: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB", 5000)).tobytes()
    rejected = list[object]()
    for size in PICTURE_SIZES:
        for what, samples in sample_pixels(*size).items():
            for mode in COLOUR_MODES:
                image = Image.fromarray(np.ascontiguousarray(samples)).convert(mode)
                if encoding_name.startswith("JPEG") and mode not in {"RGB", "L"}:
                    continue
                file, kind = io.BytesIO(), encoding_name.split(maxsplit=1)[0]
                image.save(file, kind, **SAVE_OPTIONS[encoding_name], icc_profile=profile)
                picture = read_picture(file.getvalue())
                for finer in (0, 5):
                    copy = write_picture(picture, finer=finer)
                    if not is_accepted_copy(copy, picture.encoding.format.copy_format.media_type):
                        rejected.append((size, what, mode, finer))
    assert rejected == []


def test_jpeg_with_two_byte_quantization_tables_is_accepted() -> None:
    table = (1,) * 63 + (1_700,)
    encoding = PictureEncoding(PictureFormat.JPEG, tables={0: table, 1: table}, subsampling="4:2:0")
    noise = sample_pixels(100, 75)["noise"]
    copy = write_picture(Picture(100, 75, noise.tobytes(), encoding))
    assert b"\xff\xc1" in copy[:400]
    assert is_accepted_copy(copy, "image/jpeg")


@pytest.mark.parametrize("deep", [False, True], ids=["16 bits", "24 bits"])
@pytest.mark.parametrize("kind", SoundFormat)
def test_every_written_sound_is_accepted(kind: SoundFormat, *, deep: bool) -> None:
    rng = np.random.default_rng(5)
    rejected = list[object]()
    for rate, channels, seconds in ((8000, 1, 0.3), (44_100, 2, 1.5), (48_000, 1, 2.5)):
        times = np.arange(int(rate * seconds)) / rate
        for what, wave in {
            "tone": 0.4 * np.sin(times * 2800),
            "noise": rng.normal(size=times.size) * 0.2,
            "silence": 0.0 * times,
        }.items():
            samples = np.repeat(wave[:, None], channels, 1).astype(np.float32)
            for bits in (6000, 32_000, 900_000):
                encoding = SoundEncoding(kind, bits, deep)
                sound = Sound(rate, channels, samples.tobytes(), encoding)
                if not is_accepted_copy(
                    write_sound(sound, samples), written_format(encoding).media_type
                ):
                    rejected.append((rate, channels, what, bits))
    assert rejected == []


SOUND_TRACKS = {
    "silent": None,
    "mono": ClipSoundTrack(np.full((8000, 1), 0.1, np.float32), 8000),
    "stereo": ClipSoundTrack(np.full((96_000, 2), 0.1, np.float32), 48_000),
    "ahead": ClipSoundTrack(
        np.full((48_000, 1), 0.1, np.float32), 16_000, SoundTiming(9000, (Silence(3, 700),))
    ),
}


@pytest.mark.parametrize("track", SOUND_TRACKS)
def test_every_written_clip_is_accepted(track: str) -> None:
    rng = np.random.default_rng(7)
    orders = {
        "unknown": (FramePrediction.UNKNOWN,),
        "with B": (
            FramePrediction.WHOLE,
            FramePrediction.BOTH_WAYS,
            FramePrediction.BOTH_WAYS,
            FramePrediction.FORWARD,
        ),
        "whole": (FramePrediction.WHOLE,),
    }
    rejected = list[object]()
    for colours in (ColourSpace(), ColourSpace(1, 1, 1), ColourSpace(9, 9, 16)):
        for aspect in (Fraction(1), Fraction(4, 3)):
            for order, coded in orders.items():
                shown = ClipFormat(64, 34, Fraction(30_000, 1001), 1.0, colours, aspect)
                writer = ClipWriter(shown, 17.5, SOUND_TRACKS[track])
                for place in range(13):
                    luma = rng.integers(0, 255, (34, 64), dtype=np.uint8)
                    chroma = np.full(64 * 34 // 2, 128, np.uint8)
                    at_s = place / 29.97 + 0.011 * (place % 3)
                    writer.add(luma, chroma, at_s, coded[place % len(coded)])
                if not is_accepted_copy(writer.finish(), "video/mp4"):
                    rejected.append((colours, aspect, order))
    assert rejected == []


def test_every_checked_media_type_has_a_valid_example() -> None:
    assert set(valid_copies()) == set(STRUCTURE_CHECKS_AND_DECODERS)


@pytest.mark.threat("hostile-files")
def test_hostile_files_are_rejected() -> None:
    passed = [what for what, kind, data in make_hostile_files(1500) if is_accepted_copy(data, kind)]
    assert passed == []
