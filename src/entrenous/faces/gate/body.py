"""Read an upload's bytes: limits first, then the form, all in memory and nothing decoded."""

from dataclasses import dataclass
from typing import Final

import anyio
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from entrenous.faces.gate.form import FORM_BYTES_MAX, BrokenForm, fields_of
from entrenous.model.errors import Malformed
from entrenous.model.review import REFERENCE_CHARS_MAX, BadReference

_FILE: Final = b"file"
_MEDIA: Final = ("image/", "video/", "audio/")
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
    An upload is the bytes of a picture, a clip or a sound, or a form (multipart/form-data) with a
    field "file". This was sent as {content_type}.
    """


class NoFile(Malformed):
    """
    This form has no field called "file" with something in it, or it ends before it should. Send the
    picture in that field.
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
        NotMedia, NoFile, TwoFiles, LongForm: there is no picture in it, or too much else.
        BadReference: it is too long, or has control characters.
    """
    declared, options = parse_options_header(request.headers.get("content-type", ""))
    kind = declared.decode("latin-1")
    named = request.headers.get("entrenous-reference", "")
    if kind == "multipart/form-data":
        form = await read_body(request, limit_bytes + FORM_BYTES_MAX)
        sent = await run_in_threadpool(form_sent, form, options.get(b"boundary", b""))
        if len(sent.untrusted_data) > limit_bytes:
            raise too_large(limit_bytes)
        return Sent(sent.untrusted_data, read_reference(sent.reference or named))
    if kind.startswith(_MEDIA) or kind == "application/octet-stream":
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
        raise too_large(limit_bytes)
    try:
        with anyio.fail_after(ARRIVAL_S_MAX):
            return await _collect(request, limit_bytes)
    except TimeoutError as problem:
        raise TooSlow(limit_s=ARRIVAL_S_MAX) from problem


def too_large(limit_bytes: int) -> TooLarge:
    """In whole megabytes, or two digits of one: claims and opinions are small."""
    megabytes = limit_bytes / 1_000_000
    return TooLarge(limit_mb=int(megabytes) if megabytes >= 1 else float(f"{megabytes:.2g}"))


async def _collect(request: Request, limit_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise too_large(limit_bytes)
    return bytes(body)


def form_sent(untrusted_form: bytes, boundary: bytes) -> Sent:
    """The field called "file" of a multipart form and the first one called "reference".

    Raises:
        TwoFiles: there is more than one of the first.
        NoFile: there is no such field, or the form is broken.
        LongForm: as soon as that is known; the rest is not parsed.
    """
    try:
        fields = fields_of(untrusted_form, boundary, file=_FILE)
    except BrokenForm as problem:
        raise NoFile from problem
    if not fields.get(_FILE):
        raise NoFile
    return Sent(fields[_FILE], fields.get(b"reference", b"").decode(errors="replace"))
