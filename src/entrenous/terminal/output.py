"""Print answers: one JSON object for scripts, or sentences for people.

Hints go to standard error.
"""

import codecs
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TextIO

from entrenous.base.errors import EntrenousError, IncompleteOutput, Unreachable
from entrenous.base.files import disk_fault
from entrenous.base.identifiers import PersonId
from entrenous.base.screen_text import is_terminal_control


def print_line(text: str = "") -> None:
    """Print one line to standard output, without control characters."""
    with _raise_if_disk_full():
        _write_line(text, sys.stdout)


def hint(text: str) -> None:
    """Print one line for people to standard error, where scripts do not read it."""
    _write_line(text, sys.stderr)


def _write_line(text: str, stream: TextIO) -> None:
    shown, encoding = without_control_characters(text), stream.encoding or "utf-8"
    # A redirected stream of Windows, for example, has no code for most characters.
    stream.write(shown.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()


def hint_problems_except_unreachable(problems: Iterable[EntrenousError]) -> None:
    """Print each distinct problem once.

    Unreachable relays are left out, since they are tried again later.
    """
    texts = (
        join_wrapped_lines(str(problem))
        for problem in problems
        if not isinstance(problem, Unreachable)
    )
    for line in dict.fromkeys(texts):
        hint(line)


def without_control_characters(text: str) -> str:
    """Replace control characters, because somebody else may have chosen the text."""
    # fast path: most text has no such character
    if text.replace("\n", "").isprintable():
        return text
    return "".join("\ufffd" if is_terminal_control(char) else char for char in text)


def single_line(text: str) -> str:
    """Make text that other people chose safe to print inside one line.

    Line breaks are marked and spaces collapsed, so that the text cannot appear to begin a new line.
    """
    return " ".join(text.replace("\n", "\ufffd").split())


def join_wrapped_lines(text: str) -> str:
    """Join the lines of each paragraph of a message, because the terminal wraps them itself."""
    return "\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def key_fingerprint(person: PersonId) -> str:
    """Return the first 128 bits of a person's id, a hash of their keys, for comparing by eye."""
    return " ".join(person.hex()[at : at + 4] for at in range(0, 32, 4))


def print_json(answer: Mapping[str, object]) -> None:
    """Print the answer to ``--json``: a single JSON object. If standard output is not in UTF-8, all
    characters outside ASCII are escaped.
    """
    only_ascii = codecs.lookup(sys.stdout.encoding or "utf-8").name != "utf-8"
    with _raise_if_disk_full():
        sys.stdout.write(json.dumps(answer, ensure_ascii=only_ascii) + "\n")
        sys.stdout.flush()


@contextmanager
def _raise_if_disk_full() -> Iterator[None]:
    """Raise IncompleteOutput if standard output is a file on a full or failing disk."""
    try:
        yield
    except OSError as why:
        if disk_fault(why) is not None:
            raise IncompleteOutput from None
        raise


def rfc3339_utc(time: datetime) -> str:
    """Format a UTC time for scripts (RFC 3339)."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
