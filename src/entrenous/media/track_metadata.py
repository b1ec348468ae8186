"""Read the metadata of clips and sounds.

The formats are QuickTime and ISO/IEC 14496-12 user data, ID3v2.3 and 2.4, Vorbis comments, and
Matroska (RFC 9559). Only the structure of a file is read, never beyond its end, and nothing is
decoded.
"""

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from entrenous.base.language import translatable


class FieldKind(StrEnum):
    """What a field of metadata is about; people see the text of the member."""

    PLACE = translatable("Place")
    TIME = translatable("Time")
    CAMERA = translatable("Camera")
    NUMBER = translatable("Number of the camera or phone")
    PERSON = translatable("Name of a person")
    PROGRAM = translatable("Program")
    WORDS = translatable("Words")
    SMALL_PICTURE = translatable("A small preview, perhaps of the picture before it was cropped")
    MAKER = translatable("Notes of the camera's maker")
    OTHER = translatable("Further data")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was taken, in degrees; north and east are positive."""

    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        if not (-90.0 <= self.latitude <= 90.0 and -180.0 <= self.longitude <= 180.0):
            raise ValueError("latitude is within 90 degrees, longitude within 180")


Field = tuple[FieldKind, str]


def track_fields(untrusted_data: bytes, places: list[Place]) -> Iterator[Field]:
    """Yield the metadata fields of a clip or sound; places that are found are added to ``places``.

    Raises ValueError, IndexError or struct.error where the file is damaged.
    """
    if untrusted_data[:3] == b"ID3":
        yield from _id3_fields(untrusted_data)
    elif untrusted_data[:4] in {b"OggS", b"fLaC"}:
        yield from _vorbis_fields(untrusted_data)
    elif untrusted_data[:4] == b"\x1aE\xdf\xa3":
        yield from _matroska_fields(untrusted_data)
    elif untrusted_data[:4] != b"RIFF":
        yield from _movie_fields(untrusted_data, places)


_BOXES_MAX: Final = 10_000
_CONTAINER_BOXES: Final = frozenset({b"moov", b"udta", b"trak", b"meta", b"ilst", b"mdia"})
_KIND_BY_USER_DATA: Final = {
    b"\xa9mak": FieldKind.CAMERA, b"\xa9mod": FieldKind.CAMERA, b"\xa9swr": FieldKind.PROGRAM,
    b"\xa9too": FieldKind.PROGRAM, b"\xa9day": FieldKind.TIME, b"\xa9nam": FieldKind.WORDS,
    b"\xa9cmt": FieldKind.WORDS, b"\xa9ART": FieldKind.PERSON, b"\xa9aut": FieldKind.PERSON,
}  # fmt: skip
_ISO6709: Final = re.compile(rb"([+-]\d{2}(?:\.\d{1,8})?)([+-]\d{3}(?:\.\d{1,8})?)")
_KIND_BY_APPLE_KEY: Final = {
    b"make": FieldKind.CAMERA, b"model": FieldKind.CAMERA, b"software": FieldKind.PROGRAM,
    b"creationdate": FieldKind.TIME, b"author": FieldKind.PERSON, b"artist": FieldKind.PERSON,
    b"title": FieldKind.WORDS, b"comment": FieldKind.WORDS, b"description": FieldKind.WORDS,
}  # fmt: skip


def _movie_fields(data: bytes, places: list[Place]) -> Iterator[Field]:
    """Yield the fields of a movie: user data, metadata and times.

    See the QuickTime File Format, and for times ISO/IEC 14496-12, 8.2.2 (``mvhd``).
    """
    keys = list[bytes]()
    for name, body in _boxes_within(data):
        if name == b"mvhd" and _creation_time(body):
            yield FieldKind.TIME, _creation_time(body)
        elif name in {b"\xa9xyz", b"loci"}:
            places += _parse_iso6709_places(body)
        elif name in _KIND_BY_USER_DATA:
            yield _KIND_BY_USER_DATA[name], _user_text(body)
        elif name == b"keys":
            keys = _metadata_keys(body)
        elif len(name) == len(b"mdta") and 0 < int.from_bytes(name, "big") <= len(keys):
            key = keys[int.from_bytes(name, "big") - 1].rpartition(b".")
            text = body[16:]
            if key[2] == b"ISO6709":
                places += _parse_iso6709_places(text)
            elif key[2] in _KIND_BY_APPLE_KEY:
                yield _KIND_BY_APPLE_KEY[key[2]], text.decode("utf-8", "replace")


def _boxes_within(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the type and content of boxes, outer ones first, without media data."""
    waiting, seen = [(0, len(data))], 0
    while waiting:
        at, end = waiting.pop(0)
        while at + 8 <= end and seen < _BOXES_MAX:
            size, name = struct.unpack_from(">I4s", data, at)
            head = 8
            if size == 1:
                (size,) = struct.unpack_from(">Q", data, at + 8)
                head = 16
            stop = end if size == 0 else min(end, at + size)
            seen += 1
            if name in _CONTAINER_BOXES:
                full = name == b"meta" and data[at + head + 4 : at + head + 8] != b"hdlr"
                waiting.append((at + head + (4 if full else 0), stop))
            elif name != b"mdat":
                yield name, data[at + head : stop]
            at = max(stop, at + head)


