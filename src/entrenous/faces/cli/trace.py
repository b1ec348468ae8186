"""``entrenous trace``."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.faces.cli.device import device_of
from entrenous.faces.cli.exits import NO, YES
from entrenous.faces.cli.output import put_json, read_file, say
from entrenous.model.verdict import Finding, Trace, Warp
from entrenous.trace.trace import trace_picture
from entrenous.trace.words import how_it_lies, odds, rounded_up

NOT_SAID = "This says whose copy got out, not who passed it on."
NOBODY = (
    "No copy stands out. This does not clear anybody: the picture may be too small or too changed, "
    "or it may be your own original, which carries no mark."
)


def join(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("trace")(trace)


def trace(
    context: typer.Context,
    file: Path,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say whose copy a found picture is, with the chance that an innocent copy fits as well.

    Exit status 0: a copy is named; 1: no copy stands out.
    """
    data = read_file(file)
    with device_of(context) as device:
        found = trace_picture(data, device)
    if as_json:
        put_json(_shown(found))
    else:
        _tell(found, file)
    raise typer.Exit(NO if found.verdict.finding is Finding.NOBODY else YES)


def _shown(found: Trace) -> dict[str, object]:
    verdict = found.verdict
    return {
        "schema": "entrenous/trace/1",
        "trace": found.number,
        "message": found.message,
        "finding": verdict.finding.value,
        "named": list(verdict.named),
        "chance": {who: rounded_up(chance, 3) for who, chance in verdict.chance.items()},
        "score": {who: round(score, 2) for who, score in verdict.score.items()},
        "warp": None if found.warp is None else _warp(found.warp),
    }


def _warp(warp: Warp) -> dict[str, object]:
    return {
        "kept": round(warp.kept, 4),
        "turned_deg": round(warp.turned_deg, 2),
        "mirrored": warp.mirrored,
        "scale": round(warp.scale, 4),
        "homography": list(warp.homography),
    }


def _tell(found: Trace, file: Path) -> None:
    if found.warp is not None and found.message is not None:
        say(f"  {file.name} is your photo {found.message}, {how_it_lies(found.warp)}")
    if found.verdict.finding is Finding.NOBODY:
        say(NOBODY)
        return
    for who in found.verdict.named:
        say(f"Its hidden marks fit the copy you sent to {who}.")
        say(f"  {odds(found.verdict.chance[who])}")
    say(f"  {NOT_SAID}")
    say(f"next: entrenous case open --from-trace {found.number}")
