"""How a copy leaks in the demonstration: somebody crops it, resizes it and saves it again."""

import io
from typing import Final

from PIL import Image

from entrenous.faces.cli.demo.photo import open_picture

KEPT: Final = 0.70  # share of the area
_OFFSET: Final = (0.55, 0.30)  # where in the free margin the crop begins, across and down
_RESIZED: Final = 0.8
_QUALITY: Final = 50


def leak(copy: bytes) -> bytes:
    """A screenshot-like crop to 70 % of the area, resized, saved as JPEG of quality 50."""
    with open_picture(copy) as opened:
        picture = opened.convert("RGB")
    side = KEPT**0.5
    width, height = round(side * picture.width), round(side * picture.height)
    left = round(_OFFSET[0] * (picture.width - width))
    top = round(_OFFSET[1] * (picture.height - height))
    cut = picture.crop((left, top, left + width, top + height))
    size = (round(_RESIZED * width), round(_RESIZED * height))
    file = io.BytesIO()
    cut.resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
