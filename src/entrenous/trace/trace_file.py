"""Trace whatever a file holds: a picture, a clip or a sound."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module

from entrenous.base.audio_video import (
    DamagedSound,
    NoSoundFound,
    NoVideoFound,
    SoundTooLong,
    UnsupportedVideoCodec,
)
from entrenous.base.identifiers import MessageName
from entrenous.base.picture import MediaKind
from entrenous.device.device import Device
from entrenous.device.identities import current_name_lookup
from entrenous.device.sent_copies import trace_with_current_names
from entrenous.media.file_kind import media_kind_of
from entrenous.trace.originals import OriginalsCache
from entrenous.trace.picture import PictureTrace, trace_picture
from entrenous.watermark.verdict import Finding, NothingToWeigh, Trace


@dataclass(frozen=True, slots=True)
class FileTrace:
    """A trace, the messages that could not be compared and, for a picture, its evidence."""

    trace: Trace
    lost: tuple[MessageName, ...] = ()
    picture_trace: PictureTrace | None = None


def trace_file(
    untrusted_data: bytes, device: Device, originals: OriginalsCache | None = None
) -> FileTrace:
    """Trace a found picture, clip or sound, and record the result in the ledger.

    ``originals`` is a cache that saves work when several files are traced in a row.

    Raises:
        NothingToWeigh: no message with this kind of media was sent from this device.
        NotAPicture, IncompletePicture, TooManyPixels, PictureDecodingFailed, and the errors of
            trace/clip.py and trace/sound.py.
    """
    if media_kind_of(untrusted_data) is MediaKind.PICTURE:
        seen = trace_picture(untrusted_data, device, originals=originals)
        return FileTrace(seen.trace, _missing_messages(seen.trace, device), seen)
    is_clip = media_kind_of(untrusted_data) is MediaKind.CLIP
    trace = (_trace_clip if is_clip else _trace_sound)(untrusted_data, device)
    device.ledger.record_trace(trace)
    return FileTrace(trace, _missing_messages(trace, device))


def with_current_names(traced: FileTrace, device: Device) -> FileTrace:
    """Replace the names in a trace by the people's current names."""
    trace = trace_with_current_names(traced.trace, current_name_lookup(device), device)
    picture_trace = traced.picture_trace
    known = None if picture_trace is None else replace(picture_trace, trace=trace)
    return replace(traced, trace=trace, picture_trace=known)


def _missing_messages(trace: Trace, device: Device) -> tuple[MessageName, ...]:
    return tuple(device.ledger.message(message).name for message in trace.lost)


def _trace_clip(untrusted_data: bytes, device: Device) -> Trace:
    """Trace a clip by its frames, or by its sound track if there are no frames or they name nobody.

    Both searches share one accepted chance of naming an innocent copy (alpha). Chances are
    corrected for the number of all copies ever sent, in which a clip's copies count twice: once
    for the frames, and once for the sound.

    Raises:
        UnsupportedVideoCodec: the frames cannot be read, and the sound track names nobody.
    """
    try:
        by_frames = _load_tracer("entrenous.trace.clip", "trace_clip")(untrusted_data, device)
    except UnsupportedVideoCodec:
        # it has frames, which were not compared, so a sound that names nobody is no answer
        named = _name_by_sound_track(untrusted_data, device)
        if named is None:
            raise
        return named
    except NoVideoFound:
        return _trace_sound(untrusted_data, device)
    except NothingToWeigh:
        return _trace_sound_track(untrusted_data, device)
    if by_frames.verdict.finding is not Finding.NOBODY:
        return by_frames
    try:
        by_sound = _trace_sound_track(untrusted_data, device)
    except NothingToWeigh:
        return by_frames
    sound_is_silent = by_sound.verdict.finding is Finding.NOBODY
    chosen = by_frames if sound_is_silent and by_frames.message else by_sound
    return replace(chosen, lost=tuple(dict.fromkeys((*by_frames.lost, *by_sound.lost))))


def _name_by_sound_track(untrusted_data: bytes, device: Device) -> Trace | None:
    """Trace a clip by its sound track; return None if that names no copy."""
    try:
        by_sound = _trace_sound_track(untrusted_data, device)
    except NothingToWeigh:
        return None
    return by_sound if by_sound.verdict.named else None


def _trace_sound_track(untrusted_data: bytes, device: Device) -> Trace:
    """Trace a clip by its sound track; raise NothingToWeigh if the track cannot be decoded."""
    try:
        return _trace_sound(untrusted_data, device)
    except (NoSoundFound, SoundTooLong, DamagedSound):
        raise NothingToWeigh from None


def _trace_sound(untrusted_data: bytes, device: Device) -> Trace:
    return _load_tracer("entrenous.trace.sound", "trace_sound")(untrusted_data, device)


def _load_tracer(module: str, name: str) -> Callable[[bytes, Device], Trace]:
    """Import a tracer only when it is needed, so that pictures do not wait for the clip and sound
    libraries.
    """
    tracer: Callable[[bytes, Device], Trace] = getattr(import_module(module), name)
    return tracer
