"""``entrenous react``."""

from typing import Annotated

import typer

from entrenous.faces.cli.catch_up import catch_up
from entrenous.faces.cli.device.opened import device_of
from entrenous.faces.cli.output import put_json, say
from entrenous.faces.cli.typed_in import SAFER, line_typed
from entrenous.send.message.react import Reacted, react


def join(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("react")(react_)


def react_(
    context: typer.Context,
    message: str,
    emoji: Annotated[
        str | None,
        typer.Argument(metavar="-|EMOJI", help=f"{SAFER} A sign or two, at most 32 bytes."),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Take your reaction away.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Answer a message in a sign; everybody of its conversation whom you know sees it.

    It is sealed as a message is, and the relay cannot tell it from a recall.
    """
    if (emoji is None) != none:
        raise typer.BadParameter("give one EMOJI or -, or --none to take yours away")
    emoji = None if emoji is None else line_typed(emoji, "A sign or two", context)
    with device_of(context) as device:
        catch_up(device)
        reacted = react(message, emoji, device)
    if as_json:
        answer = {"message": message, "reaction": emoji, "to": list(reacted.to)}
        put_json({"schema": "entrenous/react/1", **answer, "waits": list(reacted.waits)})
        return
    say(_told(message, emoji, reacted))


def _told(message: str, emoji: str | None, reacted: Reacted) -> str:
    done = f"took your reaction to {message} away" if emoji is None else f"{emoji} to {message}"
    if not reacted.waits:
        return f"{done}: told {', '.join(reacted.to)}"
    return f"{done}: {', '.join(reacted.waits)} will be told when their relay answers"
