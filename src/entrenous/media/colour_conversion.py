"""Convert samples to sRGB, or keep the numbers of their colour profile (pictures.md, section 4)."""

import hashlib
import io
import struct
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image, ImageChops, ImageCms, ImageStat

from entrenous.media.icc_profile import is_srgb, is_usual, parse_profile, write_profile


@dataclass(frozen=True, slots=True)
class ColourConversion:
    """The conversion of the samples, and the profile to keep.

    ``transform`` converts samples of Pillow mode ``mode`` to sRGB; None leaves them unchanged.
    ``exact`` does the same, only slower and without rounding the profile's curves and tables.
    """

    profile: bytes | None = None
    transform: ImageCms.ImageCmsTransform | None = None
    mode: str = "RGB"
    exact: ImageCms.ImageCmsTransform | None = None


_PILLOW_MODE_BY_COLOUR_SPACE: Final = {b"RGB ": "RGB", b"CMYK": "CMYK", b"GRAY": "L"}


def colour_conversion_of(image: Image.Image, *, grey: bool) -> ColourConversion:
    """Return the colour conversion of an opened picture; unusable profiles are ignored."""
    untrusted_profile = image.info.get("icc_profile")
    if not isinstance(untrusted_profile, bytes):
        return ColourConversion()
    mode = _PILLOW_MODE_BY_COLOUR_SPACE.get(untrusted_profile[16:20])
    if mode is None or (mode == "CMYK") != (image.mode == "CMYK") or (mode == "L" and not grey):
        return ColourConversion()
    numbers = parse_profile(untrusted_profile) if mode == "RGB" else None
    if numbers is not None and is_srgb(numbers):
        return ColourConversion()
    if numbers is not None and not grey and is_usual(numbers):
        return ColourConversion(profile=write_profile(numbers))
    fast = _srgb_transform(untrusted_profile, mode)
    exact = _srgb_transform(untrusted_profile, mode, ImageCms.Flags.NOOPTIMIZE)
    return ColourConversion(transform=fast, mode=mode, exact=exact)


def _srgb_transform(
    untrusted_profile: bytes, mode: str, flags: ImageCms.Flags = ImageCms.Flags.NONE
) -> ImageCms.ImageCmsTransform | None:
    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(untrusted_profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION | flags,
        )
    except (OSError, ImageCms.PyCMSError):
        return None


_COMPARED_ROWS: Final = 64
_ROUNDING_LEVELS_MAX: Final = 2.0  # mean difference, of 255


def keeping_detail(
    image: Image.Image, colour: ColourConversion, untrusted_data: bytes
) -> ColourConversion:
    """Return the exact conversion if the fast one would lose detail of this picture.

    LittleCMS is fast because it replaces a profile by tables of its own, which are too coarse for
    steep curves; browsers show what is lost there. The conversions are compared in a few rows. The
    file's hash chooses the rows, so that nobody can make just these rows harmless.
    """
    if colour.transform is None or colour.exact is None:
        return colour
    chosen = hashlib.shake_256(untrusted_data).digest(4 * _COMPARED_ROWS)
    rows = (number % image.height for (number,) in struct.iter_unpack(">I", chosen))
    lost = sum(_rounding_levels(image, colour, row) for row in rows) / _COMPARED_ROWS
    return replace(colour, transform=colour.exact) if lost > _ROUNDING_LEVELS_MAX else colour


def _rounding_levels(image: Image.Image, colour: ColourConversion, row: int) -> float:
    strip = convert_mode(eight_bits(image.crop((0, row, image.width, row + 1))), colour.mode)
    fast, exact = (one.apply(strip) for one in (colour.transform, colour.exact) if one is not None)
    return max(ImageStat.Stat(ImageChops.difference(fast, exact)).mean)


def eight_bits(strip: Image.Image) -> Image.Image:
    """Drop the lower byte of 16-bit samples, as libpng's png_set_strip_16 does for RGB."""
    if strip.mode.startswith("I;16"):
        return strip.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return strip


def convert_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert to a mode without alpha, which has been extracted already."""
    image.info.pop("transparency", None)
    return image if image.mode == mode else image.convert(mode)
