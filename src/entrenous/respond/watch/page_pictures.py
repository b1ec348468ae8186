"""The addresses of the pictures that a page shows, found without running or rendering the page."""

import html
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urljoin, urlsplit

PICTURES_MAX: Final = 16
PAGE_BYTES: Final = 2 * 1024 * 1024
_URL_CHARS_MAX: Final = 4096  # characters
# Excluding "<" inside keeps the time linear for a page with a million unclosed tags.
_TAG: Final = re.compile(r"<(base|img|link|meta|source|video)\b([^<>]{1,8192})>", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(
    r"""(?<![A-Za-z:-])([A-Za-z][A-Za-z:-]{0,40})\s{0,8}=\s{0,8}("[^"]*"|'[^']*'|[^\s"'>]+)"""
)
_CHARSET: Final = re.compile(rb"""charset\s*=\s*["']?\s*([A-Za-z0-9._-]{1,40})""")
_CHARSET_SEARCH_BYTES: Final = 1024  # browsers look for the character set in this many bytes
_SHARED: Final = frozenset({"og:image", "og:image:url", "og:image:secure_url", "twitter:image"})
_LAZY: Final = ("src", "data-src", "data-original", "poster")


def picture_urls(untrusted_page: bytes, url: str) -> tuple[str, ...]:
    """Return the absolute addresses of a page's pictures, at most 16, each once; never raises.

    Those declared for sharing (og:image) come first, then the others in their order. ``data:``
    addresses and everything else that is not on the web are skipped.
    """
    tags = [
        (name.lower(), _parse_attributes(inside))
        for name, inside in _TAG.findall(_decode_page(untrusted_page[:PAGE_BYTES]))
    ]
    base = _base_url(tags, url)
    found: dict[str, None] = {}
    for reference in (*_declared_pictures(tags), *_shown_pictures(tags)):
        absolute = _absolute_url(reference, base)
        if absolute:
            found[absolute] = None
        if len(found) == PICTURES_MAX:
            break
    return tuple(found)


Tags = list[tuple[str, dict[str, str]]]


def _decode_page(data: bytes) -> str:
    told = _CHARSET.search(data[:_CHARSET_SEARCH_BYTES])
    try:
        return data.decode(told[1].decode() if told else "utf-8", "replace")
    except (LookupError, UnicodeError):  # an unknown encoding, or one that is not for text
        return data.decode("latin-1")


def _parse_attributes(inside: str) -> dict[str, str]:
    return {
        name.lower(): html.unescape(value.strip("\"'"))
        for name, value in _ATTRIBUTE.findall(inside)
    }


def _base_url(tags: Tags, url: str) -> str:
    references = (each.get("href", "") for name, each in tags if name == "base")
    return _absolute_url(next(references, ""), url) or url


def _declared_pictures(tags: Tags) -> Iterator[str]:
    for name, each in tags:
        if name == "meta" and (each.get("property") or each.get("name", "")).lower() in _SHARED:
            yield each.get("content", "")
        if name == "link" and each.get("rel", "").lower() == "image_src":
            yield each.get("href", "")


def _shown_pictures(tags: Tags) -> Iterator[str]:
    for name, each in tags:
        if name in {"img", "video"}:
            yield from (each[key] for key in _LAZY if key in each)
        if name in {"img", "source"}:
            yield _largest_in_srcset(each.get("srcset", ""))


def _largest_in_srcset(srcset: str) -> str:
    """Return the last address of a srcset, which is usually the largest."""
    last = srcset.rpartition(", ")[2].split()
    return last[0] if last else ""


def _absolute_url(reference: str, base: str) -> str:
    """Return an address on the web, or "" if this is none."""
    if not reference or len(reference) > _URL_CHARS_MAX:
        return ""
    try:
        joined = urljoin(base, reference.strip())
        parts = urlsplit(joined)
        fine = (
            parts.scheme in {"http", "https"} and parts.hostname and len(joined) <= _URL_CHARS_MAX
        )
        _ = parts.port
    except ValueError:
        return ""
    printable = joined.isprintable() and " " not in joined
    return joined.partition("#")[0] if fine and printable else ""
