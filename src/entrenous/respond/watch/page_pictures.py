"""The addresses of the pictures that a page shows, found without running or rendering the page."""

import html
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urljoin, urlsplit

PAGE_PICTURES_MAX: Final = 16
SEARCHED_PAGE_BYTES_MAX: Final = 2 * 1024 * 1024
_URL_CHARS_MAX: Final = 4096  # longer addresses are skipped
# Quotes may enclose "<" and ">". If a quote is not closed, the tag ends at the first ">". Excluding
# "<" outside of quotes keeps the time linear for a page with a million unclosed tags: no place of
# the page is inside the quotes of more than two of them.
_TAG_PATTERN: Final = re.compile(
    r"""<(base|img|link|meta|source|video)\b"""
    r"""((?:[^<>"']++|"[^"]*+"|'[^']*+')++|[^<>]{1,8192})>""",
    re.IGNORECASE,
)
_ATTRIBUTE_PATTERN: Final = re.compile(
    r"""(?<![A-Za-z:-])([A-Za-z][A-Za-z:-]{0,40})\s{0,8}=\s{0,8}("[^"]*"|'[^']*'|[^\s"'>]+)"""
)
_CHARSET_PATTERN: Final = re.compile(rb"""charset\s*=\s*["']?\s*([A-Za-z0-9._-]{1,40})""")
_CHARSET_SEARCH_BYTES: Final = 1024  # browsers look for the character set in this many bytes
_SHARING_PROPERTIES: Final = frozenset(
    {"og:image", "og:image:url", "og:image:secure_url", "twitter:image"}
)
_SOURCE_ATTRIBUTES: Final = {
    "img": ("src", "data-src", "data-original"),
    "video": ("poster",),  # its "src" is a clip
}
# The address and what follows up to the next comma; an address that ends with a comma stands alone.
_SRCSET_PATTERN: Final = re.compile(r"([^\s,]\S*+)(?:(?<=,)|[^,]*+)")


def picture_urls(untrusted_page: bytes, url: str) -> tuple[str, ...]:
    """Return the absolute addresses of a page's pictures, at most 16, without duplicates; never
    raises.

    Those declared for sharing (og:image) come first, then the others in the order of the page.
    ``data:`` addresses and everything else that is not on the web are skipped.
    """
    tags = [
        (name.lower(), _parse_attributes(inside))
        for name, inside in _TAG_PATTERN.findall(
            _decode_page(untrusted_page[:SEARCHED_PAGE_BYTES_MAX])
        )
    ]
    base = _base_url(tags, url)
    found: dict[str, None] = {}
    for reference in (*_declared_picture_urls(tags), *_shown_picture_urls(tags)):
        absolute = _absolute_url(reference, base)
        if absolute:
            found[absolute] = None
        if len(found) == PAGE_PICTURES_MAX:
            break
    return tuple(found)


HtmlTags = list[tuple[str, dict[str, str]]]


def _decode_page(data: bytes) -> str:
    charset = _CHARSET_PATTERN.search(data[:_CHARSET_SEARCH_BYTES])
    try:
        return data.decode(charset[1].decode() if charset else "utf-8", "replace")
    except (LookupError, UnicodeError):  # an unknown encoding, or one that is not for text
        return data.decode("latin-1")


def _parse_attributes(inside: str) -> dict[str, str]:
    return {
        name.lower(): html.unescape(value.strip("\"'"))
        for name, value in _ATTRIBUTE_PATTERN.findall(inside)
    }


def _base_url(tags: HtmlTags, url: str) -> str:
    references = (attributes.get("href", "") for name, attributes in tags if name == "base")
    return _absolute_url(next(references, ""), url) or url


def _declared_picture_urls(tags: HtmlTags) -> Iterator[str]:
    for name, attributes in tags:
        if (
            name == "meta"
            and (attributes.get("property") or attributes.get("name", "")).lower()
            in _SHARING_PROPERTIES
        ):
            yield attributes.get("content", "")
        if name == "link" and attributes.get("rel", "").lower() == "image_src":
            yield attributes.get("href", "")


def _shown_picture_urls(tags: HtmlTags) -> Iterator[str]:
    for name, attributes in tags:
        keys = _SOURCE_ATTRIBUTES.get(name, ())
        yield from (attributes[key] for key in keys if key in attributes)
        if name in {"img", "source"}:
            yield _last_url_in_srcset(attributes.get("srcset", ""))


def _last_url_in_srcset(srcset: str) -> str:
    """Return the last address of a srcset, which usually leads to the largest picture."""
    return "".join(_SRCSET_PATTERN.findall(srcset)[-1:]).rstrip(",")


def _absolute_url(reference: str, base: str) -> str:
    """Return the absolute address, or "" if it is not one on the web."""
    if not reference or len(reference) > _URL_CHARS_MAX:
        return ""
    try:
        joined = urljoin(base, reference.strip())
        parts = urlsplit(joined)
        is_on_web = (
            parts.scheme in {"http", "https"} and parts.hostname and len(joined) <= _URL_CHARS_MAX
        )
        _ = parts.port
    except ValueError:
        return ""
    printable = joined.isprintable() and " " not in joined
    return joined.partition("#")[0] if is_on_web and printable else ""
