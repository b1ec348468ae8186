"""Lay a found clip over a sent one: where in the frame, when in time, and how fast.

A moving camera excuses a wrong moment by a wrong place: a frame shown half a second too early lies
as well, only elsewhere. But one place must do for all found frames. So places are tried for every
moment near the one where points agreed, and the one wins at which most of the found clip fits:
first among small frames of the whole clip, then among all frames around the part that it shows.
Nothing here knows a key.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.geometry import Homography, resizing
from entrenous.craft.align.moment import (
    Moment,
    Strips,
    enough,
    laid_small,
    nearest,
    small,
    stacked,
)
from entrenous.craft.align.register import Registration, register
from entrenous.model.clip import Frame
from entrenous.ports import Device
from entrenous.trace.lost import Lost
from entrenous.trace.reel.sought import Anchor, Reel, rgb

_PROBES: Final = 12
_REACH_S: Final = 3.0  # from an anchor's key frame: as far a moving camera may have shifted it
_SIGHT_S: Final = 20.0  # from an anchor's key frame: as far a still scene is searched
_MARGIN_S: Final = 0.7
_NEAR_S: Final = 0.2
_ROUNDS: Final = 3
_CERTAIN: Final = 1.5  # of 2: no other anchor could lead to more
_LIKENESS_MIN: Final = 0.3  # of 2; strangers' clips stay below


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One idea of how found frames lie on a clip's frames, and of their moment."""

    anchor: Anchor
    homography: Homography
    moment: Moment


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """How a found clip lies on a sent one; ``sent`` are the frames around the part it shows.

    ``registration`` is from pixels of ``sent`` frames to those of the found ones.
    """

    reel: Reel
    registration: Registration
    moment: Moment
    sent: list[Frame]

    def shown_by(self, found_s: float) -> Frame:
        """The sent frame that the found one at this time shows."""
        wanted = np.array([self.moment.start_s + self.moment.speed * found_s])
        return self.sent[int(nearest(_times(self.sent), wanted)[0])]


def lay(
    found: list[Frame], probes: list[Frame], anchors: list[Anchor], device: Device, lost: Lost
) -> Laid | None:
    """Lay found frames over the clip of the likeliest anchor; None when they lie on none.

    Args:
        found: frames of the found clip, in the order of time.
        probes: those of them that anchors speak of.
        anchors: where they seem to belong.
        device: whose vault has the sent clips.
        lost: where those are noted that it does not give any more.
    """
    few = _spread(found)
    places: list[Place] = []
    for anchor in anchors:
        place = _roughly(few, anchor)
        places += [] if place is None else [place]
        if place is not None and place.moment.likeness >= _CERTAIN:
            break
    for place in sorted(places, key=lambda one: -one.moment.likeness):
        if place.moment.likeness < _LIKENESS_MIN:
            break
        laid = _finely(few, probes[place.anchor.probe], place, device, lost)
        if laid is not None:
            return laid
    return None


def excused(
    homography: Homography,
    at_s: float,
    times: NDArray[np.float64],
    reel: Reel,
    size: tuple[int, int],
) -> list[Homography]:
    """What a registration on the frame at ``at_s`` would be on the frames at other ``times``, if
    only the camera had moved in between. ``size`` is that of the sent frames it speaks of.
    """
    ways = [reel.camera.way(float(time), at_s, size) for time in times]
    return [homography @ np.vstack([way, [0.0, 0.0, 1.0]]) for way in ways]


def _roughly(few: list[Frame], anchor: Anchor) -> Place | None:
    """Among small frames: the best place and moment that this anchor leads to."""
    reel, key_s = anchor.reel, anchor.key.at_s
    seen = np.abs(reel.thumb_times - key_s) <= _SIGHT_S
    strip = reel.thumbs[seen].reshape(int(seen.sum()), -1).astype(np.float32)
    size = (anchor.key.width_px, anchor.key.height_px)
    near = reel.thumb_times[np.abs(reel.thumb_times - key_s) <= _REACH_S]
    best: Place | None = None
    tried: list[Homography] = []
    for homography in excused(anchor.homography, key_s, near, reel, size):
        if any(np.allclose(homography, one, atol=0.01) for one in tried):
            continue  # the camera stood still
        tried.append(homography)
        strips = _strips(
            few, homography, size, reel.thumbs.shape[1:], (strip, reel.thumb_times[seen])
        )
        if not enough(strips.covered):
            continue
        moment = strips.anywhere()
        if best is None or moment.likeness > best.moment.likeness:
            best = Place(anchor, homography, moment)
    return best


