"""Write a picture anew: samples, colour numbers, nothing else (docs/spec/pictures.md, 5).

A file made from samples alone cannot hold what the original's metadata said. The same picture gives
the same bytes: no date, no random number, one thread for each.
"""

import io
import os
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from entrenous.craft.media.form import jpeg_options, webp_options
from entrenous.model.picture import Encoding, Picture, PictureFormat

_LAYOUTS: Final = {3: "RGB", 4: "RGBX"}


def write_picture(
    picture: Picture, pixels: NDArray[np.uint8] | None = None, *, finer: int = 0
) -> bytes:
    """A file in ``picture.encoding.format.written``. Several threads may write at once.

    Args:
        picture: what to write; its alpha, profile and encoding are kept.
        pixels: (H, W, 3) uint8 to write in place of its samples, of the same size. They may have a
            fourth channel, which is not looked at: Pillow takes such pixels without copying them.
        finer: how many steps finer than the original's own encoding (:mod:`.finer`).

    Raises:
        ValueError: ``pixels`` has another shape or type than the picture.
    """
    image = image_of(picture, pixels)
    options = _options(picture.encoding, finer)
    with _new_file() as out:
        image.save(out, picture.encoding.format.written, icc_profile=picture.profile, **options)
        out.seek(0)
        return out.read()


def image_of(picture: Picture, pixels: NDArray[np.uint8] | None = None) -> Image.Image:
    """What :func:`write_picture` encodes: grey where the original was, on white where it must be.

    Raises:
        ValueError: as :func:`write_picture`.
    """
    image = _colours(picture, pixels)
    if picture.encoding.grey and picture.profile is None:
        image = image.convert("L")
    if picture.alpha is None and picture.encoding.format.written is PictureFormat.JPEG:
        return image
    if image.mode == "RGBX":
        image = image.convert("RGB")
    if picture.alpha is None:
        return image
    size = (picture.width_px, picture.height_px)
    alpha = Image.frombuffer("L", size, picture.alpha, "raw", "L", 0, 1)
    if picture.encoding.format.written is PictureFormat.JPEG:
        return _on_white(image, alpha)
    image.putalpha(alpha)
    return image


def _colours(picture: Picture, pixels: NDArray[np.uint8] | None) -> Image.Image:
    size = (picture.width_px, picture.height_px)
    if pixels is None:
        return Image.frombuffer("RGB", size, picture.samples, "raw", "RGB", 0, 1)
    if pixels.shape[:2] != size[::-1] or pixels.shape[2:] not in ((3,), (4,)):
        raise ValueError("pixels must be height x width x 3 or 4 numbers")
    if pixels.dtype != np.uint8:
        raise ValueError("pixels must be of type uint8")
    layout = _LAYOUTS[pixels.shape[2]]
    return Image.frombuffer(layout, size, np.ascontiguousarray(pixels), "raw", layout, 0, 1)


def _on_white(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """A JPEG has no alpha: lay the picture on white paper, as a page would show it."""
    paper = Image.new(image.mode, image.size, "white")
    paper.paste(image, mask=alpha)
    return paper


def _options(encoding: Encoding, finer: int) -> dict[str, Any]:
    if encoding.format.written is PictureFormat.JPEG:
        return jpeg_options(encoding, finer)
    if encoding.format.written is PictureFormat.WEBP:
        return webp_options(encoding, finer)
    return {"compress_level": 6}


def _new_file() -> BinaryIO:
    """In memory alone, without a name. While Pillow writes to a file with a descriptor, it does not
    hold the interpreter up: all processors can encode at once.
    """
    if hasattr(os, "memfd_create"):  # on Linux
        return os.fdopen(os.memfd_create("copy"), "w+b")
    return io.BytesIO()
