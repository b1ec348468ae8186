"""``entrenous help``: who helps, and what to do first; no vault, no passphrase, nothing sent."""

from typing import Annotated

import typer

from entrenous.base.environment import SystemClock
from entrenous.respond.help_report import help_in_words, help_json
from entrenous.respond.law.places import parse_place
from entrenous.respond.who_helps import HelpNeed, find_help
from entrenous.terminal.output import print_json, print_line
from entrenous.terminal.typed_input import JsonFlag


def add_commands(app: typer.Typer) -> None:
    app.command("help")(help_)


def help_(
    country: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PLACE]", help="Where you live; the same as --place."),
    ] = None,
    place: Annotated[
        list[str] | None,
        typer.Option(metavar="PLACE", help="Where you live: Germany, DE, Ontario."),
    ] = None,
    under_18: Annotated[
        bool, typer.Option("--under-18", help="Somebody was, or may have been, under 18.")
    ] = False,
    threat: Annotated[
        bool, typer.Option("--threat", help="Somebody threatens to share pictures.")
    ] = False,
    danger: Annotated[bool, typer.Option("--danger", help="You are not safe right now.")] = False,
    watched: Annotated[
        bool, typer.Option("--watched", help="Somebody may watch this device or an account.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show who helps where you live, and what to do first; nothing leaves this device."""
    typed_country = (" ".join(country),) if country else ()
    places = tuple(dict.fromkeys(parse_place(typed) for typed in (*typed_country, *(place or ()))))
    need = HelpNeed(under_18=under_18, threat=threat, danger=danger, watched=watched)
    found, now = find_help(places, need), SystemClock().now()
    if as_json:
        print_json(help_json(found, now))
        return
    for line in help_in_words(found, now, None):
        print_line(line)
