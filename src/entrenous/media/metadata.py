"""Read the metadata of a picture, clip or sound: what a file says besides its pixels and samples.

Only the structure of a file is read, never beyond its end; no pixel or sample is decoded. For
pictures, this module reads Exif 3.0 (CIPA DC-008), XMP, IPTC IIM, and comments of JPEG and PNG. If
a file is damaged, the result is what was read before the damage.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from entrenous.base.picture import MediaKind, NotAPicture
from entrenous.base.screen_text import visible_text
from entrenous.media.file_kind import media_kind_of
from entrenous.media.picture_place import TiffValue, metadata_parts, read_exif
from entrenous.media.track_metadata import Field, FieldKind, Place, track_fields

_VALUE_CHARS_MAX: Final = 80  # at most this many characters of a value are shown
_FIELDS_MAX: Final = 40
_XMP_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of one file: its fields, each with kind and value, and the place in numbers.

    If the place is known, the first field describes it too.
    """

    fields: tuple[tuple[FieldKind, str], ...]
    place: Place | None = None


_DAMAGE_ERRORS: Final = (struct.error, zlib.error, IndexError, ValueError, UnicodeDecodeError)


def read_metadata(untrusted_data: bytes) -> Metadata:
    """Return the metadata of a file; it is empty for files of an unknown kind."""
    found, places = dict[Field, None](), list[Place]()
    with suppress(*_DAMAGE_ERRORS, NotAPicture):
        for kind, value in _metadata_fields(untrusted_data, places):
            cut = visible_text(value).strip()
            found[kind, cut[:_VALUE_CHARS_MAX]] = None
            if len(found) >= _FIELDS_MAX:
                break
    place = places[0] if places else None
    if place is not None:
        found = {(FieldKind.PLACE, format_degrees(place)): None} | found
    return Metadata(tuple(found), place)


def format_degrees(place: Place) -> str:
    """Return a place as rounded coordinates, such as "52.52° N, 13.41° E"."""
    north = "N" if place.latitude >= 0 else "S"
    east = "E" if place.longitude >= 0 else "W"
    return f"{abs(place.latitude):.2f}° {north}, {abs(place.longitude):.2f}° {east}"


def _metadata_fields(data: bytes, places: list[Place]) -> Iterator[Field]:
    if media_kind_of(data) is MediaKind.PICTURE:
        yield from _picture_fields(data, places)
    else:
        yield from track_fields(data, places)


# the tags that tell something about people, things, times and places (Exif 3.0, tables 5 to 9)
_FIELD_KIND_BY_TAG: Final[Mapping[int, FieldKind]] = {
    0x010E: FieldKind.WORDS,
    0x0110: FieldKind.CAMERA,
    0x010F: FieldKind.CAMERA,
    0x0131: FieldKind.PROGRAM,
    0x0132: FieldKind.TIME,
    0x013B: FieldKind.PERSON,
    0x013C: FieldKind.NUMBER,
    0x8298: FieldKind.PERSON,
    0x9003: FieldKind.TIME,
    0x9004: FieldKind.TIME,
    0x9286: FieldKind.WORDS,
    0x9C9B: FieldKind.WORDS,
    0x9C9C: FieldKind.WORDS,
    0x9C9D: FieldKind.PERSON,
    0xA420: FieldKind.NUMBER,
    0xA430: FieldKind.PERSON,
    0xA431: FieldKind.NUMBER,
    0xA433: FieldKind.CAMERA,
    0xA434: FieldKind.CAMERA,
    0xA435: FieldKind.NUMBER,
    0xA436: FieldKind.WORDS,
    0xA437: FieldKind.PERSON,
    0xA438: FieldKind.PERSON,
}
_MAKER_NOTE_TAG, _THUMBNAIL_TAG = 0x927C, 0x0201
_UTF16_TAGS: Final = frozenset({0x9C9B, 0x9C9C, 0x9C9D})  # Windows writes these tags in UTF-16


def _picture_fields(data: bytes, places: list[Place]) -> Iterator[Field]:
    for name, part in metadata_parts(data):
        if name == "exif":
            yield from _exif_fields(part, places)
        elif name == "xmp":
            yield from _xmp_fields(part, places)
        elif name == "iptc":
            yield from _iptc_fields(part)
        else:
            yield FieldKind.WORDS, part.decode("utf-8", "replace")


