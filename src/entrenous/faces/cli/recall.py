"""``entrenous recall`` and ``entrenous sent``."""

from typing import Annotated

import typer

from entrenous.faces.cli.catch_up import hint_at
from entrenous.faces.cli.device.opened import device_of
from entrenous.faces.cli.output import put_json, say, when
from entrenous.model.message import Recall
from entrenous.send.recall import recall_message
from entrenous.send.status import Sent, sent_messages

Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def join(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("recall")(recall)
    app.command("sent")(sent)


def recall(context: typer.Context, message: str, as_json: Json = False) -> None:
    """Take a message back from everybody.

    A copy that was not opened yet can't be opened any more, by cryptography. For a copy that was
    opened, the recipient's program is asked to forget it; a picture of it may exist.
    """
    with device_of(context) as device:
        recalls = recall_message(message, device)
    if as_json:
        copies = [
            {"to": one.to, "opened_before": one.opened, "asked": one.asked} for one in recalls
        ]
        put_json({"schema": "entrenous/recall/1", "message": message, "copies": copies})
        return
    for one in recalls:
        say(_outcome(one))


def sent(context: typer.Context, as_json: Json = False) -> None:
    """What you sent, and what became of each copy. Nothing is sent by looking."""
    with device_of(context) as device:
        messages = sent_messages(device)
    hint_at(problem for one in messages for problem in one.problems)
    if as_json:
        put_json({"schema": "entrenous/sent/1", "messages": [_shown(one) for one in messages]})
        return
    for one in messages:
        copies = ", ".join(f"{copy['to']} ({copy['state']})" for copy in _copies(one))
        say(f"{one.message.name}  {when(one.message.sent_at)}  {copies}")
    if not messages:
        say("Nothing sent yet.")


def _outcome(one: Recall) -> str:
    if one.opened is False:
        return f"{one.to}: had not opened it, and now nobody can open that copy any more."
    known = "had opened it" if one.opened else "whether it was opened is not known any more"
    way = "is asked to forget it" if one.asked else "can't be reached to forget it"
    return f"{one.to}: {known}. Their device {way}; they may have kept it."


def _shown(one: Sent) -> dict[str, object]:
    return {
        "message": one.message.name,
        "sent_at": when(one.message.sent_at),
        "copies": _copies(one),
    }


def _copies(one: Sent) -> list[dict[str, object]]:
    if one.copies:
        return [{"to": copy.to, "state": copy.fate} for copy in one.copies]
    labels = dict.fromkeys(copy.to for picture in one.message.pictures for copy in picture.copies)
    return [{"to": label, "state": "marked for another channel"} for label in labels]
