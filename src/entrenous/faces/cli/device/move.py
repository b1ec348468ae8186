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
from entrenous.send.devices.self import is_ready, who_am_i
from entrenous.send.move.house import Moved, call_off_move, move_house
from entrenous.send.setup import relay_address
from entrenous.wiring.lock import follow_move


def move(
    context: typer.Context,
    relay: Annotated[str, typer.Option(metavar="URL", help="The relay to move to.")],
    sheet: Annotated[
        Path | None, typer.Option("--recovery", metavar="FILE", help="Your recovery sheet.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Move to another relay with all your devices: people are told, and write there from then on.

    What comes to the old relay is fetched for 30 days more. Your other devices come along: until
    each of them has looked into its inbox, nothing changes; then type this once more. With the
    relay where you are, it calls off a move that was begun.

    If the old relay is gone for good, your recovery sheet opens this device without it.
    """
    paper = sheet_in(sheet)
    with unlocked_of(context, paper) as (device, unlocked):
        if is_ready(device):
            catch_up(device)
        if relay_address(relay) == who_am_i(device).home.relay_url:
            called_off = call_off_move(device)
            if called_off is not None:
                catch_up(device)
                _tell_stayed(relay, called_off, as_json=as_json)
                return
        moved = move_house(relay, paper, device)
        with suppress(Unreachable):  # the next command does it
            follow_move(unlocked, device)
        catch_up(device)
    if as_json:
        put_json(_as_json(moved))
        return
    _tell(moved)


def _tell_stayed(relay_url: str, called_off: str, *, as_json: bool) -> None:
    if as_json:
        put_json({"schema": "entrenous/stayed/1", "relay": relay_url, "called_off": called_off})
        return
    say(f"The move to {called_off} is called off. You are at {relay_url}, as before.")


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
