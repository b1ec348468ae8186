"""Find the media files in a multipart body (RFC 7578) or a mail message (RFC 5322, RFC 2045).

Both are untrusted, so they are parsed strictly. Media, including SVG, is recognized by its first
bytes.
"""

from __future__ import annotations

import binascii
import email.policy
import quopri
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from entrenous.base.errors import Malformed
from entrenous.base.picture import MediaKind, NotAPicture
from entrenous.media.file_kind import media_kind_of, picture_format_of

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


_SVG_START: Final = re.compile(rb"<(?:[\w.-]+:)?svg[\s>:/]|<!DOCTYPE\s+svg", re.IGNORECASE)
# Complete items that may precede the first element of an XML file (XML 1.0, section 2.8).
_XML_PROLOG: Final = re.compile(
    rb"(?:\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[\]<>]*>)*+", re.DOTALL | re.IGNORECASE
)
# An incomplete item at the end of the bytes: an instruction, a comment, a document type or a name.
_INCOMPLETE_XML_ITEM: Final = re.compile(
    rb"<(?:\?[A-Z_:\x80-\xff]|!--|!DOCTYPE|[^!?\s/>][^\s/>]*\Z|!?-?\Z)", re.IGNORECASE
)
# Byte order marks of UTF-8 and UTF-16; the zero bytes of UTF-16 are removed before matching.
_BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_EBCDIC_XML_START: Final = b"\x4c\x6f\xa7\x94"  # "<?xm" (XML 1.0, appendix F)
_GZIP_START: Final = b"\x1f\x8b"  # RFC 1952
_INFLATED_BYTES_MAX: Final = 4096


def may_be_drawing(untrusted_start: bytes, *, is_cut: bool) -> bool:
    """Return whether a file with these first bytes may be shown as a drawing.

    ``is_cut`` says that the file may have more bytes than these.
    """
    if untrusted_start.startswith(_GZIP_START):
        return _may_be_svg(_decompress_start(untrusted_start), is_cut=True)
    return untrusted_start.startswith(_EBCDIC_XML_START) or _may_be_svg(
        untrusted_start, is_cut=is_cut
    )


def _may_be_svg(start: bytes, *, is_cut: bool) -> bool:
    for mark in _BYTE_ORDER_MARKS:
        start = start.removeprefix(mark)
    plain = start.replace(b"\0", b"")
    if start and not plain:
        return False  # all bytes are NUL
    if _SVG_START.search(plain) is not None:
        return True
    before = _XML_PROLOG.match(plain)
    rest = plain[before.end() if before else 0 :]
    return is_cut and (not rest or _INCOMPLETE_XML_ITEM.match(rest) is not None)


def _decompress_start(start: bytes) -> bytes:
    """Decompress these first bytes of a file, as far as possible; return b"" if they are
    not gzip.
    """
    try:
        return zlib.decompressobj(wbits=31).decompress(start, _INFLATED_BYTES_MAX)
    except zlib.error:
        return b""


