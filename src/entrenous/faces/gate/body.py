"""Read an upload's bytes: limits first, then the form, all in memory and nothing decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from entrenous.model.errors import Malformed

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FORM_BYTES_MAX: Final = 16 * 1024  # headers and other fields of a form, beside the file
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


async def read_upload(request: Request, limit_bytes: int) -> bytes:
    """The untrusted bytes of the picture in this request.

    Raises:
        TooLarge: as soon as that is known, before the rest is read.
        NotMedia, NoFile: there is no picture in it.
    """
    declared, options = parse_options_header(request.headers.get("content-type", ""))
    kind = declared.decode("latin-1")
    if kind == "multipart/form-data":
        form = await read_body(request, limit_bytes + FORM_BYTES_MAX)
        data = file_in_form(form, options.get(b"boundary", b""))
        if len(data) > limit_bytes:
            raise TooLarge(limit_mb=limit_bytes // 1_000_000)
        return data
    if kind.startswith("image/") or kind == "application/octet-stream":
        return await read_body(request, limit_bytes)
    raise NotMedia(content_type=kind or "nothing")


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


def file_in_form(form: bytes, boundary: bytes) -> bytes:
    """The bytes of the first field called "file" of a multipart form (RFC 7578); raises NoFile."""
    fields = _Fields()
    try:
        parser = MultipartParser(boundary, fields.callbacks())
        parser.write(form)
        parser.finalize()
    except FormParserError as problem:
        raise NoFile from problem
    if not fields.ended or not fields.found:
        raise NoFile
    return bytes(fields.found)


class _Fields:
    """Listens to the parser and keeps the one field that we want."""

    def __init__(self) -> None:
        self.found = bytearray()
        self.ended = False
        self._taken = False
        self._wanted = False
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
        self._wanted = False

    def _header(self) -> None:
        if bytes(self._name).lower() == b"content-disposition" and not self._taken:
            _, options = parse_options_header(bytes(self._value))
            self._wanted = options.get(b"name") == b"file"
        self._name.clear()
        self._value.clear()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self.found.extend(data[start:end])

    def _part_end(self) -> None:
        self._taken = self._taken or self._wanted

    def _end(self) -> None:
        self.ended = True
