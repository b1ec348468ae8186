"""``entrenous archive export`` and ``archive import``: take your data to another device."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.archive.archive_format import ImportReport
from entrenous.archive.export import (
    counts_by_name,
    describe_import,
    describe_omissions,
    describe_omitted_cases,
    export_archive,
    import_archive,
)
from entrenous.base.errors import quote_for_shell
from entrenous.base.language import localized_number, plural, translated
from entrenous.device.commands import (
    ask_archive_passphrase,
    ask_replacement_passphrase,
    opened_device,
)
from entrenous.terminal.output import hint, print_json, print_line, rfc3339_utc
from entrenous.terminal.progress_bars import step_bar
from entrenous.terminal.typed_input import JsonFlag

PassphraseDescriptor = Annotated[
    int | None,
    typer.Option(
        "--archive-passphrase-fd",
        metavar="N",
        help="Read the archive's passphrase from this file descriptor.",
    ),
]


def add_commands(app: typer.Typer) -> None:
    archive = typer.Typer(help="Take your data to another device.", no_args_is_help=True)
    archive.command("export")(export)
    archive.command("import")(import_)
    app.add_typer(archive, name="archive")


def export(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new or empty folder to write to.")],
    descriptor: PassphraseDescriptor = None,
    as_json: JsonFlag = False,
) -> None:
    """Export the people you know, what you sent and opened, and your cases into a folder.

    The result is two age files, encrypted with a separate passphrase. Anybody who gets the folder
    can try passphrases without limit, so choose a long one. Your keys stay here.
    """
    with opened_device(context) as device:
        passphrase = ask_replacement_passphrase(descriptor, "--archive-passphrase-fd")
        with step_bar(translated("Writing"), 0) as bar:
            report = export_archive(out, passphrase, device, bar.set_progress)
    index = report.index
    if as_json:
        contents = {
            "parts": len(index.parts),
            "bytes": index.size,
            "made_at": rfc3339_utc(index.made_at),
        }
        omitted = {
            "lost_files": report.lost,
            "unopened": report.unopened,
            "left_of_cases": report.left_of_cases,
        }
        print_json({"schema": "entrenous/archive-export/1", **contents, **omitted})
        return
    parts = plural("{count} part", "{count} parts", len(index.parts))
    print_line(
        translated("Your archive is in {folder}: {parts}, {bytes} bytes.").format(
            folder=out, parts=parts, bytes=localized_number(index.size)
        )
    )
    for line in describe_omissions(report):
        hint(line)
    print_line(
        translated("On the other device: entrenous archive import {out}").format(
            out=quote_for_shell(out)
        )
    )


def import_(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of an archive.")],
    descriptor: PassphraseDescriptor = None,
    as_json: JsonFlag = False,
) -> None:
    """Import an archive. Nothing on this device is replaced, and importing the same archive twice
    adds nothing.

    People you know are known by the same keys as before. To write to them from a device that is new
    to them, add them again with a new link from them: entrenous person add - --as NAME
    """
    with opened_device(context) as device:
        passphrase = ask_archive_passphrase(descriptor)
        with step_bar(translated("Reading"), 0) as bar:
            report = import_archive(source, passphrase, device, bar.set_progress)
    if as_json:
        print_json({"schema": "entrenous/archive-import/1", **_report_as_json(report)})
        return
    for line in describe_import(report):
        print_line(line)
    for line in describe_omitted_cases(report):
        hint(line)


def _report_as_json(report: ImportReport) -> dict[str, object]:
    person = None if report.person is None else report.person.hex()
    return {
        "made_at": rfc3339_utc(report.made_at),
        "person": person,
        "made_by": report.made_by,
        **counts_by_name(report),
        "other_cases": list(report.other_cases),
        "erased_cases": list(report.erased_cases),
    }
