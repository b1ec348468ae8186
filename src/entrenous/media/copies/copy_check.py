"""Check that a file is a copy as our writers write it (docs/spec/content.md, section 8)."""

import struct
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib import import_module
from typing import Final

from entrenous.base.errors import Malformed
from entrenous.media.copies import mp4_structure, picture_structure, sound_structure
from entrenous.media.copies.cursor import NotACopy

#: Request: the media type's index in ``STRUCTURE_CHECKS``, and the length of the file.
CHECK_REQUEST: Final = struct.Struct(">BQ")
#: Answer: any number of heartbeats, which show that the child is working, then COPY_ANSWER or
#: NO_COPY_ANSWER.
HEARTBEAT: Final = b"."
COPY_ANSWER: Final = b"Y"
NO_COPY_ANSWER: Final = b"N"
Heartbeat = Iterator[None]


class DecoderKind(StrEnum):
    """The libraries that decode a file."""

    STILL = "pixels"
    MOVING = "tracks"


_DECODER_MODULES: Final = {
    DecoderKind.STILL: "entrenous.media.copies.pixels",
    DecoderKind.MOVING: "entrenous.media.copies.tracks",
}
#: The structure check and the decoder of each media type.
STRUCTURE_CHECKS: Final[dict[str, tuple[Callable[[bytes], None], DecoderKind]]] = {
    "image/jpeg": (picture_structure.check_jpeg, DecoderKind.STILL),
    "image/png": (picture_structure.check_png, DecoderKind.STILL),
    "image/webp": (picture_structure.check_webp, DecoderKind.STILL),
    "video/mp4": (mp4_structure.check_mp4, DecoderKind.MOVING),
    "audio/mp4": (mp4_structure.check_m4a, DecoderKind.MOVING),
    "audio/ogg": (sound_structure.check_ogg, DecoderKind.MOVING),
    "audio/mpeg": (sound_structure.check_mp3, DecoderKind.MOVING),
    "audio/amr": (sound_structure.check_amr, DecoderKind.MOVING),
    "audio/wav": (sound_structure.check_wav, DecoderKind.MOVING),
    "audio/flac": (sound_structure.check_flac, DecoderKind.MOVING),
}


def check_structure(untrusted_data: bytes, media_type: str) -> None:
    """Check the structure of the whole file.

    Raises:
        NotACopy: our writers write no file of this structure for this media type.
    """
    form, _ = STRUCTURE_CHECKS.get(media_type, (None, None))
    if form is None:
        raise NotACopy
    form(untrusted_data)


def check_copy(untrusted_data: bytes, media_type: str) -> Heartbeat:
    """Check the structure, then decode all pixels, frames and samples; yields heartbeats.

    Raises:
        NotACopy: as :func:`check_structure`, or the file does not decode completely.
    """
    check_structure(untrusted_data, media_type)
    _, decoders = STRUCTURE_CHECKS[media_type]
    decode = load_decoder_module(decoders)
    try:
        yield from decode(untrusted_data, media_type)
    except Malformed as error:
        raise NotACopy from error


def load_decoder_module(decoders: DecoderKind) -> Callable[[bytes, str], Heartbeat]:
    """Load the libraries for such files, and return their decoder."""
    module = import_module(_DECODER_MODULES[decoders])
    decode: Callable[[bytes, str], Heartbeat] = module.decode
    return decode
