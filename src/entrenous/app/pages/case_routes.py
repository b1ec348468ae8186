"""The plan of possible steps, for a case or without one, with the first step prominent; and how to
report to a platform.
"""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_text, typed_texts
from entrenous.app.pages.case_answers import situation_from_answers
from entrenous.app.pages.one_case import case_handle, run_in_case
from entrenous.app.web import (
    ResultGone,
    error_words,
    posted_or_kept_form,
    redirect_to,
    show,
    state_of,
)
from entrenous.app.wording import texts_without_commands
from entrenous.base.environment import SystemClock
from entrenous.base.errors import EntrenousError
from entrenous.base.language import translated
from entrenous.device.device import Device
from entrenous.respond.case_file import find_open_case
from entrenous.respond.law.ladders import CHAT_LADDER, THREAT_LADDER, shipped_ladder
from entrenous.respond.law.law_tables import builtin_letter_route
from entrenous.respond.law.legal_route import DocumentKind, RouteId
from entrenous.respond.law.plan import HELP_LINE_KIND, Plan, PlanStep, make_plan
from entrenous.respond.law.plan_view import NOT_ADVICE_NOTE
from entrenous.respond.law.routes import day_of_event, situation_of, versions_of
from entrenous.respond.letters.draft import draft_and_store_notice
from entrenous.respond.letters.sightings import OnlyInChats
from entrenous.respond.nouns import Sighting
from entrenous.respond.open_case import add_statement
from entrenous.respond.platforms import (
    PlatformRecord,
    host_of,
    platform_by_id,
    shipped_platforms,
)
from entrenous.respond.report_steps import (
    GENERIC_SITE_RECORD_ID,
    NO_PICTURE_NEEDED_NOTE,
    ReportSteps,
    other_report_channels,
    report_steps,
)

#: Our own letter for a step in respond/facts/chat-ladder.toml or threat-ladder.toml, by the step's
#: id.
_OWN_LETTER_BY_STEP: Final = {
    "ladder-threat-step_05": "account-threat",
    "ladder-chat-step_06": "civil-letter",
}
_DRAFTED_DOCUMENT_KINDS: Final = frozenset(DocumentKind) - {DocumentKind.NONE}