MEDIA_START_BYTES: Final = 1024  # first bytes that suffice to recognize media
# The first bytes of pictures. Plain text hardly ever begins like this.
_PICTURE_STARTS: Final = (
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
_VIDEO_AND_SOUND_STARTS: Final = (
    *(b"FLV\x01", b".RMF", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # ASF
    *(b"\0\0\1", b"\0\0\0\1"),  # MPEG's start codes (H.222.0, 2.4.2; H.264, annex B)
    *(b"YUV4MPEG2 ", b"DKIF\0", b"\x06\x0e\x2b\x34", b"nut/multimedia"),  # IVF, MXF
    *(b".snd\0", b"caff\0", b"wvpk", b"MAC \x96\x0f", b"DSD \x1c\0", b"\x0b\x77"),
)
_MEDIA_STARTS: Final = _PICTURE_STARTS + _VIDEO_AND_SOUND_STARTS
# Portable any-maps (netpbm: width and height, with comments between), XBM and XPM (both are C),
# PCX, SGI, IFF, TGA (only a header with few possible values), BMP without its file header, EMF,
# DICOM, MSP and IM.
_MEDIA_PATTERNS: Final = re.compile(
    rb"P[1-6]\s*(?:#|\s{99}|\s\d{99}|\s\d+\s{99}|\s\d+\s+[\d#])|P7(?:\s*\n| 332)|P[Ff]4?\n-?\d"
    rb"|[^\0]*?(?:#define[ \t]+\S*width[ \t]|/\*[ \t]*XPM[ \t]*\*/|! XPM2)"
    rb"|\n[\0\2-\5][\0\1][\1\2\4\x08]|\x01\xda[\0\1][\1\2]"
    rb"|FORM.{4}(?:ILBM|PBM |ACBM|RGB8|RGBN|AIFF|AIFC|8SVX)"
    rb"|.(?:\0[\1-\3\t-\v].{5}|\x01[\1-\3\t-\v].{4}[\x0f\x10\x18\x20]).{8}[\1\x08\x0f\x10\x18\x20]"
    rb"|\(\0\0\0.{8}\x01\0[\1\4\x08\x10\x18\x20]\0"
    rb"|\x01\0\0\0.{36} EMF|.{128}DICM|(?:DanM|LinS|Image type:)[^\0]*\0",
    re.DOTALL,
)
# The number of bytes before a packet's sync byte, and from one sync byte to the next. The packets
# are, in this order: those of H.222.0, 2.4.3; those of cameras and discs, which begin with a time
# code; and two kinds with error correction.
_TRANSPORT_STREAM_PACKETS: Final = ((0, 188), (4, 192), (0, 204), (0, 208))


def is_media(untrusted_start: bytes) -> bool:
    """Return whether a file with these first bytes may be shown or played; at most
    MEDIA_START_BYTES are read.
    """
    start = untrusted_start[:MEDIA_START_BYTES]
    if (
        media_kind_of(start) is not MediaKind.PICTURE
        or start.startswith(_MEDIA_STARTS)
        or _is_transport_stream(start)
    ):
        return True
    try:
        picture_format_of(start)
    except NotAPicture:
        is_cut = len(start) == MEDIA_START_BYTES
        return _MEDIA_PATTERNS.match(start) is not None or may_be_drawing(start, is_cut=is_cut)
    return True


def _is_transport_stream(start: bytes) -> bool:
    """Return whether it is an MPEG transport stream.

    It counts as one if two sync bytes are where they should be, or three if there are enough bytes.
    """
    syncs = (start[at : at + 2 * size + 1 : size] for at, size in _TRANSPORT_STREAM_PACKETS)
    return any(sync in (b"GG", b"GGG") for sync in syncs)


PLATFORM_FORM_PARTS_MAX: Final = 1000
# What some server may read as the type of a form: formidable searches for "multipart" anywhere.
_MAY_BE_FORM_PATTERN: Final = re.compile("multipart|boundary", re.IGNORECASE)
# The type of a form as browsers and libraries write it. Of other spellings, servers read different
# boundaries: PHP begins one with a space and ends one at a comma, and Werkzeug ends one without
# quotes at any character that no token contains (RFC 9110, section 5.6.2).
_CHARSET_PARAMETER: Final = r"""; ?(?i:charset)=(?:[\w-]+|"[\w-]+")"""
_FORM_TYPE_PATTERN: Final = re.compile(
    rf"(?i:multipart/form-data)(?:{_CHARSET_PARAMETER})?"
    r"""; ?boundary=(?:([0-9A-Za-z'+_.-]{1,70})|"([0-9A-Za-z'()+_./:=?-]{1,70})")"""
    rf"(?:{_CHARSET_PARAMETER})?",
    re.ASCII,
)
_TEXT_TYPES: Final = ("application/json", "application/x-www-form-urlencoded", "text/")
_FORM_IDENTITY_ENCODINGS: Final = (
    "",
    "7bit",
    "8bit",
    "binary",
)  # RFC 2045, section 6.2: not encoded
_HEADER_NAME_PATTERN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.1
# Some parsers end a header, or all headers, at these bytes.
_HEADER_ENDING_BYTES: Final = frozenset(b"\r\n\0")


class Unreadable(Malformed):
    """
    It is not clear which files this form contains, so the upload was not checked. Nothing was
    published. Send the files again as ordinary multipart/form-data.
    """


def extract_uploads(
    untrusted_body: bytes, content_type: str, content_encoding: str = ""
) -> list[bytes]:
    """Extract every file from a request's body.

    A part of a form is a file if it has a file name or a type other than text (RFC 7578), or if its
    first bytes are those of media. Any other body is one file, unless its type is text or JSON and
    it is not media by its first bytes.

    Raises:
        Unreadable: it is compressed, a malformed form, a form within a form, or a form of a type
            that servers read in different ways.
    """
    if not untrusted_body:
        return []
    if content_encoding.strip().lower() not in ("", "identity"):
        raise Unreadable
    if _MAY_BE_FORM_PATTERN.search(content_type):
        return _contents_of_files(_split_parts(untrusted_body, _boundary_of_form(content_type)))
    kind = content_type.partition(";")[0].strip().lower()
    is_text = kind.startswith(_TEXT_TYPES) or kind.endswith("+json")
    return [] if is_text and not is_media(untrusted_body) else [untrusted_body]


def _boundary_of_form(content_type: str) -> bytes:
    """Return the boundary, if all servers read the same one; raises Unreadable.

    The parameter's name has to be in small letters: before any other, PHP reads that spelling.
    """
    found = _FORM_TYPE_PATTERN.fullmatch(content_type)
    if found is None or content_type.lower().count("boundary=") > 1:
        raise Unreadable
    return (found[1] or found[2]).encode()


@dataclass(slots=True)
class _FormPart:
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)

    def header(self, name: bytes) -> str:
        """Return the value of a header that may occur once; raises Unreadable."""
        values = [value for own, value in self.headers if own == name]
        if len(values) > 1:
            raise Unreadable
        return values[0].decode("latin-1").strip() if values else ""


def _contents_of_files(parts: list[_FormPart]) -> list[bytes]:
    return [bytes(part.data) for part in parts if _is_file(part)]


def _is_file(part: _FormPart) -> bool:
    if part.header(b"content-transfer-encoding").lower() not in _FORM_IDENTITY_ENCODINGS:
        raise Unreadable
    kind = part.header(b"content-type").lower()
    if kind.startswith("multipart/"):
        raise Unreadable
    is_named = "filename" in part.header(b"content-disposition").lower()
    if is_named and not part.data:
        return False  # a form's field for a file that was left empty
    return (
        is_named
        or bool(kind and not kind.startswith("text/"))
        or is_media(bytes(part.data[:MEDIA_START_BYTES]))
    )


def _split_parts(untrusted_body: bytes, boundary: bytes) -> list[_FormPart]:
    """Split a form into its parts.

    Parsers differ: some accept a delimiter within a line, some continue to read after the last one.
    So nothing may come before the first delimiter or after the last, and anything that looks like a
    delimiter must be one.
    """
    delimiter = b"--" + boundary
    end = untrusted_body[-len(delimiter) - 4 :].rstrip(b"\r\n")
    if not untrusted_body.startswith(delimiter):
        raise Unreadable
    parts = _parse_form(untrusted_body, boundary)
    if not end.endswith(delimiter + b"--") or untrusted_body.count(delimiter) != len(parts) + 1:
        raise Unreadable
    return parts


def _parse_form(untrusted_body: bytes, boundary: bytes) -> list[_FormPart]:
    found = _PartCollector()
    try:
        parser = MultipartParser(boundary, found.callbacks())
        parser.write(untrusted_body)
        parser.finalize()
    except FormParserError as problem:
        raise Unreadable from problem
    if not found.ended:
        raise Unreadable
    return found.parts


class _PartCollector:
    """Collects parts from the parser's callbacks."""

    def __init__(self) -> None:
        self.parts: list[_FormPart] = []
        self.ended = False
        self._name = bytearray()
        self._value = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self.parts[-1].data.extend(data[start:end]),
            "on_end": self._end_form,
        }

    def _begin_part(self) -> None:
        if len(self.parts) >= PLATFORM_FORM_PARTS_MAX:
            raise Unreadable
        self.parts.append(_FormPart())

    def _end_header(self) -> None:
        if _HEADER_NAME_PATTERN.fullmatch(
            self._name
        ) is None or not _HEADER_ENDING_BYTES.isdisjoint(self._value):
            raise Unreadable
        self.parts[-1].headers.append((bytes(self._name).lower(), bytes(self._value)))
        self._name.clear()
        self._value.clear()

    def _end_form(self) -> None:
        self.ended = True


