"""Turn and mirror a hash whose picture is gone, nearly (docs/spec/gate.md section 5, 5.2).

Turning a picture changes signs of its odd frequencies and transposes them, and a bit says whether a
frequency is above the median. Were the median zero, bits of odd frequencies would flip; it is near
zero, so few bits are wrong: at most 18 of 256 in 14 pictures.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.orientation import inverted
from entrenous.spec import PDQ_BYTES
from entrenous.stop.look import INVERTED, said

Bits = NDArray[np.uint8]  # (16, 16): vertical frequency, horizontal frequency

_SIDE: Final = 16
_ODD: Final = (np.arange(_SIDE) % 2 == 0).astype(np.uint8)  # bit i is of frequency i + 1


def turned(bits: bytes) -> Mapping[str, bytes]:
    """About the fingerprints that ``craft.fingerprint.orientation`` would give, by the same names.

    Args:
        bits: a PDQ hash, 32 bytes, bit 255 first.
    """
    grid = np.unpackbits(np.frombuffer(bits, dtype=np.uint8))[::-1].reshape(_SIDE, _SIDE)
    down, across, swapped = _ODD[:, None], _ODD[None, :], grid.T
    return {
        "as it is": bits,
        "turned 90": _packed(swapped ^ across),
        "turned 180": _packed(grid ^ down ^ across),
        "turned 270": _packed(swapped ^ down),
        "mirror": _packed(grid ^ across),
        "mirror, turned 180": _packed(grid ^ down),
        "mirror, turned 90": _packed(swapped),
        "mirror, turned 270": _packed(swapped ^ down ^ across),
    }


def turned_back(bits: bytes) -> Mapping[str, bytes]:
    """What an upload's hash is, if it was made from the picture of ``bits`` in each of these ways:
    a quarter turn is undone by the opposite one, everything else by itself.
    """
    turns = turned(bits)
    undone = {"turned 90": "turned 270", "turned 270": "turned 90"}
    return {how: turns[undone.get(how, how)] for how in turns}


def every_way(bits: bytes) -> tuple[tuple[str, bytes], ...]:
    """About the hash that a picture has of which ``bits`` is an upload's, by what had been done to
    that picture: turned or mirrored, and its colours inverted or not.
    """
    ways = turned(bits).items()
    return (
        *((said(how), way) for how, way in ways),
        *((said(how, INVERTED), inverted(way)) for how, way in ways),
    )


def _packed(grid: Bits) -> bytes:
    packed = np.packbits(grid.reshape(-1)[::-1]).tobytes()
    assert len(packed) == PDQ_BYTES  # noqa: S101 (16 x 16 bits)
    return packed
