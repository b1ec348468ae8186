"""How far a hash moves where a JPEG is decoded smaller, as a gate does (docs/decisions/0028).

    python -m bench.stopping.shrunk

Each photograph is saved at several sizes, proportions and qualities, some with a turn in its Exif,
and hashed whole, and with so many pixels left on its sides: by the filter of the whole size, as we
do, and by the one that PDQ has for what is left. The last line is one JSON object.
"""

import io
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

if __package__ in {None, ""}:
    # Run as a file: this folder is on the path then, and not the one that `bench` is in.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
from PIL import Image

from bench.photographs import PHOTOGRAPHS, Size, TooSmall
from entrenous.craft.fingerprint.distance import distance
from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.craft.media.picture import read_picture

_SIDES_PX: Final = (128, 192, 256, 512)
_OF_EACH: Final = 8
_ORIENTATION: Final = 0x0112
_WIDTHS_PX: Final = (400, 5000)


def main() -> None:
    """Measure and print."""
    apart: dict[tuple[int, str], list[int]] = defaultdict(list)
    for data in _files():
        whole = fingerprint(read_picture(data, luma=True))
        for side in _SIDES_PX:
            shrunk = read_picture(data, at_least_px=side, luma=True)
            if shrunk.shrunk_by > 1:
                as_small = replace(shrunk, shrunk_from=None)
                apart[side, "ours"].append(distance(whole, fingerprint(shrunk)))
                apart[side, "of the smaller size"].append(distance(whole, fingerprint(as_small)))
    for (side, how), bits in sorted(apart.items()):
        sys.stdout.write(f"{side} px, filter {how}: {_told(bits)}\n")
    document = {
        "schema": "entrenous/bench-shrunk/1",
        "bits": [
            {"side_px": side, "filter": how, **_told(bits)}
            for (side, how), bits in sorted(apart.items())
        ],
    }
    sys.stdout.write(f"{json.dumps(document)}\n")


def _told(bits: list[int]) -> dict[str, int]:
    shares = {"median": 50, "p90": 90, "p99": 99, "max": 100}
    return {"files": len(bits)} | {
        name: int(np.percentile(bits, share)) for name, share in shares.items()
    }


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
    """Larger sizes than the photograph's own are left out: they would be smooth."""
    wide = int(rng.integers(_WIDTHS_PX[0], min(_WIDTHS_PX[1], image.width)))
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


if __name__ == "__main__":
    main()
