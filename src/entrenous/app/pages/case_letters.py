"""A letter of a case: read it before sending, fill it in, save it, and record its outcome."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_text, typed_texts
from entrenous.app.pages.cases import parse_moment
from entrenous.app.pages.one_case import case_handle, change_case_or_show_refusal, run_in_case
from entrenous.app.web import download_response, posted_or_kept_form, redirect_to, show, state_of
from entrenous.app.wording import texts_without_commands
from entrenous.device.device import Device
from entrenous.respond.case_file import find_case, find_notice
from entrenous.respond.case_status import NOTICE_TRANSITIONS, NoticeEvent, record_notice_event
from entrenous.respond.law.deadlines import (
    DeadlineState,
    deadline_in_words_for_person,
    deadlines_of_case,
    law_of_deadline,
)
from entrenous.respond.law.legal_route import DocumentKind
from entrenous.respond.letters.draft import draft_and_store_notice, render_notice_pdf
from entrenous.respond.letters.drafted_notices import (
    compare_notices,
    fill_gaps,
    notice_versions,
    store_reference_number,
)
from entrenous.respond.letters.elements import claim_sentences_by_gap, lacks_person_name
from entrenous.respond.letters.preview import notes_after_draft, notes_before_sending
from entrenous.respond.letters.sightings import addressee_of, sightings_to_pick_from
from entrenous.respond.letters.wordings import LETTER_LANGUAGES, words_in_language
from entrenous.respond.next_step import step_if_deadline_passes
from entrenous.respond.nouns import Case, Notice, NoticeState

_REDRAFTING_ACTS: Final = frozenset({"language", "places"})
_DOCUMENTS_HANDED_IN_PERSON: Final = frozenset(
    {DocumentKind.POLICE_SHEET, DocumentKind.COURT_SHEET}
)


def routes() -> list[Route]:
    return [
        Route("/85/{case}/{number:int}", show_letter, name="letter", methods=["GET"]),
        Route("/85/{case}/{number:int}", change_letter_or_record_event, methods=["POST"]),
        Route("/85/{case}/{number:int}/pdf", serve_letter_pdf, name="letter_pdf"),
        Route("/85/{case}/{number:int}/text", serve_letter_text, name="letter_text"),
        Route("/87/{case}/{first:int}/{second:int}", show_version_changes, name="letters_compared"),
    ]


async def show_letter(request: Request, words: str = "") -> Response:
    """Show a letter, with what to know before sending it."""
    number = request.path_params["number"]

    def read_case_and_time(name: str, device: Device) -> tuple[Case, datetime]:
        return find_case(name, device), device.clock.now()

    case, now = await run_in_case(request, read_case_and_time)
    notice = find_notice(case, number)
    to = addressee_of(case, notice.route, notice.named_sightings, notice.language)
    form = posted_or_kept_form(request)
    return show(
        request,
        "letter.html",
        status=409 if words else 200,
        words=words,
        it=notice,
        case=case_handle(request),
        know=texts_without_commands(notes_before_sending(notice, case, now.date())[2:]),
        after=texts_without_commands(notes_after_draft(notice)),
        gaps=list(dict.fromkeys(notice.missing)),
        lacks_name=lacks_person_name(notice),
        is_draft=notice.state is NoticeState.DRAFTED,
        brought=notice.route.document in _DOCUMENTS_HANDED_IN_PERSON,
        on_site=notice.route.document is DocumentKind.HASH_BANK,
        if_nothing=step_if_deadline_passes(case, now, number),
        deadlines=_running_deadlines_in_words(case, notice, now),
        claims=claim_sentences_by_gap(notice, case),
        events=[event for state, event in NOTICE_TRANSITIONS if state is notice.state],
        earlier=_number_of_previous_version(case, notice),
        languages=[(one, words_in_language(one).name) for one in LETTER_LANGUAGES],
        platform=to.platform
        and state_of(request).login.lasting_handle_for("platform", to.platform.id),
        form_address=to.form or _hash_bank_address(notice),
        unknown=to.unknown,
        places=sightings_to_pick_from(case, notice.route),
        chosen={seen.number for seen in notice.named_sightings},
        form=form,
    )


async def change_letter_or_record_event(request: Request) -> Response:
    """Fill in gaps of a letter, draft it again in another language or with other sightings, store
    the addressee's reference number, or record an event.
    """
    form, number = await read_form(request), request.path_params["number"]
    act = typed_text(form, "act")

    def apply_letter_change(name: str, device: Device) -> None:
        notice = find_notice(find_case(name, device), number)
        if act == "fill":
            given = _gap_values_from_form(
                form, notice, claim_sentences_by_gap(notice, find_case(name, device))
            )
            fill_gaps(name, number, given, device)
        elif act == "language":
            named_sightings = tuple(seen.number for seen in notice.named_sightings)
            draft_and_store_notice(
                name, notice.route.family, device, named_sightings, typed_text(form, "language")
            )
        elif act == "places":
            picked = tuple(int(one) for one in typed_texts(form, "sighting") if one.isdigit())
            draft_and_store_notice(name, notice.route.family, device, picked, notice.language)
        elif act == "number":
            store_reference_number(name, number, typed_text(form, "reference"), device)
        elif act in set(NoticeEvent):
            moment = parse_moment(
                typed_text(form, "day"), typed_text(form, "time"), device.clock.now()
            )
            record_notice_event(name, number, NoticeEvent(act), moment, device)

    def count_notices(name: str, device: Device) -> int:
        return len(find_case(name, device).notices)

    if (
        answer := await change_case_or_show_refusal(request, apply_letter_change, show_letter)
    ) is not None:
        return answer
    shown = await run_in_case(request, count_notices) if act in _REDRAFTING_ACTS else number
    return redirect_to(request, "letter", case=case_handle(request), number=shown)


def _gap_values_from_form(
    form: FormData, notice: Notice, sentences: Mapping[str, str]
) -> dict[str, str]:
    """Return what to write into each gap: what was typed, or the sentence that was ticked."""
    gaps = enumerate(dict.fromkeys(notice.missing))
    return {
        gap: sentences[gap] if typed_text(form, f"claim-{at}") else typed_text(form, f"gap-{at}")
        for at, gap in gaps
    }


def _running_deadlines_in_words(case: Case, notice: Notice, now: datetime) -> list[tuple[str, str]]:
    """Return the deadlines that run for this letter, each in words and with its law."""
    return [
        (deadline_in_words_for_person(one), law_of_deadline(one))
        for one in deadlines_of_case(case, now)
        if one.notice == notice.number and one.state is DeadlineState.RUNNING
    ]


def _hash_bank_address(notice: Notice) -> str:
    """Return the address of the hash bank's site, where the person follows the drafted steps; "" if
    the notice is not for a hash bank.
    """
    is_bank = notice.route.document is DocumentKind.HASH_BANK
    return "/".join(notice.route.source.split("/")[:3]) if is_bank else ""


async def serve_letter_pdf(request: Request) -> Response:
    """Serve the letter as a PDF under a neutral name."""
    notice = await run_in_case(request, lambda name, device: _find_notice(request, name, device))
    data = await asyncio.to_thread(render_notice_pdf, notice)
    return download_response(request, data, f"letter-{notice.number}.pdf")


async def serve_letter_text(request: Request) -> Response:
    notice = await run_in_case(request, lambda name, device: _find_notice(request, name, device))
    return download_response(request, f"{notice.letter}\n".encode(), f"letter-{notice.number}.txt")


async def show_version_changes(request: Request) -> Response:
    """Show the changes from one version of a letter to another."""
    first, second = request.path_params["first"], request.path_params["second"]
    changes = await run_in_case(
        request, lambda name, device: compare_notices(find_case(name, device), first, second)
    )
    return show(
        request,
        "letters_compared.html",
        lines=changes.splitlines(),
        case=case_handle(request),
        second=second,
    )


def _find_notice(request: Request, name: str, device: Device) -> Notice:
    return find_notice(find_case(name, device), request.path_params["number"])


def _number_of_previous_version(case: Case, notice: Notice) -> int | None:
    """Return the number of the version before this one, or None."""
    key = (notice.route.family, notice.to)
    same = [
        one.notice.number
        for one in notice_versions(case)
        if (one.notice.route.family, one.notice.to) == key and one.notice.number < notice.number
    ]
    return same[-1] if same else None