def _creation_time(mvhd: bytes) -> str:
    (seconds,) = struct.unpack_from(">Q" if mvhd[:1] == b"\1" else ">I", mvhd, 4)
    if not seconds:
        return ""
    with suppress(OverflowError):
        made = datetime(1904, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        return f"{made:%Y-%m-%d %H:%M} UTC"
    return ""


def _parse_iso6709_places(text: bytes) -> Iterator[Place]:
    found = _ISO6709.search(text)
    if found is not None:
        with suppress(ValueError):
            yield Place(float(found[1]), float(found[2]))


def _user_text(body: bytes) -> str:
    """Return a user data item's text, which is in a ``data`` box or follows length and language."""
    text = body[16:] if body[4:8] == b"data" else body[4:]
    return text.decode("utf-8", "replace")


def _metadata_keys(body: bytes) -> list[bytes]:
    found, at = list[bytes](), 8
    while at + 8 <= len(body):
        (size,) = struct.unpack_from(">I", body, at)
        found.append(body[at + 8 : at + size])
        at += max(size, 8)
    return found


_KIND_BY_ID3_FRAME: Final = {
    b"TPE1": FieldKind.PERSON, b"TCOM": FieldKind.PERSON, b"TOWN": FieldKind.PERSON,
    b"TIT2": FieldKind.WORDS, b"TALB": FieldKind.WORDS, b"COMM": FieldKind.WORDS,
    b"TDRC": FieldKind.TIME, b"TYER": FieldKind.TIME, b"TSSE": FieldKind.PROGRAM,
    b"TENC": FieldKind.PROGRAM, b"APIC": FieldKind.SMALL_PICTURE,
}  # fmt: skip
_ID3_ENCODINGS: Final = ("latin-1", "utf-16", "utf-16-be", "utf-8")


def _id3_fields(data: bytes) -> Iterator[Field]:
    """Yield the fields of an ID3 tag (ID3v2.4.0, section 4).

    In version 2.4, a size has 7 bits in each byte.
    """
    end, at, newer = 10 + _decode_synchsafe(data[6:10]), 10, data[3] == len(b"2.4.")
    while at + 10 <= min(end, len(data)) and data[at]:
        name, raw = data[at : at + 4], data[at + 4 : at + 8]
        size = _decode_synchsafe(raw) if newer else int.from_bytes(raw, "big")
        body = data[at + 10 : at + 10 + size]
        if name == b"APIC":
            yield FieldKind.SMALL_PICTURE, ""
        elif name in _KIND_BY_ID3_FRAME and body and body[0] < len(_ID3_ENCODINGS):
            yield (
                _KIND_BY_ID3_FRAME[name],
                body[1:].decode(_ID3_ENCODINGS[body[0]], "replace").strip("\0"),
            )
        at += 10 + size


def _decode_synchsafe(raw: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(raw, (21, 14, 7, 0), strict=True))


_KIND_BY_VORBIS_KEY: Final = {
    b"artist": FieldKind.PERSON, b"performer": FieldKind.PERSON, b"contact": FieldKind.PERSON,
    b"title": FieldKind.WORDS, b"comment": FieldKind.WORDS, b"description": FieldKind.WORDS,
    b"date": FieldKind.TIME, b"encoder": FieldKind.PROGRAM, b"location": FieldKind.PLACE,
}  # fmt: skip
_HEAD_BYTES: Final = 1 << 16


def _vorbis_fields(data: bytes) -> Iterator[Field]:
    """Yield the fields of Xiph's comment header, searched for in the first 64 KiB."""
    head = data[:_HEAD_BYTES]
    for name, kind in _KIND_BY_VORBIS_KEY.items():
        for found in re.finditer(rb"(?i)(?<=[\0-\x20])" + name + rb"=([^\0]{1,200})", head):
            size = int.from_bytes(head[found.start() - 4 : found.start()], "little")
            text = head[found.start() : found.start() + size].partition(b"=")[2]
            if text:
                yield kind, text.decode("utf-8", "replace")


_KIND_BY_MATROSKA_ID: Final = (
    (b"\x4d\x80", FieldKind.PROGRAM),
    (b"\x57\x41", FieldKind.PROGRAM),
    (b"\x7b\xa9", FieldKind.WORDS),
)


def _matroska_fields(data: bytes) -> Iterator[Field]:
    """Yield the writing program, title and date in the Info element (RFC 9559, 5.1.2)."""
    at = data.find(b"\x15\x49\xa9\x66", 0, _HEAD_BYTES)
    info = data[at : at + 1024] if at >= 0 else b""
    for number, kind in _KIND_BY_MATROSKA_ID:
        place = info.find(number)
        size = info[place + 2] & 0x7F if 0 <= place < len(info) - 2 else 0
        if size and info[place + 2] & 0x80:
            yield kind, info[place + 3 : place + 3 + size].decode("utf-8", "replace")
    if b"\x44\x61\x88" in info:
        yield FieldKind.TIME, ""
