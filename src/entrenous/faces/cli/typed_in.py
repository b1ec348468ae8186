"""What a person types, or a script pipes in, instead of writing it on the command line.

Everybody on a machine can read the arguments of every program that runs there, and shells keep
them in a list. So whatever is private may be given as ``-``, and then comes by standard input.
"""

import getpass
import sys
from collections.abc import Callable
from typing import Final

import typer

from entrenous.faces.cli.main import Session
from entrenous.faces.cli.output import hint

HERE: Final = "-"
#: What help says before it says what the option is for.
SAFER: Final = "- reads it from standard input, unseen by others on this machine."
_LINE_MAX: Final = 8192  # characters; a link or a code has at most 4096
_TEXT_MAX: Final = 1 << 20  # characters; what is too long for a message is said by who sends it


def line_typed(given: str, what: str, context: typer.Context) -> str:
    """``given``, or if that is ``-`` one line of standard input, unseen on a terminal.

    Raises:
        BadParameter: standard input gives the passphrase, or nothing.
    """
    if given != HERE:
        return given
    _refuse_passphrase(context)
    if sys.stdin.isatty():
        line = getpass.getpass(f"{what} (it is not shown): ")
    else:
        line = _read(sys.stdin.readline, _LINE_MAX)
    return _something(line.strip())


def text_typed(given: str | None, what: str, context: typer.Context) -> str | None:
    """``given``, or if that is ``-`` all of standard input without its last line end.

    Raises:
        BadParameter: standard input gives the passphrase, or nothing, or no text.
    """
    if given != HERE:
        return given
    _refuse_passphrase(context)
    if sys.stdin.isatty():
        hint(f"{what}; end it with Ctrl-D at the beginning of a line:")
    return _something(_read(sys.stdin.read, _TEXT_MAX).removesuffix("\n").removesuffix("\r"))


def refuse_two(**given: str | None) -> None:
    """Raises BadParameter when more than one of these options asks for standard input."""
    asking = [f"--{name}" for name, value in given.items() if value == HERE]
    if len(asking) > 1:
        raise typer.BadParameter(f"standard input can be one of {' and '.join(asking)}")


def _refuse_passphrase(context: typer.Context) -> None:
    session = context.find_root().obj
    if isinstance(session, Session) and session.passphrase_fd == 0:
        raise typer.BadParameter("standard input gives the passphrase; - needs one of its own")


def _read(read: Callable[[int], str], most: int) -> str:
    try:
        found = read(most + 1)
    except UnicodeDecodeError:
        raise typer.BadParameter("what standard input gives is no text") from None
    if len(found) > most:
        raise typer.BadParameter("standard input gives too much")
    return found


def _something(found: str) -> str:
    if not found:
        raise typer.BadParameter("standard input gives nothing")
    return found
