"""``entrenous law ...``: which law applies to what happened, and by when somebody must act."""

from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.environment import SystemClock
from entrenous.base.errors import quote_for_shell
from entrenous.base.language import translatable, translated
from entrenous.respond.age_gate import help_line_text, refuse_unless_adults
from entrenous.respond.commands.deadline import deadline
from entrenous.respond.commands.situation_options import (
    AlteredOption,
    ForSomebodyElseOption,
    HideMyNameOption,
    IntimateOption,
    PlacesOption,
    PlatformInOption,
    SenderKnownOption,
    ShowsMeOption,
    TakenByMeOption,
    Under18Option,
)
from entrenous.respond.law.legal_route import RankedRoute
from entrenous.respond.law.plan import Plan, make_plan
from entrenous.respond.law.plan_view import how_to_draft, plan_json, plan_text
from entrenous.respond.law.routes import day_of_event, routes_for_case, situation_of
from entrenous.respond.law.scenario import (
    SCENARIO_BYTES_MAX,
    Scenario,
    parse_scenario,
    read_scenario,
)
from entrenous.respond.platforms import PlatformKind
from entrenous.respond.situation import Demand, Spread
from entrenous.respond.who_helps import HelpNeed, find_help_lines
from entrenous.terminal.output import print_json, print_line
from entrenous.terminal.typed_input import (
    STDIN_MARK,
    STDIN_OPTION_ADVICE,
    JsonFlag,
    read_typed_line,
    read_typed_text,
)


def add_commands(app: typer.Typer) -> None:
    law = typer.Typer(help="Legal routes: facts with a source, not advice.", no_args_is_help=True)
    law.command("routes")(routes)
    law.command("deadline")(deadline)
    law.callback()(lambda: None)
    app.add_typer(law, name="law")


_USAGE_ERROR: Final = translatable(
    "give a case, or say where you live and what happened: --place GB --what public"
)
_NO_OTHER_OPTIONS_ERROR: Final = translatable("a case or --scenario goes without other options")
# help lines beside a case's routes; ``entrenous help`` shows all of them
_HELP_LINES_MAX: Final = 6
_SpreadOption = Annotated[
    Spread | None,
    typer.Option(
        "--what",
        "--posted",
        help="public: anybody can find it; group: in a group chat; private: sent from person to"
        " person; threat: nothing was shared yet.",
    ),
]
_PlatformOption = Annotated[
    str,
    typer.Option(
        "--platform",
        metavar="-|NAME|URL",
        help=f"Where the picture is: a platform's name, or a web address. {STDIN_OPTION_ADVICE}",
    ),
]
_PlatformKindOption = Annotated[
    PlatformKind | None, typer.Option("--platform-kind", help="What sort of site or app it is.")
]
_DemandOption = Annotated[Demand | None, typer.Option(help="What somebody demands from you.")]
_ScenarioOption = Annotated[
    Path | None,
    typer.Option(
        "--scenario",
        metavar="-|FILE",
        help=f"What happened, as TOML or JSON. {STDIN_OPTION_ADVICE}",
    ),
]
_DayOption = Annotated[
    str,
    typer.Option(
        "--day",
        metavar="DAY",
        help="The day on which it happened, such as 2026-03-01; today if left out.",
    ),
]


