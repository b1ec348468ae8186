"""Fetch a list of hashes from a file (docs/spec/exchange.md section 6)."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Final

from entrenous.adapters.exchange.records import pdq, read_all
from entrenous.model.exchange import BadPage, Page, Record, SourceUnreachable

_AT_ONCE: Final = 1000  # lines in a page
_LINE_MAX: Final = 4096  # bytes
_HEADINGS: Final = frozenset({"hash", "hex", "pdq"})
_TYPED: Final = re.compile(r"([a-z0-9_]{1,40}) +(\S+)")  # as ``tx`` writes it


@dataclass(frozen=True, slots=True)
class HashFile:
    """Every fetch reads all of it, a thousand lines at a time; a checkpoint is not needed."""

    name: str
    path: Path
    stale_after: timedelta | None = timedelta(0)

    def pages(self, token: str) -> Iterator[Page]:
        """To the end of the file; from the beginning, whatever the checkpoint says."""
        del token
        try:
            with self.path.open("rb") as file:
                yield from self._pages(_lines(self.name, file))
        except OSError as problem:
            why = problem.strerror or "it cannot be read"
            raise SourceUnreachable(name=self.name, why=why) from None

    def _pages(self, lines: Iterable[str]) -> Iterator[Page]:
        left, done = iter(lines), 0
        while batch := list(islice(left, _AT_ONCE)):
            records, refused = read_all(batch, read_line)
            done += len(batch)
            yield Page(records, str(done), refused)


def read_line(untrusted_line: str) -> Record | None:
    """The hash of one line: alone, in the first column, or after "pdq". None for an empty line, a
    comment, a heading, a hash of another type. Raises BadRecord.
    """
    text = _first_column(untrusted_line)
    if not text or text.startswith("#") or text in _HEADINGS:
        return None
    typed = _TYPED.fullmatch(text)
    if typed and typed[1] != "pdq":
        return None
    bits = pdq(typed[2] if typed else text)
    return Record(bits.hex(), 0, (bits,))


def _first_column(line: str) -> str:
    """Lower-case; one line at a time: an odd quote in one does not swallow the next."""
    try:
        row = next(csv.reader([line]), [""])
    except csv.Error:
        row = [line]
    return row[0].strip().lower() if row else ""


def _lines(name: str, file: Iterable[bytes]) -> Iterator[str]:
    for line in file:
        if len(line) > _LINE_MAX:
            raise BadPage(name=name, why="a line is longer than 4,096 bytes")
        yield line.decode("utf-8", errors="replace").strip("\ufeff\r\n")
