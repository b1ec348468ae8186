"""``entrenous case breach``: what an organisation must do after a breach of its own systems."""

from datetime import datetime
from typing import Annotated

import typer

from entrenous.device.commands import opened_device
from entrenous.respond.breach import (
    CaseHasNoBreach,
    breach_in_words,
    record_breach,
    record_breach_notified,
)
from entrenous.respond.case_file import find_case
from entrenous.respond.commands.case_view import case_json, next_in_words
from entrenous.terminal.output import print_json, print_line
from entrenous.terminal.typed_input import Json, time_option


def breach(
    context: typer.Context,
    name: str,
    aware_at: Annotated[
        datetime | None, time_option("When you became aware of it, in UTC or with its offset.")
    ] = None,
    notified: Annotated[bool, typer.Option("--notified", help="You told the authority.")] = False,
    told: Annotated[bool, typer.Option("--told", help="You told the people concerned.")] = False,
    at: Annotated[datetime | None, time_option("When you told them; now if left out.")] = None,
    as_json: Json = False,
) -> None:
    """Show what your organisation owes for a breach of its own systems, and note what was done."""
    with opened_device(context) as device:
        with device.vault.transaction():
            if aware_at is not None:
                record_breach(name, aware_at, device)
            if notified or told:
                moment = at or device.clock.now()
                record_breach_notified(name, moment, device, notified=notified, told=told)
        case, now = find_case(name, device), device.clock.now()
        if case.breach is None:
            raise CaseHasNoBreach(name=name)
        if as_json:
            print_json({"schema": "entrenous/case/1", **case_json(case, device)})
            return
    for line in breach_in_words(case, now):
        print_line(line)
    print_line(next_in_words(case, now))
