"""``entrenous gate try``: what a gate would do with a file."""

import time
from pathlib import Path
from typing import Annotated

import typer

from entrenous.faces.cli.output import put_json, read_file, say
from entrenous.model.decision import Decision
from entrenous.stop.dry_run import judge_dry
from entrenous.wiring.platform import open_existing


def join(gate: typer.Typer) -> None:
    """Add this module's command to ``entrenous gate``."""
    gate.command("try")(attempt)


def attempt(
    file: Annotated[Path, typer.Argument(help="A picture, a clip or a sound.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the gate.")],
    deep: Annotated[
        bool, typer.Option("--deep", help="Look for crops, screenshots, collages, captions too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say what the gate would do with a file; nothing is kept of it."""
    untrusted = read_file(file)
    # As a gate that runs: what an upload does not wait for there is not in its time.
    with open_existing(data, serves=True) as (platform, _):
        began = time.perf_counter()
        decision = judge_dry(untrusted, platform, deep=deep)
        took_ms = round(1000 * (time.perf_counter() - began), 1)
    if as_json:
        put_json(_as_json(decision, took_ms))
        return
    say(f"It would be answered: {decision.outcome}.")
    if decision.would is not None:
        say(f"  Without shadow mode: {decision.would}.")
    for match in decision.matches:
        say(f"  bank {match.bank}, {match.distance} of 256 bits apart: {match.how}")


def _as_json(decision: Decision, took_ms: float) -> dict[str, object]:
    return {
        "schema": "entrenous/decision/1",
        "decision": decision.outcome,
        "would": decision.would,
        "matches": [
            {"bank": match.bank, "distance": match.distance, "how": match.how}
            for match in decision.matches
        ],
        "ms": took_ms,
    }
