"""Recognizing media by the first bytes, including kinds that a gate cannot read."""

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from entrenous.stop.client.uploaded_files import is_media


@pytest.mark.parametrize(
    "first_bytes",
    [
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"\0\0\0\x18ftypmp42\0\0\0\0",
        b"\0\0\0\x1cftypavif\0\0\0\0",
        b"\0\0\0\x18abcd" + bytes(16) + b"\0\0\0\x18ftypmp42\0\0\0\0",
        b"APETAGEX\xd0\7\0\0",
        b"\x1aE\xdf\xa3",
        b"OggS",
        b"ID3\x04",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"\xff\x0a",
        b"\0\0\0\x0cJXL \r\n\x87\n",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"8BPS\0\1",
        b'<?xml version="1.0"?>\n<!-- drawn -->\n<SVG xmlns="...">',
        b"\0\0\1\xba",
        b"G" + bytes(187) + b"G" + bytes(187),
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    ],
)
def test_common_media_are_recognized(first_bytes: bytes) -> None:
    assert is_media(first_bytes)


#: Formats that Pillow writes. A second word in an entry names a variant of the format.
PILLOW_FORMATS = (
    *("PPM", "PPM grey", "PPM float", "TGA", "TGA map", "TGA rle", "PCX", "DDS", "SGI", "ICNS"),
    *("DIB", "EPS", "MSP", "XBM", "BMP", "TIFF", "WEBP", "GIF", "PNG", "JPEG", "JPEG2000", "ICO"),
    *("BLP", "QOI", "MPO"),
)
#: The Pillow mode in which a picture is written, for each format that is not written in RGB.
PILLOW_MODES = {
    "PPM grey": "L",
    "PPM float": "F",
    "TGA map": "P",
    "TGA rle": "RGBA",
    "XBM": "1",
    "MSP": "1",
    "BLP": "P",
}


@pytest.mark.slow
@pytest.mark.parametrize("pillow_format", PILLOW_FORMATS)
def test_pictures_that_pillow_writes_are_media(pillow_format: str) -> None:
    picture = Image.effect_noise((48, 32), 60).convert(PILLOW_MODES.get(pillow_format, "RGB"))
    options = {"compression": "tga_rle"} if pillow_format == "TGA rle" else {}
    file = io.BytesIO()
    picture.save(file, pillow_format.partition(" ")[0], **options)
    assert is_media(file.getvalue())


@pytest.mark.parametrize(
    "first_bytes",
    [
        b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n",
        b"v/1\1\2\0\0\0",
        (bytes(4) + b"G" + bytes(187)) * 5,
        (b"G" + bytes(203)) * 5,
        b"Image type: L image\r\nImage size (x*y): 1*1\r\n" + bytes(9),
        b"P3 # drawn\n2 2",
        b"P6\n#" + b"x" * 2000,
        b"P5" + b" " * 2000,
        b"/* XPM */\nstatic char *a[] = {",
        b"/* by hand */\n#define a_width 16\n",
        b"FORM\0\0\1\0ILBMBMHD",
        b"\0\0\0\1\x67\x42",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"\1\0\0\0" + bytes(36) + b" EMF",
        bytes(128) + b"DICM",
    ],
)
def test_less_common_media_are_recognized(first_bytes: bytes) -> None:
    assert is_media(first_bytes)


SVG_DRAWING = (
    b'<svg xmlns="http://www.w3.org/2000/svg"><image href="data:image/jpeg;base64,AAAA"/></svg>'
)
LONG_COMMENT = b"<!--" + b"x" * 1100 + b"-->"


@pytest.mark.parametrize(
    "drawing",
    [
        SVG_DRAWING,
        b"\xef\xbb\xbf" + SVG_DRAWING,
        b'<?xml version="1.0"?>' + LONG_COMMENT + SVG_DRAWING,
        LONG_COMMENT + SVG_DRAWING,
        b" " * 1100 + SVG_DRAWING,
        b"<?xml-stylesheet " + b"x" * 1100 + b"?>" + SVG_DRAWING,
        b"<!DOCTYPE a [" + b"<!ENTITY b 'c'>" * 100 + b"]>" + SVG_DRAWING,
        SVG_DRAWING.replace(b"svg", b"a:svg", 1),
        b"<" + b"a" * 1100 + SVG_DRAWING.replace(b"<", b":"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_svg_drawings_are_recognized(drawing: bytes, encoding: str) -> None:
    data = drawing if encoding == "utf-8" else drawing.decode().encode(encoding)
    assert is_media(data)
    assert is_media(gzip.compress(data))


def test_gzip_data_with_an_unclear_start_count_as_media() -> None:
    empty = b"\0\0\0\xff\xff" * 300  # empty deflate blocks
    assert is_media(gzip.compress(b"")[:10] + empty + gzip.compress(SVG_DRAWING)[10:])
    assert is_media(gzip.compress(b"") + gzip.compress(SVG_DRAWING))
    assert is_media(b"\x1f\x8b\x08\x08" + bytes(6) + b"name" * 300)


@pytest.mark.parametrize(
    "first_bytes",
    [
        b'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom">' + b"x" * 2000,
        b"<!DOCTYPE html><!-- words --><html><body>" + b"x" * 2000,
        gzip.compress(b'<?xml version="1.0"?><feed>' + bytes(range(256)) * 20, mtime=0),
        gzip.compress(b"report.txt" + bytes(90) + b"words" * 500, mtime=0),
        bytes(2000),
        bytes(range(256)) * 9,
        gzip.compress(bytes(200_000), mtime=0),
        b"<3",
        b"<!--",
        b"< less",
        b"MAC address",
        b"DDS is fine",
        b"P1 is urgent",
        b"P2 3 of them",
        b"Image type: square",
        b"Danman",
        b" ",
        b"\n\n",
    ],
)
def test_texts_and_data_that_resemble_media_are_not_media(first_bytes: bytes) -> None:
    assert not is_media(first_bytes)


@pytest.mark.parametrize(
    "first_bytes", [b"", b"%PDF-1.7", b"PK\3\4", b"hello", b'{"a": 1}', b"<html><body>"]
)
def test_text_and_document_files_are_not_media(first_bytes: bytes) -> None:
    assert not is_media(first_bytes)


@given(st.binary(max_size=2000))
def test_only_the_first_kilobyte_decides_about_media(random_bytes: bytes) -> None:
    assert is_media(random_bytes) is is_media(random_bytes[:1024])
