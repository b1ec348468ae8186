"""Which frames of a video are hashed, however many it shows.

PDQ forgives an edge that is off by one per cent, and a hand that holds a camera moves the picture
by more than that in a quarter of a second. So eight frames a second are registered, of which those
stay that differ from their neighbours: few where nothing moves, and enough where something does for
a screenshot at any moment to lie near one. Of an upload, four a second are looked at.

Whoever decodes is asked for no more than that (``REGISTERED``, ``LOOKED_AT``), and for no more
pixels than it takes: at 1,024 a frame's hash is 4 bits (at most 8) from that at full size.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from entrenous.model.clip import Cut, Frame, Pace
from entrenous.model.print import LOOK_FRAMES_MAX, PRINT_FRAMES_MAX

SIDE_PX: Final = 1024
REGISTERED: Final = Cut(side_px=SIDE_PX, apart_s=0.125, frames_max=PRINT_FRAMES_MAX)
LOOKED_AT: Final = Cut(side_px=SIDE_PX, apart_s=0.25, frames_max=LOOK_FRAMES_MAX)


def registered(frames: Iterable[Frame], length_s: float) -> Iterator[Frame]:
    """The frames that may be registered: eight a second, fewer when longer than 150 seconds.

    ``length_s`` is what the file announces; if that is 0, the first 150 seconds are taken.
    """
    return paced(frames, REGISTERED.pace(length_s), PRINT_FRAMES_MAX)


def looked_at(frames: Iterable[Frame], length_s: float) -> Iterator[Frame]:
    """The frames of an upload that are looked at: four a second, fewer when longer than 10 min."""
    return paced(frames, LOOKED_AT.pace(length_s), LOOK_FRAMES_MAX)


def paced(frames: Iterable[Frame], pace: Pace, most: int) -> Iterator[Frame]:
    """The frames that it takes, at most so many; they come in the order of time."""
    return islice((frame for frame in frames if pace.takes(frame.at_s)), most)
