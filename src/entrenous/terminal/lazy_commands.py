"""Groups of commands that print their help without importing the commands.

A command's module is imported when that command runs or shows its own help.
"""

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from entrenous.base.language import ENGLISH, language_of_person, translatable, translated


class ListedCommand(NamedTuple):
    """A command's entry in its group's list.

    ``module`` has a function ``add_commands(app)``, which adds the command to a Typer application.
    ``help`` is the first paragraph of the command's own help. A ``hidden`` command is not listed.
    The help of an ``english`` command is in English, whatever the person's language.
    """

    module: str
    help: str
    hidden: bool = False
    english: bool = False


class LazyGroup(TyperGroup):
    """A group whose commands are those in the table ``listed``. The help lists them in the table's
    order.
    """

    listed: ClassVar[Mapping[str, ListedCommand]]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, entry in self.listed.items():
            # Click lists these stand-ins and uses them for "Did you mean ...?"; get_command returns
            # the real command.
            stand_in = TyperCommand(name, help=entry.help, hidden=entry.hidden)
            self.commands[name] = stand_in

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return a command; return None if no command has that name."""
        del ctx
        entry = self.listed.get(cmd_name)
        return None if entry is None else load_command(cmd_name, entry)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Print the list of commands as Click does, but without importing the commands."""
        del ctx
        shown = {name: one for name, one in self.commands.items() if not one.hidden}
        limit = formatter.width - 6 - max(map(len, shown))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(limit)) for name, one in shown.items()]
            )


def load_command(name: str, entry: ListedCommand) -> Any:
    """Import a command's module and return the command, for Click to run."""
    app = typer.Typer(rich_markup_mode=None)
    app.callback()(lambda: None)  # makes Typer build a group even if there is only one command
    importlib.import_module(entry.module).add_commands(app)
    command = typer.main.get_group(app).commands[name]
    return command if entry.english else add_help_translation(command)


def add_help_translation(command: Any) -> Any:
    """Make a command and all its subcommands print their help in the person's language.

    Return the same command. The help of commands and options is translated when it is printed.
    """
    print_help = command.format_help

    def format_help(ctx: Any, formatter: Any) -> None:
        if language_of_person() != ENGLISH:
            _translate_help(command, ctx)
            _translate_headings(formatter)
        print_help(ctx, formatter)

    command.format_help = format_help
    for one in getattr(command, "commands", {}).values():
        add_help_translation(one)
    return command


def split_paragraphs(help_: str | None) -> list[str]:
    """Return the paragraphs of a help text, each joined to one line, as in the catalogue."""
    return [" ".join(part.split()) for part in (help_ or "").split("\n\n")]


def _translate_help(command: Any, ctx: Any) -> None:
    shown = (command, *command.get_params(ctx), *getattr(command, "commands", {}).values())
    for one in shown:
        if one.help:
            one.help = "\n\n".join(map(translated, split_paragraphs(one.help)))


#: Headings and options that Click itself prints.
_CLICK_TEXTS: Final = (
    *(translatable("Options"), translatable("Arguments"), translatable("Commands")),
    translatable("Show this message and exit."),
)


def _translate_headings(formatter: Any) -> None:
    section, write_usage = formatter.section, formatter.write_usage
    formatter.section = lambda name: section(translated(name))
    usage = f"{translated('Usage:')} "
    formatter.write_usage = lambda prog, args="": write_usage(prog, args, usage)
