"""``entrenous device move``."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from entrenous.faces.cli.catch_up import catch_up
from entrenous.faces.cli.device.opened import unlocked_of
from entrenous.faces.cli.device.revoke import sheet_in
from entrenous.faces.cli.output import put_json, say, when
from entrenous.model.errors import Unreachable
from entrenous.send.devices.self import is_ready
from entrenous.send.move.house import Moved, move_house
from entrenous.wiring.lock import follow_move


def move(
    context: typer.Context,
    relay: Annotated[str, typer.Option(metavar="URL", help="The relay to move to.")],
    sheet: Annotated[
        Path | None, typer.Option("--recovery", metavar="FILE", help="Your recovery sheet.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Move this device to another relay: people are told, and write there from then on.

    What comes to the old relay is fetched for 30 days more. If that one is gone for good, your
    recovery sheet opens this device without it. With several devices, revoke the others first.
    """
    paper = sheet_in(sheet)
    with unlocked_of(context, paper) as (device, unlocked):
        if is_ready(device):
            catch_up(device)
        moved = move_house(relay, paper, device)
        with suppress(Unreachable):  # the next command does it
            follow_move(unlocked, device)
        catch_up(device)
    if as_json:
        put_json(_as_json(moved))
        return
    _tell(moved)


def _tell(moved: Moved) -> None:
    say(f"This device is at {moved.relay_url} now.")
    if moved.letters:
        say("Not everybody has been told yet; the rest is done by the next commands.")
    else:
        say("People were told, and write to you there.")
    say(f"What still comes to {moved.before} is fetched until {when(moved.until)}.")
    say("Links from before lead there; make new ones: entrenous invite")
    say("A recovery sheet from before opens this device no more; write a new one:")
    say("entrenous device recovery --out FILE")


def _as_json(moved: Moved) -> dict[str, object]:
    return {
        "schema": "entrenous/moved/1",
        "relay": moved.relay_url,
        "before": moved.before,
        "old_mailbox_until": when(moved.until),
        "letters_waiting": moved.letters,
    }
