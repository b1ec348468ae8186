"""Which frames of a video are hashed, however many it shows.

PDQ forgives an edge that is off by one per cent, and a hand that holds a camera moves the picture
by more than that in a quarter of a second. So eight frames a second are registered, of which those
stay that differ from their neighbours: few where nothing moves, and enough where something does for
a screenshot at any moment to lie near one. Of an upload, four a second are looked at.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from entrenous.model.clip import Frame
from entrenous.model.print import LOOK_FRAMES_MAX, PRINT_FRAMES_MAX

REGISTERED_S: Final = 0.125
LOOKED_AT_S: Final = 0.25
_EARLY_S: Final = 1e-6  # times in files are rounded to their ticks


def registered(frames: Iterable[Frame], length_s: float) -> Iterator[Frame]:
    """The frames that may be registered: eight a second, fewer when longer than 150 seconds.

    ``length_s`` is what the file announces; if that is 0, the first 150 seconds are taken.
    """
    return paced(frames, max(REGISTERED_S, length_s / PRINT_FRAMES_MAX), PRINT_FRAMES_MAX)


def looked_at(frames: Iterable[Frame], length_s: float) -> Iterator[Frame]:
    """The frames of an upload that are looked at: four a second, fewer when longer than 10 min."""
    return paced(frames, max(LOOKED_AT_S, length_s / LOOK_FRAMES_MAX), LOOK_FRAMES_MAX)


def paced(frames: Iterable[Frame], apart_s: float, most: int) -> Iterator[Frame]:
    """The first frame of each stretch of ``apart_s`` seconds; frames come in the order of time.

    A frame that stays for longer is not given twice. At most ``most`` are given.
    """
    given, due_s = 0, 0.0
    for frame in frames:
        if frame.at_s < due_s - _EARLY_S:
            continue
        yield frame
        given += 1
        if given == most:
            return
        due_s = ((frame.at_s + _EARLY_S) // apart_s + 1) * apart_s
