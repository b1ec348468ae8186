"""How commands speak: one JSON object for scripts, plain sentences for people."""

import errno
import json
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from entrenous.adapters.private_file import add_filled, add_private
from entrenous.model.caption import acts_on_screen
from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.ids import PersonId
from entrenous.model.picture import (
    AlreadyThere,
    NoSuchFile,
    NotAFile,
    UnreadableFile,
    UnwritableFolder,
)
from entrenous.model.relay_problem import AnswerCut, DiskFull

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_OPENED: Final = (Path("/dev/fd"), Path("/proc/self/fd"))
NO_ROOM: Final = _FULL | {errno.EIO}


def say(text: str = "") -> None:
    """Print one line to standard output; nothing in it acts on the terminal."""
    with _answering():
        _write_line(text, sys.stdout)


def hint(text: str) -> None:
    """Print one line to standard error: for people, out of the way of scripts."""
    _write_line(text, sys.stderr)


def _write_line(text: str, stream: TextIO) -> None:
    stream.write(only_seen(text) + "\n")
    stream.flush()


def hint_at(problems: Iterable[EntrenousError]) -> None:
    """Print one hint for each; that a relay is silent goes without saying: what is for it waits."""
    told = [in_one_go(str(problem)) for problem in problems if not isinstance(problem, Unreachable)]
    for line in dict.fromkeys(told):
        hint(line)


def only_seen(text: str) -> str:
    """Text in which what would act on a terminal, instead of being seen there, is a mark: others
    may have chosen it.
    """
    return "".join("\ufffd" if acts_on_screen(char) else char for char in text)


def in_a_line(text: str) -> str:
    """What somebody else chose, for the middle of a line of ours: its line ends are marks, and its
    gaps are one space wide, so that it neither begins a line nor pads one until a terminal does.
    """
    return " ".join(text.replace("\n", "\ufffd").split())


def in_one_go(text: str) -> str:
    """A message without the line ends of the source file that it stands in; the terminal wraps
    it.
    """
    return "\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def keys_in_words(person: PersonId) -> str:
    """What names a person's keys, cut short to be compared by eye: 128 bits."""
    return " ".join(person.hex()[at : at + 4] for at in range(0, 32, 4))


def put_json(answer: Mapping[str, object]) -> None:
    """The one JSON object that ``--json`` promises."""
    with _answering():
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
        sys.stdout.flush()


@contextmanager
def _answering() -> Iterator[None]:
    """Raises AnswerCut where standard output is a file on a disk that takes no more."""
    try:
        yield
    except OSError as why:
        if why.errno in NO_ROOM:
            raise AnswerCut from None
        raise


def when(moment: datetime) -> str:
    """A moment as scripts read it: RFC 3339 in UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def read_file(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        NoSuchFile: there is nothing at ``path``.
        NotAFile: it is a pipe or a device, which may never end, or never begin.
        UnreadableFile: it is a folder, or may not be read.
    """
    try:
        if not _may_be_read(path, path.stat().st_mode):
            raise NotAFile(path=path)
        return path.read_bytes()
    except FileNotFoundError:
        raise NoSuchFile(path=path) from None
    except OSError:
        raise UnreadableFile(path=path) from None


def _may_be_read(path: Path, mode: int) -> bool:
    """A folder's own refusal comes from reading it. A pipe that whoever called us has opened, as by
    ``<(...)`` in a shell, has somebody at its other end.
    """
    was_opened = str(path) == "/dev/stdin" or path.parent in _OPENED
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or (was_opened and stat.S_ISFIFO(mode))


def write_new(path: Path, data: bytes) -> None:
    """Write a file all at once, readable by its owner only; its folder is made if missing.

    A file that already holds just this is left as it is; nothing else is ever written over.

    Raises:
        AlreadyThere: something else has this name; it was left alone.
        DiskFull: there was no room; nothing was written.
        UnwritableFolder: the folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        add_private(path, data)
    except FileExistsError:
        _refuse_other(path, data)
    except OSError as why:
        if why.errno in _FULL:
            raise DiskFull from None
        raise UnwritableFolder(path=path.parent) from None


def fill_new(path: Path, fill: Callable[[BinaryIO], object]) -> bool:
    """As :func:`write_new`, with what ``fill`` writes into the file that it is given.

    Returns:
        Whether the file is new: one that held just this was left as it is.

    Raises:
        AlreadyThere, DiskFull, UnwritableFolder; what ``fill`` raises. Then nothing was written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return add_filled(path, fill)
    except FileExistsError:
        if path.parent.is_dir():
            raise AlreadyThere(path=path) from None
        raise UnwritableFolder(path=path.parent) from None
    except OSError as why:
        if why.errno in _FULL:
            raise DiskFull from None
        raise UnwritableFolder(path=path.parent) from None


def _refuse_other(path: Path, data: bytes) -> None:
    """Raises AlreadyThere unless the file at ``path`` is one, no link, and holds ``data``."""
    with suppress(OSError):
        if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
            return
    if path.parent.is_dir():
        raise AlreadyThere(path=path)
    raise UnwritableFolder(path=path.parent)
