"""``entrenous mark``."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.faces.cli.device import device_of
from entrenous.faces.cli.output import bar, put_json, read_file, say, write_new
from entrenous.model.ids import RecipientId
from entrenous.send.mark import mark_copies


def join(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("mark")(mark)


def mark(
    context: typer.Context,
    photo: Path,
    to: Annotated[
        list[str], typer.Option(metavar="NAME", help="Who gets a copy; any label; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write the copies to.")],
    size: Annotated[
        int | None, typer.Option(min=64, metavar="PIXELS", help="Longest side in pixels.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Make one marked copy per person, to send by any other channel.

    Copies are numbered; no file name carries a person's name. The list of whose copy is which stays
    in your vault and is printed here.
    """
    data = read_file(photo)
    labels = [RecipientId(label) for label in dict.fromkeys(to)]
    written: list[dict[str, str]] = []
    with device_of(context) as device, bar("Marking", len(labels)) as steps:
        for name, copy in mark_copies(data, labels, size, device):
            place = out / f"{name}-{len(written) + 1}{copy.suffix}"
            write_new(place, copy.data)
            written.append({"to": copy.to, "path": str(place)})
            steps.done()
    if as_json:
        put_json({"schema": "entrenous/mark/1", "message": name, "copies": written})
        return
    for one in written:
        say(f"{one['path']}  is for {one['to']}")
    say(f"message {name}; if one gets out: entrenous trace FILE")
