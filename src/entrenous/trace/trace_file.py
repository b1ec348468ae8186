"""Trace whatever a file holds: a picture, a clip or a sound."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module

from entrenous.base.audio_video import NoFrames, NotASound, SoundBroken, SoundTooLong
from entrenous.base.identifiers import MessageName
from entrenous.base.picture import Medium
from entrenous.device.device import Device
from entrenous.media.file_kind import medium_of
from entrenous.trace.originals import Originals
from entrenous.trace.picture import Investigation, investigate
from entrenous.watermark.verdict import Finding, NothingToWeigh, Trace


@dataclass(frozen=True, slots=True)
class Traced:
    """A trace, the names of what it could not be compared with, and for a picture what it rests
    on.
    """

    trace: Trace
    lost: tuple[MessageName, ...] = ()
    investigation: Investigation | None = None


def trace_file(untrusted_data: bytes, device: Device, originals: Originals | None = None) -> Traced:
    """Say whose copy a found file is, and keep the answer.

    ``originals`` spares work where several files are traced one after the other.

    Raises:
        NothingToWeigh: nothing of its kind was sent from here.
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp, and those of trace/clip.py and
        trace/sound.py.
    """
    if medium_of(untrusted_data) is Medium.PICTURE:
        seen = investigate(untrusted_data, device, originals=originals)
        return Traced(seen.trace, _names(seen.trace, device), seen)
    is_clip = medium_of(untrusted_data) is Medium.CLIP
    trace = (_trace_clip if is_clip else _listen)(untrusted_data, device)
    device.ledger.note(trace)
    return Traced(trace, _names(trace, device))


def _names(trace: Trace, device: Device) -> tuple[MessageName, ...]:
    return tuple(device.ledger.read(message).name for message in trace.lost)


def _trace_clip(untrusted_data: bytes, device: Device) -> Trace:
    """By its frames; when they name nobody, or there are none, by its sound track.

    Both looks share one alpha: chances are corrected for the copies of everything that was sent,
    and a clip's copies are counted there twice, for their frames and for their sound.
    """
    try:
        seen = _late("entrenous.trace.clip:look_at_clip")(untrusted_data, device)
    except NoFrames:
        return _listen(untrusted_data, device)
    except NothingToWeigh:
        return _heard(untrusted_data, device)
    if seen.verdict.finding is not Finding.NOBODY:
        return seen
    try:
        heard = _heard(untrusted_data, device)
    except NothingToWeigh:
        return seen
    told = seen if heard.verdict.finding is Finding.NOBODY and seen.message else heard
    return replace(told, lost=tuple(dict.fromkeys((*seen.lost, *heard.lost))))


def _heard(untrusted_data: bytes, device: Device) -> Trace:
    """By its sound track; one that cannot be heard is nothing to weigh."""
    try:
        return _listen(untrusted_data, device)
    except (NotASound, SoundTooLong, SoundBroken):
        raise NothingToWeigh from None


def _listen(untrusted_data: bytes, device: Device) -> Trace:
    return _late("entrenous.trace.sound:listen_to_sound")(untrusted_data, device)


def _late(place: str) -> Callable[[bytes, Device], Trace]:
    """A picture does not wait for the libraries of clips and sounds to load."""
    module, _, name = place.partition(":")
    tracer: Callable[[bytes, Device], Trace] = getattr(import_module(module), name)
    return tracer
