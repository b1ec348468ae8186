"""Tests of ICC profiles that are kept without text, applied to the pixels, or dropped."""

import io
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from entrenous.media.icc_profile import MatrixProfile, is_srgb, parse_profile, write_profile
from entrenous.media.picture_reader import read_picture

EncodeImage = Callable[..., bytes]
UNIT_MATRIX = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
XYZ_STRUCT = struct.Struct(">3i")


def xyz_bytes(*numbers: float) -> bytes:
    return XYZ_STRUCT.pack(*(round(number * 65536) for number in numbers))


def gamma_curve(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


ADOBE_RGB = MatrixProfile(
    major=2,
    columns=(
        xyz_bytes(0.60974, 0.31111, 0.01947),
        xyz_bytes(0.20528, 0.62567, 0.06087),
        xyz_bytes(0.14919, 0.06322, 0.74457),
    ),
    curves=(gamma_curve(2.19921875),) * 3,
    white=xyz_bytes(0.95045, 1.0, 1.08905),
    adaptation=None,
)
SRGB_CURVE = b"para\0\0\0\0\0\3\0\0" + struct.pack(
    ">5i",
    *(round(number * 65536) for number in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)),
)
DISPLAY_P3 = MatrixProfile(
    major=4,
    columns=(
        xyz_bytes(0.51512, 0.24120, -0.00105),
        xyz_bytes(0.29198, 0.69225, 0.04189),
        xyz_bytes(0.15710, 0.06657, 0.78407),
    ),
    curves=(SRGB_CURVE,) * 3,
    white=xyz_bytes(0.96420, 1.0, 0.82491),
    adaptation=struct.pack(">9i", *range(9)),
)


