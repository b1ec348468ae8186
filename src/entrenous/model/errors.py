"""Five families of failure; a specific error lives beside the noun that it is about.

An error is named as a person would say it, and its docstring *is* the message that person reads:
what happened, why, what to do next. ``{fields}`` in it are filled from the keyword arguments that
the error was raised with, in quotes where a command that it suggests needs them; these never hold a
key, a passphrase, a file's content or a message.
``{update}`` is how Entrenous is updated.
Each face maps the families to its own language in one table (exit status, HTTP status).
"""

import inspect
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import ClassVar, Final

UPDATE: Final = "in the folder it was installed from, git pull and then make .venv/.run"
"""The way to update that every message names (docs/start.md); no package index has Entrenous."""

_PLAIN: Final = "@%+=:,./-_"  # what a shell leaves as it is, besides letters and digits
_COMMAND: Final = re.compile(r"\bentrenous(?:\s+(?:[\w-]+|\{\w+\}))+")
_FIELD: Final = re.compile(r"\{(\w+)\}")


def as_typed(word: object) -> str:
    """A word of a command that somebody is to type: in quotes where a shell needs them."""
    text = str(word)
    plain = text and all(char.isalnum() or char in _PLAIN for char in text)
    return text if plain else shlex.quote(text)


def filled(words: str, **facts: object) -> str:
    """A message whose ``{fields}`` are filled; in a command that it suggests, :func:`as_typed`."""
    facts = {name: _in_words(fact) for name, fact in facts.items()}
    said = _COMMAND.sub(lambda command: _FIELD.sub(r"{typed \1}", command[0]), words)
    return said.format(**facts, **{f"typed {name}": as_typed(fact) for name, fact in facts.items()})


def _in_words(fact: object) -> object:
    """A moment as a person reads it; its zone is said, since a relay may have chosen it."""
    return f"{fact:%d %B %Y, %H:%M %Z}" if isinstance(fact, datetime) else fact


class EntrenousError(Exception):
    """
    Something went wrong.
    """

    family: ClassVar[str] = "bug"
    file: int | None = None  # which of the files that were given it is about; see of_file

    def __init__(self, **facts: object) -> None:
        super().__init__()
        self.facts = facts

    def __str__(self) -> str:
        """The message a person reads."""
        words = inspect.cleandoc(type(self).__doc__ or type(self).__name__)
        return filled(words, **{"update": UPDATE, **self.facts})

    def __reduce__(self) -> tuple[object, ...]:
        """Facts are keyword arguments, so the default pickling by position would lose them."""
        return (_rebuild, (type(self), self.facts))


def _rebuild(kind: type[EntrenousError], facts: dict[str, object]) -> EntrenousError:
    return kind(**facts)


class Refused(EntrenousError):
    """
    That was refused.
    """

    family = "refused"


class NotFound(EntrenousError):
    """
    There is no such thing here.
    """

    family = "not-found"


class Unproven(EntrenousError):
    """
    A signature, a hash or a token does not hold.
    """

    family = "unproven"


class Unreachable(EntrenousError):
    """
    The network or a disk did not answer. Try again.
    """

    family = "unreachable"


class Malformed(EntrenousError):
    """
    These bytes are not what they claim to be.
    """

    family = "malformed"


@contextmanager
def of_file(place: int) -> Iterator[None]:
    """What is refused in here is about one of the files that were given, counted from 0.

    Only whoever was given them by name knows what it is called, and may say so.
    """
    try:
        yield
    except (Malformed, Refused) as error:
        error.file = place
        raise
