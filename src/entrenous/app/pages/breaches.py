"""The pages about a breach of an organisation's own systems: its duties, their deadlines, and what
was done.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed
from entrenous.app.pages.cases import parse_moment
from entrenous.app.pages.one_case import case_handle, change_or_show_refusal, run_in_case
from entrenous.app.web import go_to, kept_form, posted, show
from entrenous.app.wording import with_lists
from entrenous.device.device import Device
from entrenous.respond.breach import breach_in_words, record_breach, record_breach_notified
from entrenous.respond.case_file import find_open_case
from entrenous.respond.nouns import Case


def routes() -> list[Route]:
    return [
        Route("/97/{case}", show_breach, name="breach", methods=["GET"]),
        Route("/97/{case}", record_breach_note, methods=["POST"]),
    ]


async def show_breach(request: Request, words: str = "") -> Response:
    """Show the organisation's duties, or ask when it became aware of the breach."""

    def found(name: str, device: Device) -> tuple[Case, tuple[str, ...]]:
        case = find_open_case(name, device)
        return case, breach_in_words(case, device.clock.now())

    case, lines = await run_in_case(request, found)
    return show(
        request,
        "breach.html",
        status=409 if words else 200,
        words=words,
        it=case.breach,
        case=case_handle(request),
        lines=with_lists(lines),
        form=posted(request) or kept_form(request),
    )


async def record_breach_note(request: Request) -> Response:
    """Record when the organisation became aware of the breach, or whom it told and when."""
    form = await read_form(request)
    act = typed(form, "act")

    def noted(name: str, device: Device) -> None:
        at = parse_moment(typed(form, "day"), typed(form, "time"), device.clock.now())
        if act == "aware":
            record_breach(name, at, device)
        else:
            notified, told = act == "notified", act == "told"
            record_breach_notified(name, at, device, notified=notified, told=told)

    done = await change_or_show_refusal(request, noted, show_breach)
    return done or go_to(request, "breach", case=case_handle(request))
