"""The pictures of the demonstration's page, as data that a page may hold without any other file."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from entrenous.faces.cli.demo.photo import open_picture

SIDE_PX: Final = 900
GAIN: Final = 24  # what the difference of two copies is multiplied by
_FADED: Final = 0.35
_LINE: Final = (79, 157, 222)


def opened(path: Path) -> Image.Image:
    """A picture, upright, in RGB."""
    with open_picture(path.read_bytes()) as picture:
        return ImageOps.exif_transpose(picture).convert("RGB")


def difference(one: Image.Image, other: Image.Image) -> Image.Image:
    """How two copies differ, multiplied by ``GAIN`` around middle grey."""
    a, b = (np.asarray(picture, np.int16) for picture in (one, other))
    return Image.fromarray(np.clip(128 + GAIN * (a - b), 0, 255).astype(np.uint8))


def laid_over(leak: Image.Image, original: Image.Image, homography: Sequence[float]) -> Image.Image:
    """The leak in its place on the faded original, with a line around it.

    ``homography`` maps the original's pixels to the leak's, row by row, as ``trace --json`` has it.
    """
    scaled = tuple(number / homography[8] for number in homography[:8])
    how = Image.Transform.PERSPECTIVE
    placed = leak.transform(original.size, how, scaled, Image.Resampling.BICUBIC)
    inside = Image.new("L", leak.size, 255).transform(original.size, how, scaled)
    faded = Image.blend(
        original.convert("L").convert("RGB"), Image.new("RGB", original.size, "white"), _FADED
    )
    faded.paste(placed, mask=inside)
    _outline(faded, inside)
    return faded


def as_data(picture: Image.Image) -> str:
    """A picture as a data: address, at most ``SIDE_PX`` on its longest side."""
    small = picture.copy()
    small.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=86, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _outline(picture: Image.Image, inside: Image.Image) -> None:
    box = inside.getbbox()
    if box is not None:
        width = max(2, max(picture.size) // 200)
        ImageDraw.Draw(picture).rectangle(box, outline=_LINE, width=width)
