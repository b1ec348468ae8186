"""The list of cases, the page of one case (its next step, its deadlines and its contents), and the
forms that add facts to a case: where the picture was seen, what happened, and a breach of an
organisation's systems.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.case_index import CaseIndexEntry
from entrenous.app.forms import read_form, typed_text
from entrenous.app.pages.case_answers import role_from_answers, web_address_or_empty
from entrenous.app.pages.case_routes import (
    FirstLetterToDraft,
    document_kind_of_route,
    find_first_letter_to_draft,
)
from entrenous.app.pages.help_lines import parse_typed_place, suggest_places
from entrenous.app.pages.one_case import case_handle, change_case_or_show_refusal, run_in_case
from entrenous.app.vault_session import VaultLocked
from entrenous.app.web import (
    download_response,
    language_of,
    posted_or_kept_form,
    redirect_to,
    run_in_vault,
    show,
    state_of,
)
from entrenous.app.wording import (
    NextStepPage,
    group_list_items,
    page_for_step,
    texts_without_commands,
)
from entrenous.base.language import translatable, translated
from entrenous.device.device import Device
from entrenous.respond.breach import breach_duties_in_words, record_breach, record_breach_notified
from entrenous.respond.calendar_file import format_calendar_file, running_deadline_entries
from entrenous.respond.case_file import (
    describe_named_copies,
    find_case,
    find_open_case,
    trace_and_named_recipients,
)
from entrenous.respond.evidence import pending_stamp_text
from entrenous.respond.law.deadlines import (
    Deadline,
    DeadlineState,
    deadline_in_words_for_person,
    deadlines_of_case,
    law_of_deadline,
)
from entrenous.respond.law.places import Place, place_name
from entrenous.respond.letters.drafted_notices import notice_versions
from entrenous.respond.next_step import next_step, step_if_deadline_passes
from entrenous.respond.nouns import (
    AgeAnswer,
    Case,
    CaseState,
    RepresentativeRole,
    Sighting,
    SightingReach,
)
from entrenous.respond.open_case import (
    add_facts_to_case,
    add_sighting,
    record_representative,
    representative_in_words,
    representative_with_consent,
)
from entrenous.respond.platforms import PlatformKind, find_platform, host_of
from entrenous.respond.reappearance import reappearance_text
from entrenous.respond.report_steps import (
    report_destinations,
    sightings_on_platform,
    sightings_on_unknown_sites,
)
from entrenous.respond.situation import Demand, PictureMaker, Situation, Spread
from entrenous.respond.threat import is_threat_only

_NO_WEB_ADDRESS_MESSAGE: Final = translatable(
    "This is no web address. Copy it from the top of the browser, or choose a chat."
)
_CASES_PER_PAGE: Final = 50


def routes() -> list[Route]:
    return [
        Route("/80", show_cases, name="cases"),
        Route("/80/{page:int}", show_cases, name="more_cases"),
        Route("/83/{case}", show_case, name="case"),
        Route("/83/{case}/days", serve_calendar, name="calendar"),
        Route("/86/{case}", show_sighting_form, name="place_seen", methods=["GET"]),
        Route("/86/{case}", add_typed_sighting, methods=["POST"]),
        Route("/89/{case}", show_situation_form, name="about", methods=["GET"]),
        Route("/89/{case}", add_typed_situation, methods=["POST"]),
        Route("/97/{case}", show_breach, name="breach", methods=["GET"]),
        Route("/97/{case}", record_breach_date, methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True)
class ListedCase:
    """One case in the list, with its next step in words."""

    handle: str
    due: CaseIndexEntry
    step: str


@dataclass(frozen=True, slots=True)
class CasePageContents:
    """A case as its page shows it."""

    case: Case
    next: NextStepPage
    if_nothing: str
    step_document: str
    said: tuple[str, ...]
    deadlines: tuple[tuple[str, str], ...]
    law: str
    has_dates: bool
    under_18: bool
    letter: FirstLetterToDraft | None


async def show_cases(request: Request) -> Response:
    """Show the open cases, then the closed ones, both in the order of their deadlines. If there are
    no cases, show the ways to begin one.
    """
    page, total, lines = request.path_params.get("page", 0), 0, list[ListedCase]()
    with suppress(VaultLocked):
        total, lines = await run_in_vault(
            request, lambda device: _count_cases_and_list_page(request, page, device)
        )
    more = page + 1 if total > (page + 1) * _CASES_PER_PAGE else None
    return show(request, "cases.html", cases=lines, page=page, more=more)


def _count_cases_and_list_page(
    request: Request, page: int, device: Device
) -> tuple[int, list[ListedCase]]:
    """Return the number of cases, and one page of them."""
    state, now = state_of(request), device.clock.now()
    found = state.cases.sorted_cases(device)
    shown = found[page * _CASES_PER_PAGE : (page + 1) * _CASES_PER_PAGE]
    return len(found), [
        ListedCase(
            state.login.lasting_handle_for("case", due.name),
            due,
            page_for_step(
                next_step(find_case(due.name, device), now, deadline_in_words_for_person), due.name
            ).words,
        )
        for due in shown
    ]


async def show_case(request: Request) -> Response:
    """Show one case, with one next step."""
    found = await run_in_case(request, _read_case_page_contents)
    return show(
        request,
        "case.html",
        it=found,
        case=case_handle(request),
        goes_to=list(_report_links(request, found.case)),
        unknown=sightings_on_unknown_sites(found.case),
        versions=notice_versions(found.case),
    )


def _report_links(request: Request, case: Case) -> Iterator[tuple[str, str, int]]:
    """Yield a name, the handle of a platform's record, and the number of a sighting, or 0.

    A record for any site is linked once for each site, because a report at one site must not name
    another.
    """
    for record in report_destinations(case):
        handle = state_of(request).login.lasting_handle_for("platform", record.id)
        if record.kind is PlatformKind.GENERIC:
            sites = {host_of(one.where): one for one in sightings_on_platform(record, case)}
            for host, seen in sites.items():
                yield host or record.display_name, handle, seen.number
        else:
            yield record.display_name, handle, 0


def _read_case_page_contents(name: str, device: Device) -> CasePageContents:
    case, now = find_case(name, device), device.clock.now()
    acting = case.representative
    _, named = trace_and_named_recipients(case, device)
    said = (
        representative_in_words(acting) if acting else "",
        describe_named_copies(named),
        *(reappearance_text(back) for back in case.returned),
        pending_stamp_text(case),
    )
    deadlines = deadlines_of_case(case, now)
    step = page_for_step(next_step(case, now, deadline_in_words_for_person), case.name)
    begun = bool(case.notices or step.route or is_threat_only(case))
    return CasePageContents(
        case,
        step,
        step_if_deadline_passes(case, now),
        document_kind_of_route(step.route) if step.route else "",
        texts_without_commands(said),
        _addressee_deadlines_in_words(deadlines, step),
        next(
            (
                law_of_deadline(one)
                for one in deadlines
                if deadline_in_words_for_person(one) in step.words
            ),
            "",
        ),
        any(one.state is DeadlineState.RUNNING for one in deadlines),
        case.age is not AgeAnswer.ADULTS,
        None
        if begun or case.state is CaseState.CLOSED
        else find_first_letter_to_draft(name, device),
    )


def _addressee_deadlines_in_words(
    deadlines: Sequence[Deadline], step: NextStepPage
) -> tuple[tuple[str, str], ...]:
    """Return the addressees' deadlines, each in words and with its law, without those that the next
    step names.
    """
    shown = (one for one in deadlines if not (one.yours or one.sets_no_time_limit))
    said = ((deadline_in_words_for_person(one), law_of_deadline(one)) for one in shown)
    return tuple((words, law) for words, law in said if words not in step.words)


async def serve_calendar(request: Request) -> Response:
    """Serve the running deadlines as a calendar file, which says only "Reminder"."""

    def make_calendar(name: str, device: Device) -> bytes:
        case, now = find_case(name, device), device.clock.now()
        return format_calendar_file(
            running_deadline_entries(case, deadlines_of_case(case, now)), now
        )

    return download_response(request, await run_in_case(request, make_calendar), "reminders.ics")


async def show_sighting_form(request: Request, words: str = "") -> Response:
    """Ask where the picture was seen: a web page, or a chat described in words."""
    case = await run_in_case(request, find_case)
    form = posted_or_kept_form(request)
    return show(
        request,
        "seen.html",
        status=409 if words else 200,
        words=words,
        it=case,
        case=case_handle(request),
        form=form,
    )


async def add_typed_sighting(request: Request) -> Response:
    form = await read_form(request)
    where, in_chat = typed_text(form, "where"), typed_text(form, "kind") == "chat"
    address = where if in_chat else web_address_or_empty(where) if where else ""
    if not address:
        return await show_sighting_form(request, translated(_NO_WEB_ADDRESS_MESSAGE))
    reach = SightingReach.PRIVATE if in_chat else SightingReach.PUBLIC

    def add_sighting_to_case(name: str, device: Device) -> Case:
        at = _moment_on_typed_day(typed_text(form, "day"), device.clock.now())
        return add_sighting(name, Sighting(address, reach, at, typed_text(form, "account")), device)

    done = await change_case_or_show_refusal(request, add_sighting_to_case, show_sighting_form)
    return done or redirect_to(request, "case", case=case_handle(request))


async def show_situation_form(request: Request, words: str = "") -> Response:
    """Ask for more about what happened, since the choice of routes depends on it."""
    case = await run_in_case(request, find_case)
    places = case.situation.places
    form = posted_or_kept_form(request)
    return show(
        request,
        "about.html",
        status=409 if words else 200,
        words=words,
        it=case,
        case=case_handle(request),
        form=form,
        place=place_name(places[0], language_of(request).tag) if len(places) == 1 else "",
        guesses=suggest_places(request, words),
        postings=tuple(Spread),
        demands=tuple(Demand),
        roles=tuple(RepresentativeRole),
    )


async def add_typed_situation(request: Request) -> Response:
    form = await read_form(request)
    if typed_text(form, "under_18"):
        return redirect_to(request, "under_18_later", case=case_handle(request))
    place, words = await parse_typed_place(typed_text(form, "place"))
    if words:
        return await show_situation_form(request, words)
    more = _situation_from_form({name: typed_text(form, name) for name in form}, place)

    def add_situation_to_case(name: str, device: Device) -> Case:
        with device.vault.transaction():
            unticked = typed_text(form, "hide") == "no"
            case = add_facts_to_case(name, more, device, name_may_be_known=unticked)
            if typed_text(form, "role"):
                who = role_from_answers({"role": typed_text(form, "role")})
                acting = representative_with_consent(
                    who, typed_text(form, "consent"), device.clock.now()
                )
                case = record_representative(name, acting, device)
            return case

    done = await change_case_or_show_refusal(request, add_situation_to_case, show_situation_form)
    return done or redirect_to(request, "case", case=case_handle(request))


def _situation_from_form(said: dict[str, str], place: Place | None) -> Situation:
    yes = {"yes": True, "no": False}
    typed = said.get("platform", "")
    platform = find_platform(typed)
    more = Situation(
        places=(place,) if place else (),
        intimate=yes.get(said.get("intimate", "")),
        altered=yes.get(said.get("altered", "")),
        depicts_me=yes.get(said.get("shows_me", "")),
        recipient_known=yes.get(said.get("sender", "")),
        platform=platform.id if platform else typed,
        name_must_stay_hidden=said.get("hide") == "yes",
    )
    return replace(
        more,
        posted=Spread(said["posted"]) if said.get("posted") in set(Spread) else None,
        demand=Demand(said["demand"]) if said.get("demand") in set(Demand) else None,
        taken_by=PictureMaker(said["maker"])
        if said.get("maker") in set(PictureMaker)
        else PictureMaker.UNSAID,
    )


def _moment_on_typed_day(text: str, now: datetime) -> datetime:
    """Return noon of the typed day. If the typed day is today, or no day is typed, return the
    present time.
    """
    return parse_moment(text, "", now)


def parse_moment(day: str, time: str, now: datetime) -> datetime:
    """Return the moment, in UTC, of a day and time typed in the machine's time zone.

    Without a day, the day is today. Without a time, this is noon, or the present time if the day is
    today.
    """
    today = now.astimezone().date().isoformat()
    if not time and day in ("", today):
        return now
    try:
        # a time without an offset is local: it has the offset that was in force on that day
        return datetime.fromisoformat(f"{day or today}T{time or '12:00'}").astimezone(UTC)
    except (ValueError, OverflowError):
        return now + timedelta(days=1)  # a time in the future, which is refused later


async def show_breach(request: Request, words: str = "") -> Response:
    """Show the organisation's duties, or ask when it became aware of the breach."""

    def read_breach(name: str, device: Device) -> tuple[Case, tuple[str, ...]]:
        case = find_open_case(name, device)
        return case, breach_duties_in_words(case, device.clock.now())

    case, lines = await run_in_case(request, read_breach)
    return show(
        request,
        "breach.html",
        status=409 if words else 200,
        words=words,
        it=case.breach,
        case=case_handle(request),
        lines=group_list_items(lines),
        form=posted_or_kept_form(request),
    )


async def record_breach_date(request: Request) -> Response:
    """Record when the organisation became aware of the breach, or whom it told and when."""
    form = await read_form(request)
    act = typed_text(form, "act")

    def record_typed_breach(name: str, device: Device) -> None:
        at = parse_moment(typed_text(form, "day"), typed_text(form, "time"), device.clock.now())
        if act == "aware":
            record_breach(name, at, device)
        else:
            notified, people_notified = act == "notified", act == "told"
            record_breach_notified(
                name, at, device, notified=notified, people_notified=people_notified
            )

    done = await change_case_or_show_refusal(request, record_typed_breach, show_breach)
    return done or redirect_to(request, "breach", case=case_handle(request))
