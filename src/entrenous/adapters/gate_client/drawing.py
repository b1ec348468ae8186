"""Whether bytes may be an SVG drawing, which may carry a photograph within (SVG 2, section 12.3).

Before its first element XML may say as much as it likes. So whatever has not come to its first
element within the bytes that are looked at may be a drawing, compressed (svgz) or not.
"""

import re
import zlib
from typing import Final

_SVG: Final = re.compile(rb"<(?:[\w.-]+:)?svg[\s>:/]|<!DOCTYPE\s+svg", re.IGNORECASE)
# XML 1.0, section 2.8: what may stand before the first element, each closed.
_BEFORE: Final = re.compile(
    rb"(?:\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[\]<>]*>)*+", re.DOTALL | re.IGNORECASE
)
# What has begun and not ended: an instruction, a comment, a document type, a name.
_OPEN: Final = re.compile(
    rb"<(?:\?[A-Z_:\x80-\xff]|!--|!DOCTYPE|[^!?\s/>][^\s/>]*\Z|!?-?\Z)", re.IGNORECASE
)
# Of UTF-8 and UTF-16, whose zero bytes are left out of what is read.
_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_EBCDIC: Final = b"\x4c\x6f\xa7\x94"  # "<?xm" (XML 1.0, appendix F)
_GZIP: Final = b"\x1f\x8b"  # RFC 1952
_INFLATED_MAX: Final = 4096


def may_be_drawing(untrusted_start: bytes, *, is_cut: bool) -> bool:
    """Whether a file that begins like this may be shown as a drawing.

    ``is_cut``: more may follow.
    """
    if untrusted_start.startswith(_GZIP):
        return _may_be(_inflated(untrusted_start), is_cut=True)
    return untrusted_start.startswith(_EBCDIC) or _may_be(untrusted_start, is_cut=is_cut)


def _may_be(start: bytes, *, is_cut: bool) -> bool:
    for mark in _MARKS:
        start = start.removeprefix(mark)
    plain = start.replace(b"\0", b"")
    if start and not plain:
        return False  # zero bytes alone
    if _SVG.search(plain) is not None:
        return True
    before = _BEFORE.match(plain)
    rest = plain[before.end() if before else 0 :]
    return is_cut and (not rest or _OPEN.match(rest) is not None)


def _inflated(start: bytes) -> bytes:
    """The first bytes of what is compressed; none where that can't be seen."""
    try:
        return zlib.decompressobj(wbits=31).decompress(start, _INFLATED_MAX)
    except zlib.error:
        return b""
