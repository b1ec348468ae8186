"""Trace whatever a file holds: a picture, a clip or a sound."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module

from entrenous.craft.media.kind import medium_of
from entrenous.model.clip import NoFrames
from entrenous.model.medium import Medium
from entrenous.model.verdict import Trace
from entrenous.ports import Device
from entrenous.trace.investigate import Investigation, investigate


@dataclass(frozen=True, slots=True)
class Traced:
    """A trace, and for a picture what it rests on."""

    trace: Trace
    investigation: Investigation | None = None


def trace_file(untrusted_data: bytes, device: Device) -> Traced:
    """Say whose copy a found file is, and keep the answer.

    Raises:
        NothingToWeigh: nothing of its kind was sent from here.
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp, and those of trace/clip.py and
        trace/sound.py.
    """
    if medium_of(untrusted_data) is Medium.PICTURE:
        seen = investigate(untrusted_data, device)
        return Traced(seen.trace, seen)
    return Traced(_trace_recording(untrusted_data, device))


def _trace_recording(untrusted_data: bytes, device: Device) -> Trace:
    """A clip by its frames; one without frames, and a sound, by what is heard."""
    if medium_of(untrusted_data) is Medium.CLIP:
        with suppress(NoFrames):
            return _tracer("clip")(untrusted_data, device)
    return _tracer("sound")(untrusted_data, device)


def _tracer(kind: str) -> Callable[[bytes, Device], Trace]:
    """``trace_clip`` or ``trace_sound``; a picture does not wait for their libraries to load."""
    tracer: Callable[[bytes, Device], Trace] = getattr(
        import_module(f"entrenous.trace.{kind}"), f"trace_{kind}"
    )
    return tracer
