"""Print answers: one JSON object for scripts, plain sentences for people; hints go to standard
error.
"""

import errno
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Final, TextIO

from entrenous.base.errors import AnswerCut, EntrenousError, Unreachable
from entrenous.base.identifiers import PersonId
from entrenous.base.screen_text import acts_on_screen

DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
NO_ROOM: Final = DISK_FULL | {errno.EIO}


def say(text: str = "") -> None:
    """Print one line to standard output; nothing in it acts on the terminal."""
    with _answering():
        _write_line(text, sys.stdout)


def hint(text: str) -> None:
    """Print one line to standard error: for people, out of the way of scripts."""
    _write_line(text, sys.stderr)


def _write_line(text: str, stream: TextIO) -> None:
    stream.write(without_control_characters(text) + "\n")
    stream.flush()


def hint_at(problems: Iterable[EntrenousError]) -> None:
    """Print one hint for each; that a relay is silent goes without saying: what is for it waits."""
    told = [unwrapped(str(problem)) for problem in problems if not isinstance(problem, Unreachable)]
    for line in dict.fromkeys(told):
        hint(line)


def without_control_characters(text: str) -> str:
    """Text in which what would act on a terminal, instead of being seen there, is a mark: others
    may have chosen it.
    """
    return "".join("\ufffd" if acts_on_screen(char) else char for char in text)


def single_line(text: str) -> str:
    """What somebody else chose, for the middle of a line of ours: its line ends are marks, and its
    gaps are one space wide, so that it neither begins a line nor pads one until a terminal does.
    """
    return " ".join(text.replace("\n", "\ufffd").split())


def unwrapped(text: str) -> str:
    """A message without the line ends of the source file that it stands in; the terminal wraps
    it.
    """
    return "\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def key_fingerprint(person: PersonId) -> str:
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


def rfc3339_utc(moment: datetime) -> str:
    """A moment as scripts read it: RFC 3339 in UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
