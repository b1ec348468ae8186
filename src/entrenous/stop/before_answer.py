"""The looks before an answer, and how finely an upload is decoded for each.

A hash of the whole picture needs few pixels (:func:`.craft.fingerprint.picture.shrink`). Frames and
windows need more, to be cut off where their edges are; most uploads have no frame, and most banks
no windows.
"""

from collections.abc import Callable

from entrenous.model.picture import Picture
from entrenous.ports import Platform
from entrenous.spec import GATE_SIDE_PX, WHOLE_SIDE_PX
from entrenous.stop.look import Seen, Views, fast_views, part_views


def first_look(untrusted_data: bytes, platform: Platform) -> tuple[Picture, Views]:
    """The upload, and its fast look.

    Raises what :meth:`.ports.Platform.read_upload` raises.
    """
    side_px = GATE_SIDE_PX if _looks_at_parts(platform) else WHOLE_SIDE_PX
    return fast_look(lambda at_least_px: platform.read_upload(untrusted_data, at_least_px), side_px)


def fast_look(read: Callable[[int], Picture], side_px: int) -> tuple[Picture, Views]:
    """An upload's fast look, on a picture ``read`` with so many pixels left on its sides, or, if
    there is a frame around it, with more.
    """
    picture = read(side_px)
    seen = fast_views(picture)
    if not seen.framed or _is_fine(picture):
        return picture, seen
    picture = read(GATE_SIDE_PX)
    return picture, fast_views(picture)


def second_look(untrusted_data: bytes, picture: Picture, fast: Views, platform: Platform) -> Seen:
    """What to look up among parts before the answer, after the look among wholes: nothing in a bank
    without parts, nor in one with so many that it takes long, where slow looks are made. What the
    upload fits has no say in it, so that an answer's time does not tell that.

    Raises what :meth:`.ports.Platform.read_upload` raises.
    """
    if not _looks_at_parts(platform):
        return ()
    if not _is_fine(picture):
        picture = platform.read_upload(untrusted_data, GATE_SIDE_PX)
    return part_views(picture, fast)


def _looks_at_parts(platform: Platform) -> bool:
    count, limits = platform.index.parts(), platform.limits
    return count > 0 and (count <= limits.second_look_hashes or limits.slow_looks == 0)


def _is_fine(picture: Picture) -> bool:
    """Whether another reading would not show more."""
    return picture.shrunk_by == 1 or min(picture.width_px, picture.height_px) >= GATE_SIDE_PX
