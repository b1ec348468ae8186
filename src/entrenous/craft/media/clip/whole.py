"""What a clip's file is, and whether all of it is there, told before any decoder sees it.

Only the outermost structure is walked. A decoder would play what is left of a broken download and
call that the clip; half a clip must be neither sent nor traced. docs/spec/clip.md, section 1.
"""

from typing import Final

from entrenous.model.clip import ClipBroken, ClipCutShort, NoFrames

# ISO/IEC 14496-12 and the QuickTime File Format: what may stand at the top of a file
_BOXES: Final = frozenset(
    b"ftyp moov mdat moof mfra sidx ssix styp free skip wide uuid meta pnot udta prft emsg".split()
)
_EBML: Final = b"\x1aE\xdf\xa3"
_SEGMENT: Final = b"\x18S\x80g"


def container_of(untrusted_data: bytes) -> str:
    """FFmpeg's name of the one demuxer that this file is given to.

    Raises:
        NoFrames: it starts like none of the containers that we read.
        ClipCutShort: its own structure reaches past its end.
        ClipBroken: its structure contradicts itself.
    """
    if untrusted_data.startswith(_EBML):
        _walk_elements(untrusted_data)
        return "matroska"
    if untrusted_data[:4] == b"RIFF" and untrusted_data[8:12] == b"AVI ":
        if 8 + int.from_bytes(untrusted_data[4:8], "little") > len(untrusted_data) + 1:
            raise ClipCutShort
        return "avi"
    if untrusted_data[4:8] in _BOXES:
        _walk_boxes(untrusted_data)
        return "mov"
    raise NoFrames


def without_user_data(data: bytes) -> bytes:
    """An MP4 of our own less its ``udta`` box, which muxers write even when it says nothing.

    Only where ``moov`` comes last: then no place in the file that it points at moves.
    """
    at = _box(data, b"moov", 0)
    if at < 0 or at + _size_of(data, at) != len(data):
        return data
    place = _box(data, b"udta", at + 8)
    if place < 0:
        return data
    size = _size_of(data, place)
    moov = (len(data) - at - size).to_bytes(4, "big")
    return data[:at] + moov + data[at + 4 : place] + data[place + size :]


def _box(data: bytes, name: bytes, at: int) -> int:
    """Where the first box of that name stands among those from ``at`` on, or -1."""
    while at + 8 <= len(data) and (size := _size_of(data, at)) >= 8:
        if data[at + 4 : at + 8] == name:
            return at
        at += size
    return -1


def _size_of(data: bytes, at: int) -> int:
    size = int.from_bytes(data[at : at + 4], "big")
    return int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size


def _walk_boxes(data: bytes) -> None:
    """ISO/IEC 14496-12, 4.2: box after box; size 1 means 64 bits, size 0 runs to the end."""
    at, seen = 0, set()
    while at + 8 <= len(data) and data[at + 4 : at + 8] in _BOXES:
        seen.add(data[at + 4 : at + 8])
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0:
            at = len(data)
            break
        if size < 8:
            raise ClipBroken
        at += size
    if at > len(data) or b"moov" not in seen:
        raise ClipCutShort


def _walk_elements(data: bytes) -> None:
    """RFC 8794: the EBML header, then one segment that tells its length (or all ones: unknown)."""
    size, start = _element_size(data, 4)
    at = start + size
    if data[at : at + 4] != _SEGMENT:
        raise ClipCutShort if at + 4 > len(data) else NoFrames
    octets = 9 - data[at + 4].bit_length() if at + 4 < len(data) else 9
    size, start = _element_size(data, at + 4)
    unknown = size == (1 << (7 * octets)) - 1
    if not unknown and start + size > len(data):
        raise ClipCutShort


def _element_size(data: bytes, at: int) -> tuple[int, int]:
    """A variable-size integer (RFC 8794, 4) and the place after it."""
    if at >= len(data):
        raise ClipCutShort
    octets = 9 - data[at].bit_length()
    if octets > 8:
        raise ClipBroken
    raw = int.from_bytes(data[at : at + octets], "big")
    return raw & ((1 << (7 * octets)) - 1), at + octets