def routes(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A case; needs your passphrase.")] = None,
    place: PlacesOption = None,
    what: _SpreadOption = None,
    platform: _PlatformOption = "",
    platform_kind: _PlatformKindOption = None,
    platform_in: PlatformInOption = "",
    intimate: IntimateOption = None,
    altered: AlteredOption = None,
    shows_me: ShowsMeOption = None,
    taken_by_me: TakenByMeOption = None,
    sender: SenderKnownOption = None,
    demand: _DemandOption = None,
    hide_my_name: HideMyNameOption = False,
    under_18: Under18Option = False,
    for_somebody_else: ForSomebodyElseOption = None,
    day: _DayOption = "",
    scenario: _ScenarioOption = None,
    in_full: Annotated[bool, typer.Option("--all", help="Show every step in full.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the routes that may apply, best first, with their sources, and people who help. Without
    a case, describe what happened. This needs no set-up and no passphrase, and nothing is stored.
    """
    options = {
        "lives_in": place,
        "posted": what,
        "platform": platform,
        "platform_kind": platform_kind,
        "platform_in": platform_in,
        "intimate": intimate,
        "synthetic": altered,
        "depicts_me": shows_me,
        "made_by_me": taken_by_me,
        "recipient_known": sender,
        "demand": demand,
        "under_18": under_18 or None,
        "on_behalf": for_somebody_else is not None or None,
        "day": day,
    }
    given = {key: value for key, value in options.items() if value not in (None, "")}
    if (name is not None) + (scenario is not None) + bool(given or hide_my_name) != 1:
        raise typer.BadParameter(
            translated(_NO_OTHER_OPTIONS_ERROR if name or scenario else _USAGE_ERROR)
        )
    if name is not None:
        _print_routes_of_case(context, name, as_json=as_json, in_full=in_full)
        return
    today = SystemClock().now().date()
    if scenario is not None:
        read = read_scenario(_read_scenario_file(scenario, context), today)
    else:
        if platform:
            given["platform"] = read_typed_line(platform, translated("Where it is"), context)
        read = parse_scenario(given, today, name_must_stay_hidden=hide_my_name)
    _print_scenario_plan(read, as_json=as_json, in_full=in_full)


def _read_scenario_file(path: Path, context: typer.Context) -> bytes:
    if str(path) == STDIN_MARK:
        return (
            read_typed_text(STDIN_MARK, translated("What happened, as TOML or JSON"), context) or ""
        ).encode()
    try:
        with path.open("rb") as file:
            return file.read(SCENARIO_BYTES_MAX + 1)
    except OSError as why:
        raise typer.BadParameter(f"{path}: {why.strerror}") from None


def _print_scenario_plan(scenario: Scenario, *, as_json: bool, in_full: bool) -> None:
    plan = make_plan(scenario.situation, scenario.day, scenario.day, under_18=scenario.under_18)
    if as_json:
        print_json(plan_json(plan))
        return
    _print_plan(plan, in_full=in_full)


def _print_plan(plan: Plan, *, in_full: bool, case: str = "") -> None:
    for line in plan_text(plan, case=case, in_full=in_full):
        print_line(line)


def _print_routes_of_case(
    context: typer.Context, name: str, *, as_json: bool, in_full: bool
) -> None:
    from entrenous.device.commands import opened_device  # noqa: PLC0415 - only a case needs a vault
    from entrenous.respond.case_file import find_case  # noqa: PLC0415
    from entrenous.respond.commands.case_view import advice_to_name_place  # noqa: PLC0415
    from entrenous.respond.report_steps import report_destination_text, report_destinations  # noqa: PLC0415

    with opened_device(context) as device:
        case = find_case(name, device)
        today = device.clock.now().date()
        refuse_unless_adults(case, today)
        choice = routes_for_case(case, day_of_event(case), today)
    if as_json:
        print_json(
            {
                "schema": "entrenous/routes/1",
                "why": choice.why,
                "routes": [_ranked_route_json(one) for one in choice.ranked],
            }
        )
        return
    situation = situation_of(case)
    if situation.posted in (
        Spread.GROUP,
        Spread.PRIVATE,
        Spread.THREAT,
    ):  # here the steps of a ladder (ladders.py) come before any law
        _print_plan(
            make_plan(situation, day_of_event(case), today),
            in_full=in_full,
            case=quote_for_shell(name),
        )
        return
    print_line(choice.why)
    for record in report_destinations(case):
        print_line(f"  {report_destination_text(record, case)}")
    for one in choice.ranked:
        print_line(f"  {one.route.id}: {one.why}")
        print_line(f"    {one.route.citation_with_source()}")
        for note in one.notes:
            print_line(f"    {note}")
    if choice.ranked:
        print_line(how_to_draft(quote_for_shell(name), choice.ranked[0].route))
    if not case.situation.places:
        print_line(advice_to_name_place(case))
    need = HelpNeed(threat=case.situation.posted is Spread.THREAT)
    for line in find_help_lines(case.situation.places, need)[:_HELP_LINES_MAX]:
        helps = translated("People who help: {line}").format(line=help_line_text(line, today))
        print_line(f"  {helps}")


def _ranked_route_json(ranked: RankedRoute) -> dict[str, object]:
    return {
        "route": ranked.route.id,
        "law": ranked.route.law,
        "provision": ranked.route.provision,
        "why": ranked.why,
        "notes": list(ranked.notes),
        "source": ranked.route.source,
        "read_on": ranked.route.read_on.isoformat(),
        "verified": ranked.route.verified,
    }
