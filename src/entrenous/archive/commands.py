"""``entrenous archive export`` and ``archive import``: take what is yours to another device."""

from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.archive.archive_format import ImportReport
from entrenous.archive.export import export_archive, import_archive
from entrenous.base.errors import shell_quoted
from entrenous.base.identifiers import PersonId
from entrenous.device.commands import another_passphrase, archive_passphrase, opened_device
from entrenous.terminal.output import hint, print_line, put_json, rfc3339_utc
from entrenous.terminal.progress_bars import bar
from entrenous.terminal.typed_input import Json

Descriptor = Annotated[
    int | None,
    typer.Option(
        "--archive-passphrase-fd",
        metavar="N",
        help="Read the archive's passphrase from this file descriptor.",
    ),
]
_OF_ONE: Final = {
    "people": "person",
    "circles": "circle",
    "traces": "trace",
    "cases": "case",
    "protections": "protection",
    "files": "file",
    "messages": "message",
    "parts": "part",
}


def join(app: typer.Typer) -> None:
    archive = typer.Typer(help="Take what is yours to another device.", no_args_is_help=True)
    archive.command("export")(export)
    archive.command("import")(import_)
    app.add_typer(archive, name="archive")


def export(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new or empty folder for it.")],
    descriptor: Descriptor = None,
    as_json: Json = False,
) -> None:
    """Export the people you know, what you sent and opened, and your cases into a folder.

    The result is two age files under a passphrase of their own. Anybody who gets the folder can try
    passphrases without limit, so choose a long one. Your keys stay here.
    """
    with opened_device(context) as device:
        passphrase = another_passphrase(descriptor, "--archive-passphrase-fd")
        with bar("Writing", 0) as shown:
            written = export_archive(out, passphrase, device, shown.reached)
    index = written.index
    if as_json:
        told = {
            "parts": len(index.parts),
            "bytes": index.size,
            "made_at": rfc3339_utc(index.made_at),
        }
        left = {
            "lost_files": written.lost,
            "unopened": written.unopened,
            "left_of_cases": written.left_of_cases,
        }
        put_json({"schema": "entrenous/archive-export/1", **told, **left})
        return
    print_line(
        f"Your archive is in {out}: {counted('parts', len(index.parts))}, {index.size:,} bytes."
    )
    if written.unopened:
        print_line(
            f"  Not in it, since still to be opened here: {counted('messages', written.unopened)}."
        )
    if written.left_of_cases:
        hint(
            f"{counted('files', written.left_of_cases)} of cases in which somebody was, or may have"
            " been, under 18 stayed here. Where it was seen, and what you said, is in the archive."
        )
    if written.lost:
        hint(
            f"{counted('files', written.lost)} could not be put into it: missing or damaged on this"
            " device."
        )
    print_line(f"On the other device: entrenous archive import {shell_quoted(out)}")


def import_(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of an archive.")],
    descriptor: Descriptor = None,
    as_json: Json = False,
) -> None:
    """Import an archive. What is here already stays; importing it twice adds nothing.

    People you know are known by the same keys as before. To write to them from a device that is
    new to them, add them again by a link of theirs: entrenous person add - --as NAME
    """
    with opened_device(context) as device:
        passphrase = archive_passphrase(descriptor)
        with bar("Reading", 0) as shown:
            taken = import_archive(source, passphrase, device, shown.reached)
    if as_json:
        put_json({"schema": "entrenous/archive-import/1", **_counts(taken)})
        return
    if taken.person is not None:
        print_line(f"This archive was made by {_person_label(taken.person, taken.made_by)}.")
    if taken.nothing:
        print_line("Nothing in it is new here.")
    else:
        counts = (counted(name, count) for name, count in _new(taken).items() if count)
        print_line(f"Imported: {', '.join(counts)}.")
    for name in taken.other_cases:
        hint(f"{name} was left out: a different case of that name is here.")
    for name in taken.erased_cases:
        hint(
            f"{name} was left out: you erased it here, and somebody in it was, or may have been,"
            " under 18."
        )


def _person_label(person: PersonId, known: str | None) -> str:
    """Describe a person as far as this device can; on a new device, its owner is unknown too."""
    number = person.hex()[:16]
    spaced = " ".join(number[start : start + 4] for start in range(0, len(number), 4))
    return f"{known or 'somebody this device does not know'} (person {spaced})"


def _counts(taken: ImportReport) -> dict[str, object]:
    person = None if taken.person is None else taken.person.hex()
    return {
        "made_at": rfc3339_utc(taken.made_at),
        "person": person,
        "made_by": taken.made_by,
        **_new(taken),
        "other_cases": list(taken.other_cases),
        "erased_cases": list(taken.erased_cases),
    }


def counted(name: str, count: int) -> str:
    """Return a count in words, given its name in the JSON answer."""
    return f"1 {_OF_ONE.get(name, name)}" if count == 1 else f"{count:,} {name}"


def _new(taken: ImportReport) -> dict[str, int]:
    return {
        "people": taken.people,
        "circles": taken.circles,
        "sent": taken.sent,
        "received": taken.received,
        "traces": taken.traces,
        "cases": taken.cases,
        "protections": taken.protections,
    }
