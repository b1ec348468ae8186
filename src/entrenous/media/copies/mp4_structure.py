"""Check the structure of MP4 and M4A files as our writers write them (content.md, section 8)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from entrenous.media.copies.cursor import FileCursor, require

Boxes = list[tuple[bytes, bytes]]
_BOX_HEADER_BYTES: Final = 8
_NAL_LENGTH_BYTES: Final = 4
# Unit types of slices (ITU-T H.264, table 7-1). All others are refused, such as SEI, filler and
# private units.
_SLICE_UNIT_TYPES: Final = frozenset({1, 5})
_IDENTITY_MATRIX_PATTERN: Final = rb"\0\x01\0\0\0{12}\0\x01\0\0\0{12}\x40\0\0\0"
_TABLE_FORMS: Final = {  # ISO/IEC 14496-12: number of bytes before the count, and in each entry
    b"elst": (4, 12),
    b"stts": (4, 8),
    b"stss": (4, 4),
    b"ctts": (4, 8),
    b"stsc": (4, 12),
    b"stsz": (8, 4),
    b"stco": (4, 4),
    b"co64": (4, 8),
    b"sbgp": (8, 8),
}
# Tables of runs of samples, as (length, value): the number of bytes before the count, and the
# values that are allowed, or None if all are.
_RUN_TABLES: Final[dict[bytes, tuple[int, frozenset[int] | None]]] = {
    b"stts": (4, None),
    b"ctts": (4, None),
    b"sbgp": (8, frozenset({0, 1})),
}
# x264 writes at most 30 and 7 bytes for us.
_SEQUENCE_PARAMETER_SET_BYTES_MAX: Final = 48
_PICTURE_PARAMETER_SET_BYTES_MAX: Final = 16
_EDITS_MAX: Final = 4
# the boxes that a box may contain, in order; only ``trak`` may occur more than once
_ALLOWED_BOXES: Final = {
    b"moov": (b"mvhd", b"trak", b"udta"),
    b"trak": (b"tkhd", b"edts", b"mdia"),
    b"edts": (b"elst",),
    b"mdia": (b"mdhd", b"hdlr", b"minf"),
    b"minf": (b"vmhd", b"smhd", b"dinf", b"stbl"),
    b"dinf": (b"dref",),
    b"stbl": (
        b"stsd",
        b"stts",
        b"stss",
        b"ctts",
        b"stsc",
        b"stsz",
        b"stco",
        b"co64",
        b"sgpd",
        b"sbgp",
    ),
}
_REQUIRED_BOXES: Final = (b"mdhd", b"hdlr", b"stsd", b"stts", b"stsc", b"stsz")
_TRACKS_MAX: Final = 2
_AVC1_PATTERN: Final = re.compile(
    rb"\0{7}\x01\0{16}.{4}\0\x48\0\0\0\x48\0\0\0{4}\0\x01\0{32}\0\x18\xff\xff", re.DOTALL
)
_MP4A_PATTERN: Final = re.compile(rb"\0{7}\x01\0{8}\0[\x01\x02]\0\x10\0{4}.{2}\0\0", re.DOTALL)
_FIXED_BOX_PATTERNS: Final = {  # patterns for the bodies of boxes whose form is fixed
    name: re.compile(form, re.DOTALL)
    for name, form in {
        b"mvhd": rb"\0{12}.{8}\0\x01\0\0\x01\0\0{10}" + _IDENTITY_MATRIX_PATTERN + rb"\0{24}.{4}",
        b"tkhd": rb"\0{3}[\0-\x0f]\0{8}.{4}\0{4}.{4}\0{8}.{4}[\0\x01]\0\0\0"
        + _IDENTITY_MATRIX_PATTERN
        + rb".{8}",
        b"mdhd": rb"\0{12}.{8}\x55\xc4\0\0",
        b"hdlr": rb"\0{8}(?:vide|soun)\0{12}(?:\0|SoundHandler\0)",
        b"vmhd": rb"\0{3}\x01\0{8}",
        b"smhd": rb"\0{8}",
        b"dref": rb"\0{7}\x01\0\0\0\x0curl \0\0\0\x01",
        b"sgpd": rb"\x01\0{3}roll\0{3}\x02\0{3}\x01.{2}",
        b"colr": rb"nclx\0.\0.\0.[\0\x80]",
        b"pasp": rb".{8}",
        b"btrt": rb".{12}",
        b"esds": rb"\0{4}\x03\x80\x80\x80\x25.{2}\0\x04\x80\x80\x80\x17\x40\x15.{11}"
        rb"\x05\x80\x80\x80\x05.{5}\x06\x80\x80\x80\x01\x02",
    }.items()
}
_FILE_TYPES: Final = {
    "video/mp4": b"isom\0\0\x02\0isomiso2avc1mp41",
    "audio/mp4": b"M4A \0\0\x02\0M4A isomiso2",
}
#: Written by FFmpeg's M4A muxer if there is no metadata.
_EMPTY_METADATA: Final = (
    b"\0\0\0\x35meta" + bytes(4) + b"\0\0\0\x21hdlr" + bytes(8) + b"mdirappl" + bytes(9)
) + b"\0\0\0\x08ilst"


@dataclass(slots=True)
class _Track:
    """One track: its kind, and its leaf boxes by name."""

    kind: bytes = b""
    leaves: dict[bytes, bytes] = field(default_factory=dict)


def check_mp4_copy(untrusted_data: bytes) -> None:
    """Check H.264 video with or without AAC sound; raises NotACopy."""
    tracks, media_at, media = _parse_top_level(untrusted_data, "video/mp4")
    kinds = [track.kind for track in tracks]
    require(kinds in ([b"vide"], [b"vide", b"soun"]))
    _require_no_gaps(tracks, media_at, len(media))
    for at, size in _sample_ranges(tracks[0].leaves):
        _require_slices_only(untrusted_data[at : at + size])


def check_m4a_copy(untrusted_data: bytes) -> None:
    """Check AAC sound; raises NotACopy."""
    tracks, media_at, media = _parse_top_level(untrusted_data, "audio/mp4")
    require([track.kind for track in tracks] == [b"soun"])
    _require_no_gaps(tracks, media_at, len(media))


def _parse_top_level(data: bytes, media_type: str) -> tuple[list[_Track], int, bytes]:
    """Return the tracks, and the position and content of the media data."""
    boxes = _boxes(data)
    require([name for name, _ in boxes] == [b"ftyp", b"free", b"mdat", b"moov"])
    (_, kind), (_, free), (_, media), (_, moov) = boxes
    require(kind == _FILE_TYPES[media_type] and not free)
    inside = _boxes_in_order(b"moov", moov, repeated=b"trak")
    names = [name for name, _ in inside]
    tracks = [_parse_track(body) for name, body in inside if name == b"trak"]
    require(names[0] == b"mvhd" and 1 <= len(tracks) <= _TRACKS_MAX)
    for name, body in inside:
        if name == b"udta":
            require(media_type == "audio/mp4" and body == _EMPTY_METADATA)
        elif name == b"mvhd":
            require(_FIXED_BOX_PATTERNS[name].fullmatch(body))
    return tracks, _BOX_HEADER_BYTES + len(kind) + _BOX_HEADER_BYTES + _BOX_HEADER_BYTES, media


def _parse_track(body: bytes) -> _Track:
    track = _Track()
    _collect_leaf_boxes(b"trak", body, track)
    require(all(name in track.leaves for name in _REQUIRED_BOXES))
    require((b"stco" in track.leaves) != (b"co64" in track.leaves))
    track.kind = track.leaves[b"hdlr"][8:12]
    require((b"vmhd" if track.kind == b"vide" else b"smhd") in track.leaves)
    _check_sample_entry(track.kind, track.leaves[b"stsd"])
    return track


def _collect_leaf_boxes(name: bytes, body: bytes, track: _Track) -> None:
    for inner, data in _boxes_in_order(name, body):
        if inner in _ALLOWED_BOXES:
            _collect_leaf_boxes(inner, data, track)
            continue
        if inner in _FIXED_BOX_PATTERNS:
            require(_FIXED_BOX_PATTERNS[inner].fullmatch(data))
        elif inner in _TABLE_FORMS:
            before, entry = _TABLE_FORMS[inner]
            require(len(data) >= before + 4 and not any(data[:4]))
            count = int.from_bytes(data[before : before + 4], "big")
            fixed = inner == b"stsz" and any(data[4:8])
            require(len(data) == before + 4 + (0 if fixed else count * entry))
            require(inner != b"elst" or count <= _EDITS_MAX)
        track.leaves[inner] = data


def _boxes_in_order(name: bytes, body: bytes, repeated: bytes = b"") -> Boxes:
    """Return the boxes inside a box, which must be allowed and in the writer's order.

    Only the box ``repeated`` may occur more than once.
    """
    boxes, allowed, before = _boxes(body), _ALLOWED_BOXES[name], -1
    for inner, _ in boxes:
        require(inner in allowed)
        place = allowed.index(inner)
        require(place > before or (inner == repeated and place == before))
        before = place
    require(boxes)
    return boxes


def _boxes(data: bytes) -> Boxes:
    file, found = FileCursor(data), []
    while file.bytes_left():
        size, name = file.read_number(4), file.read_bytes(4)
        found.append((name, file.read_bytes(size - _BOX_HEADER_BYTES)))
    return found


def _check_sample_entry(kind: bytes, description: bytes) -> None:
    """Check the only sample entry, which has the codec and the parameters that a decoder needs."""
    file = FileCursor(description)
    file.require_bytes(bytes(7) + b"\x01")
    ((name, body),) = _require_one_box(_boxes(file.read_bytes(file.bytes_left())))
    form, size, allowed = {
        b"vide": (_AVC1_PATTERN, 78, (b"avcC", b"colr", b"pasp", b"btrt")),
        b"soun": (_MP4A_PATTERN, 28, (b"esds", b"btrt")),
    }[kind]
    require(name == (b"avc1" if kind == b"vide" else b"mp4a") and form.fullmatch(body[:size]))
    inner = _boxes(body[size:])
    require([name for name, _ in inner] == [name for name in allowed if name in dict(inner)])
    require(inner and inner[0][0] == allowed[0])
    for name, data in inner:
        if name == b"avcC":
            _check_h264_parameter_sets(data)
        else:
            require(_FIXED_BOX_PATTERNS[name].fullmatch(data))


def _require_one_box(boxes: Boxes) -> Boxes:
    require(len(boxes) == 1)
    return boxes


def _check_h264_parameter_sets(data: bytes) -> None:
    """Check that there is one parameter set of each kind (ISO/IEC 14496-15, 5.3.3.1).

    The fields that High profile adds are checked too.
    """
    file = FileCursor(data)
    file.require_bytes(b"\x01")
    profile = file.read_bytes(3)[0]
    file.require_bytes(b"\xff\xe1")
    _check_parameter_set(file, b"\x67", _SEQUENCE_PARAMETER_SET_BYTES_MAX)
    file.require_bytes(b"\x01")
    _check_parameter_set(file, b"\x68", _PICTURE_PARAMETER_SET_BYTES_MAX)
    if profile == 100:
        file.require_bytes(b"\xfd\xf8\xf8\0")
    file.require_end()


def _check_parameter_set(file: FileCursor, first_byte: bytes, bytes_max: int) -> None:
    parameters = file.read_bytes(file.read_number(2))
    require(parameters[:1] == first_byte and len(parameters) <= bytes_max)


def _unpack_numbers(data: bytes, size: int) -> list[int]:
    return [int.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size)]


def _sample_ranges(leaves: Mapping[bytes, bytes]) -> Iterator[tuple[int, int]]:
    """Yield the position and size of each sample (ISO/IEC 14496-12, 8.7.3 to 8.7.5)."""
    fixed, count = _unpack_numbers(leaves[b"stsz"][4:12], 4)
    require(count)
    sizes = [fixed] * count if fixed else _unpack_numbers(leaves[b"stsz"][12:], 4)
    wide = b"co64" in leaves
    chunks = _unpack_numbers(leaves[b"co64" if wide else b"stco"][8:], 8 if wide else 4)
    runs = _unpack_numbers(leaves[b"stsc"][8:], 4)
    firsts = [*runs[::3], len(chunks) + 1]
    require(firsts[0] == 1 and firsts == sorted(set(firsts)) and set(runs[2::3]) == {1})
    number = 0
    for place, each in enumerate(runs[1::3]):
        require(each)
        for chunk in chunks[firsts[place] - 1 : firsts[place + 1] - 1]:
            at = chunk
            for size in sizes[number : number + each]:
                yield at, size
                at += size
            number += each
    require(number == count)


def _require_no_gaps(tracks: list[_Track], media_at: int, size: int) -> None:
    """Require that every byte of the media data is in exactly one sample."""
    at = media_at
    all_samples = sorted(sample for track in tracks for sample in _sample_ranges(track.leaves))
    for start, length in all_samples:
        require(start == at and length)
        at += length
    require(at == media_at + size)
    for track in tracks:
        _require_tables_of_samples_only(track.leaves)


def _require_tables_of_samples_only(leaves: Mapping[bytes, bytes]) -> None:
    """Require that the runs in each table cover every sample once, and that none is empty; and that
    each key frame is a sample and is listed once (ISO/IEC 14496-12, 8.6.1, 8.6.2 and 8.9.2).
    """
    count = len(list(_sample_ranges(leaves)))
    for name, (before, allowed) in _RUN_TABLES.items():
        if name in leaves:
            runs = _unpack_numbers(leaves[name][before + 4 :], 4)
            require(all(runs[::2]) and sum(runs[::2]) == count)
            require(allowed is None or set(runs[1::2]) <= allowed)
    key_frames = _unpack_numbers(leaves.get(b"stss", b"")[8:], 4)
    require(key_frames == sorted(set(key_frames)))
    require(not key_frames or 1 <= key_frames[0] <= key_frames[-1] <= count)


def _require_slices_only(sample: bytes) -> None:
    """Require that a frame contains only slices of a picture (ISO/IEC 14496-15, 5.2.3)."""
    file = FileCursor(sample)
    while file.bytes_left():
        unit = file.read_bytes(file.read_number(_NAL_LENGTH_BYTES))
        require(unit and unit[0] & 0x1F in _SLICE_UNIT_TYPES)
