"""How many 12-megapixel JPEGs a second become fingerprints, ours and by ``pdqhash`` with Pillow."""

import io
import time
from collections.abc import Callable
from importlib import import_module
from statistics import median
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from bench.photographs import PHOTOGRAPHS, Size, TooSmall
from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.craft.media.picture import read_picture
from entrenous.spec import GATE_SIDE_PX

_PREFERRED: Final = ("casa-mila", "osprey", "city", "tea", "colosseum", "otters", "kleiber")
_SIZE: Final = (4000, 3000)
_ROUNDS: Final = 5


class Hashed(NamedTuple):
    """Pictures a second; the peer's is None where it is not installed."""

    source: str
    ours: float
    pdqhash: float | None
    ratio: float | None


def hashed() -> Hashed:
    """Decoding as a gate does included, one thread, in turns."""
    source, data = twelve_megapixels()
    peer = _pdqhash()
    ours, theirs = [], []
    for _ in range(_ROUNDS):
        ours.append(_per_s(lambda: fingerprint(read_picture(data, at_least_px=GATE_SIDE_PX))))
        if peer is not None:
            theirs.append(_per_s(lambda: peer(data)))
    if not theirs:
        return Hashed(source, median(ours), None, None)
    ratio = median(own / other for own, other in zip(ours, theirs, strict=True))
    return Hashed(source, median(ours), median(theirs), ratio)


def twelve_megapixels() -> tuple[str, bytes]:
    """A wallpaper of 4000 x 3000 pixels, or, where there is none, a photograph enlarged to that."""
    for name in _PREFERRED:
        try:
            samples = PHOTOGRAPHS[name].at(Size.L)
        except (FileNotFoundError, TooSmall):
            continue
        return name, _jpeg(Image.fromarray(samples).resize(_SIZE, Image.Resampling.LANCZOS))
    enlarged = Image.fromarray(PHOTOGRAPHS["coffee"].at(Size.S)).resize(_SIZE)
    return "coffee, enlarged", _jpeg(enlarged)


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def _pdqhash() -> Callable[[bytes], object] | None:
    try:
        compute = import_module("pdqhash").compute
    except ImportError:
        return None
    return lambda data: compute(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def _per_s(work: Callable[[], object]) -> float:
    """By the processor's time, of all threads: see ``lookups``."""
    began = time.process_time()
    work()
    return 1 / (time.process_time() - began)
