"""Take named copies out of what was heard, so that fainter ones beside them can be heard.

When several copies were merged, each drowns the others a little. What was heard is a vector with
one number per chip; each named copy's chips are a direction in it. Without its parts along those
directions, only the noise of the others is left, and every other copy scores higher.

The bound on false accusation holds all the same, by induction over the rounds: what is left
depends on the leak, the sent picture and the named copies' own streams, in which no innocent's
stream had a part. ``craft/weigh/rounds.py`` gives the argument and spends alpha accordingly.
docs/spec/mark.md, section 7.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from entrenous.craft.mark.code import chips
from entrenous.craft.mark.listen import Heard
from entrenous.craft.mark.luma import Plane

_AROUND: Final = 63  # chips along a row


def without(heard: Heard, streams: Iterable[bytes]) -> Heard:
    """What was heard, less its projection on these copies' chips.

    A copy adds to each chip's evidence in proportion to the information about that chip, which the
    mean square of the evidence around it measures. So a copy's direction is its chips times that.

    Args:
        heard: the evidence of a leak.
        streams: key streams of the copies that were named; none leaves everything as it is.

    Raises:
        ValueError: a stream is too short.
    """
    firmness = _firmness(heard.per_chip)
    directions = [chips(stream, heard.per_chip.size) * firmness for stream in streams]
    if not directions:
        return heard
    basis = np.stack(directions)
    normal = (basis @ basis.T).astype(np.float64)
    parts = np.linalg.lstsq(normal, (basis @ heard.per_chip).astype(np.float64), rcond=None)[0]
    left = heard.per_chip - parts.astype(np.float32) @ basis
    return replace(heard, per_chip=left, strength=float(np.linalg.norm(left.astype(np.float64))))


def _firmness(per_chip: Plane) -> Plane:
    power = cv2.blur((per_chip * per_chip).reshape(1, -1), (_AROUND, 1))
    return np.maximum(power.ravel(), 0.0, dtype=np.float32)
