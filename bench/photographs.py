"""The photographs that the benchmarks use, and the sizes at which they use them.

They come from packages (scikit-image, scikit-learn) and from Debian's wallpapers
(`apt-get install budgie-backgrounds lomiri-wallpapers-20.04`). Benchmarks skip those that are not
installed, and say so. Photographs with ``held_out=False`` were used while the method was developed;
the others are held out.
"""

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import skimage.data
from PIL import Image

from bench.attacks.kinds import Rgb
from bench.attacks.tones import to_bytes

_WALLPAPERS: Final = Path("/usr/share/backgrounds")
_BUDGIE: Final = _WALLPAPERS / "budgie"
_SOURCE_QUALITY: Final = 95


class Size(StrEnum):
    """The size at which a picture is sent; a smaller picture is never enlarged."""

    XS = "XS"  # 0.15 megapixels, small enough for millions of scores of innocent copies
    S = "S"  # 0.27 megapixels
    M = "M"  # 1,600 px along the longest side
    L = "L"  # 12 megapixels; a photograph of 7.5 to 12 megapixels keeps its size


class Kind(StrEnum):
    """The kind of content, which makes a picture easy or hard to recognise."""

    PLAIN = "plain"
    SKIN = "skin"
    SMOOTH = "smooth"
    NIGHT = "night"
    TEXT = "text"
    GRAPHIC = "graphic"  # drawn, not photographed: shown, but not counted among photographs


@dataclass(frozen=True, slots=True)
class Photograph:
    """A picture with its name.

    ``open`` raises FileNotFoundError if the picture is not installed, or ModuleNotFoundError if it
    comes from scikit-learn and that is not installed.
    """

    name: str
    open: Callable[[], Image.Image]
    kind: Kind = Kind.PLAIN
    held_out: bool = True

    def at(self, size: Size) -> Rgb:
        """Return the picture's RGB samples at a size.

        Raises:
            FileNotFoundError, ModuleNotFoundError: as ``open``.
            TooSmall: the picture has too few pixels for this size.
        """
        picture = self.open().convert("RGB")
        factor = _factor(size, picture.width, picture.height)
        if factor < 1.0:
            shape = (round(picture.width * factor), round(picture.height * factor))
            picture = picture.resize(shape, Image.Resampling.LANCZOS)
        return np.asarray(picture)

    def file_at(self, size: Size) -> bytes:
        """Return the file that the sender has: a JPEG of quality 95, as a good camera writes it.

        Raises what :meth:`at` raises.
        """
        file = io.BytesIO()
        Image.fromarray(self.at(size)).save(file, "JPEG", quality=_SOURCE_QUALITY)
        return file.getvalue()


class TooSmall(Exception):
    """Raised if a photograph has fewer pixels than a size requires."""


def _factor(size: Size, width: int, height: int) -> float:
    if size is Size.M:
        if max(width, height) < 1_600:
            raise TooSmall
        return 1_600 / max(width, height)
    if size is Size.L and width * height < 7_500_000:
        raise TooSmall
    area = {Size.XS: 150_000, Size.S: 270_000, Size.L: 12_000_000}[size]
    return math.sqrt(area / (width * height))


def _from_skimage(name: str) -> Callable[[], Image.Image]:
    """Return a function that opens one of the pictures that scikit-image is shipped with."""
    return lambda: Image.open(Path(skimage.data.__file__).parent / name)


def _from_sklearn(name: str) -> Callable[[], Image.Image]:
    """Return a function that opens one of scikit-learn's two pictures."""

    def open_it() -> Image.Image:
        import sklearn.datasets  # noqa: PLC0415 -- a slow import, and not always there

        return Image.open(Path(sklearn.datasets.__file__).parent / "images" / name)

    return open_it


def _wallpaper(
    path: Path, box: tuple[float, float, float, float] | None = None
) -> Callable[[], Image.Image]:
    """Return a function that opens a wallpaper, or only the part of it in ``box``.

    ``box`` is left, top, right, bottom, as shares of the sides.
    """

    def open_it() -> Image.Image:
        picture = Image.open(path)
        if box is None:
            return picture
        sides = (picture.width, picture.height) * 2
        return picture.crop(tuple(round(b * s) for b, s in zip(box, sides, strict=True)))

    return open_it


