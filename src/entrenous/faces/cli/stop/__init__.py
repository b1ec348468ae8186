"""Commands that keep a picture from being uploaded again; ``entrenous gate ...`` in a table."""

from typing import Final

import typer

from entrenous.faces.cli.lazy_commands import LazyGroup, Listed

#: The commands of ``entrenous gate``, in the order of its help.
COMMANDS: Final = {
    "run": Listed(
        "entrenous.faces.cli.stop.gate",
        "Run a gate: uploads that fit a registered fingerprint are held or refused.",
    ),
    "try": Listed(
        "entrenous.faces.cli.stop.attempt",
        "Say what the gate would do with a file; nothing is kept of it.",
    ),
    "proxy": Listed(
        "entrenous.faces.cli.stop.hooks",
        "Serve another server's address and ask the gate about each upload that comes to it.",
    ),
    "drop": Listed(
        "entrenous.faces.cli.stop.drop",
        "Ask the gate about files or a mail message: status 0 let through, 3 refused, 6 held.",
    ),
    "status": Listed(
        "entrenous.faces.cli.stop.status",
        "Say how many claims there are, what waits, and what is wrong, if anything is.",
    ),
    "review": Listed(
        "entrenous.faces.cli.stop.review",
        "List what waits for a person; look at a case, and decide it. The log says who did what.",
    ),
    "slow-look": Listed(
        "entrenous.faces.cli.stop.slow_look",
        "Look slowly at uploads that were let through; a running gate does so by itself.",
    ),
    "judge": Listed(
        "entrenous.faces.cli.stop.judge",
        "Judge upload after upload from standard input, until it ends.",
        hidden=True,
    ),
    "follow": Listed(
        "entrenous.faces.cli.stop.follow",
        "Fetch each source as often as the gate's settings say, until standard input ends.",
        hidden=True,
    ),
    "bank": Listed("entrenous.faces.cli.stop.bank", "The banks of fingerprints."),
    "index": Listed("entrenous.faces.cli.stop.index", "The index of fingerprints."),
    "partner": Listed("entrenous.faces.cli.stop.partner", "Platforms whose opinions count."),
    "audit": Listed("entrenous.faces.cli.stop.audit", "The log of every change."),
    "exchange": Listed(
        "entrenous.faces.cli.stop.exchange", "Banks of fingerprints between platforms."
    ),
    "reviewer": Listed(
        "entrenous.faces.cli.stop.reviewer", "Persons who decide about held uploads."
    ),
}


def join(app: typer.Typer) -> None:
    """Add the group ``entrenous gate``."""
    help_ = "A platform's gate: refuse a picture unseen."
    app.add_typer(typer.Typer(cls=_Gate, help=help_, no_args_is_help=True), name="gate")


class _Gate(LazyGroup):
    listed = COMMANDS
