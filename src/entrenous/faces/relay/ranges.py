"""One range of bytes, as RFC 9110 section 14 asks for it."""

import re
from collections.abc import Mapping
from typing import Final

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Beyond(Exception):
    """The range lies outside of what there is (416)."""


def range_of(headers: Mapping[str, str], size: int, etag: str) -> tuple[int, int] | None:
    """Start and stop of the asked range; None for the whole.

    What is no single range is ignored, as the RFC allows; so is one that holds only for another
    version (``If-Range``).

    Raises:
        Beyond: it begins after the last byte.
    """
    found = _RANGE.fullmatch(headers.get("range", ""))
    if not found or headers.get("if-range", etag) != etag:
        return None
    first, last = found.groups()
    if not first:
        return _last(int(last), size) if last else None
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise Beyond
    return int(first), min(int(last) + 1, size) if last else size


def _last(count: int, size: int) -> tuple[int, int]:
    if count == 0:
        raise Beyond
    return max(0, size - count), size