def _finely(
    few: list[Frame], probe: Frame, place: Place, device: Device, lost: Lost
) -> Laid | None:
    """Among all frames: the very one that the probe shows, registered in full."""
    moment, reel = place.moment, place.anchor.reel
    start_s = moment.start_s + moment.speed * few[0].at_s - _MARGIN_S
    stop_s = moment.start_s + moment.speed * few[-1].at_s + _MARGIN_S
    sent = reel.frames(start_s, stop_s, device, lost)
    if not sent:
        return None
    strip = stacked([np.asarray(frame) for frame in sent])
    size = (sent[0].width_px, sent[0].height_px)
    key = (place.anchor.key.width_px, place.anchor.key.height_px)
    rough = place.homography @ resizing(size, key)
    shape = small(np.asarray(sent[0])).shape
    moment = _strips(few, rough, size, shape, (strip, _times(sent))).refined(moment)
    registration = None
    for _ in range(_ROUNDS):
        shown = sent[_place(sent, moment, probe)]
        registration = register(rgb(np.asarray(probe)), rgb(np.asarray(shown)), thorough=False)
        if registration is None:
            return None
        ways = _around(registration.homography, shown, sent, reel)
        moment = _likeliest(few, probe, ways, (sent, strip), moment)
        if sent[_place(sent, moment, probe)] is shown:
            break
    return None if registration is None else Laid(reel, registration, moment, sent)


def _around(
    homography: Homography, shown: Frame, sent: list[Frame], reel: Reel
) -> list[tuple[Frame, Homography]]:
    near = [frame for frame in sent if abs(frame.at_s - shown.at_s) <= _NEAR_S]
    size = (shown.width_px, shown.height_px)
    ways = excused(homography, shown.at_s, _times(near), reel, size)
    return list(zip(near, ways, strict=True))


def _likeliest(
    few: list[Frame],
    probe: Frame,
    ways: list[tuple[Frame, Homography]],
    all_sent: tuple[list[Frame], NDArray[np.float32]],
    near: Moment,
) -> Moment:
    """The moment near this one at which the probe shows one of these frames."""
    sent, strip = all_sent
    size, shape = (sent[0].width_px, sent[0].height_px), small(np.asarray(sent[0])).shape
    moments = [
        _strips(few, homography, size, shape, (strip, _times(sent))).pinned(
            near, probe.at_s, frame.at_s
        )
        for frame, homography in ways
    ]
    return max(moments, key=lambda moment: moment.likeness)


def _strips(
    few: list[Frame],
    homography: Homography,
    size: tuple[int, int],
    shape: tuple[int, ...],
    sent: tuple[NDArray[np.float32], NDArray[np.float64]],
) -> Strips:
    rows = [laid_small(np.asarray(frame), homography, size, (shape[0], shape[1])) for frame in few]
    found = np.stack([row for row, _ in rows])
    return Strips(found, _times(few), sent[0], sent[1], rows[0][1])


def _place(sent: list[Frame], moment: Moment, probe: Frame) -> int:
    wanted = np.array([moment.start_s + moment.speed * probe.at_s])
    return int(nearest(_times(sent), wanted)[0])


def _spread(found: list[Frame]) -> list[Frame]:
    """A dozen frames over the whole length."""
    places = np.unique(np.linspace(0, len(found) - 1, _PROBES).round().astype(int))
    return [found[int(place)] for place in places]


def _times(frames: list[Frame]) -> NDArray[np.float64]:
    return np.array([frame.at_s for frame in frames], np.float64)
