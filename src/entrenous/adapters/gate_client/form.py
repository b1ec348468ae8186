"""Take a request's body apart into the uploads in it; read by a stranger's rules, so strictly.

What two readers could read in two ways is not read here at all (Unreadable): the application behind
might find a file where we found none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from entrenous.adapters.gate_client.kind import START_BYTES, is_media
from entrenous.model.errors import Malformed

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PARTS_MAX: Final = 1000
_FORM: Final = "multipart/form-data"
_TALK: Final = ("application/json", "application/x-www-form-urlencoded", "text/")
_ITSELF: Final = ("", "7bit", "8bit", "binary")  # RFC 2045, section 6.2: nothing to be decoded
_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.1
_EDGES: Final = frozenset(b"\r\n\0")  # some readers end a header, or all of them, at one of these


class Unreadable(Malformed):
    """
    What was sent can't be taken apart with certainty, so it is held. Nothing was published. Send it
    again as a plain form.
    """


def uploads_in(untrusted_body: bytes, content_type: str, content_encoding: str = "") -> list[bytes]:
    """Every file in a request's body; empty when it brings none.

    A form's part is a file when it says so (RFC 7578: a file name, or a type that is not text), or
    when it is media by its first bytes, whatever it says. Any other body is one file, unless it is
    text or JSON by its type and no media by its first bytes.

    Raises:
        Unreadable: it is compressed, no proper form, or a form within a form.
    """
    if not untrusted_body:
        return []
    if content_encoding.strip().lower() not in ("", "identity"):
        raise Unreadable
    if content_type.lower().count("boundary") > 1:
        raise Unreadable
    try:
        declared, options = parse_options_header(content_type)
    except UnicodeError:
        raise Unreadable from None
    kind = declared.decode("latin-1").strip().lower()
    if kind == _FORM:
        return _files(_parts(untrusted_body, options.get(b"boundary", b"")))
    if kind.startswith("multipart/"):
        raise Unreadable
    is_talk = kind.startswith(_TALK) or kind.endswith("+json")
    return [] if is_talk and not is_media(untrusted_body) else [untrusted_body]


@dataclass(slots=True)
class _Part:
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)

    def header(self, name: bytes) -> str:
        """The value of a header that may stand there once; raises Unreadable."""
        values = [value for own, value in self.headers if own == name]
        if len(values) > 1:
            raise Unreadable
        return values[0].decode("latin-1").strip() if values else ""


def _files(parts: list[_Part]) -> list[bytes]:
    return [bytes(part.data) for part in parts if _is_file(part)]


def _is_file(part: _Part) -> bool:
    if part.header(b"content-transfer-encoding").lower() not in _ITSELF:
        raise Unreadable
    kind = part.header(b"content-type").lower()
    if kind.startswith("multipart/"):
        raise Unreadable
    is_named = "filename" in part.header(b"content-disposition").lower()
    if is_named and not part.data:
        return False  # a file field that was left empty
    return (
        is_named
        or bool(kind and not kind.startswith("text/"))
        or is_media(bytes(part.data[:START_BYTES]))
    )


def _parts(untrusted_body: bytes, boundary: bytes) -> list[_Part]:
    """The parts of a form.

    Readers differ in what they take for a delimiter: some find it in the midst of a line, some read
    on behind the last one. So nothing may stand before the first or behind the last, and what
    looks like one must be one.
    """
    delimiter = b"--" + boundary
    end = untrusted_body[-len(delimiter) - 4 :].rstrip(b"\r\n")
    if _BOUNDARY.fullmatch(boundary) is None or not untrusted_body.startswith(delimiter):
        raise Unreadable
    parts = _parsed(untrusted_body, boundary)
    if not end.endswith(delimiter + b"--") or untrusted_body.count(delimiter) != len(parts) + 1:
        raise Unreadable
    return parts


def _parsed(untrusted_body: bytes, boundary: bytes) -> list[_Part]:
    found = _Parts()
    try:
        parser = MultipartParser(boundary, found.callbacks())
        parser.write(untrusted_body)
        parser.finalize()
    except FormParserError as problem:
        raise Unreadable from problem
    if not found.ended:
        raise Unreadable
    return found.parts


class _Parts:
    """Listens to the parser."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.ended = False
        self._name = bytearray()
        self._value = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        """What the parser calls as it reads."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_part_data": lambda data, start, end: self.parts[-1].data.extend(data[start:end]),
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) >= PARTS_MAX:
            raise Unreadable
        self.parts.append(_Part())

    def _header(self) -> None:
        if _NAME.fullmatch(self._name) is None or not _EDGES.isdisjoint(self._value):
            raise Unreadable
        self.parts[-1].headers.append((bytes(self._name).lower(), bytes(self._value)))
        self._name.clear()
        self._value.clear()

    def _end(self) -> None:
        self.ended = True
