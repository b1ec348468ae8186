"""The fields of a stranger's form (RFC 7578): limits first, nothing decoded.

It is parsed piece by piece, since the parser calls back for each part: a million are seconds of
work. So whoever asks does so in a thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from entrenous.model.errors import Malformed

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FORM_BYTES_MAX: Final = 16 * 1024  # headers and other fields, beside the file
FORM_PARTS_MAX: Final = 20
_CHUNK_BYTES: Final = 64 * 1024  # parsed at once: so much goes by before a limit is noticed


class BrokenForm(Malformed):
    """This form (multipart/form-data) ends before it should, or is none. Send it again."""


class LongForm(Malformed):
    """
    This form has more than {parts} parts, or more than {limit_kb} kB beside the picture, so it was
    not read to its end. Send the picture in a field "file", and nothing else that is not needed.
    """


class TwoFiles(Malformed):
    """
    This form has more than one field "{field}", and only one could be looked at. Nothing of it was.
    Send each file as an upload of its own.
    """


def fields_of(untrusted_form: bytes, boundary: bytes, file: bytes) -> dict[bytes, bytes]:
    """Every field by its name, the first of each; ``file`` is the one that may be large, and may
    not be there twice: whoever stores the last of two would publish it unseen.

    Raises:
        TwoFiles: it is there twice, empty or not.
        BrokenForm: it is no such form, or not whole.
        LongForm: as soon as that is known; the rest is not parsed.
    """
    fields = _Fields(file)
    try:
        parser = MultipartParser(boundary, fields.callbacks())
        for start in range(0, len(untrusted_form), _CHUNK_BYTES):
            piece = untrusted_form[start : start + _CHUNK_BYTES]
            parser.write(piece)
            fields.check(start + len(piece))
        parser.finalize()
    except FormParserError as problem:
        raise BrokenForm from problem
    if not fields.ended:
        raise BrokenForm
    return {name: bytes(value) for name, value in fields.found.items()}


class _Fields:
    """Listens to the parser and keeps the first field of each name."""

    def __init__(self, file: bytes) -> None:
        self.found = dict[bytes, bytearray]()
        self.ended = False
        self._file = file
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

    def check(self, read_bytes: int) -> None:
        """Raise LongForm when so many bytes held too much beside the file."""
        if read_bytes - len(self.found.get(self._file, b"")) > FORM_BYTES_MAX:
            raise _long_form()

    def _begin(self) -> None:
        self._into = None
        self._parts += 1
        if self._parts > FORM_PARTS_MAX:
            raise _long_form()

    def _header(self) -> None:
        if bytes(self._name).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            name = options.get(b"name", b"")
            if name == self._file and name in self.found:
                raise TwoFiles(field=name.decode())
            if name not in self.found:
                self._into = self.found.setdefault(name, bytearray())
        self._name.clear()
        self._value.clear()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._into is not None:
            self._into.extend(data[start:end])

    def _end(self) -> None:
        self.ended = True


def _long_form() -> LongForm:
    return LongForm(parts=FORM_PARTS_MAX, limit_kb=FORM_BYTES_MAX // 1024)
