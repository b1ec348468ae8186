"""Whose copy is this picture?"""

from entrenous.model.verdict import Trace
from entrenous.ports import Device
from entrenous.trace.investigate import investigate
from entrenous.trace.photo.original import Originals, original_of

__all__ = ["Originals", "original_of", "trace_picture"]


def trace_picture(
    untrusted_data: bytes, device: Device, originals: Originals | None = None
) -> Trace:
    """Say which copy a found picture is, and keep the answer so that a case can be opened from it.

    Raises:
        NothingToWeigh: there is no copy on this device to compare with.
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp.
    """
    return investigate(untrusted_data, device, originals=originals).trace