def _at_night(open_by_day: Callable[[], Image.Image]) -> Callable[[], Image.Image]:
    """Return a function that opens a picture as if it had been taken in the dark.

    Samples are raised to the power 1.8 and divided by 4, and get a sensor's noise.
    """

    def open_it() -> Image.Image:
        day = np.asarray(open_by_day().convert("RGB"), np.float32) / 255
        grain = np.random.default_rng(7).standard_normal(day.shape, np.float32)
        dark = 255 * (day**1.8 / 4)
        return Image.fromarray(to_bytes(dark + grain * np.sqrt(1.0 + 0.06 * dark)))

    return open_it


_SUNSET: Final = _BUDGIE / "beacon-street-sunset.jpg"

_ALL: Final = (
    Photograph("astronaut", _from_skimage("astronaut.png"), Kind.SKIN, held_out=False),
    Photograph("coffee", _from_skimage("coffee.png"), held_out=False),
    Photograph("chelsea", _from_skimage("chelsea.png"), held_out=False),
    Photograph("rocket", _from_skimage("rocket.jpg"), Kind.SMOOTH),
    Photograph("motorcycle", _from_skimage("motorcycle_left.png")),
    Photograph("motorcycle-right", _from_skimage("motorcycle_right.png")),
    Photograph("camera", _from_skimage("camera.png")),
    Photograph("china", _from_sklearn("china.jpg")),
    Photograph("flower", _from_sklearn("flower.jpg")),
    Photograph("night", _at_night(_from_skimage("coffee.png")), Kind.NIGHT),
    Photograph("page", _from_skimage("page.png"), Kind.TEXT),
    Photograph("otters", _wallpaper(_BUDGIE / "oakland-zoo-otters.jpg"), held_out=False),
    Photograph("kleiber", _wallpaper(_WALLPAPERS / "Kleiber_by_Lukas_Baubkus.jpg"), held_out=False),
    Photograph("dunes", _wallpaper(_BUDGIE / "extreme-desert-hike.jpg"), Kind.SMOOTH),
    Photograph(
        "sky", _wallpaper(_BUDGIE / "roman-colosseum.jpg", (0.5, 0.2, 1.0, 0.85)), Kind.SMOOTH
    ),
    Photograph("trestle", _wallpaper(_BUDGIE / "high-trestle-trail.jpg"), Kind.NIGHT),
    Photograph("saturn", _wallpaper(_BUDGIE / "saturnian-profile.jpg"), Kind.NIGHT),
    Photograph("night-street", _at_night(_wallpaper(_SUNSET)), Kind.NIGHT),
    Photograph("city", _wallpaper(_BUDGIE / "singaporean-cityscape.jpg")),
    Photograph("colosseum", _wallpaper(_BUDGIE / "roman-colosseum.jpg")),
    Photograph("tea", _wallpaper(_BUDGIE / "tea-gardens.jpg")),
    Photograph("periwinkle", _wallpaper(_BUDGIE / "blue-periwinkle.jpg")),
    Photograph("osprey", _wallpaper(_BUDGIE / "perched-osprey.jpg")),
    Photograph("sherburne", _wallpaper(_BUDGIE / "lake-sherburne.jpg")),
    Photograph("casa-mila", _wallpaper(_BUDGIE / "casa-mila.jpg")),
    Photograph("wren", _wallpaper(_BUDGIE / "canyon-wren.jpg")),
    Photograph("graphic", _wallpaper(_BUDGIE / "waves-midnight.jpg"), Kind.GRAPHIC),
)

PHOTOGRAPHS: Final[Mapping[str, Photograph]] = MappingProxyType({p.name: p for p in _ALL})
"""All photographs, by name."""

BY_SIZE: Final[Mapping[Size, tuple[str, ...]]] = MappingProxyType(
    {
        Size.XS: (
            "astronaut",
            "coffee",
            "chelsea",
            "motorcycle",
            "china",
            "flower",
            "camera",
            "dunes",
            "tea",
            "osprey",
            "periwinkle",
            "sherburne",
            "colosseum",
            "night",
            "city",
        ),
        Size.S: (
            "astronaut",
            "coffee",
            "rocket",
            "motorcycle",
            "china",
            "flower",
            "otters",
            "dunes",
            "sky",
            "night",
            "trestle",
            "tea",
            "osprey",
            "periwinkle",
            "colosseum",
            "page",
        ),
        Size.M: ("otters", "kleiber", "dunes", "sky", "night-street", "osprey", "tea", "sherburne"),
        Size.L: ("kleiber", "colosseum", "tea", "osprey"),
    }
)
"""The names of the photographs that are measured at each size by default."""
