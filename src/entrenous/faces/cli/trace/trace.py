"""``entrenous trace``."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.faces.cli.bars import bar
from entrenous.faces.cli.device.opened import device_of
from entrenous.faces.cli.exits import NO, YES, exit_of
from entrenous.faces.cli.media import naming, one_of_ours, read_media
from entrenous.faces.cli.output import hint, in_one_go, put_json, say
from entrenous.faces.cli.trace.called import shown
from entrenous.faces.cli.trace.explain import Wanted, room_for, wanted_of, write_explanation
from entrenous.faces.cli.trace.files import files_in
from entrenous.faces.cli.trace.words import as_error, as_json, tell
from entrenous.model.errors import EntrenousError, of_file
from entrenous.model.verdict import Finding
from entrenous.ports import Device
from entrenous.trace.any import Traced, trace_file
from entrenous.trace.explain.account import Choices
from entrenous.trace.photo.learn import learn as learn_looks
from entrenous.trace.photo.original import Originals
from entrenous.wiring.device import for_many_pictures

UNLEARNT = (
    "{count} of your sent photos are known by their fingerprints alone, so a cut-out of one of "
    "them may be missed. Look at them once: entrenous trace --learn"
)


def join(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("trace")(trace)


def trace(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="Found files, or folders of them."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object; of several files, one a line.")
    ] = False,
    learn: Annotated[
        bool, typer.Option("--learn", help="First look at sent photos that were never looked at.")
    ] = False,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write how it was found: a page and a PDF, into DIR."),
    ] = None,
    blind: Annotated[
        bool, typer.Option("--blind", help="With --explain: no names but of copies that are named.")
    ] = False,
    veil: Annotated[
        bool, typer.Option("--veil", help="With --explain: leave out what the pictures show.")
    ] = False,
    disclose: Annotated[
        bool,
        typer.Option("--disclose", help="With --explain: also a report with the marks' secrets."),
    ] = False,
) -> None:
    """Say whose copy a found file is, with the chance that an innocent copy fits as well.

    A folder stands for all files in it. Exit status 0: a copy is named; 1: no copy stands out. Of
    several files, one that cannot be read does not stop the others.
    """
    if not files and not learn:
        raise typer.BadParameter("name a file or a folder", param_hint="FILE...")
    wanted = wanted_of(explain, Choices(blind, veil), disclose=disclose)
    found = files_in(files or [])
    alone = read_media(found[0]) if len(found) == 1 and files == found else None
    with device_of(context) as opened, for_many_pictures(opened) as device:
        if learn:
            _learn(device)
        if alone is not None:
            raise typer.Exit(_one(found[0], alone, device, wanted, json))
        if found:
            raise typer.Exit(_many(found, device, wanted, json))


def _one(file: Path, data: bytes, device: Device, wanted: Wanted | None, json: bool) -> int:
    if wanted is not None:
        room_for(wanted.out)
    with naming([file]), of_file(0):
        traced = shown(trace_file(data, device), device)
    if json:
        put_json(as_json(traced.trace, traced.lost))
    else:
        tell(traced.trace, file, traced.lost)
    if wanted is not None:
        write_explanation(traced, data, file.name, device, wanted)
    _hint_at(traced)
    return _status(traced)


def _many(files: list[Path], device: Device, wanted: Wanted | None, json: bool) -> int:
    """Trace one after the other; the status of the first failure only if all have failed."""
    statuses, failures = [], []
    originals = Originals(device.read_picture)
    with bar("Tracing", len(files)) as steps:
        for file in files:
            try:
                data = read_media(file)
                with one_of_ours(file):
                    traced = shown(trace_file(data, device, originals), device)
                if wanted is not None:
                    own = wanted.under(f"trace-{traced.trace.number}")
                    write_explanation(traced, data, file.name, device, own)
            except EntrenousError as error:
                failures.append(exit_of(error))
                _fail(error, file, json)
            else:
                statuses.append(_status(traced))
                _report(traced, file, json)
            steps.done()
    return min(statuses) if statuses else failures[0]


def _report(traced: Traced, file: Path, json: bool) -> None:
    if json:
        put_json({**as_json(traced.trace, traced.lost), "file": str(file)})
    else:
        say(str(file))
        tell(traced.trace, file, traced.lost)


def _fail(error: EntrenousError, file: Path, json: bool) -> None:
    if json:
        put_json({**as_error(error), "file": str(file)})
    else:
        say(str(file))
        say(f"  {in_one_go(str(error))}")  # beside its name, as with --json


def _status(traced: Traced) -> int:
    return NO if traced.trace.verdict.finding is Finding.NOBODY else YES


def _hint_at(traced: Traced) -> None:
    seen = traced.investigation
    if seen is not None and seen.unlearnt and not seen.fits:
        hint(UNLEARNT.format(count=seen.unlearnt))


def _learn(device: Device) -> None:
    strange = device.ledger.unlearnt()
    with bar("Looking", len(strange)) as steps:
        count = learn_looks(strange, device, steps.done)
    hint(f"Looked at {count} of {len(strange)} sent photos.")
