"""Check received files before anything else is given them (docs/spec/content.md section 8)."""

from collections.abc import Callable, Sequence
from typing import BinaryIO, Final

from entrenous.model.letter import FileRole, FrameFile
from entrenous.model.received import NotACopy
from entrenous.ports import Device

_SORTS: Final = {FileRole.PICTURE: "image", FileRole.CLIP: "video", FileRole.VOICE: "audio"}


def unsafe_files(
    files: Sequence[tuple[FrameFile, Callable[[BinaryIO], None]]], device: Device
) -> tuple[int, ...]:
    """The numbers, from 1, of the files that no sender of ours would have written.

    Each is read once, as a whole, by a jailed process.

    Raises:
        DecoderDidNotStart: there is no process to ask, so nothing is known of them.
        What writing them raises.
    """
    return tuple(number for number, one in enumerate(files, 1) if not _is_copy(*one, device))


def _is_copy(file: FrameFile, fill: Callable[[BinaryIO], None], device: Device) -> bool:
    if file.media_type.partition("/")[0] != _SORTS[file.role]:
        return False
    try:
        device.check_copy(file.media_type, file.size, fill)
    except NotACopy:
        return False
    return True
