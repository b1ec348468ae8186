"""A found picture, looked at as often as needed but never twice in the same way."""

from typing import Final

import numpy as np

from entrenous.craft.align.features import (
    Features,
    Pixels,
    blurred_points_of,
    flipped,
    grey_of,
    looked_at_px,
    points_of,
)
from entrenous.craft.align.geometry import Size

FIRST_SIDE_PX: Final = 1000


class Looks:
    """One found picture and what was already seen in it; serves for many candidates."""

    __slots__ = ("_seen", "grey")

    def __init__(self, found_rgb: Pixels) -> None:
        self.grey: Pixels = grey_of(found_rgb)  # (h, w)
        self._seen: dict[int, Features] = {}

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return self.grey.shape[1], self.grey.shape[0]

    def features(
        self, side_px: int = FIRST_SIDE_PX, *, mirrored: bool = False, inverted: bool = False
    ) -> Features:
        """Points of the picture ``side_px`` wide (or high); 0: of its large shapes only.

        Mirrored or inverted, each point looks as it would there but stays where it is here.
        """
        looked_at = looked_at_px(max(self.size), side_px) if side_px else 0
        if looked_at not in self._seen:
            self._seen[looked_at] = (
                points_of(self.grey, side_px=looked_at)
                if looked_at
                else blurred_points_of(self.grey)
            )
        return flipped(self._seen[looked_at], mirrored=mirrored, inverted=inverted)


def looks(found: Pixels | Looks) -> Looks:
    """Prepare a found picture, (h, w, 3) uint8, for several candidates."""
    return Looks(np.asarray(found, np.uint8)) if isinstance(found, np.ndarray) else found
