"""``entrenous mark``."""

import os
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.copies import NoLabelsGiven, parse_label_file, parse_labels
from entrenous.base.errors import DiskFull, EntrenousError
from entrenous.base.identifiers import MessageName, RecipientId
from entrenous.base.language import translated
from entrenous.base.picture import AlreadyThere
from entrenous.device.commands import opened_device
from entrenous.send.copies.mark_file import CopyNotWritten, MarkedFiles, mark_file
from entrenous.send.copies.worker_pool import reuse_memory_of_copies
from entrenous.send.message.draft import NoRoomForAllCopies, StoppedWhileMarking
from entrenous.terminal.interrupts import lost_interrupt_check
from entrenous.terminal.media_files import (
    hint_animated_pictures,
    name_file_on_error,
    read_nonempty_file,
)
from entrenous.terminal.output import hint, print_json, print_line
from entrenous.terminal.output_files import read_file, write_new
from entrenous.terminal.progress_bars import step_bar
from entrenous.terminal.typed_input import JsonFlag

_DEFAULT_COPIES_FOLDER: Final = Path("copies")


def add_commands(app: typer.Typer) -> None:
    app.command("mark")(mark)


def mark(
    context: typer.Context,
    photo: Path,
    to: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Who gets a copy: any name; may be repeated."),
    ] = None,
    to_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A text file in UTF-8 with more names, one on each line."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder to write the copies to.")
    ] = _DEFAULT_COPIES_FOLDER,
    size: Annotated[
        int | None,
        typer.Option(min=64, metavar="PIXELS", help="Longest side of pictures, in pixels."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make one marked copy per person, to send by any other channel.

    Copies are numbered; no file name carries a person's name. The list of whose copy is which stays
    in your vault and is printed here.
    """
    reuse_memory_of_copies()
    labels = _labels_from_options(to or [], to_file)
    data = read_nonempty_file(photo)
    tell = partial(_print_marked, stills=hint_animated_pictures([(photo, data)]), as_json=as_json)
    written: list[dict[str, str]] = []
    message: MessageName | None = None
    try:
        with (
            name_file_on_error([photo]),
            lost_interrupt_check() as check,
            opened_device(context) as device,
            step_bar(translated("Marking"), len(labels)) as steps,
            closing(mark_file(data, labels, size, device)) as copies,
        ):
            for message, copy in copies:
                place = out / f"{message}-{len(written) + 1}{copy.suffix}"
                written.append({"to": copy.to, "path": str(place)})
                try:
                    write_new(place, copy.data)
                except EntrenousError as why:
                    if isinstance(why, AlreadyThere) or not os.path.lexists(place):
                        written.pop()
                        _remove_unwritten_copy(copies)
                    raise
                steps.advance()
                check()
    except KeyboardInterrupt:
        written = [one for one in written if Path(one["path"]).is_file()]
        if not written:
            raise
        tell(message, written)
        raise StoppedWhileMarking(count=len(written), total=len(labels)) from None
    except EntrenousError as why:
        if not written:
            raise
        tell(message, written)
        if isinstance(why, DiskFull):
            raise NoRoomForAllCopies(count=len(written), total=len(labels)) from None
        hint(
            translated("{count} of {total} copies were written, and no more:").format(
                count=len(written), total=len(labels)
            )
        )
        raise
    tell(message, written)


def _remove_unwritten_copy(copies: MarkedFiles) -> None:
    """Remove the unwritten copy from the ledger, if the disk has room for the change."""
    with suppress(CopyNotWritten, EntrenousError):
        copies.throw(CopyNotWritten())


def _labels_from_options(to: list[str], to_file: Path | None) -> tuple[RecipientId, ...]:
    listed = () if to_file is None else parse_label_file(read_file(to_file))
    labels = parse_labels((*to, *listed))
    if not labels:
        raise NoLabelsGiven
    return labels


def _print_marked(
    message: MessageName | None, written: list[dict[str, str]], *, stills: list[str], as_json: bool
) -> None:
    if as_json:
        said = {"message": message, "copies": written, "first_picture_only": stills}
        print_json({"schema": "entrenous/mark/1", **said})
        return
    for one in written:
        print_line(translated("{path}  is for {to}").format(path=one["path"], to=one["to"]))
    print_line(
        translated("message {message}; if one gets out: entrenous trace FILE").format(
            message=message
        )
    )
