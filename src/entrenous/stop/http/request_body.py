"""Read an upload's body or multipart form (RFC 7578), within limits of size and time.

The file in it is not decoded here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from entrenous.base.errors import Malformed
from entrenous.stop.upload_record import REFERENCE_CHARS_MAX, BadReference

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


FORM_BYTES_BESIDE_FILE_MAX: Final = 16 * 1024  # bytes of headers and other fields
UPLOAD_FORM_PARTS_MAX: Final = 20
_CHUNK_BYTES: Final = 64 * 1024  # bytes that are parsed between two checks of the limits


class BrokenForm(Malformed):
    """
    The form (multipart/form-data) is incomplete or malformed, so nothing was checked. Send it
    again.
    """


class LongForm(Malformed):
    """
    This form has more than {parts} parts, or more than {limit_kb} kB in addition to the file.
    Nothing was checked. Send the file in a field "file", and leave out fields that are not needed.
    """


class TwoFiles(Malformed):
    """
    This form has more than one field "{field}", but only one file can be checked at a time. Nothing
    was checked. Send each file as an upload of its own.
    """


def parse_form(untrusted_form: bytes, boundary: bytes, file_field: bytes) -> dict[bytes, bytes]:
    """Parse a form; keep the first field of each name.

    The field ``file_field`` may be large, and must not be repeated: a server that stores the last
    one would publish it unchecked.

    Raises:
        TwoFiles: ``file_field`` is repeated, even if empty.
        BrokenForm: the form is malformed or incomplete.
        LongForm: as soon as a limit is exceeded; the rest is not parsed.
    """
    fields = _FieldCollector(file_field)
    try:
        parser = MultipartParser(boundary, fields.callbacks())
        for start in range(0, len(untrusted_form), _CHUNK_BYTES):
            piece = untrusted_form[start : start + _CHUNK_BYTES]
            parser.write(piece)
            fields.check_size(start + len(piece))
        parser.finalize()
    except FormParserError as problem:
        raise BrokenForm from problem
    if not fields.ended:
        raise BrokenForm
    return {name: bytes(value) for name, value in fields.found.items()}


class _FieldCollector:
    """Collects the first field of each name from the parser's callbacks."""

    def __init__(self, file_field: bytes) -> None:
        self.found = dict[bytes, bytearray]()
        self.ended = False
        self._file_field = file_field
        self._parts = 0
        self._value_of_field: bytearray | None = None
        self._name = bytearray()
        self._value = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": self._add_data,
            "on_end": self._end_form,
        }

    def check_size(self, read_bytes: int) -> None:
        """Raise LongForm if more bytes than the limit were read besides the file."""
        if read_bytes - len(self.found.get(self._file_field, b"")) > FORM_BYTES_BESIDE_FILE_MAX:
            raise _long_form_error()

    def _begin_part(self) -> None:
        self._value_of_field = None
        self._parts += 1
        if self._parts > UPLOAD_FORM_PARTS_MAX:
            raise _long_form_error()

    def _end_header(self) -> None:
        if bytes(self._name).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            name = options.get(b"name", b"")
            if name == self._file_field and name in self.found:
                raise TwoFiles(field=name.decode())
            if name not in self.found:
                self._value_of_field = self.found.setdefault(name, bytearray())
        self._name.clear()
        self._value.clear()

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._value_of_field is not None:
            self._value_of_field.extend(data[start:end])

    def _end_form(self) -> None:
        self.ended = True


