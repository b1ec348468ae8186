"""The table of ``entrenous gate ...``, for its help; each command loads its own module."""

from typing import Final

import typer

from entrenous.terminal.lazy_commands import LazyGroup, Listed

#: The commands of ``entrenous gate``, in the order of its help.
COMMANDS: Final = {
    "run": Listed(
        "entrenous.stop.commands.gate_run",
        "Run a gate: uploads that fit a registered fingerprint are held or refused.",
    ),
    "try": Listed(
        "entrenous.stop.commands.gate_index",
        "Say what the gate would do with a file; nothing is kept of it.",
    ),
    "proxy": Listed(
        "entrenous.stop.commands.gate_drop",
        "Serve another server's address and ask the gate about each upload that comes to it.",
    ),
    "drop": Listed(
        "entrenous.stop.commands.gate_drop",
        "Ask the gate about files or a mail message: status 0 let through, 3 refused, 6 held.",
    ),
    "status": Listed(
        "entrenous.stop.commands.gate_status",
        "Say how many claims there are, what waits, and what is wrong, if anything is.",
    ),
    "review": Listed(
        "entrenous.stop.commands.gate_review",
        "List what waits for a person; look at a case, and decide it. The log says who did what.",
    ),
    "slow-look": Listed(
        "entrenous.stop.commands.gate_run",
        "Look slowly at uploads that were let through; a running gate does so by itself.",
    ),
    "judge": Listed(
        "entrenous.stop.commands.gate_run",
        "Judge upload after upload from standard input, until it ends.",
        hidden=True,
    ),
    "follow": Listed(
        "entrenous.connectors.exchange.commands",
        "Fetch each source as often as the gate's settings say, until standard input ends.",
        hidden=True,
    ),
    "bank": Listed("entrenous.stop.commands.gate_bank", "The banks of fingerprints."),
    "index": Listed("entrenous.stop.commands.gate_index", "The index of fingerprints."),
    "partner": Listed("entrenous.stop.commands.gate_bank", "Platforms whose opinions count."),
    "audit": Listed("entrenous.stop.commands.gate_status", "The log of every change."),
    "exchange": Listed(
        "entrenous.connectors.exchange.commands", "Banks of fingerprints between platforms."
    ),
    "reviewer": Listed(
        "entrenous.stop.commands.gate_review", "Persons who decide about held uploads."
    ),
}


def join(app: typer.Typer) -> None:
    """Add the group ``entrenous gate``."""
    help_ = "A platform's gate: refuse a picture unseen."
    app.add_typer(typer.Typer(cls=_Gate, help=help_, no_args_is_help=True), name="gate")


class _Gate(LazyGroup):
    listed = COMMANDS
