"""Forms posted by the browser, including files, kept in memory only."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import Request

from entrenous.base.errors import Malformed, Refused

FORM_FILES_BYTES_MAX: Final = 640 << 20
# a larger form is not read to its end, so its typed text is lost
_REQUEST_BYTES_READ_MAX: Final = 4 << 30
_FORM_FILES_MAX: Final = 64
_FIELDS_MAX: Final = 256
_FIELD_BYTES_MAX: Final = 1 << 20


class TooMuchAtOnce(Refused):
    """
    Together, the files that you chose are larger than {limit_mb} MB, which is the most that the app
    accepts at once. Nothing was stored. Choose fewer or smaller files.
    """


class TooManyFiles(Refused):
    """
    You chose more than {count} files, which is the most that the app accepts at once. Nothing was
    stored. Choose some of them now, and the others afterwards.
    """


class BrokenForm(Malformed):
    """The form that your browser sent is incomplete. Nothing was changed. Go back and send it
    again.
    """


@dataclass(frozen=True, slots=True)
class ChosenFile:
    """A file that the person chose; its ``name`` is shown only to them."""

    name: str
    data: bytes


class _InMemoryMultipartParser(MultiPartParser):
    """A parser that keeps files in memory.

    If all files together have more than FORM_FILES_BYTES_MAX bytes, the rest is read but not kept,
    so that the browser gets its answer and typed text is not lost.
    """

    spool_max_size = FORM_FILES_BYTES_MAX  # a larger part would be written to a temporary file
    file_bytes = 0

    @property
    def is_over_limit(self) -> bool:
        return self.file_bytes > FORM_FILES_BYTES_MAX

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current_part.file is not None:
            self.file_bytes += end - start
            if self.is_over_limit:
                return
        super().on_part_data(data, start, end)


async def read_form(request: Request) -> FormData:
    """Return the posted form. It is also stored in the request, so that it is kept if the vault is
    locked.

    Raises TooMuchAtOnce, BrokenForm.
    """
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        parser: FormParser | MultiPartParser = _InMemoryMultipartParser(
            request.headers,
            _stream_up_to_limit(request),
            max_files=_FORM_FILES_MAX,
            max_fields=_FIELDS_MAX,
            max_part_size=_FIELD_BYTES_MAX,
        )
    else:
        parser = FormParser(request.headers, _stream_up_to_limit(request))
    try:
        form = await parser.parse()
    except MultiPartException as why:
        if why.message.startswith("Too many files"):
            raise TooManyFiles(count=_FORM_FILES_MAX) from None
        raise BrokenForm from None
    except (KeyError, UnicodeDecodeError):
        raise BrokenForm from None
    if isinstance(parser, _InMemoryMultipartParser) and parser.is_over_limit:
        only_typed = [one for one in form.multi_items() if isinstance(one[1], str)]
        request.state.form = FormData(only_typed)
        await form.close()
        raise TooMuchAtOnce(limit_mb=FORM_FILES_BYTES_MAX >> 20)
    request.state.form = form
    return form


def typed_text(form: FormData, name: str) -> str:
    """Return a text field without blanks around the text; "" if the field is missing or is a
    file.
    """
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def typed_texts(form: FormData, name: str) -> list[str]:
    """Return all text fields of one name that are not empty."""
    found = [value.strip() for value in form.getlist(name) if isinstance(value, str)]
    return [text for text in found if text]


async def chosen_files(form: FormData, name: str) -> list[ChosenFile]:
    """Return the files that were chosen in one field, without empty files."""
    found = []
    for part in form.getlist(name):
        if isinstance(part, UploadFile):
            await part.seek(0)
            found.append(ChosenFile(part.filename or "", await part.read()))
    return [one for one in found if one.data]


async def _stream_up_to_limit(request: Request) -> AsyncGenerator[bytes]:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > _REQUEST_BYTES_READ_MAX:
            raise TooMuchAtOnce(limit_mb=FORM_FILES_BYTES_MAX >> 20)
        yield part