def _long_form_error() -> LongForm:
    return LongForm(parts=UPLOAD_FORM_PARTS_MAX, limit_kb=FORM_BYTES_BESIDE_FILE_MAX // 1024)


_FILE_FIELD: Final = b"file"
_MEDIA_TYPE_PREFIXES: Final = ("image/", "video/", "audio/")
# Seconds in which a body must arrive, so that a slow sender does not keep a slot from others.
BODY_ARRIVAL_S_MAX: Final = 60


class TooLarge(Malformed):
    """
    This request is larger than the {limit_mb} MB that this platform accepts. Nothing was stored or
    published. Send a smaller file, or less at once.
    """


class TooSlow(Malformed):
    """
    This request took longer than {limit_s} seconds to arrive, so it was cancelled. Nothing was
    published or changed. Try again over a better connection, or, if it is an upload, send a smaller
    version.
    """


class NotMedia(Malformed):
    """
    Uploads with this content type cannot be checked ({content_type}). Nothing was checked. Send the
    bytes of a picture, a clip or a sound, or a form (multipart/form-data) with a field "file".
    """


class NoFile(Malformed):
    """
    This form ends too early, or its field "file" is missing or empty. Nothing was checked. Send the
    file in the field "file".
    """


@dataclass(frozen=True, slots=True)
class ReceivedUpload:
    """An upload's bytes, and the platform's own id for it."""

    untrusted_data: bytes
    reference: str = ""


async def read_upload(request: Request, limit_bytes: int) -> ReceivedUpload:
    """Read the untrusted bytes of an upload; forms are parsed in a thread.

    Raises:
        TooLarge, TooSlow: raised as soon as it is known; the rest is not read.
        NotMedia, NoFile, TwoFiles, LongForm: the body contains no upload, or too much else.
        BadReference: the reference is too long, or has control characters.
    """
    declared, options = parse_options_header(request.headers.get("content-type", ""))
    kind = declared.decode("latin-1")
    named = request.headers.get("entrenous-reference", "")
    if kind == "multipart/form-data":
        form = await read_body(request, limit_bytes + FORM_BYTES_BESIDE_FILE_MAX)
        sent = await run_in_threadpool(parse_upload_form, form, options.get(b"boundary", b""))
        if len(sent.untrusted_data) > limit_bytes:
            raise too_large_error(limit_bytes)
        return ReceivedUpload(sent.untrusted_data, check_reference(sent.reference or named))
    if kind.startswith(_MEDIA_TYPE_PREFIXES) or kind == "application/octet-stream":
        return ReceivedUpload(await read_body(request, limit_bytes), check_reference(named))
    raise NotMedia(content_type=kind or "none")


def check_reference(untrusted_text: str) -> str:
    """Check a platform's own id for an upload; raises BadReference."""
    if len(untrusted_text) > REFERENCE_CHARS_MAX or not untrusted_text.isprintable():
        raise BadReference(most=REFERENCE_CHARS_MAX)
    return untrusted_text


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Read at most ``limit_bytes``; raises TooLarge, TooSlow."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit_bytes:
        raise too_large_error(limit_bytes)
    try:
        with anyio.fail_after(BODY_ARRIVAL_S_MAX):
            return await _collect_body(request, limit_bytes)
    except TimeoutError as problem:
        raise TooSlow(limit_s=BODY_ARRIVAL_S_MAX) from problem


def too_large_error(limit_bytes: int) -> TooLarge:
    """Return the error with the limit in megabytes: a whole number, or two digits if it is below
    one (for claims and opinions).
    """
    megabytes = limit_bytes / 1_000_000
    return TooLarge(limit_mb=int(megabytes) if megabytes >= 1 else float(f"{megabytes:.2g}"))


async def _collect_body(request: Request, limit_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise too_large_error(limit_bytes)
    return bytes(body)


def parse_upload_form(untrusted_form: bytes, boundary: bytes) -> ReceivedUpload:
    """Read the field "file" of a multipart form, and the first field "reference".

    Raises:
        TwoFiles: "file" is repeated.
        NoFile: there is no "file", or the form is malformed.
        LongForm: as soon as a limit is exceeded; the rest is not parsed.
    """
    try:
        fields = parse_form(untrusted_form, boundary, file_field=_FILE_FIELD)
    except BrokenForm as problem:
        raise NoFile from problem
    if not fields.get(_FILE_FIELD):
        raise NoFile
    return ReceivedUpload(
        fields[_FILE_FIELD], fields.get(b"reference", b"").decode(errors="replace")
    )
