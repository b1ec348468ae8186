"""The photographs that recall is measured on: half to tune on, half that were never looked at.

Those of `bench.photographs`, Debian's other wallpapers and Meta's PDQ test pictures, at most 1,600
pixels on a side. Drawings, textures and pages of text are left out, and renderings of one scene are
one picture: whatever is compared here as a stranger is one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image

from bench.attacks.kinds import Rgb
from bench.photographs import PHOTOGRAPHS, Kind

LONGEST_PX: Final = 1_600
_WALLPAPERS: Final = Path("/usr/share/backgrounds")
_JUDGES: Final = Path(__file__).parents[3] / "shared" / "judges" / "pdq" / "reg-test-input"
_LEFT_OUT: Final = frozenset({"motorcycle-right", "night", "night-street", "sky", "page"})
_MORE: Final[Mapping[str, Path]] = {
    "fossa": _WALLPAPERS / "Fossa_by_Jasper_Roks.jpg",
    "paint": _WALLPAPERS / "Painting-Colors_by__herobrine7gamer.jpg",
    "ocean": _WALLPAPERS / "budgie" / "ocean-waves.jpg",
    "piazza": _WALLPAPERS / "budgie" / "piazza-gae-aulenti.jpg",
    "street": _WALLPAPERS / "budgie" / "beacon-street-sunset.jpg",
    "valley": _WALLPAPERS / "budgie" / "valley-midnight.jpg",
    "bridge": _JUDGES / "dih" / "bridge-1-original.jpg",
    "coaster": _JUDGES / "pen-and-coaster.png",
    **{
        f"labelme-{number}": _JUDGES / "labelme-subset" / f"q{number}.jpg"
        for number in ("0003", "0004", "0122", "0291", "0746", "1050", "2821")
    },
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A photograph, and whether it was kept away from whoever chose the method's numbers."""

    name: str
    rgb: Rgb
    held_out: bool


def subjects() -> Iterator[Subject]:
    """All photographs that are installed here; every second one is held out."""
    opened = [
        *((one.name, one.open) for one in PHOTOGRAPHS.values() if _wanted(one.name, one.kind)),
        *((name, lambda path=path: Image.open(path)) for name, path in _MORE.items()),
    ]
    for place, (name, open_it) in enumerate(opened):
        try:
            picture = open_it().convert("RGB")
        except FileNotFoundError:
            print(f"SKIPPED, not installed: {name}")  # noqa: T201
            continue
        yield Subject(name, smaller(np.asarray(picture), LONGEST_PX), held_out=place % 2 == 1)


def smaller(rgb: Rgb, longest_px: int) -> Rgb:
    """At most this long on a side, never enlarged."""
    factor = longest_px / max(rgb.shape[:2])
    if factor >= 1:
        return rgb
    size = (round(rgb.shape[1] * factor), round(rgb.shape[0] * factor))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _wanted(name: str, kind: Kind) -> bool:
    return name not in _LEFT_OUT and kind is not Kind.GRAPHIC
