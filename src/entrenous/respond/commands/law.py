"""``entrenous law routes``: which legal routes reach a case."""

from typing import Annotated

import typer

from entrenous.device.commands import opened_device
from entrenous.respond.age_gate import help_line_text, refuse_unless_adults
from entrenous.respond.case_file import find_case
from entrenous.respond.commands.case_view import how_to_name_a_place
from entrenous.respond.commands.deadline import deadline
from entrenous.respond.law.legal_route import RankedRoute
from entrenous.respond.law.routes import day_of_event, routes_for_case
from entrenous.respond.who_helps import Need, who_helps
from entrenous.terminal.output import print_line, put_json


def join(app: typer.Typer) -> None:
    law = typer.Typer(help="Legal routes: facts with a source, not advice.", no_args_is_help=True)
    law.command("routes")(routes)
    law.command("deadline")(deadline)
    law.callback()(lambda: None)
    app.add_typer(law, name="law")


def routes(
    context: typer.Context,
    name: str,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """List the routes that may apply to a case, best first, with their sources, and people who
    help.
    """
    with opened_device(context) as device:
        case = find_case(name, device)
        today = device.clock.now().date()
        refuse_unless_adults(case, today)
        choice = routes_for_case(case, day_of_event(case), today)
    if as_json:
        put_json(
            {
                "schema": "entrenous/routes/1",
                "why": choice.why,
                "routes": [_shown(one) for one in choice.ranked],
            }
        )
        return
    print_line(choice.why)
    for one in choice.ranked:
        print_line(f"  {one.route.id}: {one.why}")
        print_line(f"    {one.route.cited()}")
        for note in one.notes:
            print_line(f"    {note}")
    if not case.situation.places:
        print_line(how_to_name_a_place(case))
    for line in who_helps(case.situation.places, Need()):
        print_line(f"  People who help: {help_line_text(line, today)}")


def _shown(one: RankedRoute) -> dict[str, object]:
    return {
        "route": one.route.id,
        "law": one.route.law,
        "provision": one.route.provision,
        "why": one.why,
        "notes": list(one.notes),
        "source": one.route.source,
        "read_on": one.route.read_on.isoformat(),
        "verified": one.route.verified,
    }
