"""The picture and the words of a multipart form (RFC 7578), limits first, nothing decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from entrenous.faces.gate.body import FORM_BYTES_MAX, FORM_PARTS_MAX, TooLarge, read_body
from entrenous.faces.gate.hma.errors import NoPhoto

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks
    from starlette.requests import Request

_PHOTO: Final = b"photo"
_FIELDS_MAX: Final = 16
_CHUNK_BYTES: Final = 64 * 1024  # parsed at once


@dataclass(frozen=True, slots=True)
class Form:
    """The file, and the form's other fields as text."""

    untrusted_photo: bytes
    untrusted_fields: dict[str, str]


async def read_form(request: Request, limit_bytes: int) -> Form:
    """The field "photo" and the others, the first of each name.

    Raises:
        TooLarge: as soon as that is known, before the rest is read.
        NoPhoto: this is no such form, it is broken, or that field is missing or empty.
    """
    declared, options = parse_options_header(request.headers.get("content-type", ""))
    if declared != b"multipart/form-data":
        raise NoPhoto
    body = await read_body(request, limit_bytes + FORM_BYTES_MAX)
    form = await run_in_threadpool(form_of, body, options.get(b"boundary", b""))
    if len(form.untrusted_photo) > limit_bytes:
        raise TooLarge(limit_mb=limit_bytes // 1_000_000)
    return form


def form_of(untrusted_form: bytes, boundary: bytes) -> Form:
    """The parts of a whole form; raises NoPhoto."""
    parts = _Parts()
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        for start in range(0, len(untrusted_form), _CHUNK_BYTES):
            parts.read += len(piece := untrusted_form[start : start + _CHUNK_BYTES])
            parser.write(piece)
            parts.check()
        parser.finalize()
    except FormParserError as problem:
        raise NoPhoto from problem
    photo = parts.found.pop(_PHOTO, b"")
    if not parts.ended or not photo:
        raise NoPhoto
    words = {_text(name): _text(value) for name, value in parts.found.items()}
    return Form(bytes(photo), words)


def _text(untrusted_data: bytes | bytearray) -> str:
    return untrusted_data.decode(errors="replace")


class _Parts:
    """Listens to the parser and keeps the first part of each name, of so many names."""

    def __init__(self) -> None:
        self.found = dict[bytes, bytearray]()
        self.ended = False
        self.read = 0  # bytes of the form
        self._parts = 0
        self._into: bytearray | None = None
        self._name = bytearray()
        self._value = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        """What the parser calls as it reads."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def check(self) -> None:
        """Raise NoPhoto for a form of much else than a photo: parsing that takes seconds."""
        beside = self.read - len(self.found.get(_PHOTO, b""))
        if self._parts > FORM_PARTS_MAX or beside > FORM_BYTES_MAX + _CHUNK_BYTES:
            raise NoPhoto

    def _begin(self) -> None:
        self._into = None
        self._parts += 1
        self.check()

    def _header(self) -> None:
        if bytes(self._name).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            name = options.get(b"name", b"")
            if name not in self.found and (name == _PHOTO or len(self.found) < _FIELDS_MAX):
                self._into = self.found.setdefault(name, bytearray())
        self._name.clear()
        self._value.clear()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._into is not None:
            self._into.extend(data[start:end])

    def _end(self) -> None:
        self.ended = True
