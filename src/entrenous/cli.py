"""The ``entrenous`` command: find the command that was typed, run it, and turn errors into exit
statuses.

Only the module of that command is imported, so a quick command does not wait for OpenCV or for a
web server.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer

from entrenous.base.environment import BadSetting
from entrenous.base.errors import EntrenousError
from entrenous.base.files import disk_fault
from entrenous.base.language import language_of_person, speaking, translated
from entrenous.base.program import this_program_version
from entrenous.terminal.lazy_commands import LazyGroup, ListedCommand, add_help_translation
from entrenous.terminal.output import hint, join_wrapped_lines, print_line
from entrenous.terminal.session import (
    EXIT_BUG,
    EXIT_INTERRUPTED,
    EXIT_USAGE_ERROR,
    EXIT_YES,
    FeatureFunctions,
    Session,
    exit_status_of,
)

#: Every command, in the order of the help. The commands for people who run a relay or a gate are in
#: English only, and so is the demonstration (see ENGLISH_ERRORS in tests/house/messages.py).
COMMANDS: Final = {
    "help": ListedCommand(
        "entrenous.respond.commands.help",
        "Show who helps where you live, and what to do first; nothing leaves this device.",
    ),
    "app": ListedCommand(
        "entrenous.app.commands",
        "Open the app in the browser, to do everything without a terminal.",
    ),
    "setup": ListedCommand(
        "entrenous.send.commands.setup",
        "Set up this device: make its keys, and an encrypted vault that only your passphrase "
        "opens.",
    ),
    "invite": ListedCommand(
        "entrenous.send.commands.people",
        "Make a link with which one person, or more with --uses, can add you.",
    ),
    "send": ListedCommand(
        "entrenous.send.commands.send",
        "Send pictures, clips, voice notes or a text; each person gets a marked, encrypted copy.",
    ),
    "react": ListedCommand(
        "entrenous.send.commands.recall",
        "React to a message with an emoji; everybody in its conversation whom you know sees it.",
    ),
    "inbox": ListedCommand(
        "entrenous.send.commands.inbox",
        "Fetch new messages from the relay; list those that wait to be opened, and the newest"
        " ones.",
    ),
    "open": ListedCommand(
        "entrenous.send.commands.inbox",
        "Open a message: show its text, and write its files to a folder.",
    ),
    "recall": ListedCommand(
        "entrenous.send.commands.recall", "Take a message back from everybody."
    ),
    "sent": ListedCommand(
        "entrenous.send.commands.recall",
        "List what you sent and what became of each copy: messages not opened yet, and the newest.",
    ),
    "mark": ListedCommand(
        "entrenous.send.commands.mark",
        "Make one marked copy per person, to send by any other channel.",
    ),
    "trace": ListedCommand(
        "entrenous.trace.commands",
        "Say whose copy a found file is, and how likely an innocent copy is to fit at least as"
        " well.",
    ),
    "fingerprint": ListedCommand(
        "entrenous.stop.commands.fingerprint_command",
        "Print the picture's PDQ fingerprint, as platforms compare it; nothing leaves this device.",
    ),
    "protect": ListedCommand(
        "entrenous.stop.commands.protect_command",
        "Ask a platform to stop a picture, video or sound; only its fingerprints leave this "
        "device.",
    ),
    "unprotect": ListedCommand(
        "entrenous.stop.commands.protect_command",
        "Withdraw a registration; this takes effect at once.",
    ),
    "check-up": ListedCommand(
        "entrenous.learn.commands.check_up",
        "Look for ways in which pictures can leak from this machine; nothing is stored or sent.",
    ),
    "learn": ListedCommand(
        "entrenous.learn.commands.lessons",
        "Five-minute lessons; each ends with one setting that you change.",
    ),
    "demo": ListedCommand(
        "entrenous.demo.commands",
        "See a photo sent, leaked, stopped and traced, and a case opened, all on this machine.",
        english=True,
    ),
    "person": ListedCommand("entrenous.send.commands.people", "The people you write to."),
    "circle": ListedCommand(
        "entrenous.send.commands.people", "Groups of people to whom you send together."
    ),
    "verdict": ListedCommand("entrenous.trace.report.commands", "Let others check a verdict."),
    "case": ListedCommand(
        "entrenous.respond.commands.case",
        "A file about one leak: what you saw, stored and asked for.",
    ),
    "evidence": ListedCommand(
        "entrenous.respond.commands.evidence", "Evidence: stamps of trusted time, and checks."
    ),
    "law": ListedCommand(
        "entrenous.respond.commands.law", "Legal routes: facts with a source, not advice."
    ),
    "relay": ListedCommand(
        "entrenous.carry.commands", "Carry encrypted messages for others.", english=True
    ),
    "gate": ListedCommand(
        "entrenous.stop.commands.gate",
        "A platform's gate: recognise registered pictures without seeing the originals.",
        english=True,
    ),
    "archive": ListedCommand("entrenous.archive.commands", "Take your data to another device."),
    "device": ListedCommand("entrenous.send.commands.devices", "Your devices and their locks."),
    "passphrase": ListedCommand(
        "entrenous.send.commands.vault_lock", "What opens this device's vault."
    ),
}
_HELP: Final = "Private pictures that stay between us: send, carry, trace, stop, respond, learn."
_VERSION_OPTION: Final = "--version"
_CONTEXT_SETTINGS: Final = {
    "auto_envvar_prefix": "ENTRENOUS",
    "help_option_names": ["-h", "--help"],
}


def run(arguments: list[str], feature_functions: FeatureFunctions) -> int:
    """Run one command, and return its exit status (terminal/session.py)."""
    try:
        with _translate_disk_errors(), speaking(language_of_person()):
            return _run_command(arguments, feature_functions)
    except EntrenousError as error:
        _flush_stdout()
        hint(join_wrapped_lines(str(error)))
        return exit_status_of(error)
    except (KeyboardInterrupt, typer.Abort):
        hint(translated("Stopped. Nothing is half done."))
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _discard_stdout()
        return EXIT_YES
    except Exception as bug:
        if (show_usage := getattr(bug, "show", None)) is not None:
            # A wrong command line. Newer versions of Typer have their own error class for it, not
            # Click's.
            show_usage()
            return EXIT_USAGE_ERROR
        if os.environ.get("ENTRENOUS_DEBUG"):
            raise
        hint(
            translated(
                "This is a fault in Entrenous ({name}), not something you did. Please report "
                "it; ENTRENOUS_DEBUG=1 shows where it happened."
            ).format(name=type(bug).__name__)
        )
        return EXIT_BUG


@contextmanager
def _translate_disk_errors() -> Iterator[None]:
    """Turn a full or failing disk into an error for the user, if no inner function has done so.

    Raises:
        DiskFull, DiskFailed.
    """
    try:
        yield
    except OSError as why:
        if (fault := disk_fault(why)) is None:
            raise
        raise fault from None


def _flush_stdout() -> None:
    """Flush standard output; if flushing fails, discard the rest of the answer."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard_stdout()


