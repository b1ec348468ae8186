"""What one copy is made of: a frame that says what there is, and files, all padded.

The size of a blob says little of what is in it. docs/spec/content.md sections 1 and 2.
"""

import io
from typing import Any, BinaryIO, Final, cast

from entrenous.craft.wire.cbor import (
    BadCbor,
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
from entrenous.model.letter import BadContent, FileRole, Frame, FrameFile
from entrenous.spec import PICTURES_MAX, TEXT_CHARS_MAX

VERSION: Final = 2
PADDED_MIN: Final = 4096
_LENGTH: Final = 8


def write_frame(frame: Frame) -> bytes:
    """Blob 0, padded and ready for craft/crypto/blob.py.

    Raises:
        ValueError: more than 64 files, neither file nor text, a media type that is none, or a text
            that is too long or acts on the screen that shows it.
    """
    files = [[file.media_type, file.size, int(file.role)] for file in frame.files]
    encoded = encode({1: VERSION, 2: files, 3: frame.text})
    padded = _padded(len(encoded).to_bytes(_LENGTH, "big") + encoded)
    try:
        read_frame(padded)
    except BadContent:
        raise ValueError("this content is not what the specification allows") from None
    return padded


def read_frame(untrusted_padded: bytes) -> Frame:
    """What a padded blob 0 says.

    Raises:
        BadContent: not a frame of this version, or not padded exactly as it should be.
    """
    with named(BadContent):
        fields = as_map(decode(_unpadded(untrusted_padded)), 3)
        as_uint(fields[1], VERSION, VERSION)
        files = tuple(_file(entry) for entry in as_list(fields[2], 0, PICTURES_MAX))
        text = unless_null(fields[3], _text)
        if not files and text is None:
            raise BadCbor
        return Frame(files, text)


def pad_file(data: bytes) -> bytes:
    """Blob i: the bytes of a file, and zeros.

    Raises:
        ValueError: there is nothing in it.
    """
    if not data:
        raise ValueError("a file of a message has at least one byte")
    return _padded(data)


def padded_reader(data: bytes) -> BinaryIO:
    """What :func:`pad_file` makes of ``data``, to be read, without a copy of it.

    Raises:
        ValueError: there is nothing in it.
    """
    if not data:
        raise ValueError("a file of a message has at least one byte")
    return cast("BinaryIO", _Padded(data))


class Unpadding:
    """Takes a padded blob and writes the file of ``size`` bytes, as its frame says, to ``writer``.

    Raises:
        BadContent: another length, or padding that is not zero; then what ``writer`` was given is
            not to be used.
    """

    def __init__(self, writer: BinaryIO, size: int) -> None:
        if size < 1:
            raise BadContent
        self._writer, self._size, self._seen = writer, size, 0

    def write(self, data: bytes) -> int:
        """Pass on what belongs to the file; raises BadContent where padding is not zero."""
        own = data[: max(self._size - self._seen, 0)]
        if own:
            self._writer.write(own)
        self._seen += len(data)
        if data.count(0, len(own)) != len(data) - len(own):
            raise BadContent
        return len(data)

    def flush(self) -> None:
        """Let nothing wait."""
        self._writer.flush()

    def insist(self) -> None:
        """Raise BadContent unless all of the padded file was written."""
        if self._seen != padded_length(self._size):
            raise BadContent


def padded_length(length: int) -> int:
    """The length, in bytes, that ``length`` is padded to: Padmé, and at least 4,096.

    Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs",
    PETS 2019, algorithm 1: at most 12 % longer, and only O(log log length) bits of it show.
    """
    exponent = max(length, PADDED_MIN).bit_length() - 1
    zeros = exponent - exponent.bit_length()
    mask = (1 << zeros) - 1
    return (max(length, PADDED_MIN) + mask) & ~mask


class _Padded(io.RawIOBase):
    """The bytes of a file, and then zeros."""

    def __init__(self, data: bytes) -> None:
        self._data, self._end, self._at = memoryview(data), padded_length(len(data)), 0

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any, /) -> int:
        size = min(len(room), self._end - self._at)
        part = self._data[self._at : self._at + size]
        room[: len(part)] = part
        room[len(part) : size] = bytes(size - len(part))
        self._at += size
        return size


def _padded(data: bytes) -> bytes:
    return data.ljust(padded_length(len(data)), b"\x00")


def _unpadded(untrusted: bytes) -> bytes:
    end = _LENGTH + int.from_bytes(untrusted[:_LENGTH], "big")
    if end > len(untrusted) or len(untrusted) != padded_length(end):
        raise BadCbor
    if untrusted.count(0, end) != len(untrusted) - end:
        raise BadCbor
    return untrusted[_LENGTH:end]


def _file(entry: Any) -> FrameFile:
    media_type, size, role = as_list(entry, 3, 3)
    known = FileRole(as_uint(role, max(FileRole), min(FileRole)))
    return FrameFile(as_media_type(media_type), as_uint(size, least=1), known)


def _text(value: object) -> str:
    text = as_text(value, TEXT_CHARS_MAX)
    if not text or any(map(acts_on_screen, text)):
        raise BadCbor
    return text