def profile_with_planted_tags(profile: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return the profile with new or replaced tags, text in the header, and unused bytes."""
    (count,) = struct.unpack_from(">I", profile, 128)
    old = {}
    for index in range(count):
        name, at, size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        old[name] = profile[at : at + size]
    old |= tags
    table, body, start = struct.pack(">I", len(old)), b"nobody points here", 132 + 12 * len(old)
    for name, element in old.items():
        table += struct.pack(">4sII", name, start + len(body), len(element))
        body += element + b"PAD!"
    head = bytearray(profile[:128])
    head[4:8], head[24:36], head[48:56] = (
        b"SPYC",
        struct.pack(">6H", 2024, 5, 6, 7, 8, 9),
        b"SPYMSPYD",
    )
    head[80:100] = b"SPYXSPY profile id.."
    head[:4] = struct.pack(">I", len(head) + len(table) + len(body))
    return bytes(head) + table + body


@pytest.mark.parametrize("profile", [ADOBE_RGB, DISPLAY_P3])
def test_a_written_profile_reads_back_the_same(profile: MatrixProfile) -> None:
    data = write_profile(profile)
    assert parse_profile(data) == profile
    assert int.from_bytes(data[:4], "big") == len(data)
    assert write_profile(profile) == data


@pytest.mark.parametrize("profile", [ADOBE_RGB, DISPLAY_P3])
def test_little_cms_accepts_the_profile(profile: MatrixProfile) -> None:
    opened = ImageCms.ImageCmsProfile(io.BytesIO(write_profile(profile))).profile
    assert opened.is_matrix_shaper
    assert opened.profile_description == "Colour numbers"
    assert opened.copyright == "CC0"
    assert opened.xcolor_space == "RGB "


def test_only_colour_numbers_are_kept() -> None:
    planted_tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 20) + b"SPY Ana's own screen\0" + bytes(78),
        b"cprt": b"text\0\0\0\0SPY studio, 12 High Street\0",
        b"dmnd": b"text\0\0\0\0SPY maker\0",
        b"vcgt": b"SPY serial 12345",
        b"mmod": b"SPY 0x1234",
        b"rXYZ": b"XYZ \0SPY" + ADOBE_RGB.columns[0] + b"SPY more",
        b"rTRC": gamma_curve(2.19921875) + b"SPY tail",
    }
    numbers = parse_profile(profile_with_planted_tags(write_profile(ADOBE_RGB), planted_tags))
    assert numbers == ADOBE_RGB
    assert b"SPY" not in write_profile(numbers)


def test_reduced_and_original_profile_show_the_same_colours(photo: Image.Image) -> None:
    original = profile_with_planted_tags(write_profile(DISPLAY_P3), {b"dmnd": b"text\0\0\0\0SPY\0"})
    numbers = parse_profile(original)
    assert numbers is not None
    shown = [convert_to_srgb(photo, profile) for profile in (original, write_profile(numbers))]
    assert np.array_equal(shown[0], shown[1])
    assert not np.array_equal(shown[0], np.asarray(photo))


def convert_to_srgb(image: Image.Image, profile: bytes) -> NDArray[np.uint8]:
    srgb = ImageCms.createProfile("sRGB")
    shown = ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb)
    assert shown is not None
    return np.asarray(shown)


def test_every_variant_of_srgb_is_recognised() -> None:
    little_cms = parse_profile(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert little_cms is not None
    assert is_srgb(little_cms)
    table = [round(65535 * srgb_to_linear(step / 1023)) for step in range(1024)]
    sampled = b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *table)
    assert is_srgb(replace(little_cms, curves=(sampled,) * 3))
    assert not is_srgb(replace(little_cms, curves=(gamma_curve(2.2),) * 3))
    assert not is_srgb(replace(little_cms, curves=(gamma_curve(1.0),) * 3))
    assert not is_srgb(ADOBE_RGB)
    assert not is_srgb(DISPLAY_P3)


def srgb_to_linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


@given(st.binary(max_size=600), st.integers(0, 600))
def test_noise_in_a_profile_never_crashes_the_parser(noise: bytes, at: int) -> None:
    profile = bytearray(write_profile(DISPLAY_P3))
    profile[at : at + len(noise)] = noise
    numbers = parse_profile(bytes(profile))
    if numbers is not None:
        assert parse_profile(write_profile(numbers)) == numbers
        assert is_srgb(numbers) in (True, False)


@given(st.integers(0, 4), st.lists(st.integers(-(2**31), 2**31 - 1), min_size=7, max_size=7))
def test_arbitrary_parametric_curves_are_not_srgb(function: int, numbers: list[int]) -> None:
    count = (1, 3, 4, 5, 7)[function]
    curve = b"para\0\0\0\0" + struct.pack(f">HH{count}i", function, 0, *numbers[:count])
    assert not is_srgb(replace(DISPLAY_P3, curves=(curve,) * 3))


def test_colour_numbers_are_kept_and_an_srgb_profile_is_dropped(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    wide = profile_with_planted_tags(write_profile(ADOBE_RGB), {b"dmnd": b"text\0\0\0\0SPY\0"})
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        assert read_picture(encode_image(photo, kind, icc_profile=wide)).profile == write_profile(
            ADOBE_RGB
        )
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read_picture(encode_image(photo, "JPEG", icc_profile=srgb)).profile is None


@pytest.mark.parametrize("profile", [b"", b"x" * 200, write_profile(ADOBE_RGB)[:300]])
def test_a_broken_profile_is_dropped(
    profile: bytes, photo: Image.Image, encode_image: EncodeImage
) -> None:
    picture = read_picture(encode_image(photo, "PNG", icc_profile=profile))
    assert picture.profile is None
    assert picture.samples == photo.tobytes()


def test_grey_with_a_grey_profile_becomes_srgb_grey(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    """Values stored as linear light must come out brighter."""
    linear = profile_with_planted_tags(write_profile(ADOBE_RGB), {b"kTRC": gamma_curve(1.0)})
    linear = linear[:12] + b"mntrGRAYXYZ " + linear[24:]
    image = photo.convert("L")
    picture = read_picture(encode_image(image, "PNG", icc_profile=linear))
    assert picture.profile is None
    assert picture.encoding.grey
    want = [round(255 * min(linear_to_srgb(value / 255), 1.0)) for value in image.tobytes()]
    assert np.abs(np.asarray(picture)[:, :, 1].ravel() - np.array(want)).mean() < 1.0


def linear_to_srgb(light: float) -> float:
    return light * 12.92 if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def test_grey_with_a_colour_profile_becomes_srgb_grey(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    image = photo.convert("L")
    darker = replace(ADOBE_RGB, curves=(gamma_curve(3.0),) * 3)
    picture = read_picture(
        encode_image(image, "JPEG", quality=95, icc_profile=write_profile(darker))
    )
    assert picture.profile is None
    pixels = np.asarray(picture)
    assert np.array_equal(pixels[:, :, 0], pixels[:, :, 1])
    assert pixels.mean() < np.asarray(image).mean() - 10


def test_cmyk_is_converted_by_its_profile(photo: Image.Image, encode_image: EncodeImage) -> None:
    """With this profile, the first ink is shown as yellow and not as cyan."""
    image = Image.new("CMYK", photo.size, (255, 0, 0, 0))
    picture = read_picture(
        encode_image(image, "JPEG", quality=95, icc_profile=yellow_ink_profile())
    )
    assert picture.profile is None
    red, _, blue = np.asarray(picture).reshape(-1, 3).mean(axis=0)
    assert red - blue > 40


def yellow_ink_profile() -> bytes:
    """Return a CMYK profile in which paper without ink is yellow, and every ink makes it darker.

    The Lab table has 2 points per axis (``mft1``, ICC.1:2022, 10.11).
    """
    corners = b""
    for corner in range(16):
        ink = corner.bit_count() / 4
        corners += bytes((round(255 * 0.9 * (1 - ink)), 128, 128 + round(60 * (1 - ink))))
    identity = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + UNIT_MATRIX
    table += identity * 4 + corners + identity * 3
    data = profile_with_planted_tags(write_profile(ADOBE_RGB), {b"A2B0": table, b"A2B1": table})
    return data[:12] + b"prtrCMYKLab " + data[24:]


def test_colour_table_is_applied_to_the_pixels_and_dropped(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    """The profile's RGB table turns everything grey."""
    corners = b"".join(
        bytes((round(255 * corner.bit_count() / 3), 128, 128)) for corner in range(8)
    )
    identity = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes((3, 3, 2, 0)) + UNIT_MATRIX
    table += identity * 3 + corners + identity * 3
    data = profile_with_planted_tags(write_profile(ADOBE_RGB), {b"A2B0": table, b"A2B1": table})
    picture = read_picture(
        encode_image(photo, "PNG", icc_profile=data[:12] + b"mntrRGB Lab " + data[24:])
    )
    assert picture.profile is None
    pixels = np.asarray(picture).astype(int)
    assert np.abs(pixels[:, :, 0] - pixels[:, :, 2]).max() <= 6
