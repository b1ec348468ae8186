"""Tests of written pictures: pixels, JPEG tables, alpha, profiles, and the parts of a file."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.media.icc_profile import write_profile
from entrenous.media.picture_reader import read_picture
from entrenous.media.picture_writer import FALLBACK_QUALITY, write_picture
from tests.media.test_icc_profile import ADOBE_RGB

EncodeImage = Callable[..., bytes]
FILE_NAMES = [
    "jpeg",
    "jpeg-progressive",
    "jpeg-cmyk",
    "jpeg-grey",
    "png",
    "png-palette",
    "webp",
    "webp-lossless",
    "heic",
    "avif",
    "gif",
    "tiff",
    "tiff-lzw",
    "bmp",
]
WIDE_GAMUT_PROFILE = write_profile(ADOBE_RGB)


@pytest.mark.parametrize("name", FILE_NAMES)
def test_copy_resembles_the_picture_and_has_its_copy_format(
    name: str, picture_files: dict[str, bytes]
) -> None:
    picture = read_picture(picture_files[name])
    copy = read_picture(write_picture(picture))
    assert copy.encoding.format is picture.encoding.format.copy_format
    assert (copy.width_px, copy.height_px) == (picture.width_px, picture.height_px)
    assert copy.encoding.grey == picture.encoding.grey
    distance = np.abs(np.asarray(copy).astype(int) - np.asarray(picture)).mean()
    lossless = copy.encoding.format is PictureFormat.PNG or copy.encoding.lossless
    assert distance <= (0.0 if lossless else 2.5)


@pytest.mark.parametrize("name", FILE_NAMES)
def test_the_same_picture_gives_the_same_bytes(name: str, picture_files: dict[str, bytes]) -> None:
    assert write_picture(read_picture(picture_files[name])) == write_picture(
        read_picture(picture_files[name])
    )


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("quality", [76, 88, 97])
def test_good_jpeg_tables_are_kept(
    quality: int, subsampling: str, photo: Image.Image, encode_image: EncodeImage
) -> None:
    picture = read_picture(encode_image(photo, "JPEG", quality=quality, subsampling=subsampling))
    assert read_picture(write_picture(picture)).encoding == picture.encoding


def test_coarse_jpeg_tables_are_replaced(photo: Image.Image, encode_image: EncodeImage) -> None:
    picture = read_picture(encode_image(photo, "JPEG", quality=40, subsampling="4:2:0"))
    copy = read_picture(write_picture(picture))
    want = read_picture(encode_image(photo, "JPEG", quality=FALLBACK_QUALITY, subsampling="4:2:0"))
    assert copy.encoding == want.encoding


def test_extreme_jpeg_tables_are_handled(photo: Image.Image) -> None:
    """ITU-T T.81 allows quantization values up to 65,535."""
    for table in ((65_535,) * 64, (1,) * 63 + (1_700,), (1,) * 64):
        encoding = PictureEncoding(
            PictureFormat.JPEG, tables={0: table, 1: table}, subsampling="4:2:0"
        )
        picture = Picture(photo.width, photo.height, photo.tobytes(), encoding)
        assert read_picture(write_picture(picture)).width_px == photo.width


def test_replacement_pixels_are_written(picture_files: dict[str, bytes]) -> None:
    picture = read_picture(picture_files["png"])
    pixels = 255 - np.asarray(picture)
    assert np.array_equal(np.asarray(read_picture(write_picture(picture, pixels))), pixels)
    mirrored = pixels[:, ::-1]  # a view with negative strides
    assert np.array_equal(np.asarray(read_picture(write_picture(picture, mirrored))), mirrored)


def test_pixels_of_another_shape_or_type_are_refused(picture_files: dict[str, bytes]) -> None:
    picture = read_picture(picture_files["png"])
    for pixels in (np.zeros((1, 1, 3), np.uint8), np.zeros((120, 160), np.uint8)):
        with pytest.raises(ValueError, match="height x width x 3"):
            write_picture(picture, pixels)
    with pytest.raises(ValueError, match="uint8"):
        write_picture(picture, np.zeros((120, 160, 3)))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_written(
    kind: str, mode: str, photo: Image.Image, encode_image: EncodeImage
) -> None:
    image = photo.convert(mode)
    image.putalpha(Image.radial_gradient("L").resize(photo.size))
    picture = read_picture(
        encode_image(image, kind, **({"lossless": True} if kind == "WEBP" else {}))
    )
    copy = read_picture(write_picture(picture))
    assert copy.alpha == picture.alpha
    assert copy.samples == picture.samples


def test_transparent_pixels_are_white_in_a_jpeg_copy(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    image = photo.convert("RGBA")
    image.putalpha(Image.new("L", photo.size, 0))
    picture = read_picture(encode_image(image, "AVIF", quality=95))
    assert picture.alpha is not None
    assert np.asarray(read_picture(write_picture(picture))).min() >= 254


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_reduced_profile_is_embedded_unchanged(
    kind: str, photo: Image.Image, encode_image: EncodeImage
) -> None:
    data = write_picture(read_picture(encode_image(photo, kind, icc_profile=WIDE_GAMUT_PROFILE)))
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == WIDE_GAMUT_PROFILE


@pytest.mark.threat("metadata")
def test_a_jpeg_holds_only_the_segments_that_decoding_needs(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    original = encode_image(
        photo, "JPEG", quality=90, icc_profile=WIDE_GAMUT_PROFILE, comment=b"SPY", xmp=b"SPY"
    )
    data = write_picture(read_picture(original))
    assert marker_codes(data) == [0xE0, 0xE2, 0xDB, 0xDB, 0xC0, 0xC4, 0xC4, 0xC4, 0xC4, 0xDA]
    assert data[2:20] == b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"  # no density unit, no thumbnail


def marker_codes(jpeg: bytes) -> list[int]:
    """Return the marker codes up to the first scan (ITU-T T.81, B.1.1)."""
    at, codes = 2, []
    while not codes or codes[-1] != 0xDA:
        assert jpeg[at] == 0xFF
        codes.append(jpeg[at + 1])
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return codes


def test_a_png_holds_only_the_chunks_that_decoding_needs(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    data = write_picture(
        read_picture(encode_image(photo, "PNG", icc_profile=WIDE_GAMUT_PROFILE, dpi=(72, 72)))
    )
    names, at = [], 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8])
        at += 12 + size
    assert set(names) == {b"IHDR", b"iCCP", b"IDAT", b"IEND"}
