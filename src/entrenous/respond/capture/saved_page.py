"""Find out from the bytes of a file what a person saved from a browser, and describe it in a few
words.
"""

import html
import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from entrenous.base.language import translatable, translated
from entrenous.base.picture import MediaKind, NotAPicture
from entrenous.media.file_kind import media_kind_of, picture_format_of

STATEMENT_DESCRIPTION: Final = translatable("a statement")
UNKNOWN_FILE_DESCRIPTION: Final = translatable("a file")
_EXAMINED_BYTES: Final = 4096
_HTML_PATTERN: Final = re.compile(
    rb"\s*(?:<(?:\?|!--)[^>]*>\s*)*<(?:!doctype\s+)?html\b", re.IGNORECASE
)
_MHTML_PATTERN: Final = re.compile(
    rb"^content-type:\s*multipart/related\b", re.IGNORECASE | re.MULTILINE
)
_HEADER_PATTERN: Final = re.compile(rb"[A-Za-z][A-Za-z0-9-]*:")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_MEDIA_DESCRIPTIONS: Final[Mapping[MediaKind, str]] = {
    MediaKind.CLIP: translatable("a video"),
    MediaKind.SOUND: translatable("a sound"),
}
_PICTURE_DESCRIPTION: Final = "a screenshot or picture ({kind})"


def describe_file(untrusted_data: bytes) -> str:
    """Return what a file is, such as "a saved page (MHTML)"; "a file" if that is not known."""
    start = untrusted_data[:_EXAMINED_BYTES].removeprefix(b"\xef\xbb\xbf")
    signs = {
        "a PDF": start.startswith(b"%PDF-"),
        "a web archive (WARC)": _unpacked_start(start).startswith(b"WARC/"),
        "a web archive (WACZ)": start.startswith(b"PK\x03\x04") and _is_wacz(untrusted_data),
        "a saved page (HTML)": bool(_HTML_PATTERN.match(start)),
        "a saved page (MHTML)": bool(_HEADER_PATTERN.match(start) and _MHTML_PATTERN.search(start)),
    }
    description = next((what for what, is_it in signs.items() if is_it), "")
    return description or _describe_media(untrusted_data)


_PICTURE_DESCRIPTION_PATTERN: Final = re.compile(r"a screenshot or picture \((\w+)\)")


def translated_file_description(description: str) -> str:
    """Return a stored description in the person's language. Descriptions that somebody typed stay
    as they are.

    >>> translated_file_description("a PDF"), translated_file_description("what Ana saved")
    ('a PDF', 'what Ana saved')
    """
    if picture := _PICTURE_DESCRIPTION_PATTERN.fullmatch(description):
        return translated("a screenshot or picture ({kind})").format(kind=picture[1])
    return translated(description) if description in _TRANSLATABLE_DESCRIPTIONS else description


_SUFFIX_OF_DESCRIPTION: Final[Mapping[str, str]] = {
    translatable("a PDF"): ".pdf",
    translatable("a web archive (WARC)"): ".warc",
    translatable("a web archive (WACZ)"): ".wacz",
    translatable("a saved page (HTML)"): ".html",
    translatable("a saved page (MHTML)"): ".mhtml",
    "a screenshot or picture (JPEG)": ".jpg",
    "a screenshot or picture (PNG)": ".png",
}
_TRANSLATABLE_DESCRIPTIONS: Final = frozenset(
    {
        STATEMENT_DESCRIPTION,
        UNKNOWN_FILE_DESCRIPTION,
        *_MEDIA_DESCRIPTIONS.values(),
        *_SUFFIX_OF_DESCRIPTION,
    }
)


def file_suffix(untrusted_data: bytes) -> str:
    """Return the suffix for the name of a file with these bytes, e.g. ".pdf"; ".bin" if there is
    none for its kind.
    """
    other = ".zip" if untrusted_data.startswith(b"PK\x03\x04") else ".bin"
    return _SUFFIX_OF_DESCRIPTION.get(describe_file(untrusted_data), other)


def _describe_media(untrusted_data: bytes) -> str:
    try:
        return _PICTURE_DESCRIPTION.format(kind=picture_format_of(untrusted_data).upper())
    except NotAPicture:
        return _MEDIA_DESCRIPTIONS.get(media_kind_of(untrusted_data), UNKNOWN_FILE_DESCRIPTION)


def _unpacked_start(start: bytes) -> bytes:
    if not start.startswith(_GZIP_MAGIC):
        return start
    try:
        return zlib.decompressobj(zlib.MAX_WBITS + 16).decompress(start, 16)
    except zlib.error:
        return start


def _is_wacz(untrusted_data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(untrusted_data)) as container:
            return "datapackage.json" in container.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, RuntimeError):
        return False


def refers_to_folder(untrusted_page: bytes, folder: str) -> bool:
    """Return whether a saved page refers to files in ``folder``, a folder beside the page. Browsers
    call this folder "NAME_files" in some languages and differently in others.
    """
    written = {folder, quote(folder), html.escape(folder)}
    return any(f"{name}/".encode() in untrusted_page for name in written)


def describe_complete_page(file_count: int) -> str:
    """Describe a page that was saved with its files."""
    return f"a saved page with {file_count} files (ZIP)"
