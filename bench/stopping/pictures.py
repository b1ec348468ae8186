"""Measure how many 12-megapixel JPEGs a second we hash, compared with pdqhash and perception."""

import io
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from statistics import median
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.photographs import PHOTOGRAPHS, Size, TooSmall
from entrenous.base.limits import WHOLE_COMPARISON_SIDE_PX_MIN
from entrenous.fingerprint.pdq import fingerprint
from entrenous.media.picture_reader import read_picture

_PREFERRED: Final = ("casa-mila", "osprey", "city", "tea", "colosseum", "otters", "kleiber")
_SIZE: Final = (4000, 3000)


class Hashed(NamedTuple):
    """Pictures a second, and medians of the rounds' ratios to a peer; None without that peer.

    ``ours`` decodes the JPEG at a reduced size, as a gate does before its answer. ``whole`` decodes
    all pixels in colour, as a device does to register it. ``luma`` decodes the file's luma at full
    size without its colours, as a gate does if a JPEG is too small to be reduced. ``ratio``,
    ``whole_ratio`` and ``luma_ratio`` are the ratios of these three to pdqhash, and
    ``perception_ratio`` is the ratio of ``ours`` to perception.
    """

    source: str
    ours: float
    whole: float
    luma: float
    pdqhash: float | None
    perception: float | None
    ratio: float | None
    whole_ratio: float | None
    luma_ratio: float | None
    perception_ratio: float | None


def hashed(rounds: int) -> Hashed:
    """Measure hashing in ``rounds`` rounds: decoding included, in one thread, in turns.

    One more round is made first and is not counted, because a peer may load something with its
    first picture.
    """
    source, data = twelve_megapixels()
    ours = _rounds(
        {
            "ours": lambda: fingerprint(
                read_picture(data, at_least_px=WHOLE_COMPARISON_SIDE_PX_MIN, luma=True)
            ),
            "whole": lambda: fingerprint(read_picture(data)),
            "luma": lambda: fingerprint(read_picture(data, luma=True)),
            "pdqhash": _peer(pdqhash(), data),
            "perception": _peer(_perception(), data),
        },
        rounds,
    )
    per_s = [_median(ours.get(name)) for name in ("pdqhash", "perception")]
    pairs = (
        *((own, "pdqhash") for own in ("ours", "whole", "luma")),
        ("ours", "perception"),
    )
    ratios = [_ratio(ours[own], ours.get(other)) for own, other in pairs]
    own = (median(ours[name]) for name in ("ours", "whole", "luma"))
    return Hashed(source, *own, *per_s, *ratios)


def _rounds(ways: Mapping[str, Callable[[], object] | None], rounds: int) -> dict[str, list[float]]:
    """Return the pictures a second in each round, by name; a way that is None is left out."""
    there = {name: way for name, way in ways.items() if way is not None}
    times = [{name: _per_s(way) for name, way in there.items()} for _ in range(rounds + 1)]
    return {name: [one[name] for one in times[1:]] for name in there}


def _median(per_s: list[float] | None) -> float | None:
    return median(per_s) if per_s else None


def _ratio(own: list[float], theirs: list[float] | None) -> float | None:
    """Return the median of the rounds' ratios; None without the peer."""
    return median(a / b for a, b in zip(own, theirs, strict=True)) if theirs else None


def twelve_megapixels() -> tuple[str, bytes]:
    """Return the name and the JPEG of a wallpaper, resized to 4000 x 3000 pixels.

    If no wallpaper is installed, this is a smaller photograph, enlarged.
    """
    for name in _PREFERRED:
        try:
            samples = PHOTOGRAPHS[name].at(Size.L)
        except (FileNotFoundError, TooSmall):
            continue
        return name, _jpeg(Image.fromarray(samples).resize(_SIZE, Image.Resampling.LANCZOS))
    enlarged = Image.fromarray(PHOTOGRAPHS["coffee"].at(Size.S)).resize(_SIZE)
    return "coffee, enlarged", _jpeg(enlarged)


def large_pictures() -> list[bytes]:
    """Return three JPEGs of twelve megapixels: a photograph as it is, mirrored, and upside down."""
    with Image.open(io.BytesIO(twelve_megapixels()[1])) as whole:
        turns = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180)
        return [_jpeg(whole), *(_jpeg(whole.transpose(turn)) for turn in turns)]


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def pdqhash() -> Callable[[bytes], tuple[NDArray[np.uint8], int]] | None:
    """Return a function that hashes a file with the public implementation; None without it.

    It decodes the file with Pillow, and returns 256 bits and a quality.
    """
    try:
        compute = import_module("pdqhash").compute
    except ImportError:
        return None
    return lambda data: compute(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def _perception() -> Callable[[bytes], object] | None:
    try:
        hasher = import_module("perception.hashers").PDQHash()
    except ImportError:
        return None
    return lambda data: hasher.compute(io.BytesIO(data))  # faster than with an opened image


def _peer(peer: Callable[[bytes], object] | None, data: bytes) -> Callable[[], object] | None:
    return None if peer is None else lambda: peer(data)


def _per_s(work: Callable[[], object]) -> float:
    """Return how often a second ``work`` can run, by the processor time of all threads.

    ``bench.stopping.lookups`` says why it is processor time.
    """
    began = time.process_time()
    work()
    return 1 / (time.process_time() - began)
