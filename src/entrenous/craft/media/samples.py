"""From whatever a decoder made to upright 8-bit RGB and alpha (docs/spec/pictures.md, section 3).

The work goes strip by strip: next to the decoder's own picture only the result is in memory.
"""

import io
from collections.abc import Iterator
from typing import Final

from PIL import Image

from entrenous.craft.media.colour import Colour
from entrenous.model.picture import NotAPicture

_STRIP_PX: Final = 1_000_000
_ALPHA_MODES: Final = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_SUNK: Final = frozenset({"I", "F"})  # 32-bit numbers: measurements, with no agreed white
_INVISIBLE: Final = [255] + [0] * 255


def samples_of(image: Image.Image, colour: Colour, *, grey: bool) -> tuple[bytes, bytes | None]:
    """``(samples, alpha)`` of a loaded, upright image: H * W * 3 and H * W bytes.

    An alpha that hides nothing is None. Where alpha is 0 the samples are black: what nobody can
    see in the picture does not travel with it.

    Raises:
        NotAPicture: the numbers are measurements, not a picture (32-bit integers or floats).
    """
    if image.mode in _SUNK:
        raise NotAPicture
    samples, alphas = io.BytesIO(), io.BytesIO()
    for strip in _strips(image):
        alpha = _alpha(strip)
        rgb = _rgb(strip, colour, grey=grey)
        if alpha is not None:
            rgb.paste((0, 0, 0), mask=alpha.point(_INVISIBLE))
            alphas.write(alpha.tobytes())
        samples.write(rgb.tobytes())
    alpha_bytes = alphas.getvalue()
    opaque = alpha_bytes.count(b"\xff") == len(alpha_bytes)
    return samples.getvalue(), None if opaque else alpha_bytes


def _strips(image: Image.Image) -> Iterator[Image.Image]:
    width, height = image.size
    rows = max(1, _STRIP_PX // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        yield strip


def _alpha(strip: Image.Image) -> Image.Image | None:
    if strip.mode in _ALPHA_MODES or "transparency" in strip.info:
        return strip.convert("RGBA").getchannel("A")
    return None


def _rgb(strip: Image.Image, colour: Colour, *, grey: bool) -> Image.Image:
    plain = _eight_bits(strip)
    if colour.transform is not None:
        plain = colour.transform.apply(_in_mode(plain, colour.mode))
    if grey:
        plain = _in_mode(plain, "L")
    return _in_mode(plain, "RGB")


def _eight_bits(strip: Image.Image) -> Image.Image:
    """Sixteen bits give up their lower byte (as libpng's png_set_strip_16 does for RGB)."""
    if strip.mode.startswith("I;16"):
        return strip.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return strip


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """The colours in another mode, without alpha: it was taken out before."""
    image.info.pop("transparency", None)
    return image if image.mode == mode else image.convert(mode)
