"""Command groups that print their help without importing their commands. A command's module is
imported when that command runs or shows its own help.
"""

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class ListedCommand(NamedTuple):
    """A command's entry in its group's list.

    ``module`` has a function ``join(app)`` that adds the command to a Typer application. ``help``
    is the first paragraph of the command's own help. A ``hidden`` command is not listed.
    """

    module: str
    help: str
    hidden: bool = False


class LazyGroup(TyperGroup):
    """A group whose commands are in the table ``listed``, in help order."""

    listed: ClassVar[Mapping[str, ListedCommand]]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, known in self.listed.items():
            # A stand-in for the list and for "Did you mean ...?"; get_command has the real one.
            stand_in = TyperCommand(name, help=known.help, hidden=known.hidden)
            self.commands[name] = stand_in

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return a command; None if there is none of that name."""
        del ctx
        known = self.listed.get(cmd_name)
        return None if known is None else load_command(cmd_name, known)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the command list like Click, but from the table alone."""
        del ctx
        shown = {name: one for name, one in self.commands.items() if not one.hidden}
        limit = formatter.width - 6 - max(map(len, shown))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(limit)) for name, one in shown.items()]
            )


def load_command(name: str, known: ListedCommand) -> Any:
    """Import a command's module and return the command, for Click to run."""
    app = typer.Typer(rich_markup_mode=None)
    app.callback()(lambda: None)  # makes Typer build a group even for a single command
    importlib.import_module(known.module).join(app)
    return typer.main.get_group(app).commands[name]
