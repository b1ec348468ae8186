"""Judge a file's kind by its first bytes; its name says nothing (docs/spec/pictures.md, 1)."""

from typing import Final

from entrenous.model.medium import Medium
from entrenous.model.picture import NotAPicture, PictureFormat

_STARTS: Final = (
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
# Sounds, by their first bytes: RFC 3533 (Ogg), RFC 4867 (AMR), RFC 9639 (FLAC), ID3v2
_SOUND_STARTS: Final = (b"OggS", b"#!AMR", b"fLaC", b"ID3")
_SOUND_BRANDS: Final = frozenset({b"M4A ", b"M4B "})
_EBML: Final = b"\x1aE\xdf\xa3"  # Matroska and WebM, RFC 8794


def medium_of(untrusted_data: bytes) -> Medium:
    """What these bytes are to be opened as; what announces nothing else is tried as a picture.

    MP4, MOV and WebM may hold sound alone: they count as clips, and who finds no frames inside
    opens them as sound.
    """
    start = untrusted_data[:12]
    if start.startswith(_SOUND_STARTS) or (start[:4] == b"RIFF" and start[8:] == b"WAVE"):
        return Medium.SOUND
    if start[:1] == b"\xff" and len(start) > 1 and start[1] & 0xE0 == 0xE0 and start[1] != 0xFE:
        return Medium.SOUND  # the frame sync of MPEG audio and of ADTS; FF FE begins text in UTF-16
    if start.startswith(_EBML) or (start[:4] == b"RIFF" and start[8:] == b"AVI "):
        return Medium.CLIP
    brands = _brands(untrusted_data)
    if brands & _SOUND_BRANDS:
        return Medium.SOUND
    still = brands & (_AVIF_BRANDS | _HEIC_BRANDS)
    is_clip = bool(brands and not still) or _is_old_film(untrusted_data)
    return Medium.CLIP if is_clip else Medium.PICTURE


def _is_old_film(untrusted_data: bytes) -> bool:
    """A QuickTime file older than the ftyp box. Two of the names are words, too, which stand in
    texts: before these, the number must be the size of something in the file.
    """
    size, name = int.from_bytes(untrusted_data[:4], "big"), untrusted_data[4:8]
    is_there = name in (b"wide", b"free") and size <= len(untrusted_data)
    return name in (b"moov", b"mdat") or is_there


def kind_of(untrusted_data: bytes) -> PictureFormat:
    """The format that the first bytes announce.

    Raises:
        NotAPicture: they announce none that we read.
    """
    for start, kind in _STARTS:
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
    """Major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3)."""
    if untrusted_data[4:8] != b"ftyp":
        return frozenset()
    box = untrusted_data[: min(int.from_bytes(untrusted_data[:4], "big"), 256)]
    return frozenset({box[8:12]} | {box[at : at + 4] for at in range(16, len(box), 4)})
