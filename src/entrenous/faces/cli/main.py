"""The ``entrenous`` command: finds the asked-for command, runs it, turns failures into exit
statuses.
"""

import errno
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
from entrenous.faces.cli.lazy_commands import LazyGroup, Listed
from entrenous.faces.cli.output import NO_ROOM, hint, in_one_go, say
from entrenous.model.errors import EntrenousError
from entrenous.model.relay_problem import DiskFailed, DiskFull
from entrenous.model.setting import BadSetting
from entrenous.settings import Settings, read_settings

#: Every command, in the order of the help.
COMMANDS: Final = {
    "setup": Listed(
        "entrenous.faces.cli.setup",
        "Make a device: its keys, and an encrypted vault that only your passphrase opens.",
    ),
    "invite": Listed(
        "entrenous.faces.cli.people.people",
        "Make a link with which somebody can add you: for one person, unless you say otherwise.",
    ),
    "send": Listed(
        "entrenous.faces.cli.send",
        "Send pictures, clips, voice notes or a text: to each person a marked and sealed copy.",
    ),
    "react": Listed(
        "entrenous.faces.cli.react",
        "Answer a message in a sign; everybody of its conversation whom you know sees it.",
    ),
    "inbox": Listed(
        "entrenous.faces.cli.inbox",
        "Fetch what waits at the relay, and list what you were sent: what waits to be opened, "
        "and the newest.",
    ),
    "open": Listed(
        "entrenous.faces.cli.inbox",
        "Open a message: show its text, and write its files to a folder.",
    ),
    "recall": Listed("entrenous.faces.cli.recall", "Take a message back from everybody."),
    "sent": Listed(
        "entrenous.faces.cli.recall",
        "What you sent, what became of each copy, and when: what waits to be opened, and the "
        "newest. Nothing is sent by looking.",
    ),
    "mark": Listed(
        "entrenous.faces.cli.mark", "Make one marked copy per person, to send by any other channel."
    ),
    "trace": Listed(
        "entrenous.faces.cli.trace.trace",
        "Say whose copy a found file is, with the chance that an innocent copy fits as well.",
    ),
    "fingerprint": Listed(
        "entrenous.faces.cli.stop.fingerprint",
        "The picture's PDQ fingerprint, as platforms compare it; nothing leaves this device.",
    ),
    "protect": Listed(
        "entrenous.faces.cli.stop.protect",
        "Ask a platform to stop a picture, video or sound; only its fingerprints leave this "
        "device.",
    ),
    "unprotect": Listed(
        "entrenous.faces.cli.stop.protect", "Withdraw a registration; it acts at once."
    ),
    "check-up": Listed(
        "entrenous.faces.cli.check_up",
        "Look for leak paths on this machine; nothing is kept, nothing leaves.",
    ),
    "learn": Listed(
        "entrenous.faces.cli.check_up", "Five-minute lessons; each ends in one setting changed."
    ),
    "demo": Listed(
        "entrenous.faces.cli.demo",
        "One photo sent, leaked, stopped, traced, and a case opened: all on this machine.",
    ),
    "person": Listed("entrenous.faces.cli.people.people", "The people you write to."),
    "circle": Listed("entrenous.faces.cli.people.circle", "People whom you send to together."),
    "verdict": Listed("entrenous.faces.cli.trace.verdict", "Verdicts: let others check them."),
    "case": Listed(
        "entrenous.faces.cli.respond.case", "A file about one leak: what was seen, kept, asked."
    ),
    "evidence": Listed(
        "entrenous.faces.cli.respond.evidence", "Evidence: trusted time, and checks."
    ),
    "law": Listed(
        "entrenous.faces.cli.respond.law", "Legal routes: facts with a source, not advice."
    ),
    "relay": Listed("entrenous.faces.cli.relay", "Carry sealed messages for others."),
    "gate": Listed("entrenous.faces.cli.stop", "A platform's gate: refuse a picture unseen."),
    "archive": Listed("entrenous.faces.cli.archive", "Take what is yours to another device."),
    "device": Listed("entrenous.faces.cli.device.devices", "Your devices and their locks."),
    "passphrase": Listed("entrenous.faces.cli.device.lock", "What opens this device's vault."),
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
    answer: Any = program().main(rest, prog_name="entrenous", standalone_mode=False, obj=session)
    if answer == INTERRUPTED:
        raise KeyboardInterrupt  # newer Typers make a number of it; there is something to say
    return answer if isinstance(answer, int) else YES


def program() -> Any:
    """The whole command line, for Click to run."""
    app = typer.Typer(
        cls=_Program,
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings=_EVERY_OPTION,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    return typer.main.get_command(app)


class _Program(LazyGroup):
    listed = COMMANDS


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
