"""Tests of reading pictures: formats, modes, alpha, orientation, encodings, and refusals."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from entrenous.base.picture import NotAPicture, Picture, PictureFormat
from entrenous.media.picture_reader import read_picture

EncodeImage = Callable[..., bytes]

# The largest allowed mean error of each file, in levels from 0 to 255.
MEAN_ERROR_MAX = {
    "jpeg": 4.0,
    "jpeg-progressive": 4.0,
    "jpeg-cmyk": 4.0,
    "png": 0.0,
    "png-palette": 8.0,
    "webp": 4.0,
    "webp-lossless": 0.0,
    "heic": 4.0,
    "avif": 4.0,
    "gif": 8.0,
    "tiff": 0.0,
    "tiff-lzw": 0.0,
    "bmp": 0.0,
}


def pixel_array(picture: Picture) -> NDArray[np.int16]:
    return np.asarray(picture).astype(np.int16)


def mean_error(picture: Picture, image: Image.Image) -> float:
    return float(np.abs(pixel_array(picture) - np.asarray(image.convert("RGB"), np.int16)).mean())


@pytest.mark.parametrize("name", MEAN_ERROR_MAX)
def test_each_format_is_read_as_the_photo(
    name: str, picture_files: dict[str, bytes], photo: Image.Image
) -> None:
    picture = read_picture(picture_files[name])
    assert (picture.width_px, picture.height_px) == photo.size
    assert picture.encoding.format is PictureFormat(name.partition("-")[0])
    assert picture.alpha is None
    assert picture.profile is None
    assert mean_error(picture, photo) <= MEAN_ERROR_MAX[name]


def test_format_is_recognised_by_the_bytes_alone(picture_files: dict[str, bytes]) -> None:
    kinds = {name: read_picture(data).encoding.format.value for name, data in picture_files.items()}
    assert kinds == {name: name.partition("-")[0] for name in picture_files}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"hello",
        b"%PDF-1.7\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"RIFF\x00\x00\x00\x00WAVE",
        b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2",
        b"\xff\x0a",  # JPEG XL
        bytes(1000),
    ],
)
def test_other_files_are_no_pictures(data: bytes) -> None:
    with pytest.raises(NotAPicture, match="JPEG, PNG, WebP"):
        read_picture(data)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_one_bit_picture_is_read_as_grey(
    kind: str, photo: Image.Image, encode_image: EncodeImage
) -> None:
    image = photo.convert("1")
    picture = read_picture(encode_image(image, kind))
    assert picture.encoding.grey
    assert mean_error(picture, image) == 0.0


def test_upper_byte_of_16_bit_grey_is_kept(encode_image: EncodeImage) -> None:
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for kind in ("PNG", "TIFF"):
        picture = read_picture(encode_image(Image.fromarray(deep), kind))
        assert picture.encoding.grey
        assert np.array_equal(pixel_array(picture)[:, :, 1], deep >> 8)


def test_upper_byte_of_16_bit_colour_is_kept() -> None:
    deep = np.random.default_rng(5).integers(0, 65536, (9, 7, 3), dtype=np.uint16)
    picture = read_picture(encode_png((7, 9), 16, 2, [row.astype(">u2").tobytes() for row in deep]))
    assert np.array_equal(pixel_array(picture), deep >> 8)


def test_upper_byte_of_16_bit_grey_and_alpha_is_kept() -> None:
    deep = np.random.default_rng(6).integers(256, 65536, (5, 4, 2), dtype=np.uint16)
    picture = read_picture(encode_png((4, 5), 16, 4, [row.astype(">u2").tobytes() for row in deep]))
    assert picture.encoding.grey
    assert np.array_equal(pixel_array(picture)[:, :, 2], deep[:, :, 0] >> 8)
    assert picture.alpha == (deep[:, :, 1] >> 8).astype(np.uint8).tobytes()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_kept(mode: str, photo: Image.Image, encode_image: EncodeImage) -> None:
    image = photo.convert(mode)
    ramp = Image.linear_gradient("L").resize(photo.size).point(lambda value: max(value, 1))
    image.putalpha(ramp)
    picture = read_picture(encode_image(image, "PNG"))
    assert picture.alpha == ramp.tobytes()
    assert picture.encoding.grey == (mode == "LA")
    assert mean_error(picture, image) == 0.0


def test_opaque_alpha_is_dropped(photo: Image.Image, encode_image: EncodeImage) -> None:
    assert read_picture(encode_image(photo.convert("RGBA"), "PNG")).alpha is None


def test_invisible_samples_are_removed(photo: Image.Image, encode_image: EncodeImage) -> None:
    image = photo.copy()
    image.putalpha(Image.new("L", photo.size, 0))
    image.paste((10, 20, 30, 255), (0, 0, 80, 120))
    picture = read_picture(encode_image(image, "PNG"))
    assert not pixel_array(picture)[:, 80:].any()
    assert (pixel_array(picture)[:, :80] == (10, 20, 30)).all()


def test_transparent_palette_entry_becomes_alpha(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    image = photo.quantize(16)
    picture = read_picture(encode_image(image, "PNG", transparency=3))
    assert picture.alpha is not None
    assert np.array_equal(
        np.frombuffer(picture.alpha, np.uint8) == 0, np.asarray(image).ravel() == 3
    )


def test_transparent_colour_becomes_alpha(photo: Image.Image, encode_image: EncodeImage) -> None:
    image = photo.copy()
    image.paste((1, 2, 3), (0, 0, 50, 50))
    picture = read_picture(encode_image(image, "PNG", transparency=(1, 2, 3)))
    assert picture.alpha is not None
    assert not np.frombuffer(picture.alpha, np.uint8).reshape(120, 160)[:50, :50].any()


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_transparent_grey_becomes_alpha(depth: int) -> None:
    greys = range(min(1 << depth, 8 // depth * 4))
    line = int("".join(f"{grey:0{depth}b}" for grey in greys).ljust(32, "0"), 2).to_bytes(4)
    data = encode_png((len(greys), 1), depth, 0, [line], transparent_grey=1)
    picture = read_picture(data)
    assert picture.alpha is not None
    assert [value == 0 for value in picture.alpha] == [grey == 1 for grey in greys]


def test_interlaced_png_is_read(photo: Image.Image) -> None:
    rows = np.asarray(photo)
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    passes.append((1, 0, 2, 1))  # W3C PNG, 8.2: first row, first column, row step, column step
    lines = [row.tobytes() for y, x, dy, dx in passes for row in rows[y::dy, x::dx]]
    assert (
        mean_error(read_picture(encode_png((160, 120), 8, 2, lines, interlaced=True)), photo) == 0.0
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_every_orientation_comes_out_upright(
    kind: str, orientation: int, photo: Image.Image, encode_image: EncodeImage
) -> None:
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = photo if orientation == 1 else photo.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {} if kind in ("PNG", "TIFF") else {"quality": 92}
    picture = read_picture(encode_image(stored, kind, exif=exif.tobytes(), **options))
    assert (picture.width_px, picture.height_px) == photo.size
    assert mean_error(picture, photo) < 4.0


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"]
)
def test_a_damaged_exif_block_leaves_the_picture_as_stored(
    exif: bytes, photo: Image.Image, encode_image: EncodeImage
) -> None:
    assert (
        mean_error(read_picture(encode_image(photo, "WEBP", lossless=True, exif=exif)), photo)
        == 0.0
    )


def test_animation_is_read_as_its_first_frame(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    later = [photo.rotate(180), photo.rotate(90)]
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        data = encode_image(photo, kind, save_all=True, append_images=later, **options)
        assert mean_error(read_picture(data), photo) == 0.0
    assert (
        mean_error(
            read_picture(encode_image(photo, "GIF", save_all=True, append_images=later)), photo
        )
        < 8.0
    )


def test_jpeg_subsampling_and_tables_are_reported(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    names = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
    for name, number in names.items():
        data = encode_image(photo, "JPEG", quality=83, subsampling=number)
        encoding = read_picture(data).encoding
        assert encoding.subsampling == name
        assert encoding.tables is not None
        quantization = Image.open(io.BytesIO(data)).quantization  # type: ignore[attr-defined]
        assert {slot: list(table) for slot, table in encoding.tables.items()} == quantization


def test_jpeg_tables_are_transposed_with_a_rotated_picture(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    table = [1 + number for number in range(64)]
    data = encode_image(photo, "JPEG", qtables=[table, table], subsampling=1, exif=exif.tobytes())
    encoding = read_picture(data).encoding
    assert encoding.tables is not None
    turned = np.array(encoding.tables[0]).reshape(8, 8)
    assert np.array_equal(turned, np.array(table).reshape(8, 8).T)
    # 4:2:2 halves the width of the colour planes. In the turned picture, this is the height.
    assert encoding.subsampling is None


def test_grey_jpeg_is_read_as_grey_and_cmyk_without_tables(picture_files: dict[str, bytes]) -> None:
    grey = read_picture(picture_files["jpeg-grey"])
    assert grey.encoding.grey
    assert np.array_equal(pixel_array(grey)[:, :, 0], pixel_array(grey)[:, :, 2])
    assert read_picture(picture_files["jpeg-cmyk"]).encoding.tables is None


def test_lossy_and_lossless_webp_are_distinguished(
    picture_files: dict[str, bytes], photo: Image.Image, encode_image: EncodeImage
) -> None:
    assert not read_picture(picture_files["webp"]).encoding.lossless
    assert read_picture(picture_files["webp-lossless"]).encoding.lossless
    extended = encode_image(photo, "WEBP", lossless=True, exif=b"Exif\0\0II*\0\0\0\0\0")
    assert read_picture(extended).encoding.lossless
    lossy = encode_image(
        photo, "WEBP", quality=80, save_all=True, append_images=[photo.rotate(180)]
    )
    assert not read_picture(lossy).encoding.lossless


def test_float_and_int32_tiffs_are_refused(encode_image: EncodeImage) -> None:
    for dtype in (np.float32, np.int32):
        with pytest.raises(NotAPicture):
            read_picture(encode_image(Image.fromarray(np.ones((4, 4), dtype)), "TIFF"))


@pytest.mark.parametrize(("tag", "before", "after"), [(262, 1, 0), (258, 16, 12)])
def test_grey_tiff_whose_samples_would_be_misread_is_refused(
    encode_image: EncodeImage, tag: int, before: int, after: int
) -> None:
    """White is zero (tag 262), or a sample has twelve bits (tag 258)."""
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    data = encode_image(Image.fromarray(deep), "TIFF")
    entry, changed = (struct.pack("<HHIHH", tag, 3, 1, value, 0) for value in (before, after))
    assert data.count(entry) == 1
    with pytest.raises(NotAPicture):
        read_picture(data.replace(entry, changed))


def test_raw_file_is_not_read_as_its_thumbnail(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    with pytest.raises(NotAPicture):
        read_picture(encode_image(photo, "TIFF", tiffinfo={50706: b"\x01\x04\x00\x00"}))
    with pytest.raises(NotAPicture):
        read_picture(encode_image(photo, "TIFF", tiffinfo={254: 1}))


def encode_png(  # noqa: PLR0913
    size: tuple[int, int],
    depth: int,
    colour: int,
    lines: list[bytes],
    *,
    interlaced: bool = False,
    transparent_grey: int | None = None,
) -> bytes:
    """Return a PNG (W3C PNG, third edition) that uses filter 0 on each line."""

    def chunk(name: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced)
    body = zlib.compress(b"".join(b"\0" + line for line in lines))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    if transparent_grey is not None:
        start += chunk(b"tRNS", transparent_grey.to_bytes(2))
    return start + chunk(b"IDAT", body) + chunk(b"IEND", b"")
