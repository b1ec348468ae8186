"""Measure how far our hash of a JPEG is from that of pdqhash, also if it is decoded smaller.

    python -m bench.stopping.shrunk

Each photograph is saved at several sizes, proportions and qualities, and with a random orientation
in its Exif data. Each file is read in every way in which the product reads a JPEG: `registering` is
what a device does, with all pixels, in colour; `luma` is the file's luma at full size, as a gate
reads a file that is too small to be reduced; `192 px` is the luma decoded at a reduced size, as a
gate does before its answer; `512 px, in colour` is for the deferred scan. Each result is compared
with `pdqhash` of the file as Pillow decodes it, upright. Files too flat to be registered, whose
hash is little more than noise, are counted separately.

Then (docs/decisions/0028) our hash of the luma at a reduced size is compared with that at full
size: with the filter of the full size, as the product does, and with the filter that PDQ has for
the reduced size. All distances are in bits. The last line is one JSON object.
"""

import argparse
import io
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
from PIL import Image, ImageOps

from bench.photographs import PHOTOGRAPHS, Size, TooSmall
from bench.stopping.pictures import pdqhash
from bench.stopping.recall_pictures import opened_first, opened_later
from entrenous.base.limits import (
    PART_COMPARISON_SIDE_PX_MIN,
    PDQ_QUALITY_MIN,
    WHOLE_COMPARISON_SIDE_PX_MIN,
)
from entrenous.base.picture import Picture
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.fingerprint.pdq import distance, fingerprint
from entrenous.media.picture_reader import read_picture

WAYS: Final[Mapping[str, Callable[[bytes], Picture]]] = MappingProxyType(
    {
        "registering": read_picture,
        "luma": lambda data: read_picture(data, luma=True),
        f"{WHOLE_COMPARISON_SIDE_PX_MIN} px": lambda data: read_picture(
            data, at_least_px=WHOLE_COMPARISON_SIDE_PX_MIN, luma=True
        ),
        f"{PART_COMPARISON_SIDE_PX_MIN} px, in colour": lambda data: read_picture(
            data, at_least_px=PART_COMPARISON_SIDE_PX_MIN
        ),
    }
)
_SIDES_PX: Final = (128, 192, 256, 512)
_OF_EACH: Final = 8
_OF_ALL: Final = 3
_WIDTHS_PX: Final = (400, 5000)
_ORIENTATION: Final = 0x0112
Apart = dict[tuple[int, str], list[int]]


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the distances, and then one JSON object."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    public: dict[str, list[int]] = defaultdict(list)
    flat: dict[str, list[int]] = defaultdict(list)
    apart: Apart = defaultdict(list)
    farthest = dict[str, str]()
    for name, data in _files_of_all():
        quality, compared = from_public(data)
        for way, bits in compared.items():
            if quality < PDQ_QUALITY_MIN:
                flat[way].append(bits)
                continue
            if bits > max(public[way], default=-1):
                farthest[way] = name
            public[way].append(bits)
    for data in _files():
        _shrink(data, apart)
    for way, some in public.items():
        _say(f"from pdqhash, {way}: {_figures_of(some)}, the farthest of {farthest[way]}")
    for (side, how), some in sorted(apart.items()):
        _say(f"{side} px, filter {how}: {_figures_of(some)}")
    document = {
        "schema": "entrenous/bench-shrunk/1",
        "from_pdqhash": {way: _figures_of(some) for way, some in public.items()},
        "from_pdqhash_flat": {way: _figures_of(some) for way, some in flat.items()},
        "bits": [
            {"side_px": side, "filter": how, **_figures_of(some)}
            for (side, how), some in sorted(apart.items())
        ],
    }
    _say(json.dumps(document))


def from_public(data: bytes) -> tuple[int, dict[str, int]]:
    """Return the quality that pdqhash gives a file, and the distances of our hashes from pdqhash's.

    There is one distance, in bits, for each way of reading the file. If pdqhash is not installed,
    the result is 0 and no distances.
    """
    public = pdqhash()
    if public is None:
        return 0, {}
    with Image.open(io.BytesIO(data)) as image:
        upright = io.BytesIO()
        ImageOps.exif_transpose(image).convert("RGB").save(upright, "BMP")
    bits, quality = public(upright.getvalue())
    theirs = Fingerprint("pdq", np.packbits(bits).tobytes(), int(quality))
    apart = {way: distance(fingerprint(read(data)), theirs) for way, read in WAYS.items()}
    return theirs.quality, apart


def _shrink(data: bytes, apart: Apart) -> None:
    whole = fingerprint(read_picture(data, luma=True))
    for side in _SIDES_PX:
        shrunk = read_picture(data, at_least_px=side, luma=True)
        if shrunk.shrunk_by > 1:
            as_small = replace(shrunk, original_size=None)
            apart[side, "ours"].append(distance(whole, fingerprint(shrunk)))
            apart[side, "of the smaller size"].append(distance(whole, fingerprint(as_small)))


def _figures_of(bits: list[int]) -> dict[str, int]:
    shares = {"median": 50, "p90": 90, "p99": 99, "max": 100}
    return {"files": len(bits)} | {
        name: int(np.percentile(bits, share)) for name, share in shares.items()
    }


def _files_of_all() -> Iterator[tuple[str, bytes]]:
    """Yield three files of every photograph that is installed, each with the photograph's name."""
    rng = np.random.default_rng(29)
    for name, open_it in (*opened_first(), *opened_later()):
        try:
            image = open_it().convert("RGB")
        except FileNotFoundError:
            continue
        yield from ((name, _saved(image, rng)) for _ in range(_OF_ALL))


def _files() -> Iterator[bytes]:
    rng = np.random.default_rng(28)
    for photograph in PHOTOGRAPHS.values():
        for size in (Size.M, Size.L):
            try:
                image = Image.fromarray(photograph.at(size))
            except (FileNotFoundError, TooSmall):
                continue
            for _ in range(_OF_EACH):
                yield _saved(image, rng)


def _saved(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Save as a JPEG of random quality and of random size, at most as wide as the photograph.

    A photograph is not enlarged, because it would be unnaturally smooth.
    """
    least, most = (min(width, image.width) for width in _WIDTHS_PX)
    wide = int(rng.integers(least, most)) if least < most else image.width
    high = max(1, round(wide * image.height / image.width * rng.uniform(0.8, 1.25)))
    exif = Image.Exif()
    exif[_ORIENTATION] = int(rng.integers(1, 9))
    held = io.BytesIO()
    image.resize((wide, high), Image.Resampling.LANCZOS).save(
        held,
        "JPEG",
        quality=int(rng.integers(40, 96)),
        subsampling=int(rng.integers(0, 3)),
        progressive=bool(rng.integers(0, 2)),
        exif=exif,
    )
    return held.getvalue()


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
