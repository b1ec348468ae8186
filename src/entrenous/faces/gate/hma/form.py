"""The picture and the words of a multipart form (RFC 7578), limits first, nothing decoded."""

from dataclasses import dataclass
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from entrenous.faces.gate.body import read_body, too_large
from entrenous.faces.gate.form import FORM_BYTES_MAX, BrokenForm, LongForm, fields_of
from entrenous.faces.gate.hma.errors import NoPhoto

_PHOTO: Final = b"photo"


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
        TwoFiles: that field is there twice.
    """
    declared, options = parse_options_header(request.headers.get("content-type", ""))
    if declared != b"multipart/form-data":
        raise NoPhoto
    body = await read_body(request, limit_bytes + FORM_BYTES_MAX)
    form = await run_in_threadpool(form_of, body, options.get(b"boundary", b""))
    if len(form.untrusted_photo) > limit_bytes:
        raise too_large(limit_bytes)
    return form


def form_of(untrusted_form: bytes, boundary: bytes) -> Form:
    """The fields of a whole form; raises TwoFiles, and NoPhoto, also for one of much else."""
    try:
        fields = fields_of(untrusted_form, boundary, file=_PHOTO)
    except (BrokenForm, LongForm) as problem:
        raise NoPhoto from problem
    photo = fields.pop(_PHOTO, b"")
    if not photo:
        raise NoPhoto
    return Form(photo, {_text(name): _text(value) for name, value in fields.items()})


def _text(untrusted_data: bytes) -> str:
    return untrusted_data.decode(errors="replace")
