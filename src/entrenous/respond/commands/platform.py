"""``entrenous case platform``: where a picture is reported, and what the form asks."""

from dataclasses import asdict
from datetime import date
from typing import Annotated

import typer

from entrenous.base.environment import SystemClock
from entrenous.device.commands import opened_device
from entrenous.respond.case_file import find_case
from entrenous.respond.nouns import Case
from entrenous.respond.platforms import (
    NoSuchPlatform,
    PlatformRecord,
    find_platform,
    host_of,
    platform_named,
    shipped_platforms,
)
from entrenous.respond.report_steps import GENERIC_SITE, NO_RECORD, ReportSteps, report_steps
from entrenous.respond.situation import Situation
from entrenous.terminal.output import print_line, put_json
from entrenous.terminal.typed_input import SAFER, read_typed_line


def platform(
    context: typer.Context,
    platform: Annotated[
        str | None,
        typer.Argument(
            metavar="[-|NAME|URL]", help=f"{SAFER} A name, or a web address; all if left out."
        ),
    ] = None,
    case: Annotated[
        str | None, typer.Option(metavar="NAME", help="Fill in what to paste from this case.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show where a picture is reported and what the form asks; needs no vault without --case."""
    today = SystemClock().now().date()
    if platform is None:
        _list(today, as_json=as_json)
        return
    typed = read_typed_line(platform, "A name or a web address", context)
    record = find_platform(typed)
    if record is None and "." not in host_of(typed):
        raise NoSuchPlatform(name=typed[:60])
    steps = report_steps(record or platform_named(GENERIC_SITE), _about(context, case), today)
    if as_json:
        put_json(_shown(steps, known=record is not None))
        return
    if record is None:
        print_line(NO_RECORD)
    for line in steps.text:
        print_line(line)


def _about(context: typer.Context, case: str | None) -> Case | Situation:
    if case is None:
        return Situation(())
    with opened_device(context) as device:
        return find_case(case, device)


def _list(today: date, *, as_json: bool) -> None:
    records = shipped_platforms()
    if as_json:
        shown = [_facts(record, today) for record in records]
        put_json({"schema": "entrenous/platforms/1", "platforms": shown})
        return
    for record in records:
        print_line(f"{record.id}: {'; '.join((record.name, *record.cautions(today)))}")
    print_line("One of them, with what its form asks: entrenous case platform NAME")


def _facts(record: PlatformRecord, today: date) -> dict[str, object]:
    """Return every column of a record, with the source and day of reading beside them."""
    columns = {name: value if value != "" else None for name, value in asdict(record).items()}
    cautions = list(record.cautions(today))
    return {**columns, "read_on": record.read_on.isoformat(), "cautions": cautions}


def _shown(steps: ReportSteps, *, known: bool) -> dict[str, object]:
    return {
        "schema": "entrenous/platform/1",
        "known": known,
        **_facts(steps.platform, SystemClock().now().date()),
        "steps": {
            "answers": [asdict(answer) for answer in steps.answers],
            "answers_known": steps.answers_known,
            "before": list(steps.before),
            "in_chats": steps.in_chats or None,
            "after": list(steps.after),
            "text": list(steps.text),
        },
    }
