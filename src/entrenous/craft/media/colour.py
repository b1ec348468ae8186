"""Whose colours are these? Keep an RGB matrix profile's numbers; turn everything else into sRGB.

CMYK, grey and table-based profiles are applied here, by LittleCMS, so that no copy needs to carry
them: an ink table is large, and nobody can say what else its bytes hold.
"""

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageCms

from entrenous.craft.media.profile import is_srgb, parse_profile, write_profile

_MODE_OF_SPACE: Final = {b"RGB ": "RGB", b"CMYK": "CMYK", b"GRAY": "L"}


@dataclass(frozen=True, slots=True)
class Colour:
    """What to do with the samples, and the profile to keep.

    ``transform`` turns samples of Pillow mode ``mode`` into sRGB; None leaves them as they are.
    """

    profile: bytes | None = None
    transform: ImageCms.ImageCmsTransform | None = None
    mode: str = "RGB"


def colour_of(image: Image.Image, *, grey: bool) -> Colour:
    """The plan for an opened picture; a profile that is broken or does not fit is ignored."""
    untrusted_profile = image.info.get("icc_profile")
    if not isinstance(untrusted_profile, bytes):
        return Colour()
    mode = _MODE_OF_SPACE.get(untrusted_profile[16:20])
    if mode is None or (mode == "CMYK") != (image.mode == "CMYK") or (mode == "L" and not grey):
        return Colour()
    numbers = parse_profile(untrusted_profile) if mode == "RGB" else None
    if numbers is not None and is_srgb(numbers):
        return Colour()
    if numbers is not None and not grey:
        return Colour(profile=write_profile(numbers))
    return Colour(transform=_to_srgb(untrusted_profile, mode), mode=mode)


def _to_srgb(untrusted_profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(untrusted_profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ImageCms.PyCMSError):
        return None
