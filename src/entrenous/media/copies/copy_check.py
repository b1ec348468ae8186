"""Check that a file is a copy as our writers write it (docs/spec/content.md, section 8)."""

import struct
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib import import_module
from typing import Final

from entrenous.base.errors import Malformed
from entrenous.media.copies import mp4_structure, picture_structure, sound_structure
from entrenous.media.copies.cursor import NotACopy

#: Request: the media type's index in ``STRUCTURE_CHECKS_AND_DECODERS``, and the length of the file.
CHECK_REQUEST: Final = struct.Struct(">BQ")
#: Answer: any number of heartbeats, which show that the child is working, then COPY_ANSWER or
#: NOT_A_COPY_ANSWER.
HEARTBEAT: Final = b"."
COPY_ANSWER: Final = b"Y"
NOT_A_COPY_ANSWER: Final = b"N"
Heartbeats = Iterator[None]


class DecoderKind(StrEnum):
    """The libraries that decode a file."""

    PICTURE = "pixels"
    TRACK = "tracks"


_DECODER_MODULES: Final = {
    DecoderKind.PICTURE: "entrenous.media.copies.pixels",
    DecoderKind.TRACK: "entrenous.media.copies.tracks",
}
#: The structure check and the decoder of each media type.
STRUCTURE_CHECKS_AND_DECODERS: Final[dict[str, tuple[Callable[[bytes], None], DecoderKind]]] = {
    "image/jpeg": (picture_structure.check_jpeg_copy, DecoderKind.PICTURE),
    "image/png": (picture_structure.check_png_copy, DecoderKind.PICTURE),
    "image/webp": (picture_structure.check_webp_copy, DecoderKind.PICTURE),
    "video/mp4": (mp4_structure.check_mp4_copy, DecoderKind.TRACK),
    "audio/mp4": (mp4_structure.check_m4a_copy, DecoderKind.TRACK),
    "audio/ogg": (sound_structure.check_ogg_opus_copy, DecoderKind.TRACK),
    "audio/mpeg": (sound_structure.check_mp3_copy, DecoderKind.TRACK),
    "audio/amr": (sound_structure.check_amr_copy, DecoderKind.TRACK),
    "audio/wav": (sound_structure.check_wav_copy, DecoderKind.TRACK),
    "audio/flac": (sound_structure.check_flac_copy_header, DecoderKind.TRACK),
}


def check_structure(untrusted_data: bytes, media_type: str) -> None:
    """Check the structure of the whole file.

    Raises:
        NotACopy: our writers write no file of this structure for this media type.
    """
    form, _ = STRUCTURE_CHECKS_AND_DECODERS.get(media_type, (None, None))
    if form is None:
        raise NotACopy
    form(untrusted_data)


def check_copy(untrusted_data: bytes, media_type: str) -> Heartbeats:
    """Check the structure, then decode all pixels, frames and samples; yields heartbeats.

    Raises:
        NotACopy: :func:`check_structure` refuses the file, or it does not decode completely.
    """
    check_structure(untrusted_data, media_type)
    _, decoders = STRUCTURE_CHECKS_AND_DECODERS[media_type]
    check_decoding = load_copy_decoder(decoders)
    try:
        yield from check_decoding(untrusted_data, media_type)
    except Malformed as error:
        raise NotACopy from error


def load_copy_decoder(decoders: DecoderKind) -> Callable[[bytes, str], Heartbeats]:
    """Load the libraries of this kind, and return the function that decodes files with them."""
    module = import_module(_DECODER_MODULES[decoders])
    check_decoding: Callable[[bytes, str], Heartbeats] = module.check_decoding
    return check_decoding
