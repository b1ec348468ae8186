"""Which demuxer a sound is given to, judged by its first bytes; no decoder is loaded for that."""

from typing import Final

from entrenous.model.sound import NotASound

_STARTS: Final = ((b"OggS", "ogg"), (b"#!AMR", "amr"), (b"fLaC", "flac"), (b"ID3", "mp3"))
_EBML: Final = b"\x1aE\xdf\xa3"
_BOXES: Final = frozenset(b"ftyp moov mdat moof wide free skip styp sidx".split())


def container_of(untrusted_data: bytes) -> str:
    """FFmpeg's name of the one demuxer that this file is given to.

    Raises:
        NotASound: it starts like none of the containers that we read.
    """
    for start, kind in _STARTS:
        if untrusted_data.startswith(start):
            return kind
    if untrusted_data[:4] == b"RIFF":
        return {b"WAVE": "wav", b"AVI ": "avi"}.get(untrusted_data[8:12]) or _none()
    if untrusted_data.startswith(_EBML):
        return "matroska"
    if untrusted_data[4:8] in _BOXES:
        return "mov"
    if len(untrusted_data) > 1 and untrusted_data[0] == 0xFF and untrusted_data[1] >= 0xE0:
        return "mp3" if untrusted_data[1] & 0x06 else "aac"  # the layer: 0 in ADTS alone
    return _none()


def _none() -> str:
    raise NotASound
