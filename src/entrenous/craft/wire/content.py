"""Content frames: the files of one copy, padded so that their size says little.

docs/spec/content.md sections 1 and 2.
"""

from typing import Any, Final

from entrenous.craft.wire.cbor import (
    BadCbor,
    as_blob,
    as_list,
    as_map,
    as_text,
    as_uint,
    decode,
    encode,
    named,
    unless_null,
)
from entrenous.craft.wire.text import as_media_type
from entrenous.model.caption import acts_on_screen
from entrenous.model.letter import BadContent, Content, ContentFile
from entrenous.spec import CAPTION_CHARS_MAX, PICTURES_MAX

VERSION: Final = 1
PADDED_MIN: Final = 4096
_LENGTH: Final = 8
_FRAME_MAX: Final = 2**40


def write_content(content: Content) -> bytes:
    """The padded frame, ready for craft/crypto/blob.py.

    Raises:
        ValueError: no file or more than 64, a media type that is none, or a caption that is too
            long or acts on the screen that shows it.
    """
    files = [[file.media_type, file.data] for file in content.files]
    frame = encode({1: VERSION, 2: files, 3: content.caption})
    framed = len(frame).to_bytes(_LENGTH, "big") + frame
    padded = framed.ljust(padded_length(len(framed)), b"\x00")
    try:
        read_content(padded)
    except BadContent:
        raise ValueError("this content is not what the specification allows") from None
    return padded


def read_content(untrusted_padded: bytes) -> Content:
    """The files and the caption of a padded frame.

    Raises:
        BadContent: not a frame of this version, or not padded exactly as it should be.
    """
    with named(BadContent):
        fields = as_map(decode(_unpadded(untrusted_padded)), 3)
        as_uint(fields[1], VERSION, VERSION)
        return Content(
            files=tuple(_file(entry) for entry in as_list(fields[2], 1, PICTURES_MAX)),
            caption=unless_null(fields[3], _caption),
        )


def padded_length(length: int) -> int:
    """The length, in bytes, that ``length`` is padded to: Padmé, and at least 4,096.

    Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs",
    PETS 2019, algorithm 1: at most 12 % longer, and only O(log log length) bits of it show.
    """
    exponent = max(length, PADDED_MIN).bit_length() - 1
    zeros = exponent - exponent.bit_length()
    mask = (1 << zeros) - 1
    return (max(length, PADDED_MIN) + mask) & ~mask


def _unpadded(untrusted: bytes) -> bytes:
    end = _LENGTH + int.from_bytes(untrusted[:_LENGTH], "big")
    if end > len(untrusted) or len(untrusted) != padded_length(end):
        raise BadCbor
    if untrusted.count(0, end) != len(untrusted) - end:
        raise BadCbor
    return untrusted[_LENGTH:end]


def _file(entry: Any) -> ContentFile:
    media_type, data = as_list(entry, 2, 2)
    return ContentFile(as_media_type(media_type), as_blob(data, _FRAME_MAX))


def _caption(value: object) -> str:
    caption = as_text(value, CAPTION_CHARS_MAX)
    if any(map(acts_on_screen, caption)):
        raise BadCbor
    return caption