def routes() -> list[Route]:
    return [
        Route("/74/{platform}", show_report_without_case, name="report_alone"),
        Route("/84/{case}", show_case_routes, name="case_routes", methods=["GET"]),
        Route("/84/{case}", draft_letter, methods=["POST"]),
        Route("/88/{case}/{platform}", show_report_steps, name="report", methods=["GET"]),
        Route("/88/{case}/{platform}", store_report_number, methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True)
class DraftRefusal:
    """Why the letter of a route was not drafted, and the sightings that the person may pick for
    it.
    """

    words: str = ""
    route: str = ""
    sightings: tuple[Sighting, ...] = ()


def show_plan(
    request: Request,
    plan: Plan,
    case: str = "",
    more: int | None = None,
    refused: DraftRefusal = DraftRefusal(),
) -> Response:
    """Show a plan. Its letters are drafted in the case whose handle is ``case`` (see
    app/login.py).
    """
    login = state_of(request).login
    return show(
        request,
        "routes.html",
        status=409 if refused.words else 200,
        plan=plan,
        case=case,
        refused=refused,
        more=more,
        not_advice=translated(NOT_ADVICE_NOTE),
        to_send=_suggested_messages_by_step(),
        letters={step.route: _route_to_draft(step) for step in plan.steps},
        platforms={
            step.platform: login.lasting_handle_for("platform", step.platform)
            for step in plan.steps
            if step.platform
        },
        names={step.platform: _platform_name(step) for step in plan.steps},
        help_kind=HELP_LINE_KIND,
    )


async def show_case_routes(request: Request, refused: DraftRefusal = DraftRefusal()) -> Response:
    """Show the routes of a case, best first."""
    plan = await run_in_case(request, make_plan_of_case)
    return show_plan(request, plan, case_handle(request), refused=refused)


async def draft_letter(request: Request) -> Response:
    """Draft the letter of a route and show it; if that is not possible, say what is missing."""
    form = await read_form(request)
    route = typed_text(form, "route")
    sightings = tuple(int(one) for one in typed_texts(form, "sighting") if one.isdigit())
    try:
        notice = await run_in_case(
            request,
            lambda name, device: draft_and_store_notice(
                name, route, device, sightings, typed_text(form, "language")
            ),
        )
    except EntrenousError as why:
        if not state_of(request).vault.is_open:
            raise
        case = await run_in_case(request, find_open_case)
        to_pick = case.sightings if isinstance(why, OnlyInChats) else ()
        return await show_case_routes(request, DraftRefusal(error_words(why), route, to_pick))
    return redirect_to(request, "letter", case=case_handle(request), number=notice.number)


async def show_report_steps(request: Request, words: str = "") -> Response:
    """Show how to report at one platform, with the fields to paste. At a site without a record,
    these are about the site of the sighting in the query.
    """
    record, number = _find_platform(request), request.query_params.get("sighting", "")

    def make_report_steps(name: str, device: Device) -> ReportSteps:
        case = find_open_case(name, device)
        host = next((host_of(one.where) for one in case.sightings if str(one.number) == number), "")
        return report_steps(record, case, device.clock.now().date(), host)

    found = await run_in_case(request, make_report_steps)
    return _show_report_steps(request, found, case_handle(request), words)


async def store_report_number(request: Request) -> Response:
    """Store in the case the number that the platform gave for the report."""
    record = _find_platform(request)
    number = typed_text(await read_form(request), "number")
    if number:
        text = f"{record.name}: {number}"
        await run_in_case(request, lambda name, device: add_statement(name, text, device))
    return redirect_to(request, "case", case=case_handle(request))


async def show_report_without_case(request: Request) -> Response:
    """Show how to report at one platform, without a case and without a vault."""
    situation = situation_from_answers(state_of(request).login.answers)
    today = SystemClock().now().date()
    return _show_report_steps(
        request, report_steps(_find_platform(request), situation, today), "", ""
    )


def _show_report_steps(request: Request, steps: ReportSteps, case: str, words: str) -> Response:
    return show(
        request,
        "report.html",
        steps=steps,
        case=case,
        words=words,
        form=posted_or_kept_form(request),
        no_picture=translated(NO_PICTURE_NEEDED_NOTE),
        is_unknown=steps.platform.id == GENERIC_SITE_RECORD_ID,
        others=texts_without_commands(other_report_channels(steps.platform)),
    )


@dataclass(frozen=True, slots=True)
class FirstLetterToDraft:
    """The first letter that a plan leads to: its route, its step, and the platform's name."""

    route: str
    step: PlanStep
    name: str


def find_first_letter_to_draft(name: str, device: Device) -> FirstLetterToDraft | None:
    """Return the letter of the first verified step that has one, or None.

    Raises the errors of :func:`make_plan_of_case`.
    """
    for step in make_plan_of_case(name, device).steps:
        if step.verified and (route := _route_to_draft(step)):
            return FirstLetterToDraft(route, step, _platform_name(step))
    return None


def document_kind_of_route(family: str) -> DocumentKind:
    """Return which kind of document is drafted for a route, given the id that all versions of the
    route share, or the name of one of the program's own letters.
    """
    own = builtin_letter_route(family)
    versions = (own,) if own else versions_of(RouteId(family))
    return versions[0].document if versions else DocumentKind.NONE


def make_plan_of_case(name: str, device: Device) -> Plan:
    """Return the plan of an open case; raises NoSuchCase, NotAllAdults, CaseClosed."""
    case, today = find_open_case(name, device), device.clock.now().date()
    return make_plan(situation_of(case), day_of_event(case), today)


def _suggested_messages_by_step() -> dict[str, str]:
    ladders = (shipped_ladder(CHAT_LADDER), shipped_ladder(THREAT_LADDER))
    return {step.id: step.words for one in ladders for step in one.steps if step.words}


def _route_to_draft(step: PlanStep) -> str:
    """Return the route to draft for a step, or ""."""
    if step.route in _OWN_LETTER_BY_STEP:
        return _OWN_LETTER_BY_STEP[step.route]
    is_route = step.kind in _DRAFTED_DOCUMENT_KINDS and not step.route.startswith("platform-")
    return step.route if is_route else ""


def _platform_name(step: PlanStep) -> str:
    return platform_by_id(step.platform).display_name if step.platform else ""


def _find_platform(request: Request) -> PlatformRecord:
    login, wanted = state_of(request).login, request.path_params["platform"]
    for record in shipped_platforms():
        if login.lasting_handle_for("platform", record.id) == wanted:
            return record
    raise ResultGone
