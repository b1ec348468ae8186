"""Whose copy is this clip? From a found excerpt to a verdict (docs/spec/clip.md)."""

from typing import Final

import numpy as np

from entrenous.model.clip import Cut, Frame, NoFrames
from entrenous.model.verdict import NothingToWeigh, Span, Trace
from entrenous.ports import Device
from entrenous.trace.answer import Said, answer
from entrenous.trace.lost import Lost
from entrenous.trace.reel.heard import Pairs, said
from entrenous.trace.reel.laid import Laid, lay
from entrenous.trace.reel.sought import anchors, everybody, reels

_HEARD_S: Final = 8.0  # of the found clip, from its middle: more is not needed
_HEARD_FRAMES: Final = 32
_SIDE_PX: Final = 1280  # larger found frames are reduced: no mark is that fine
_PROBES_AT: Final = (0.5, 0.2, 0.8)


def trace_clip(untrusted_data: bytes, device: Device) -> Trace:
    """Say which copy a found clip is, and keep the answer so that a case can be opened from it.

    Raises:
        NothingToWeigh: there is no copy of a clip on this device to compare with.
        NoFrames, ClipCutShort, FramesTooLarge, ClipTooLong, ClipBroken.
    """
    trace = look_at_clip(untrusted_data, device)
    device.ledger.note(trace)
    return trace


def look_at_clip(untrusted_data: bytes, device: Device) -> Trace:
    """As :func:`trace_clip`, and the answer is not kept."""
    found, length_s = _excerpt(untrusted_data, device)
    lost = Lost()
    laid = _laid(found, device, lost)
    compared = everybody(device)
    heard = [] if laid is None else _said(found, laid, compared)
    span = None if laid is None else _span(laid, length_s)
    return answer(heard, untrusted_data, device, compared=compared, lost=lost, span=span)


def _excerpt(untrusted_data: bytes, device: Device) -> tuple[list[Frame], float]:
    """Frames from the middle of a found clip, and the length of the whole."""
    with device.read_clip(untrusted_data, Cut(stop_s=0.0)) as clip:
        length_s = clip.shown.length_s
    start_s = max(0.0, 0.5 * (length_s - _HEARD_S))
    cut = Cut(start_s, start_s + _HEARD_S, side_px=_SIDE_PX)
    with device.read_clip(untrusted_data, cut) as clip:
        found = list(clip.frames)
    if not found:
        raise NoFrames
    return found, max(length_s, found[-1].at_s)


def _laid(found: list[Frame], device: Device, lost: Lost) -> Laid | None:
    candidates = reels(device, lost)
    if not candidates and not lost.messages:
        raise NothingToWeigh
    probes = [found[int(share * (len(found) - 1))] for share in _PROBES_AT]
    likely = anchors([np.asarray(probe) for probe in probes], candidates)
    return lay(found, probes, likely, device, lost)


def _said(found: list[Frame], laid: Laid, compared: int) -> list[Said]:
    places = np.unique(np.linspace(0, len(found) - 1, _HEARD_FRAMES).round().astype(int))
    pairs: Pairs = [
        (np.asarray(found[int(place)]), laid.shown_by(found[int(place)].at_s)) for place in places
    ]
    return said(pairs, laid.registration, laid.reel, compared)


def _span(laid: Laid, length_s: float) -> Span:
    speed = laid.moment.speed
    start_s = max(0.0, laid.moment.start_s)
    return Span(start_s, max(0.0, length_s * speed), speed)
