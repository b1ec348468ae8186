"""The ``entrenous`` command: finds the asked-for command, runs it, turns failures into exit
statuses.
"""

import errno
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol, runtime_checkable

import typer

from entrenous.adapters.program import this_program
from entrenous.faces.cli.exits import BUG, INTERRUPTED, USAGE, YES, exit_of
from entrenous.faces.cli.output import NO_ROOM, hint, in_one_go, say
from entrenous.model.errors import EntrenousError
from entrenous.model.relay_problem import DiskFailed, DiskFull
from entrenous.model.setting import BadSetting
from entrenous.settings import Settings, read_settings

# Which module knows which command. Only the asked-for module is imported, so that a quick command
# does not wait for OpenCV or a web server.
MODULES: Final = {
    "setup": "setup",
    "invite": "people.people",
    "person": "people.people",
    "circle": "people.circle",
    "send": "send",
    "react": "react",
    "inbox": "inbox",
    "open": "inbox",
    "recall": "recall",
    "sent": "recall",
    "mark": "mark",
    "trace": "trace.trace",
    "verdict": "trace.verdict",
    "fingerprint": "stop.fingerprint",
    "protect": "stop.protect",
    "unprotect": "stop.protect",
    "case": "respond.case",
    "evidence": "respond.evidence",
    "law": "respond.law",
    "check-up": "check_up",
    "learn": "check_up",
    "relay": "relay",
    "gate": "stop.gate",
    "demo": "demo",
    "archive": "archive",
    "device": "device.devices",
    "passphrase": "device.lock",
}
_HELP: Final = "Private pictures that stay between us: send, carry, trace, stop, respond, learn."
_VERSION: Final = "--version"
_EVERY_OPTION: Final = {"auto_envvar_prefix": "ENTRENOUS", "help_option_names": ["-h", "--help"]}


Apps = Mapping[str, Callable[..., Any]]


@runtime_checkable
class _Usage(Protocol):
    """What Typer raises for a wrong command line; newer ones carry their own Click, so by its
    looks.
    """

    exit_code: int

    def show(self) -> None: ...


@dataclass(frozen=True)
class Session:
    """What every command is given: where the passphrase comes from, and the applications of the
    other faces, by name, for the commands that serve them.
    """

    passphrase_fd: int | None
    apps: Apps

    @cached_property
    def settings(self) -> Settings:
        """Read by the first who asks: one that is wrong stops no command that has no use for it.

        Raises:
            BadSetting.
        """
        return read_settings()


def run(arguments: list[str], apps: Apps) -> int:
    """Run one command; the exit status is the one of ARCHITECTURE section 8."""
    try:
        with _told_of_disks():
            return _run(arguments, apps)
    except EntrenousError as error:
        _end_answer()
        hint(in_one_go(str(error)))
        return exit_of(error)
    except (KeyboardInterrupt, typer.Abort):
        hint("Stopped. Nothing is half done.")
        return INTERRUPTED
    except BrokenPipeError:
        _say_no_more()
        return YES
    except Exception as bug:
        if isinstance(bug, _Usage):
            bug.show()
            return USAGE
        if os.environ.get("ENTRENOUS_DEBUG"):
            raise
        hint(
            f"This is a fault in Entrenous ({type(bug).__name__}), not something you did. "
            "Please report it; ENTRENOUS_DEBUG=1 shows where it happened."
        )
        return BUG


@contextmanager
def _told_of_disks() -> Iterator[None]:
    """A disk that takes no more is no fault of ours, also where nothing closer to it says so.

    Raises:
        DiskFull, DiskFailed.
    """
    try:
        yield
    except OSError as why:
        if why.errno not in NO_ROOM:
            raise
        raise (DiskFailed if why.errno == errno.EIO else DiskFull) from None


def _end_answer() -> None:
    """What is left of an answer that finds no room is let go."""
    try:
        sys.stdout.flush()
    except OSError:
        _say_no_more()


def _say_no_more() -> None:
    """What is left of the answer goes nowhere; else the interpreter fails over it as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str], apps: Apps) -> int:
    descriptor, rest = _take_passphrase_fd(arguments)
    session = Session(descriptor, apps)
    command = typer.main.get_command(_app(rest))
    answer: Any = command.main(rest, prog_name="entrenous", standalone_mode=False, obj=session)
    if answer == INTERRUPTED:
        raise KeyboardInterrupt  # newer Typers make a number of it; there is something to say
    return answer if isinstance(answer, int) else YES


def _app(arguments: list[str]) -> typer.Typer:
    app = typer.Typer(
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings=_EVERY_OPTION,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    asked = next((word for word in arguments if word in MODULES), None)
    wanted = {MODULES[asked]} if asked is not None else dict.fromkeys(MODULES.values())
    if asked is None and _VERSION in arguments:
        wanted = {}  # it is answered before any command is looked for
    for name in wanted:
        importlib.import_module(f"entrenous.faces.cli.{name}").join(app)
    return app


def _show_version(is_asked: bool) -> None:
    if is_asked:
        say(str(this_program()))
        raise typer.Exit


def _options(
    version: bool = typer.Option(
        False,
        _VERSION,
        callback=_show_version,
        is_eager=True,
        allow_from_autoenv=False,
        help="Show the version and the commit of this program, and end.",
    ),
    passphrase_fd: int | None = typer.Option(
        None, "--passphrase-fd", help="Read the passphrase from this file descriptor."
    ),
) -> None:
    """Private pictures that stay between us: send, carry, trace, stop, respond, learn."""
    del version, passphrase_fd  # here for --help; both were heeded before the parser came to this


def _take_passphrase_fd(arguments: list[str]) -> tuple[int | None, list[str]]:
    """Find ``--passphrase-fd N`` wherever it stands, before or after the command."""
    rest = list(arguments)
    for place, word in enumerate(rest):
        name, equals, value = word.partition("=")
        if name != "--passphrase-fd":
            continue
        number = value if equals else "".join(rest[place + 1 : place + 2])
        if not number.isdigit():
            raise typer.BadParameter("--passphrase-fd needs the number of a file descriptor")
        del rest[place : place + (1 if equals else 2)]
        return int(number), rest
    return _named_in_surroundings(), rest


def _named_in_surroundings() -> int | None:
    number = os.environ.get("ENTRENOUS_PASSPHRASE_FD")
    if number is None or number.isdigit():
        return None if number is None else int(number)
    raise BadSetting(name="ENTRENOUS_PASSPHRASE_FD", wanted="the number of a file descriptor")
