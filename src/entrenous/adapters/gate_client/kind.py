"""Whether bytes are a picture, video or sound of any kind, by their first bytes.

Wider than craft/media/kind.py, which knows what *we* can read: here it is asked what a browser, a
phone or a player may show, so that nothing passes as a document only because the gate does not read
that kind of picture. Drawings in XML are told in drawing.py. PDF, HTML and office files are
documents, as archives are, whatever pictures stand in them (docs/gate.md).
"""

import re
from typing import Final

from entrenous.adapters.gate_client.drawing import may_be_drawing
from entrenous.craft.media.kind import kind_of, medium_of
from entrenous.model.medium import Medium
from entrenous.model.picture import NotAPicture

#: So many first bytes tell.
START_BYTES: Final = 1024
# Each is longer than a word that a text may begin with, or has bytes that no text has.
_PICTURES: Final = (
    *(b"\xff\x0a", b"\x00\x00\x00\x0cJXL "),  # JPEG XL (ISO/IEC 18181-2, 9)
    *(b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51"),  # JPEG 2000 (T.800, I.5.1)
    *(b"II+\0", b"MM\0+", b"II\xbc"),  # BigTIFF; JPEG XR
    *(b"8BPS", b"gimp xcf", b"icns", b"\0\0\1\0", b"\0\0\2\0"),  # Photoshop, GIMP, icons
    *(b"qoif", b"farbfeld", b"FLIF", b"BPG\xfb", b"\x8aMNG", b"\x8bJNG"),
    *(b"#?RADIANCE", b"#?RGBE", b"v/1\x01", b"SDPX", b"XPDS", b"\x80\x2a\x5f\xd7"),  # HDR, EXR, DPX
    *(b"DDS \x7c\0", b"\xabKTX", b"PVR\3", b"\x13\xab\xa1\x5c"),  # textures
    *(b"BLP1\0", b"BLP1\1", b"BLP2\0", b"BLP2\1"),
    *(b"IIU\0", b"IIRO\x08", b"IIRS\x08", b"MMOR\0", b"II\x1a\0"),  # cameras
    *(b"FOVb\0", b"FUJIFILMCCD-RAW", b"\0MRM"),
    *(b"%!PS", b"\xc5\xd0\xd3\xc6", b"\xd7\xcd\xc6\x9a", b"AT&TFORM"),  # PostScript, WMF, DjVu
    *(b"\x59\xa6\x6a\x95", b"\xb1\x68\xde\x3a", b"SIMPLE  ="),  # Sun, DCX, FITS
)
_FILMS_AND_SOUNDS: Final = (
    *(b"FLV\x01", b".RMF", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # ASF
    *(b"\0\0\1", b"\0\0\0\1"),  # MPEG's start codes (H.222.0, 2.4.2; H.264, annex B)
    *(b"YUV4MPEG2 ", b"DKIF\0", b"\x06\x0e\x2b\x34", b"nut/multimedia"),  # IVF, MXF
    *(b".snd\0", b"caff\0", b"wvpk", b"MAC \x96\x0f", b"DSD \x1c\0", b"\x0b\x77"),
)
_STARTS: Final = _PICTURES + _FILMS_AND_SOUNDS
# Portable any-maps (netpbm: width and height, with comments between), XBM and XPM (both are C),
# PCX, SGI, IFF, TGA, which has nothing but a header with few possible values, BMP without the
# header of its file, EMF, DICOM, MSP and IM.
_PATTERNS: Final = re.compile(
    rb"P[1-6]\s*(?:#|\s{99}|\s\d{99}|\s\d+\s{99}|\s\d+\s+[\d#])|P7(?:\s*\n| 332)|P[Ff]4?\n-?\d"
    rb"|[^\0]*?(?:#define[ \t]+\S*width[ \t]|/\*[ \t]*XPM[ \t]*\*/|! XPM2)"
    rb"|\n[\0\2-\5][\0\1][\1\2\4\x08]|\x01\xda[\0\1][\1\2]"
    rb"|FORM.{4}(?:ILBM|PBM |ACBM|RGB8|RGBN|AIFF|AIFC|8SVX)"
    rb"|.(?:\0[\1-\3\t-\v].{5}|\x01[\1-\3\t-\v].{4}[\x0f\x10\x18\x20]).{8}[\1\x08\x0f\x10\x18\x20]"
    rb"|\(\0\0\0.{8}\x01\0[\1\4\x08\x10\x18\x20]\0"
    rb"|\x01\0\0\0.{36} EMF|.{128}DICM|(?:DanM|LinS|Image type:)[^\0]*\0",
    re.DOTALL,
)
# Bytes before a packet's sync byte, and from it to the next (H.222.0, 2.4.3; with the time codes of
# cameras and discs; with error correction).
_TS_PACKETS: Final = ((0, 188), (4, 192), (0, 204), (0, 208))


def is_media(untrusted_start: bytes) -> bool:
    """Whether what begins like this may be shown or played; reads at most START_BYTES of it."""
    start = untrusted_start[:START_BYTES]
    if medium_of(start) is not Medium.PICTURE or start.startswith(_STARTS) or _is_stream(start):
        return True
    try:
        kind_of(start)
    except NotAPicture:
        is_cut = len(start) == START_BYTES
        return _PATTERNS.match(start) is not None or may_be_drawing(start, is_cut=is_cut)
    return True


def _is_stream(start: bytes) -> bool:
    """MPEG's transport stream, by the first byte of two packets, or of three if there are."""
    syncs = (start[at : at + 2 * size + 1 : size] for at, size in _TS_PACKETS)
    return any(sync in (b"GG", b"GGG") for sync in syncs)
