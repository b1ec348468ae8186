"""Collusion attacks: merge several copies of one picture to remove their marks."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.attacks.frame import at_most
from bench.attacks.kinds import Rgb, Rng
from bench.attacks.save import jpeg, load
from bench.attacks.tones import to_bytes

Stack = NDArray[np.uint8]
"""Copies of one picture as an array: (copies, rows, columns, 3)."""
Merge = Callable[[Stack, Rng], Rgb]

_ROWS = 256


def _average(stack: Stack, _rng: Rng) -> Rgb:
    return to_bytes(stack.mean(axis=0, dtype=np.float32))


def _median(stack: Stack, _rng: Rng) -> Rgb:
    return to_bytes(np.median(stack, axis=0))


def _lowest(stack: Stack, _rng: Rng) -> Rgb:
    return np.asarray(stack.min(axis=0), np.uint8)


def _highest(stack: Stack, _rng: Rng) -> Rgb:
    return np.asarray(stack.max(axis=0), np.uint8)


def _middle(stack: Stack, _rng: Rng) -> Rgb:
    return to_bytes((stack.min(axis=0).astype(np.float32) + stack.max(axis=0)) / 2)


def _modified_negative(stack: Stack, _rng: Rng) -> Rgb:
    ends = stack.min(axis=0).astype(np.float32) + stack.max(axis=0)
    return to_bytes(ends - np.median(stack, axis=0))


def _a_pixel_each(stack: Stack, rng: Rng) -> Rgb:
    who = rng.integers(0, len(stack), stack.shape[1:3])
    return np.asarray(np.take_along_axis(stack, who[None, ..., None], axis=0)[0], np.uint8)


def _between(stack: Stack, rng: Rng) -> Rgb:
    low, high = stack.min(axis=0).astype(np.float32), stack.max(axis=0)
    return to_bytes(low + (high - low) * rng.random(low.shape[:2], np.float32)[..., None])


MERGES: Final[Mapping[str, Merge]] = MappingProxyType(
    {
        "average": _average,
        "median": _median,
        "min": _lowest,
        "max": _highest,
        "(min+max)/2": _middle,
        "min+max-median": _modified_negative,
        "a pixel each": _a_pixel_each,
        "random between": _between,
    }
)
"""Merges that work pixel by pixel (Zhao et al. 2005 name most of them)."""

TILES: Final = "tiles of 1/8"
MERGE_NAMES: Final = (*MERGES, TILES)
"""The names of all nine merges."""


def merge(name: str, copies: Sequence[Rgb], rng: Rng) -> Rgb:
    """Merge copies of the same size into one, a few rows at a time to save memory."""
    if name == TILES:
        return _tiled(copies, rng)
    rows = range(0, copies[0].shape[0], _ROWS)
    strips = (np.stack([copy[row : row + _ROWS] for copy in copies]) for row in rows)
    return np.concatenate([MERGES[name](strip, rng) for strip in strips])


def collude(name: str, copies: Sequence[Rgb], rng: Rng, quality: int = 75) -> bytes:
    """Merge copies, and return the result as a JPEG file."""
    return jpeg(quality)(merge(name, copies, rng))


def collude_and_post(copies: Sequence[Rgb], rng: Rng) -> bytes:
    """Average copies, then repost the result twice: 1,600 px at quality 70, then 1,080 px at 60."""
    first = load(jpeg(70)(at_most(1_600)(merge("average", copies, rng), rng)))
    return jpeg(60)(at_most(1_080)(first, rng))


def _tiled(copies: Sequence[Rgb], rng: Rng) -> Rgb:
    out = copies[0].copy()
    high, wide = -(-out.shape[0] // 8), -(-out.shape[1] // 8)
    for place in range(64):
        top, left = (place // 8) * high, (place % 8) * wide
        box = np.s_[top : top + high, left : left + wide]
        out[box] = copies[int(rng.integers(len(copies)))][box]
    return out
