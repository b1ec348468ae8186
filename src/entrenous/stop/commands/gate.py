"""The commands of ``entrenous gate``, listed for its help. The module of a command is imported only
when that command runs.
"""

from typing import Final

import typer

from entrenous.terminal.lazy_commands import LazyGroup, ListedCommand

#: The commands of ``entrenous gate``, in the order of its help.
GATE_COMMANDS: Final = {
    "run": ListedCommand(
        "entrenous.stop.commands.gate_run",
        "Run a gate: it holds or refuses uploads that match a registered fingerprint.",
    ),
    "try": ListedCommand(
        "entrenous.stop.commands.gate_index",
        "Say what the gate would do with a file; the file is not stored.",
    ),
    "proxy": ListedCommand(
        "entrenous.stop.commands.gate_drop",
        "Forward requests to another server, and ask the gate about each upload.",
    ),
    "drop": ListedCommand(
        "entrenous.stop.commands.gate_drop",
        "Ask the gate about files or a mail message: status 0 let through, 3 refused, 6 held.",
    ),
    "status": ListedCommand(
        "entrenous.stop.commands.gate_status",
        "Count registrations and waiting work, and say what is wrong, if anything is.",
    ),
    "review": ListedCommand(
        "entrenous.stop.commands.gate_review",
        "List uploads that wait for a reviewer; look at a case, or decide it. All of it is logged.",
    ),
    "slow-look": ListedCommand(
        "entrenous.stop.commands.gate_run",
        "Search accepted uploads for parts of registered pictures; a running gate does so itself.",
    ),
    "judge": ListedCommand(
        "entrenous.stop.commands.gate_run",
        "Judge uploads from standard input until it ends.",
        hidden=True,
    ),
    "follow": ListedCommand(
        "entrenous.connectors.exchange.commands",
        "Fetch each source at the interval in the gate's settings, until standard input ends.",
        hidden=True,
    ),
    "bank": ListedCommand("entrenous.stop.commands.gate_bank", "The banks of fingerprints."),
    "index": ListedCommand("entrenous.stop.commands.gate_index", "The index of fingerprints."),
    "partner": ListedCommand(
        "entrenous.stop.commands.gate_bank", "Platforms whose opinions count."
    ),
    "audit": ListedCommand("entrenous.stop.commands.gate_status", "The log of every change."),
    "exchange": ListedCommand(
        "entrenous.connectors.exchange.commands",
        "Exchange banks of fingerprints with other platforms.",
    ),
    "reviewer": ListedCommand(
        "entrenous.stop.commands.gate_review", "People who decide about held uploads."
    ),
}


def add_commands(app: typer.Typer) -> None:
    help_ = "A platform's gate: recognise registered pictures without seeing the originals."
    app.add_typer(typer.Typer(cls=_GateGroup, help=help_, no_args_is_help=True), name="gate")


class _GateGroup(LazyGroup):
    listed = GATE_COMMANDS