def _exif_fields(tiff: bytes, places: list[Place]) -> Iterator[Field]:
    exif = read_exif(tiff)
    places += _places_in_gps(exif.gps)
    for tag, value in exif.values:
        if tag == _MAKER_NOTE_TAG:
            yield FieldKind.MAKER, ""
        elif tag == _THUMBNAIL_TAG:
            yield FieldKind.SMALL_PICTURE, ""
        elif tag in _FIELD_KIND_BY_TAG:
            text = value.raw.decode("utf-16-le", "replace") if tag in _UTF16_TAGS else value.text
            if text.strip("\0 "):
                yield _FIELD_KIND_BY_TAG[tag], text.strip("\0 ")


def _places_in_gps(gps: Mapping[int, TiffValue]) -> Iterator[Place]:
    if 2 not in gps or 4 not in gps:
        return
    south = 1 in gps and gps[1].text.upper().startswith("S")
    west = 3 in gps and gps[3].text.upper().startswith("W")
    with suppress(ValueError, ZeroDivisionError):
        latitude, longitude = gps[2].degrees, gps[4].degrees
        yield Place(-latitude if south else latitude, -longitude if west else longitude)


_XMP_FIELDS: Final = (
    (re.compile(rb"(?:tiff:Model|aux:Lens)(?:=\"|>)([^<\"]{1,200})"), FieldKind.CAMERA),
    (re.compile(rb"(?:aux|exifEX):\w*SerialNumber(?:=\"|>)([^<\"]{1,200})"), FieldKind.NUMBER),
    (re.compile(rb"xmp:CreatorTool(?:=\"|>)([^<\"]{1,200})"), FieldKind.PROGRAM),
    (
        re.compile(rb"(?:xmp:CreateDate|photoshop:DateCreated)(?:=\"|>)([^<\"]{1,200})"),
        FieldKind.TIME,
    ),
    (
        re.compile(
            rb"<(?:dc:creator|Iptc4xmpExt:PersonInImage)>.{0,80}?<rdf:li[^>]{0,60}>([^<]{1,200})",
            re.DOTALL,
        ),
        FieldKind.PERSON,
    ),
    (
        re.compile(rb"<dc:description>.{0,80}?<rdf:li[^>]{0,60}>([^<]{1,200})", re.DOTALL),
        FieldKind.WORDS,
    ),
    (re.compile(rb"photoshop:(?:City|Country)(?:=\"|>)([^<\"]{1,200})"), FieldKind.PLACE),
)
_XMP_PLACE: Final = re.compile(
    rb"exif:GPS(Latitude|Longitude)(?:=\"|>)(\d{1,3}),([\d.]{1,12})(?:,([\d.]{1,12}))?([NSEW])"
)


def _xmp_fields(packet: bytes, places: list[Place]) -> Iterator[Field]:
    part = packet[:_XMP_BYTES_MAX]
    for pattern, kind in _XMP_FIELDS:
        for found in pattern.finditer(part):
            yield kind, found[1].decode("utf-8", "replace")
    numbers = dict[bytes, float]()
    for one in _XMP_PLACE.finditer(part):
        value = float(one[2]) + float(one[3]) / 60.0 + float(one[4] or 0) / 3600.0
        numbers[one[1]] = -value if one[5] in b"SW" else value
    if len(numbers) == len(("Latitude", "Longitude")):
        places.append(Place(numbers[b"Latitude"], numbers[b"Longitude"]))
    yield FieldKind.OTHER, "XMP"


# dataset numbers of record 2 (IPTC IIM 4.2)
_FIELD_KIND_BY_DATASET: Final = {
    5: FieldKind.WORDS, 25: FieldKind.WORDS, 55: FieldKind.TIME, 80: FieldKind.PERSON,
    90: FieldKind.PLACE, 92: FieldKind.PLACE, 101: FieldKind.PLACE, 105: FieldKind.WORDS,
    116: FieldKind.PERSON, 120: FieldKind.WORDS, 122: FieldKind.PERSON,
}  # fmt: skip


def _iptc_fields(block: bytes) -> Iterator[Field]:
    at = block.find(b"\x1c\x02")
    while 0 <= at <= len(block) - 5 and block[at] == 0x1C:
        dataset, size = struct.unpack_from(">xxBH", block, at)
        if dataset in _FIELD_KIND_BY_DATASET:
            yield (
                _FIELD_KIND_BY_DATASET[dataset],
                block[at + 5 : at + 5 + size].decode("utf-8", "replace"),
            )
        at += 5 + size
    yield FieldKind.OTHER, "IPTC"
