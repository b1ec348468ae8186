"""``entrenous relay ...``: run a relay, which carries sealed messages for others."""

from typing import Final

import typer

from entrenous.terminal.lazy_commands import LazyGroup, ListedCommand

#: The commands of ``entrenous relay``, in the order of its help.
COMMANDS: Final = {
    "run": ListedCommand(
        "entrenous.carry.commands.run",
        "Run a relay: it carries encrypted messages and can never read one.",
    ),
    "init": ListedCommand(
        "entrenous.carry.commands.settings_file",
        "Write a relay's default settings, each with an explanation.",
    ),
    "check": ListedCommand(
        "entrenous.carry.commands.maintenance",
        "Check settings, folder, disk, database, clock, TLS and address; the relay may be running.",
    ),
    "stats": ListedCommand(
        "entrenous.carry.commands.maintenance",
        "Show how much a relay stores, in numbers without names; it may be running.",
    ),
    "backup": ListedCommand(
        "entrenous.carry.commands.maintenance",
        "Save a snapshot of a relay, which may be running.",
    ),
    "restore": ListedCommand(
        "entrenous.carry.commands.maintenance",
        "Restore a backup into a new or empty folder. "
        "Messages that could still be opened are lost.",
    ),
    "restored": ListedCommand(
        "entrenous.carry.commands.maintenance",
        "Tell a relay, before it starts, that its PostgreSQL, bucket or folder was restored "
        "by other tools. Messages that could still be opened are lost, as after `relay restore`.",
    ),
}


def add_commands(app: typer.Typer) -> None:
    help_ = "Carry encrypted messages for others."
    app.add_typer(typer.Typer(cls=_RelayGroup, help=help_, no_args_is_help=True), name="relay")


class _RelayGroup(LazyGroup):
    listed = COMMANDS