MAIL_PARTS_MAX: Final = 500
_MEDIA_MAIN_TYPES: Final = ("image", "video", "audio")
_ENCODING_HEADER: Final = "Content-Transfer-Encoding"
_MAIL_IDENTITY_ENCODINGS: Final = frozenset(
    ("7bit", "8bit", "binary")
)  # RFC 2045, section 6.2: not encoded
_HEADERS_ALLOWED_ONCE: Final = (_ENCODING_HEADER, "Content-Type")


class NotAMail(Malformed):
    """
    This cannot be read as a mail message: it has no header lines, its parts cannot be separated, or
    it has too many parts. Nothing was sent to the gate. Provide the whole message as it was
    received, with its headers. If it has very many parts, check its files one by one.
    """


class AmbiguousPart(Exception):
    """Mail programs could decode this part differently; internal to this module."""


@dataclass(frozen=True, slots=True)
class FileInMail:
    """A file in a message; its bytes are None if the part cannot be decoded with certainty.

    ``says_media`` says whether the message declares the file a picture, a video or a sound.
    """

    untrusted_data: bytes | None
    says_media: bool = False


def files_in_mail(untrusted_mail: bytes) -> list[FileInMail]:
    """Extract from a message the pictures, videos, sounds and attached files, and every part that
    cannot be decoded.

    Messages within the message are searched; archives and encrypted data are not.

    Raises:
        NotAMail.
    """
    try:
        message = email.message_from_bytes(untrusted_mail, policy=email.policy.compat32)
        parts = list(message.walk())
        found = list(_files_in_mail_parts(parts[: 2 * MAIL_PARTS_MAX + 1]))
    except (RecursionError, ValueError, LookupError):
        raise NotAMail from None
    if not message.keys() or sum(not part.is_multipart() for part in parts) > MAIL_PARTS_MAX:
        raise NotAMail
    if len(parts) > 2 * MAIL_PARTS_MAX:
        raise NotAMail
    return found