def _discard_stdout() -> None:
    """Discard the rest of the answer.

    Otherwise the interpreter would try to write it at exit, and fail.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run_command(arguments: list[str], feature_functions: FeatureFunctions) -> int:
    descriptor, rest = _take_passphrase_fd(arguments)
    session = Session(descriptor, feature_functions)
    answer: Any = build_command_line().main(
        rest, prog_name="entrenous", standalone_mode=False, obj=session
    )
    if answer == EXIT_INTERRUPTED:
        # newer versions of Typer return this number instead of raising; run() prints a hint
        raise KeyboardInterrupt
    return answer if isinstance(answer, int) else EXIT_YES


def build_command_line() -> Any:
    """Return the whole command line, for Click to run."""
    app = typer.Typer(
        cls=_TopLevelGroup,
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings=_CONTEXT_SETTINGS,
        rich_markup_mode=None,
    )
    app.callback()(_declare_global_options)
    return add_help_translation(typer.main.get_command(app))


class _TopLevelGroup(LazyGroup):
    listed = COMMANDS


def _show_version(is_asked: bool) -> None:
    if is_asked:
        print_line(str(this_program_version()))
        raise typer.Exit


def _declare_global_options(
    version: bool = typer.Option(
        False,
        _VERSION_OPTION,
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
    # Typer shows both options in --help. Their values are handled elsewhere: by _show_version and
    # by _take_passphrase_fd.
    del version, passphrase_fd


def _take_passphrase_fd(arguments: list[str]) -> tuple[int | None, list[str]]:
    """Take ``--passphrase-fd N`` out of the arguments, whether it stands before or after the
    command's name. Return N and the other arguments.

    Without this option, N is the number in ENTRENOUS_PASSPHRASE_FD, or None.
    """
    rest = list(arguments)
    for place, word in enumerate(rest):
        name, equals, value = word.partition("=")
        if name != "--passphrase-fd":
            continue
        number = value if equals else "".join(rest[place + 1 : place + 2])
        if not number.isdigit():
            raise typer.BadParameter(
                translated("--passphrase-fd needs the number of a file descriptor")
            )
        del rest[place : place + (1 if equals else 2)]
        return int(number), rest
    return _passphrase_fd_from_environment(), rest


def _passphrase_fd_from_environment() -> int | None:
    number = os.environ.get("ENTRENOUS_PASSPHRASE_FD")
    if number is None or number.isdigit():
        return None if number is None else int(number)
    raise BadSetting(name="ENTRENOUS_PASSPHRASE_FD", wanted="the number of a file descriptor")
