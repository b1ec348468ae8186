"""``entrenous inbox`` and ``entrenous open``."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.faces.cli.catch_up import catch_up
from entrenous.faces.cli.device.opened import device_of
from entrenous.faces.cli.output import hint, in_one_go, put_json, say, when, write_new
from entrenous.model.errors import Unreachable
from entrenous.model.letter import Content
from entrenous.model.message import InboxState, Received
from entrenous.send.inbox import received_messages
from entrenous.send.open import open_message

SUFFIX = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}


def join(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("inbox")(inbox)
    app.command("open")(open_)


def inbox(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Fetch what waits at the relay, and list what you were sent."""
    with device_of(context) as device:
        if (error := catch_up(device)) is not None:
            why = f"{in_one_go(str(error))} " if isinstance(error, Unreachable) else ""
            hint(f"{why}So nothing new was fetched; this came before:")
        received = received_messages(device)
    if as_json:
        shown = [_shown(message) for message in received]
        put_json({"schema": "entrenous/inbox/1", "messages": shown})
        return
    for message in received:
        say(f"{message.name}  from {message.sender_name}, {message.state}")
    if not received:
        say("Nothing here yet.")


def open_(
    context: typer.Context,
    message: str,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder to write the pictures to.")
    ] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Open a message and write its pictures to a folder.

    What you export is in your hands: it can't be taken back from there.
    """
    with device_of(context) as device:
        catch_up(device)  # what was opened before opens without a relay
        content = open_message(message, device)
    written = _write(content, message, out)
    if as_json:
        put_json({"schema": "entrenous/open/1", "files": [str(path) for path in written]})
        return
    if content.caption:
        say(content.caption)
    for path in written:
        say(f"wrote {path}")


def _write(content: Content, message: str, out: Path) -> list[Path]:
    places = []
    for number, file in enumerate(content.files, 1):
        place = out / f"{message}-{number}{SUFFIX.get(file.media_type, '.bin')}"
        write_new(place, file.data)
        places.append(place)
    return places


def _shown(message: Received) -> dict[str, object]:
    over = message.state is InboxState.USED_UP  # to a script: it can't be opened any more
    state = InboxState.EXPIRED if over else message.state
    return {
        "message": message.name,
        "from": message.sender_name,
        "state": state.value,
        "sent_at": when(message.sent_at),
    }
