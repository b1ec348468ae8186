"""Input that the user types: text on standard input, times, and HOST:PORT.

Secrets and long text come from standard input rather than the command line, which other users of
the machine can read.
"""

import getpass
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from entrenous.base.language import (
    NO_WORDS,
    YES_WORDS,
    speak_english,
    translatable,
    translated,
)
from entrenous.terminal.output import hint
from entrenous.terminal.session import Session

STDIN_MARK: Final = "-"
#: Printed at the end of the help of an option that can read standard input.
STDIN_OPTION_ADVICE: Final = (
    "With -, it is read from standard input, unseen by others on this machine."
)
_LINE_CHARS_MAX: Final = 8192  # a link or a code has up to 4,096 characters
# only limits the memory used; text that is too long for a message is refused later
_TEXT_CHARS_MAX: Final = 1 << 20


def json_option(words: str = "Print one JSON object.") -> Any:
    """Return the option ``--json`` for scripts; its answer is the same in all languages."""
    return typer.Option("--json", help=words, callback=_switch_to_english_for_json)


def _switch_to_english_for_json(as_json: bool) -> bool:
    if as_json:
        speak_english()
    return as_json


JsonFlag = Annotated[bool, json_option()]


def read_typed_line(given: str, what: str, context: typer.Context) -> str:
    """Return ``given``, or one line of standard input if ``given`` is ``-``.

    The line is not echoed on a terminal.

    Raises:
        BadParameter: standard input already provides the passphrase, or it is empty, too long or
            not text.
    """
    if given != STDIN_MARK:
        return given
    _refuse_if_stdin_gives_passphrase(context)
    if sys.stdin.isatty():
        line = getpass.getpass(translated("{what} (it is not shown): ").format(what=what))
    else:
        line = _read_stdin(sys.stdin.readline, _LINE_CHARS_MAX)
    return _require_nonempty(line.strip())


def read_typed_text(given: str | None, what: str, context: typer.Context) -> str | None:
    """Return ``given``, or all of standard input without its last line end if ``given`` is ``-``.

    Raises:
        BadParameter: standard input already provides the passphrase, or it is empty, too long or
            not text.
    """
    if given != STDIN_MARK:
        return given
    _refuse_if_stdin_gives_passphrase(context)
    if sys.stdin.isatty():
        hint(translated("{what}; end it with Ctrl-D at the beginning of a line:").format(what=what))
    return _require_nonempty(
        _read_stdin(sys.stdin.read, _TEXT_CHARS_MAX).removesuffix("\n").removesuffix("\r")
    )


def refuse_two_stdin_options(**given: str | None) -> None:
    """Raise BadParameter if more than one of these options reads standard input."""
    asking = [f"--{name}" for name, value in given.items() if value == STDIN_MARK]
    if len(asking) > 1:
        raise typer.BadParameter(
            translated("only one of {asking} can read standard input").format(
                asking=" and ".join(asking)
            )
        )


def _refuse_if_stdin_gives_passphrase(context: typer.Context) -> None:
    session = context.find_root().obj
    if isinstance(session, Session) and session.passphrase_fd == 0:
        raise typer.BadParameter(
            translated(
                "standard input already provides the passphrase, so nothing else can be read "
                "from it with -"
            )
        )


def _read_stdin(read: Callable[[int], str], chars_max: int) -> str:
    try:
        found = read(chars_max + 1)
    except UnicodeDecodeError:
        raise typer.BadParameter(translated("standard input is not text")) from None
    if len(found) > chars_max:
        raise typer.BadParameter(translated("standard input is too long"))
    return found


def _require_nonempty(found: str) -> str:
    if not found:
        raise typer.BadParameter(translated("standard input is empty"))
    return found


_TIME_PATTERN: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)
_EARLIEST_YEAR: Final = 1990  # times before the web existed are typing errors
_TIME_ADVICE: Final = translatable(
    "write it as 2026-11-25, 2026-11-25T09:30 or 2026-11-25T09:30+01:00"
)


def time_option(words: str) -> Any:
    """Return an option whose value is a time."""
    return typer.Option(help=words, metavar="TIME", parser=parse_time)


def parse_time(typed: str) -> datetime:
    """Parse a time; it is in UTC unless it has an offset.

    A date alone means the start of that day.

    Raises:
        BadParameter: the format is wrong, or the time is before 1990 or does not exist.
    """
    text = typed.strip()
    try:
        moment = datetime.fromisoformat(text) if _TIME_PATTERN.fullmatch(text) else None
        if moment is not None and moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.year < _EARLIEST_YEAR:
        raise typer.BadParameter(
            translated("{typed!r} is not a time that can be used here: {shown}").format(
                typed=typed, shown=translated(_TIME_ADVICE)
            )
        )
    return moment.replace(tzinfo=UTC)


def ask_yes_or_no(question: str) -> bool:
    """Ask until the answer is yes or no, in any language of the program; return whether it is yes.

    Pressing Enter alone means no.
    """
    while True:
        shown = f"{question} {translated('[y/N]')}"
        typed = typer.prompt(shown, default="", show_default=False, err=True).strip().casefold()
        if typed in YES_WORDS:
            return True
        if typed in NO_WORDS or not typed:
            return False
        hint(translated("Type yes or no."))


def ask_and_abort_unless_yes(question: str) -> None:
    """Ask, and end the command (raising Abort) unless the answer is yes."""
    if not ask_yes_or_no(question):
        raise typer.Abort


def parse_host_and_port(listen: str) -> tuple[str, int]:
    """Split "127.0.0.1:0" or "[::1]:0" into host and port; raises BadParameter for any other
    form.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise typer.BadParameter(
            translated("give HOST:PORT, e.g. 127.0.0.1:7801"), param_hint="--listen"
        )
    return host.strip("[]"), int(port)
