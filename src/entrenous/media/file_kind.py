"""Find out the kind of a file from its first bytes, and whether it is animated.

See docs/spec/pictures.md, section 1.
"""

import struct
from collections.abc import Callable
from typing import Final

from entrenous.base.picture import MediaKind, NotAPicture, PictureFormat
from entrenous.media.png_animation import has_separate_default_image

_PICTURE_STARTS: Final = (
    (b"\xff\xd8\xff", PictureFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", PictureFormat.PNG),
    (b"GIF87a", PictureFormat.GIF),
    (b"GIF89a", PictureFormat.GIF),
    (b"II*\0", PictureFormat.TIFF),
    (b"MM\0*", PictureFormat.TIFF),
    (b"BM", PictureFormat.BMP),
)
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1"})
# the first bytes of sounds: RFC 3533 (Ogg), RFC 4867 (AMR), RFC 9639 (FLAC), ID3v2, APEv2
_SOUND_STARTS: Final = (b"OggS", b"#!AMR", b"fLaC", b"ID3", b"APETAGEX")
_SOUND_BRANDS: Final = frozenset({b"M4A ", b"M4B "})
_EBML_ID: Final = b"\x1aE\xdf\xa3"  # Matroska and WebM, RFC 8794


def media_kind_of(untrusted_data: bytes) -> MediaKind:
    """Return whether these bytes are to be opened as a picture, a clip or a sound.

    Unknown bytes are to be opened as a picture. MP4, MOV and WebM count as clips, although they may
    contain only sound. Callers that find no frames in a clip open it as a sound.
    """
    start = untrusted_data[:12]
    if start.startswith(_SOUND_STARTS) or (start[:4] == b"RIFF" and start[8:] == b"WAVE"):
        return MediaKind.SOUND
    if start[:1] == b"\xff" and len(start) > 1 and start[1] & 0xE0 == 0xE0 and start[1] != 0xFE:
        # frame sync of MPEG audio and ADTS; FF FE would be the start of UTF-16 text
        return MediaKind.SOUND
    if start.startswith(_EBML_ID) or (start[:4] == b"RIFF" and start[8:] == b"AVI "):
        return MediaKind.CLIP
    brands = _brands(untrusted_data)
    if brands & _SOUND_BRANDS:
        return MediaKind.SOUND
    still = brands & (_AVIF_BRANDS | _HEIC_BRANDS)
    is_clip = (
        bool(brands and not still)
        or _is_old_quicktime(untrusted_data)
        or _is_clip_after_other_boxes(untrusted_data)
    )
    return MediaKind.CLIP if is_clip else MediaKind.PICTURE


_TRACKS_ID: Final = b"\x16\x54\xae\x6b"  # RFC 9559, 5.1.4
_HEAD_BYTES: Final = 4096


def is_sound_only_webm(untrusted_data: bytes) -> bool:
    """Return whether a Matroska or WebM file announces Opus sound and no video.

    Sound recordings of browsers are such files.
    """
    head = untrusted_data[:_HEAD_BYTES]
    tracks = head[head.find(_TRACKS_ID) :] if _TRACKS_ID in head else b""
    return head.startswith(_EBML_ID) and b"A_OPUS" in tracks and b"V_" not in tracks[:1024]


def _is_old_quicktime(untrusted_data: bytes) -> bool:
    """Return whether this is a QuickTime file from the time before the ftyp box existed.

    Two of the box names are words that occur in ordinary text. For these, the number before the
    name must be a possible size of a box.
    """
    size, name = int.from_bytes(untrusted_data[:4], "big"), untrusted_data[4:8]
    is_there = name in (b"wide", b"free") and size <= len(untrusted_data)
    return name in (b"moov", b"mdat") or is_there


# Pictures whose second box is ftyp: JPEG 2000 (T.800, I.5.1) and JPEG XL (ISO/IEC 18181-2, 9).
_PICTURE_SIGNATURE_BOXES: Final = (b"\0\0\0\x0cjP  ", b"\0\0\0\x0cJXL ")
_CLIP_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat"})
_LEADING_BOXES_MAX: Final = 1000


def _is_clip_after_other_boxes(untrusted_data: bytes) -> bool:
    """Return whether a clip starts after other boxes, which players skip whatever their names are.

    No other file has a thousand boxes in a row, so after these the search ends.
    """
    if untrusted_data.startswith(_PICTURE_SIGNATURE_BOXES):
        return False
    at = 0
    for _ in range(_LEADING_BOXES_MAX):
        size, name = _box_at(untrusted_data, at)
        if name in _CLIP_BOXES:
            return at > 0
        at += size
        if size < 8 or at + 8 > len(untrusted_data):
            return False
    return True


def _box_at(data: bytes, at: int) -> tuple[int, bytes]:
    """Return the size and the name of the box at this position (ISO/IEC 14496-12, 4.2)."""
    size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
    return int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size, name


def picture_format_of(untrusted_data: bytes) -> PictureFormat:
    """Return the picture format that the first bytes announce.

    Raises:
        NotAPicture: the bytes announce no supported format.
    """
    for start, kind in _PICTURE_STARTS:
        if untrusted_data.startswith(start):
            return kind
    if untrusted_data[:4] == b"RIFF" and untrusted_data[8:12] == b"WEBP":
        return PictureFormat.WEBP
    brands = _brands(untrusted_data)
    if brands & _AVIF_BRANDS:
        return PictureFormat.AVIF
    if brands & _HEIC_BRANDS:
        return PictureFormat.HEIC
    raise NotAPicture


def _brands(untrusted_data: bytes) -> frozenset[bytes]:
    """Return the major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3)."""
    if untrusted_data[4:8] != b"ftyp":
        return frozenset()
    box = untrusted_data[: min(int.from_bytes(untrusted_data[:4], "big"), 256)]
    return frozenset({box[8:12]} | {box[at : at + 4] for at in range(16, len(box), 4)})


_PNG_CHUNK: Final = struct.Struct(">I4s")
_WEBP_CHUNK: Final = struct.Struct("<4sI")
_ANIMATION_FLAG: Final = 0x02  # one of the flags of VP8X
_SEQUENCE_BRANDS: Final = frozenset({b"avis", b"hevc", b"hevx", b"msf1"})


def is_animated(untrusted_data: bytes) -> bool:
    """Return whether a GIF, PNG or WebP has several pictures, or an AVIF or HEIC is a sequence."""
    try:
        check = _ANIMATION_CHECKS.get(picture_format_of(untrusted_data))
    except NotAPicture:
        return False
    return check is not None and check(untrusted_data)


def _is_animated_gif(data: bytes) -> bool:
    """Return whether a GIF has several images.

    Extensions and images consist of blocks of up to 255 bytes (GIF89a, sections 17 to 25).
    """
    at, pictures = 13 + _colour_table_bytes(data, 10), 0
    while at < len(data) and data[at] in b",!":
        if data[at : at + 1] == b",":
            pictures += 1
            if pictures > 1:
                return True
            # skips the image's position, colour table and code size
            at += 11 + _colour_table_bytes(data, at + 9)
        else:
            at += 2
        at = _position_after_gif_blocks(data, at)
    return False


def _colour_table_bytes(data: bytes, at: int) -> int:
    """Return the size of the colour table that the flags at this position announce."""
    flags = data[at] if at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _position_after_gif_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _is_animated_png(data: bytes) -> bool:
    """Return whether a PNG has several pictures.

    The number of those of the animation is given before the first one (PNG, third edition,
    11.3.6.1).
    """
    if has_separate_default_image(data):
        return True
    at = 8
    while at + 12 <= len(data):
        size, name = _PNG_CHUNK.unpack_from(data, at)
        if name == b"acTL":
            return int.from_bytes(data[at + 8 : at + 12], "big") > 1
        if name == b"IDAT":
            return False
        at += 12 + size
    return False


def _is_animated_webp(data: bytes) -> bool:
    """Return whether a WebP has several pictures.

    A WebP with several pictures has a flag in VP8X, and an ANMF chunk for each picture (RFC 9649,
    2.7).
    """
    if data[12:16] != b"VP8X" or not data[20:21] or not data[20] & _ANIMATION_FLAG:
        return False
    at, pictures = 12, 0
    while at + 8 <= len(data) and pictures < 2:
        name, size = _WEBP_CHUNK.unpack_from(data, at)
        pictures += name == b"ANMF"
        at += 8 + size + (size & 1)
    return pictures > 1


def _is_image_sequence(data: bytes) -> bool:
    """Return whether the major brand says that a file is mainly a sequence (ISO/IEC 23008-12)."""
    return data[8:12] in _SEQUENCE_BRANDS


_ANIMATION_CHECKS: Final[dict[PictureFormat, Callable[[bytes], bool]]] = {
    PictureFormat.GIF: _is_animated_gif,
    PictureFormat.PNG: _is_animated_png,
    PictureFormat.WEBP: _is_animated_webp,
    PictureFormat.AVIF: _is_image_sequence,
    PictureFormat.HEIC: _is_image_sequence,
}
