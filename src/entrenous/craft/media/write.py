"""Write a picture anew: samples, colour numbers, nothing else (docs/spec/pictures.md, 5).

A file made from samples alone cannot hold what the original's metadata said. The same picture gives
the same bytes: no date, no random number, one thread.
"""

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from entrenous.model.picture import Encoding, Picture, PictureFormat

QUALITY: Final = 92  # where the original's own tables are unknown or too coarse to carry a copy
# Sum of the luma table of ITU-T T.81, K.1, scaled to libjpeg's quality 75. A copy with coarser
# tables would lose what the original still had: its pixels have left the original's grid.
_LUMA_SUM_MAX: Final = 1860
_WEBP_METHOD: Final = 4
_WEBP_LOSSLESS_EFFORT: Final = 50


def write_picture(
    picture: Picture, pixels: NDArray[np.uint8] | None = None, *, quality: int | None = None
) -> bytes:
    """A file in ``picture.encoding.format.written``.

    Args:
        picture: what to write; its alpha, profile and encoding are kept.
        pixels: (H, W, 3) uint8 to write in place of its samples, of the same size.
        quality: 1 to 100 for JPEG and lossy WebP, instead of what fits the original.

    Raises:
        ValueError: ``pixels`` has another shape or type than the picture.
    """
    image = _image(picture, pixels)
    written = picture.encoding.format.written
    if written is PictureFormat.JPEG:
        options = _jpeg(picture.encoding, quality)
    elif written is PictureFormat.PNG:
        options = {"compress_level": 6}
    else:
        options = _webp(picture.encoding, quality)
    out = io.BytesIO()
    image.save(out, written.name, icc_profile=picture.profile, **options)
    return out.getvalue()


def _image(picture: Picture, pixels: NDArray[np.uint8] | None) -> Image.Image:
    size = (picture.width_px, picture.height_px)
    samples: bytes | NDArray[np.uint8] = picture.samples
    if pixels is not None:
        if pixels.shape != (size[1], size[0], 3) or pixels.dtype != np.uint8:
            raise ValueError("pixels must be height x width x 3 numbers of type uint8")
        samples = np.ascontiguousarray(pixels)
    image = Image.frombuffer("RGB", size, samples, "raw", "RGB", 0, 1)
    grey = picture.encoding.grey and picture.profile is None
    if grey:
        image = image.convert("L")
    if picture.alpha is None:
        return image
    alpha = Image.frombuffer("L", size, picture.alpha, "raw", "L", 0, 1)
    if picture.encoding.format.written is PictureFormat.JPEG:
        return _on_white(image, alpha)
    image.putalpha(alpha)
    return image


def _on_white(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """A JPEG has no alpha: lay the picture on white paper, as a page would show it."""
    paper = Image.new(image.mode, image.size, "white")
    paper.paste(image, mask=alpha)
    return paper


def _jpeg(encoding: Encoding, quality: int | None) -> dict[str, Any]:
    subsampling = encoding.subsampling or "4:4:4"
    if quality is None and encoding.tables and sum(encoding.tables[0]) <= _LUMA_SUM_MAX:
        tables = [list(table) for _, table in sorted(encoding.tables.items())]
        return {"qtables": tables, "subsampling": subsampling}
    return {"quality": quality or QUALITY, "subsampling": subsampling}


def _webp(encoding: Encoding, quality: int | None) -> dict[str, Any]:
    if encoding.lossless:
        effort = _WEBP_LOSSLESS_EFFORT
        return {"lossless": True, "exact": True, "quality": effort, "method": _WEBP_METHOD}
    return {"quality": quality or QUALITY, "method": _WEBP_METHOD}
