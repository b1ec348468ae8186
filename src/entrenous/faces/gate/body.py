"""Read an upload's bytes: limits first, then the form, all in memory and nothing decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from entrenous.model.errors import Malformed
from entrenous.model.review import REFERENCE_CHARS_MAX, BadReference

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FORM_BYTES_MAX: Final = 16 * 1024  # headers and other fields of a form, beside the file
FORM_PARTS_MAX: Final = 20  # of a form
_CHUNK_BYTES: Final = 64 * 1024  # parsed at once: so much goes by before a limit is noticed
ARRIVAL_S_MAX: Final = 60  # a slow sender must not keep a place from others for longer


class TooLarge(Malformed):
    """
    This upload is larger than the {limit_mb} MB that this platform accepts. Send a smaller version
    of it.
    """


class TooSlow(Malformed):
    """
    This upload took longer than {limit_s} seconds to arrive, so it was given up. Try again over a
    better connection, or send a smaller version.
    """


class NotMedia(Malformed):
    """
    An upload is a picture's bytes, or a form (multipart/form-data) with a field "file". This was
    sent as {content_type}.
    """


class NoFile(Malformed):
    """
    This form has no field called "file" with something in it, or it ends before it should. Send the
    picture in that field.
    """


class LongForm(Malformed):
    """
    This form has more than {parts} parts, or more than {limit_kb} kB beside the picture, so it was
    not read to its end. Send the picture in a field "file", and nothing else that is not needed.
    """


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request brought: the picture's bytes, and the platform's own name of it."""

    untrusted_data: bytes
    reference: str = ""


async def read_upload(request: Request, limit_bytes: int) -> Sent:
    """The untrusted bytes of the picture in this request; a form is taken apart in a thread.

    Raises:
        TooLarge: as soon as that is known, before the rest is read.
        NotMedia, NoFile, LongForm: there is no picture in it, or too much else.
        BadReference: it is too long, or has control characters.
    """
    declared, options = parse_options_header(request.headers.get("content-type", ""))
    kind = declared.decode("latin-1")
    named = request.headers.get("entrenous-reference", "")
    if kind == "multipart/form-data":
        form = await read_body(request, limit_bytes + FORM_BYTES_MAX)
        sent = await run_in_threadpool(form_sent, form, options.get(b"boundary", b""))
        if len(sent.untrusted_data) > limit_bytes:
            raise TooLarge(limit_mb=limit_bytes // 1_000_000)
        return Sent(sent.untrusted_data, read_reference(sent.reference or named))
    if kind.startswith("image/") or kind == "application/octet-stream":
        return Sent(await read_body(request, limit_bytes), read_reference(named))
    raise NotMedia(content_type=kind or "nothing")


def read_reference(untrusted_text: str) -> str:
    """A platform's own name of an upload; raises BadReference."""
    if len(untrusted_text) > REFERENCE_CHARS_MAX or not untrusted_text.isprintable():
        raise BadReference(most=REFERENCE_CHARS_MAX)
    return untrusted_text


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The body, at most ``limit_bytes``; raises TooLarge."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit_bytes:
        raise TooLarge(limit_mb=limit_bytes // 1_000_000)
    try:
        with anyio.fail_after(ARRIVAL_S_MAX):
            return await _collect(request, limit_bytes)
    except TimeoutError as problem:
        raise TooSlow(limit_s=ARRIVAL_S_MAX) from problem


async def _collect(request: Request, limit_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise TooLarge(limit_mb=limit_bytes // 1_000_000)
    return bytes(body)


def form_sent(untrusted_form: bytes, boundary: bytes) -> Sent:
    """The first field called "file" of a multipart form (RFC 7578) and the first one called
    "reference".

    Raises:
        NoFile: there is no such field, or the form is broken.
        LongForm: as soon as that is known; the rest is not parsed.
    """
    fields = _Fields()
    try:
        _parse(untrusted_form, MultipartParser(boundary, fields.callbacks()), fields)
    except FormParserError as problem:
        raise NoFile from problem
    if not fields.ended or not fields.found[b"file"]:
        raise NoFile
    reference = bytes(fields.found[b"reference"]).decode(errors="replace")
    return Sent(bytes(fields.found[b"file"]), reference)


def file_in_form(untrusted_form: bytes, boundary: bytes) -> bytes:
    """The bytes of the first field called "file"; raises NoFile."""
    return form_sent(untrusted_form, boundary).untrusted_data


def _parse(untrusted_form: bytes, parser: MultipartParser, fields: _Fields) -> None:
    """Piece by piece, as the parser calls back for each part: a million are seconds of work."""
    for start in range(0, len(untrusted_form), _CHUNK_BYTES):
        piece = untrusted_form[start : start + _CHUNK_BYTES]
        parser.write(piece)
        beside_file = start + len(piece) - len(fields.found[b"file"])
        if beside_file > FORM_BYTES_MAX:
            raise _long_form()
    parser.finalize()


def _long_form() -> LongForm:
    return LongForm(parts=FORM_PARTS_MAX, limit_kb=FORM_BYTES_MAX // 1024)


class _Fields:
    """Listens to the parser and keeps the fields that we want, the first of each name."""

    def __init__(self) -> None:
        self.found = {b"file": bytearray(), b"reference": bytearray()}
        self.ended = False
        self._parts = 0
        self._taken = set[bytes]()
        self._wanted: bytes | None = None
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
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._wanted = None
        self._parts += 1
        if self._parts > FORM_PARTS_MAX:
            raise _long_form()

    def _header(self) -> None:
        if bytes(self._name).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            name = options.get(b"name", b"")
            self._wanted = name if name in self.found and name not in self._taken else None
        self._name.clear()
        self._value.clear()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted is not None:
            self.found[self._wanted].extend(data[start:end])

    def _part_end(self) -> None:
        if self._wanted is not None:
            self._taken.add(self._wanted)

    def _end(self) -> None:
        self.ended = True
