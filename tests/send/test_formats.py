"""Every picture format: marked, leaked as a JPEG of quality 70, traced to the right copy."""

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
from tests.send.send_device import Room
from tests.trace.offline_device import trace_picture

pytestmark = pytest.mark.slow

TO = [RecipientId(name) for name in ("ben", "caro", "dan")]
# A strip is the quickest to trace: points are detected in a picture scaled to 400 pixels' width.
WIDE = Image.fromarray(skimage.data.coffee()[80:280]).resize((360, 120), Image.Resampling.LANCZOS)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    if kind == "HEIF":
        from_pillow(image).save(file, **options)
    else:
        image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(WIDE, "JPEG", quality=90, exif=exif)


def see_through() -> Image.Image:
    image = WIDE.convert("RGBA")
    image.putalpha(Image.radial_gradient("L").resize(WIDE.size).point(lambda v: 255 - v // 2))
    return image


def sixteen_bit_colours() -> bytes:
    wide = np.asarray(WIDE, np.uint16)[:, :, ::-1] * 257
    return bytes(cv2.imencode(".png", wide)[1])


FORMATS: dict[str, Callable[[], bytes]] = {
    "jpeg, progressive": lambda: saved(WIDE, "JPEG", quality=85, progressive=True),
    "jpeg, grey": lambda: saved(WIDE.convert("L"), "JPEG", quality=85),
    "jpeg, inks": lambda: saved(WIDE.convert("CMYK"), "JPEG", quality=85),
    "jpeg, coarse": lambda: saved(WIDE, "JPEG", quality=35),
    "jpeg, on its side": lambda: turned(6),
    "png, alpha": lambda: saved(see_through(), "PNG"),
    "png, 16 bits of colour": sixteen_bit_colours,
    "webp": lambda: saved(WIDE, "WEBP", quality=85),
    "webp, alpha": lambda: saved(see_through(), "WEBP", quality=85),
    "heic": lambda: saved(WIDE, "HEIF", quality=70),
    "avif": lambda: saved(WIDE, "AVIF", quality=70),
    "gif, moving": lambda: saved(
        WIDE, "GIF", save_all=True, append_images=[WIDE.rotate(180)], duration=100
    ),
    "tiff, inks": lambda: saved(WIDE.convert("CMYK"), "TIFF", compression="tiff_lzw"),
}


# Other formats cover their features: JPEG, WebP and transparency.
AT_NIGHT = ("jpeg, coarse", "webp, alpha")


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=pytest.mark.nightly) if one in AT_NIGHT else one for one in FORMATS],
)
def test_a_leak_of_every_format_is_traced(name: str, room: Room) -> None:
    ana = room["ana"]
    copies = [file for _, file in mark_picture_copies(FORMATS[name](), TO, None, ana.device)]
    with Image.open(io.BytesIO(copies[1].data)) as copy:
        paper = Image.new("RGBA", copy.size, "white")
        leak = Image.alpha_composite(paper, copy.convert("RGBA")).convert("RGB")
    found = trace_picture(saved(leak, "JPEG", quality=70), ana.device)
    assert (found.verdict.finding, found.verdict.named) == (Finding.ONE, ("caro",))


def test_leaks_of_a_small_picture_and_a_panorama_are_traced(room: Room) -> None:
    """The small picture is 200 pixels wide; the panorama is seven times as wide as high."""
    ana = room["ana"]
    small = WIDE.resize((200, 134), Image.Resampling.LANCZOS)
    strip = Image.fromarray(np.asarray(skimage.data.coffee())[100:185])
    for image in (small, strip):
        data = saved(image, "PNG")
        copies = [file for _, file in mark_picture_copies(data, TO, None, ana.device)]
        leak = saved(Image.open(io.BytesIO(copies[2].data)).convert("RGB"), "JPEG", quality=80)
        assert trace_picture(leak, ana.device).verdict.named == ("dan",)
