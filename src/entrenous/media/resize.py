"""Scale pictures down, and make small, grey, blurred previews for reviewers."""

import io
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from entrenous.base.picture import Picture


def shrink_picture(picture: Picture, longest_side_px: int) -> Picture:
    """Reduce the longest side to ``longest_side_px``; a smaller picture is returned unchanged.

    The filter is Lanczos with three lobes, applied to the encoded values. Colours are weighted by
    alpha, so that colours of transparent areas do not spread into others.

    Raises:
        ValueError: ``longest_side_px`` is less than 1.
    """
    if longest_side_px < 1:
        raise ValueError("a picture has at least one pixel")
    longest = max(picture.width_px, picture.height_px)
    if longest <= longest_side_px:
        return picture
    size = (
        max(1, round(picture.width_px * longest_side_px / longest)),
        max(1, round(picture.height_px * longest_side_px / longest)),
    )
    smaller = _to_image(picture).resize(size, Image.Resampling.LANCZOS)
    alpha = smaller.getchannel("A").tobytes() if picture.alpha is not None else None
    samples = smaller.convert("RGB").tobytes() if alpha is not None else smaller.tobytes()
    return replace(
        picture,
        width_px=size[0],
        height_px=size[1],
        samples=samples,
        alpha=alpha,
        original_size=None,  # this field is set only if a decoder has reduced the picture
    )


def _to_image(picture: Picture) -> Image.Image:
    size = (picture.width_px, picture.height_px)
    image = Image.frombuffer("RGB", size, picture.samples, "raw", "RGB", 0, 1)
    if picture.alpha is not None:
        image.putalpha(Image.frombuffer("L", size, picture.alpha, "raw", "L", 0, 1))
    return image


# the longer side is first reduced to this many pixels, so that only coarse detail remains
PREVIEW_DETAIL_PX: Final = 32
PREVIEW_SIDE_PX: Final = 256  # longer side of a preview


def blurred_preview(pixels: NDArray[np.uint8]) -> bytes:
    """Return a blurred grey PNG of (H, W, 3) RGB or (H, W) grey pixels.

    The longer side of the PNG has 256 pixels.
    """
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    coarse = cv2.resize(grey, _scaled_size(pixels, PREVIEW_DETAIL_PX), interpolation=cv2.INTER_AREA)
    drawn = cv2.resize(coarse, _scaled_size(pixels, PREVIEW_SIDE_PX), interpolation=cv2.INTER_CUBIC)
    file = io.BytesIO()
    Image.fromarray(drawn.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _scaled_size(pixels: NDArray[np.uint8], longer_px: int) -> tuple[int, int]:
    height_px, width_px = pixels.shape[:2]
    scale = longer_px / max(height_px, width_px)
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))
