"""``entrenous gate reviewer ...``: the persons who decide, each with a token of their own."""

from typing import Annotated

import typer

from entrenous.faces.cli.output import put_json, say, when
from entrenous.faces.cli.stop.bank import AsJson, Data
from entrenous.stop.reviewers import add_reviewer
from entrenous.wiring.platform import open_existing

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="2 to 40 of the characters a-z, 0-9 and -.")
]


def join(gate: typer.Typer) -> None:
    """Add this module's commands below ``gate``."""
    reviewer = typer.Typer(help="Persons who decide about held uploads.", no_args_is_help=True)
    reviewer.command("add")(add)
    reviewer.command("list")(list_reviewers)
    reviewer.command("remove")(remove)
    gate.add_typer(reviewer, name="reviewer")


def add(name: Name, data: Data, as_json: AsJson = False) -> None:
    """Let a person decide; prints their token, this once. Their name stays in the gate's log."""
    with open_existing(data) as (platform, _):
        token = add_reviewer(name, platform).reveal().decode()
        confirmers = platform.limits.confirmers
    if as_json:
        put_json({"schema": "entrenous/gate-reviewer/1", "reviewer": name, "token": token})
        return
    say(f"{name} may look at held uploads and decide.")
    say(f"  Their token, shown only now: {token}")
    say("  It is for one person: the log says by it who decided, and who saw what.")
    if confirmers == 1:
        say("  One person confirms here. With two, set confirmers = 2 in gate.toml.")


def list_reviewers(data: Data, as_json: AsJson = False) -> None:
    """Show who may decide, besides the operator."""
    with open_existing(data) as (platform, _):
        known, confirmers = platform.reviews.reviewers(), platform.limits.confirmers
    if as_json:
        shown = [{"reviewer": one.name, "added_at": when(one.added_at)} for one in known]
        schema = "entrenous/gate-reviewers/1"
        put_json({"schema": schema, "reviewers": shown, "confirmers": confirmers})
        return
    for one in known:
        say(f"{one.name}: added {one.added_at:%Y-%m-%d %H:%M} UTC")
    if not known:
        say("Nobody decides here but who has the operator's token.")
    say("One person confirms." if confirmers == 1 else "Two persons confirm.")


def remove(name: Name, data: Data, as_json: AsJson = False) -> None:
    """End a person's token; what they confirmed first, and nobody else yet, counts no more."""
    with open_existing(data) as (platform, _):
        platform.reviews.remove_reviewer(name)
    if as_json:
        put_json({"schema": "entrenous/gate-reviewer/1", "reviewer": name, "removed": True})
        return
    say(f"{name} can no longer decide. What they decided stays.")