def _files_in_mail_parts(parts: list[Message]) -> Iterator[FileInMail]:
    for part in parts:
        says_media = part.get_content_maintype() in _MEDIA_MAIN_TYPES
        try:
            data = _content_of_part(part)
        except AmbiguousPart:
            yield FileInMail(None, says_media=says_media)
            continue
        if data and (says_media or part.get_filename() is not None or is_media(data)):
            yield FileInMail(data, says_media=says_media)


def _content_of_part(part: Message) -> bytes:
    """Return the bytes of a part; b"" if it contains other parts. Raises AmbiguousPart."""
    if part.defects or any(len(part.get_all(name, ())) > 1 for name in _HEADERS_ALLOWED_ONCE):
        raise AmbiguousPart
    coding = str(part.get(_ENCODING_HEADER, "7bit")).strip().lower()
    is_container = part.get_content_maintype() in ("multipart", "message")
    if is_container and (coding not in _MAIL_IDENTITY_ENCODINGS or not part.is_multipart()):
        # RFC 2046, sections 5.1 and 5.2: such a part is never encoded, and always contains parts.
        raise AmbiguousPart
    if part.get_content_type() == "message/partial":
        raise AmbiguousPart  # the rest is in another message
    if is_container:
        return b""
    del part[_ENCODING_HEADER]  # so that the library returns the encoded bytes
    raw = part.get_payload(decode=True)
    return _decode_part(raw, coding) if isinstance(raw, bytes) else b""


def _decode_part(raw: bytes, coding: str) -> bytes:
    if coding in _MAIL_IDENTITY_ENCODINGS:
        return raw
    if coding == "quoted-printable":
        return quopri.decodestring(raw)
    if coding != "base64":
        raise AmbiguousPart
    try:
        return binascii.a2b_base64(b"".join(raw.split()), strict_mode=True)
    except binascii.Error:
        raise AmbiguousPart from None
