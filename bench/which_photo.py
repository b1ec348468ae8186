"""Measure how often the right one of ten thousand sent photos is among the first that are tried.

    python -m bench.which_photo                    10,000 strangers: a quarter of an hour
    python -m bench.which_photo --strangers 500 --each 1

Half of the photographs are sent and leaked. The strangers, which are sent too, are blends of pieces
of the other half, sheared and stretched: as detailed as photographs, and no two alike. Photographs
that show a scene of the first half are not used for strangers, unless with ``--same-scene``. The
ledger is the product's own, in memory. Each photograph leaks several times in each way, at
different places and angles. The last line is one JSON object.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Final

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import cv2
import numpy as np

from bench.attacks import ATTACKS, Attack, Rgb
from bench.attacks.frame import keep_area, mirror, scale
from bench.attacks.kinds import Rng, attack
from bench.attacks.overlay import caption
from bench.attacks.save import jpeg, load
from bench.attacks.screens import screenshot
from bench.photographs import PHOTOGRAPHS, Kind, Size, TooSmall
from entrenous.base.identifiers import MessageId
from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.device.store.ledger import VaultLedger
from tests.in_memory.vault import MemoryVault

#: How often each photograph was missed, and the mean processor time of a search in seconds.
Found = tuple[Counter[str], float]

FIRST: Final = 5
_PIECE: Final = (480, 320)
# photographs of the scenes that "sky" and "motorcycle" show, which are sent
_SAME_SCENE: Final = frozenset({"colosseum", "motorcycle-right"})
_LEAKS: Final[dict[str, Attack]] = {
    "crop30+mirror+caption+q70": attack(keep_area(0.3), mirror, caption, save=jpeg(70)),
    "crop30+resize50+q50": attack(keep_area(0.3), scale(0.5), save=jpeg(50)),
    "crop30+screenshot+q70": attack(keep_area(0.3), screenshot(dark=False), save=jpeg(70)),
}
_NAMES: Final = ("q10", "crop30+q70", "crop10+q70", "rot37+q70", "screen-photo", "collage+q70")


def sent() -> dict[str, Rgb]:
    """Return the photographs that are leaked."""
    return dict(_opened(list(PHOTOGRAPHS)[::2], Size.M))


def strangers(count: int, rng: Rng, left_out: Container[str] = _SAME_SCENE) -> Iterator[Rgb]:
    """Yield blends of pieces of the photographs that are not leaked, without ``left_out``."""
    others = [name for name in list(PHOTOGRAPHS)[1::2] if name not in left_out]
    pieces = [piece for _, one in _opened(others, Size.M) for piece in _cut(one)]
    for _ in range(count):
        one, other = (pieces[rng.integers(len(pieces))].astype(np.float32) for _ in range(2))
        share = rng.uniform(0.35, 0.65)
        blend = share * one + (1 - share) * other[::-1]
        wide, high = _PIECE
        linear = np.eye(2) + rng.uniform(-0.35, 0.35, (2, 2))
        centre = np.array([wide, high]) / 2
        shear = np.column_stack([linear, centre - linear @ centre])
        bent = cv2.warpAffine(1.3 * blend - 30, shear, _PIECE, borderMode=cv2.BORDER_REFLECT_101)
        yield np.asarray(np.clip(bent, 0, 255), np.uint8)


def main(arguments: list[str] | None = None) -> None:
    """Fill a ledger, make leaks, and search the ledger for each of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--strangers", type=int, default=10_000)
    parser.add_argument("--each", type=int, default=10, help="leaks of a photo in each way (10)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--same-scene", action="store_true", help="strangers show sent scenes, too")
    asked = parser.parse_args(arguments)
    rng = np.random.default_rng(asked.seed)
    left_out = frozenset[str]() if asked.same_scene else _SAME_SCENE
    ledger, photos = VaultLedger(MemoryVault()), sent()
    for number, name in enumerate(photos):
        ledger.store_picture_record(_message(number), 0, _picture(photos[name]))
    for number, rgb in enumerate(strangers(asked.strangers, rng, left_out), start=len(photos)):
        ledger.store_picture_record(_message(number), 0, _picture(rgb))
    leaks = {**{name: ATTACKS[name] for name in _NAMES}, **_LEAKS}
    ways = {name: _found(ledger, photos, leak, rng, asked.each) for name, leak in leaks.items()}
    count = asked.each * len(photos)
    for name, (missed, seconds) in ways.items():
        share = f"{count - missed.total()} of {count}"
        print(f"{name:28} {share} among the first {FIRST}, {seconds:.2f} s; missed: {dict(missed)}")  # noqa: T201
    print(json.dumps(_answer(asked.strangers, count, ways)))  # noqa: T201


def _answer(strangers: int, count: int, ways: dict[str, Found]) -> dict[str, object]:
    first = {name: count - missed.total() for name, (missed, _) in ways.items()}
    return {
        "schema": "entrenous/bench-which-photo/2",
        "strangers": strangers,
        "leaks": count * len(ways),
        "among_first_5": sum(first.values()),
        "ways": {name: {"leaks": count, "among_first_5": good} for name, good in first.items()},
        "missed": {name: dict(missed) for name, (missed, _) in ways.items() if missed},
    }


def _found(ledger: VaultLedger, photos: dict[str, Rgb], leak: Attack, rng: Rng, each: int) -> Found:
    missed, spent = Counter[str](), 0.0
    for number, (name, rgb) in enumerate(photos.items()):
        for _ in range(each):
            picture = _picture(load(leak(rgb, rng)))
            started = time.process_time()
            near = ledger.pictures_to_compare(picture)[:FIRST]
            spent += time.process_time() - started
            missed[name] += _message(number) not in {one.message for one in near}
    return +missed, spent / max(1, each * len(photos))


def _opened(names: list[str], size: Size) -> Iterator[tuple[str, Rgb]]:
    for name in names:
        photograph = PHOTOGRAPHS[name]
        if photograph.kind in {Kind.GRAPHIC, Kind.TEXT}:
            continue
        try:
            yield name, photograph.at(size)
        except TooSmall:
            yield name, photograph.at(Size.S)
        except FileNotFoundError:
            print(f"SKIPPED, not installed: {name}")  # noqa: T201


def _cut(rgb: Rgb) -> list[Rgb]:
    """Cut a photograph into pieces of three sizes, scale all to one size, and drop smooth ones."""
    high, wide = rgb.shape[:2]
    pieces = [
        rgb[y * high // n : (y + 1) * high // n, x * wide // n : (x + 1) * wide // n]
        for n in (1, 2, 4)
        for y in range(n)
        for x in range(n)
    ]
    sized = (np.asarray(cv2.resize(one, _PIECE, interpolation=cv2.INTER_AREA)) for one in pieces)
    return [np.asarray(one, np.uint8) for one in sized if one.std() > 12]


def _picture(rgb: Rgb) -> Picture:
    high, wide = rgb.shape[:2]
    return Picture(
        wide, high, np.ascontiguousarray(rgb).tobytes(), PictureEncoding(PictureFormat.PNG)
    )


def _message(number: int) -> MessageId:
    return MessageId(number.to_bytes(16, "big"))


if __name__ == "__main__":
    main()
