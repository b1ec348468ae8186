"""Mark copies of whatever a file holds: a picture, a clip or a sound."""

from collections.abc import Callable, Generator, Sequence
from importlib import import_module

from entrenous.craft.media.kind import medium_of
from entrenous.model.clip import FramesUnknown, NoFrames
from entrenous.model.errors import of_file
from entrenous.model.ids import MessageName, RecipientId
from entrenous.model.medium import Medium
from entrenous.model.picture import OnlyPicturesHaveASize
from entrenous.ports import Device
from entrenous.send.mark.picture import MarkedFile, mark_copies

Marked = Generator[tuple[MessageName, MarkedFile], None, None]


def mark_file(
    untrusted_data: bytes, to: Sequence[RecipientId], size_px: int | None, device: Device
) -> Marked:
    """One marked copy after the other; the ledger has each before it is handed over.

    Raises:
        OnlyPicturesHaveASize: a size was asked for, and this is none.
        What :func:`.mark.mark_copies`, mark_clip_copies and mark_sound_copies raise.
    """
    with of_file(0):
        yield from _marked(untrusted_data, to, size_px, device)


def _marked(
    untrusted_data: bytes, to: Sequence[RecipientId], size_px: int | None, device: Device
) -> Marked:
    medium = medium_of(untrusted_data)
    if medium is Medium.PICTURE:
        return mark_copies(untrusted_data, to, size_px, device)
    if size_px is not None:
        raise OnlyPicturesHaveASize
    if medium is Medium.CLIP:
        return _mark_clip(untrusted_data, to, device)
    return _late("entrenous.send.mark.sound:mark_sound_copies")(untrusted_data, to, device)


def _mark_clip(untrusted_data: bytes, to: Sequence[RecipientId], device: Device) -> Marked:
    """A clip that has no frames may still be heard."""
    try:
        yield from _late("entrenous.send.mark.clip:mark_clip_copies")(untrusted_data, to, device)
    except FramesUnknown:  # it has pictures, so its sound alone is not what she marks
        raise
    except NoFrames:
        yield from _late("entrenous.send.mark.sound:mark_sound_copies")(untrusted_data, to, device)


def _late(place: str) -> Callable[..., Marked]:
    """Loaded when it is needed: who marks a picture does not wait for the video library."""
    module, _, name = place.partition(":")
    found: Callable[..., Marked] = getattr(import_module(module), name)
    return found
