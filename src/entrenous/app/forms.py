"""Forms posted by the browser, including files, kept in memory only."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import Request

from entrenous.base.errors import Malformed, Refused

BODY_BYTES_MAX: Final = 640 << 20
_FILES_MAX: Final = 64
_FIELDS_MAX: Final = 256
_FIELD_BYTES_MAX: Final = 1 << 20


class TooMuchAtOnce(Refused):
    """This is more than {limit_mb} MB at once. Choose fewer or shorter files; nothing was lost."""


class BrokenForm(Malformed):
    """The form that your browser sent is incomplete. Nothing was changed. Go back and send it
    again.
    """


@dataclass(frozen=True, slots=True)
class ChosenFile:
    """A file that the person chose; its ``name`` is shown only to them."""

    name: str
    data: bytes


class _InMemoryParser(MultiPartParser):
    spool_max_size = BODY_BYTES_MAX  # a larger part would be written to a temporary file


async def read_form(request: Request) -> FormData:
    """Return the posted form. It is kept if the page then finds the vault locked.

    Raises TooMuchAtOnce, BrokenForm.
    """
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        parser: FormParser | MultiPartParser = _InMemoryParser(
            request.headers,
            _limited(request),
            max_files=_FILES_MAX,
            max_fields=_FIELDS_MAX,
            max_part_size=_FIELD_BYTES_MAX,
        )
    else:
        parser = FormParser(request.headers, _limited(request))
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError):
        raise BrokenForm from None
    request.state.form = form
    return form


def typed(form: FormData, name: str) -> str:
    """Return a text field, without blanks around it; "" if it is missing or a file."""
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def all_typed(form: FormData, name: str) -> list[str]:
    """Return all text fields of one name that are not empty."""
    found = [value.strip() for value in form.getlist(name) if isinstance(value, str)]
    return [text for text in found if text]


async def chosen_files(form: FormData, name: str) -> list[ChosenFile]:
    """Return the files chosen in one field, without empty ones."""
    found = []
    for part in form.getlist(name):
        if isinstance(part, UploadFile):
            await part.seek(0)
            found.append(ChosenFile(part.filename or "", await part.read()))
    return [one for one in found if one.data]


async def _limited(request: Request) -> AsyncGenerator[bytes]:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise TooMuchAtOnce(limit_mb=BODY_BYTES_MAX >> 20)
        yield part
