"""Leaks saved as JPEG are traced, for original pictures of several formats and sizes."""

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image
from pillow_heif import from_pillow

from entrenous.base.identifiers import RecipientId
from entrenous.send.copies.mark_file import mark_picture_copies
from entrenous.watermark.verdict import Finding
from tests.send.send_device import Network
from tests.trace.offline_device import trace_picture

pytestmark = pytest.mark.slow

RECIPIENTS = [RecipientId(name) for name in ("ben", "caro", "dan")]
# A small picture, so that tracing is quick.
WIDE_PICTURE = Image.fromarray(skimage.data.coffee()[80:280]).resize(
    (360, 120), Image.Resampling.LANCZOS
)


def encode_image(image: Image.Image, pillow_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    if pillow_format == "HEIF":
        from_pillow(image).save(file, **options)
    else:
        image.save(file, pillow_format, **options)
    return file.getvalue()


def rotated_jpeg(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode_image(WIDE_PICTURE, "JPEG", quality=90, exif=exif)


def translucent_image() -> Image.Image:
    image = WIDE_PICTURE.convert("RGBA")
    image.putalpha(
        Image.radial_gradient("L").resize(WIDE_PICTURE.size).point(lambda v: 255 - v // 2)
    )
    return image


def sixteen_bit_png() -> bytes:
    wide = np.asarray(WIDE_PICTURE, np.uint16)[:, :, ::-1] * 257
    return bytes(cv2.imencode(".png", wide)[1])


FORMATS: dict[str, Callable[[], bytes]] = {
    "jpeg, progressive": lambda: encode_image(WIDE_PICTURE, "JPEG", quality=85, progressive=True),
    "jpeg, grey": lambda: encode_image(WIDE_PICTURE.convert("L"), "JPEG", quality=85),
    "jpeg, cmyk": lambda: encode_image(WIDE_PICTURE.convert("CMYK"), "JPEG", quality=85),
    "jpeg, low quality": lambda: encode_image(WIDE_PICTURE, "JPEG", quality=35),
    "jpeg, rotated": lambda: rotated_jpeg(6),
    "png, alpha": lambda: encode_image(translucent_image(), "PNG"),
    "png, 16 bits": sixteen_bit_png,
    "webp": lambda: encode_image(WIDE_PICTURE, "WEBP", quality=85),
    "webp, alpha": lambda: encode_image(translucent_image(), "WEBP", quality=85),
    "heic": lambda: encode_image(WIDE_PICTURE, "HEIF", quality=70),
    "avif": lambda: encode_image(WIDE_PICTURE, "AVIF", quality=70),
    "gif, animated": lambda: encode_image(
        WIDE_PICTURE, "GIF", save_all=True, append_images=[WIDE_PICTURE.rotate(180)], duration=100
    ),
    "tiff, cmyk": lambda: encode_image(
        WIDE_PICTURE.convert("CMYK"), "TIFF", compression="tiff_lzw"
    ),
}


# Only ``make nightly`` tests these formats. The other formats also include JPEG, WebP and
# transparency.
NIGHTLY_FORMATS = ("jpeg, low quality", "webp, alpha")


@pytest.mark.parametrize(
    "format_name",
    [
        pytest.param(one, marks=pytest.mark.nightly) if one in NIGHTLY_FORMATS else one
        for one in FORMATS
    ],
)
def test_a_leak_of_every_format_is_traced(format_name: str, network: Network) -> None:
    ana = network["ana"]
    copies = [
        file
        for _, file in mark_picture_copies(FORMATS[format_name](), RECIPIENTS, None, ana.device)
    ]
    with Image.open(io.BytesIO(copies[1].data)) as copy:
        background = Image.new("RGBA", copy.size, "white")
        leak = Image.alpha_composite(background, copy.convert("RGBA")).convert("RGB")
    trace_result = trace_picture(encode_image(leak, "JPEG", quality=70), ana.device)
    assert (trace_result.verdict.finding, trace_result.verdict.named) == (Finding.ONE, ("caro",))


def test_leaks_of_a_small_picture_and_a_panorama_are_traced(network: Network) -> None:
    """The small picture is 200 pixels wide; the panorama is about seven times as wide as high."""
    ana = network["ana"]
    small = WIDE_PICTURE.resize((200, 134), Image.Resampling.LANCZOS)
    strip = Image.fromarray(np.asarray(skimage.data.coffee())[100:185])
    for image in (small, strip):
        data = encode_image(image, "PNG")
        copies = [file for _, file in mark_picture_copies(data, RECIPIENTS, None, ana.device)]
        leak = encode_image(
            Image.open(io.BytesIO(copies[2].data)).convert("RGB"), "JPEG", quality=80
        )
        assert trace_picture(leak, ana.device).verdict.named == ("dan",)
