"""``entrenous case notice``: draft a notice, and record what became of it."""

from datetime import datetime
from typing import Annotated, Final

import typer

from entrenous.base.errors import shell_quoted
from entrenous.device.commands import opened_device
from entrenous.respond.case_file import find_case
from entrenous.respond.case_status import NoticeEvent, record_notice_event
from entrenous.respond.commands.case_view import answer_case
from entrenous.respond.law.notice import left_out, preview, write_notice
from entrenous.respond.nouns import Case, Notice
from entrenous.terminal.output import print_line, put_json
from entrenous.terminal.typed_input import time_option

_ONE: Final = "give --route ID, or one of --sent, --received, --asked, --supplied, --partly, "
_USAGE: Final = _ONE + "--removed, --refused, --withdrawn with the number of a notice"


def _number(about: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(metavar="NUMBER", help=about)
    return option


def notice(
    context: typer.Context,
    name: str,
    route: Annotated[
        str | None, typer.Option(metavar="ID", help="A route of: entrenous law routes")
    ] = None,
    sighting: Annotated[
        list[int] | None,
        typer.Option(metavar="NUMBER", help="A sighting that the letter tells, by its number."),
    ] = None,
    sent: Annotated[int | None, _number("Note that you sent this notice, by its number.")] = None,
    received: Annotated[int | None, _number("Note that they confirmed its receipt.")] = None,
    asked: Annotated[int | None, _number("Note that they asked for more.")] = None,
    supplied: Annotated[int | None, _number("Note that you gave them what they asked.")] = None,
    partly: Annotated[int | None, _number("Note that only part of it is gone there.")] = None,
    removed: Annotated[int | None, _number("Note that the picture is gone there.")] = None,
    refused: Annotated[int | None, _number("Note that they refused.")] = None,
    withdrawn: Annotated[int | None, _number("Note that you no longer ask this.")] = None,
    at: Annotated[
        datetime | None, time_option("When that happened, in UTC; now if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Draft a notice along a route, or note what became of one. Nothing is sent from here."""
    typed = {
        NoticeEvent.SEND: sent,
        NoticeEvent.RECEIPT: received,
        NoticeEvent.ASK: asked,
        NoticeEvent.SUPPLY: supplied,
        NoticeEvent.PARTIAL: partly,
        NoticeEvent.REMOVAL: removed,
        NoticeEvent.REFUSAL: refused,
        NoticeEvent.WITHDRAW: withdrawn,
    }
    happened = [(event, number) for event, number in typed.items() if number is not None]
    if len(happened) + (route is not None) != 1:
        raise typer.BadParameter(_USAGE)
    if sighting and route is None:
        raise typer.BadParameter("--sighting goes with --route ID")
    if route is not None:
        _draft(context, name, route, tuple(sighting or ()), as_json=as_json)
        return
    ((event, number),) = happened
    with opened_device(context) as device:
        moment = at or device.clock.now()
        answer_case(
            record_notice_event(name, number, event, moment, device), device, as_json=as_json
        )


def _draft(
    context: typer.Context, name: str, route: str, sightings: tuple[int, ...], *, as_json: bool
) -> None:
    with opened_device(context) as device:
        drafted = write_notice(name, route, device, sightings)
        case = find_case(name, device)
        today = device.clock.now().date()
    if as_json:
        put_json({"schema": "entrenous/notice/1", "case": name, **_shown(drafted, case)})
    else:
        print_line(preview(drafted, case, today))
        next_command = f"entrenous case notice {shell_quoted(name)} --sent {drafted.number}"
        print_line(f"This is notice {drafted.number}. Once you have sent it: {next_command}")


def _shown(drafted: Notice, case: Case) -> dict[str, object]:
    return {
        "notice": drafted.number,
        "route": drafted.route.id,
        "law": drafted.route.law,
        "provision": drafted.route.provision,
        "source": drafted.route.source,
        "read_on": drafted.route.read_on.isoformat(),
        "letter": drafted.letter,
        "sightings": [sighting.number for sighting in drafted.told],
        "left_out": [sighting.number for sighting in left_out(drafted, case)],
        "missing": list(drafted.missing),
        "sent": False,
    }
