"""All eight ways to turn and mirror a picture, from one cosine transform.

Mirroring a picture flips the signs of its odd frequencies along that axis, a quarter turn also
transposes them: so the turned picture's hash costs a few sign flips and a new median, not a second
look at the pixels. (The *hash* alone cannot be turned: the sign of a frequency is lost against the
median.) Registered pictures are hashed upright and uploads in all eight ways; the names say what
had been done to the registered picture, turns being counter-clockwise.
"""

from collections.abc import Mapping
from itertools import count
from typing import Final

import numpy as np

from entrenous.craft.fingerprint.picture import (
    KIND,
    Pixels,
    frequencies,
    quality,
    seen_pixels,
    shrink,
    to_bits,
)
from entrenous.craft.fingerprint.spectrum import KEPT, Floats
from entrenous.model.fingerprint import Fingerprint
from entrenous.model.picture import FullSize, Picture
from entrenous.spec import PDQ_BYTES

UPRIGHT: Final = "as it is"
_FLIP: Final = np.where(np.arange(KEPT) % 2 == 0, -1.0, 1.0).astype(np.float32)  # frequency i + 1
_EVERY_BIT: Final = (1 << 8 * PDQ_BYTES) - 1


def orientations(picture: Picture) -> Mapping[str, Fingerprint]:
    """Eight fingerprints of an upload, by what may have been done to the registered picture.

    ``orientations(mirrored)["mirror"]`` is the fingerprint of the picture before it was mirrored.
    """
    return pixel_orientations(seen_pixels(picture), picture.shrunk_from, picture.shrunk_by)


def pixel_orientations(
    pixels: Pixels, full: FullSize | None = None, shrunk_by: int = 1
) -> Mapping[str, Fingerprint]:
    """:func:`orientations` of pixels as :func:`shrink` takes them."""
    blocks = shrink(pixels, full, shrunk_by)
    detail = quality(blocks)
    turned = turn(frequencies(blocks))
    every = to_bits(np.stack(list(turned.values())))
    return {
        how: Fingerprint(KIND, every[start : start + PDQ_BYTES], detail)
        for how, start in zip(turned, count(0, PDQ_BYTES), strict=False)
    }


def turn(spectrum: Floats) -> Mapping[str, Floats]:
    """The spectra (..., 16, 16) of the eight turned pictures, from the spectrum of one."""
    down, across = _FLIP[:, None], _FLIP[None, :]
    swapped = np.swapaxes(spectrum, -1, -2)
    return {
        UPRIGHT: spectrum,
        "turned 90": swapped * across,
        "turned 180": spectrum * down * across,
        "turned 270": swapped * down,
        "mirror": spectrum * across,
        "mirror, turned 180": spectrum * down,
        "mirror, turned 90": swapped,
        "mirror, turned 270": swapped * down * across,
    }


TURNS: Final = tuple(turn(np.zeros((KEPT, KEPT), np.float32)))
"""What may have been done, all eight."""


def inverted(bits: bytes) -> bytes:
    """The hash of the same picture with its colours inverted: every bit is the other one."""
    return (int.from_bytes(bits) ^ _EVERY_BIT).to_bytes(PDQ_BYTES)
