"""The photographs on which recall is measured.

There are two sets. Of the first, half were used for tuning, and half were never looked at. The
second, later set was added after every number and method had been chosen.

The first set has those of `bench.photographs`, other wallpapers of Debian, and Meta's PDQ test
pictures. The later ones are wallpapers of Debian too (`apt-get install mate-backgrounds
plasma-workspace-wallpapers lomiri-wallpapers-16.04`). A photograph with a side of more than 1,600
pixels is scaled down to 1,600. Textures, pages of text, and drawings (but for the two in
`bench.stopping.recall_alike`) are left out, and of several renderings of one scene only one is
used. So two different pictures here are always unrelated.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image

from bench.attacks.kinds import Rgb
from bench.photographs import PHOTOGRAPHS, Kind

Opened = tuple[str, Callable[[], Image.Image]]

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
_PLASMA: Final = Path("/usr/share/wallpapers")
_LATER: Final[tuple[Path, ...]] = (
    *(
        _WALLPAPERS / "mate" / "nature" / f"{name}.jpg"
        for name in (
            *("Aqua", "Blinds", "Dune", "FreshFlower", "Garden", "GreenMeadow", "LadyBird"),
            *("RainDrops", "Storm", "TwoWings", "Wood", "YellowFlower"),
        )
    ),
    *(
        _PLASMA / name / "contents" / "images" / "2560x1600.jpg"
        for name in (
            *("BytheWater", "ColdRipple", "ColorfulCups", "DarkestHour", "EveningGlow"),
            *("FallenLeaf", "Grey", "Kite", "OneStandsOut", "Path"),
        )
    ),
    *(
        _WALLPAPERS / f"{name}.jpg"
        for name in (
            *("Bridge_by_Sander_Klootwijk", "Dragonfly_by_Bolly", "Picture_0B_by_freespace"),
            *("Picture_1A_by_freespace", "Wine_by_Jakkub_Mede", "aitzgorri_by_Aitzol_Berasategi"),
            *("free_by_Peter_Nerlich", "friends_by_Aitzol_Berasategi"),
            *("greentock_by_Peter_Nerlich", "life_by_Aitzol_Berasategi"),
            *("picosdeeuropa_by_Aitzol_Berasategi", "seeding_by_Clements_Engelhardt"),
            "sunset_by_Aitzol_Berasategi",
        )
    ),
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A photograph; ``held_out`` if it was not used to choose the method's numbers."""

    name: str
    rgb: Rgb
    held_out: bool


def subjects() -> Iterator[Subject]:
    """Yield the first set, as far as it is installed; every second photograph is held out."""
    yield from _installed(opened_first(), lambda place: place % 2 == 1)


def later_subjects() -> Iterator[Subject]:
    """Yield the later set, on which nothing was ever chosen, neither a number nor a method."""
    yield from _installed(opened_later(), lambda _: True)


def opened_later() -> list[Opened]:
    """Return the names of the later set, each with a function that opens the photograph.

    That function raises FileNotFoundError if the photograph is not installed.
    """
    return [(_name(path), lambda path=path: Image.open(path)) for path in _LATER]


def opened_first() -> list[Opened]:
    """Return the same as :func:`opened_later`, for the first set."""
    return [
        *((one.name, one.open) for one in PHOTOGRAPHS.values() if _wanted(one.name, one.kind)),
        *((name, lambda path=path: Image.open(path)) for name, path in _MORE.items()),
    ]


def _name(path: Path) -> str:
    """Return a picture's name; Plasma's files are named after their size, their folders are not."""
    return (path.parents[2] if path.is_relative_to(_PLASMA) else path).stem


def _installed(opened: Sequence[Opened], held_out: Callable[[int], bool]) -> Iterator[Subject]:
    for place, (name, open_it) in enumerate(opened):
        try:
            picture = open_it().convert("RGB")
        except FileNotFoundError:
            print(f"SKIPPED, not installed: {name}")  # noqa: T201
            continue
        yield Subject(name, smaller(np.asarray(picture), LONGEST_PX), held_out(place))


def smaller(rgb: Rgb, longest_px: int) -> Rgb:
    """Scale a picture down until its longest side has at most this many pixels."""
    factor = longest_px / max(rgb.shape[:2])
    if factor >= 1:
        return rgb
    size = (round(rgb.shape[1] * factor), round(rgb.shape[0] * factor))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _wanted(name: str, kind: Kind) -> bool:
    return name not in _LEFT_OUT and kind is not Kind.GRAPHIC
