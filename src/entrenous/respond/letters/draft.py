"""Draft the document of a route: a letter, a form, a page for the police or a court, a complaint,
or the steps of a hash bank.
"""

from dataclasses import replace
from datetime import datetime

from entrenous.base.errors import Refused
from entrenous.base.language import ENGLISH, language_of_person, speaking
from entrenous.device.device import Device
from entrenous.respond.case_file import edit_case, find_open_case
from entrenous.respond.law.law_tables import builtin_letter_route
from entrenous.respond.law.legal_route import DocumentKind, Route, WhetherCovered
from entrenous.respond.law.routes import day_of_event, find_route
from entrenous.respond.letters.case_lines import (
    SHEET_DOCUMENT_KINDS,
    CaseLines,
    DraftContext,
    make_case_lines,
)
from entrenous.respond.letters.elements import WordedElement, word_elements
from entrenous.respond.letters.layout import hash_bank_parts, letter_parts, sheet_parts
from entrenous.respond.letters.sightings import addressee_of, sightings_to_name
from entrenous.respond.letters.wordings import law_name_in, letter_language_for
from entrenous.respond.nouns import Case, DocumentPart, Notice


class NotYoursToFile(Refused):
    """
    Nothing was drafted: under {law}, only the person in the picture can send this letter, so a
    letter from somebody else could be rejected. Talk to that person, who can draft and send the
    letter from a case of their own. Other routes let you act for somebody: entrenous law routes
    {name}
    """


def draft_and_store_notice(
    name: str,
    route_id: str,
    device: Device,
    sightings: tuple[int, ...] = (),
    language: str = "",
) -> Notice:
    """Draft a notice along the chosen route, and add it to the case. Earlier notices stay as they
    are.

    Args:
        name: the case.
        route_id: the id of one version of a route, or of its family (all its versions).
        device: its vault stores the case.
        sightings: numbers of the sightings to name; if empty, :func:`.sightings_to_name` chooses.
        language: an IETF tag; if empty, :func:`.letter_language_for` chooses the language.

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed, and the errors of :func:`draft_notice`.
        RouteNotApplicable: no such route applies to this case today.
    """
    case = find_open_case(name, device)
    now = device.clock.now()
    route = builtin_letter_route(route_id) or find_route(
        route_id, case, day_of_event(case), now.date()
    )

    def append_draft(fresh: Case) -> Case:
        drafted = draft_notice(fresh, route, now, sightings, language)
        return replace(fresh, notices=(*fresh.notices, drafted))

    return edit_case(name, device, append_draft, f"drafted a notice: {route.law}").notices[-1]


def draft_notice(
    case: Case,
    route: Route,
    now: datetime,
    sightings: tuple[int, ...] = (),
    language: str = "",
) -> Notice:
    """Draft a notice for one route from a case's facts; nothing is stored.

    Args:
        case: its sightings say where the copy is; its situation decides what the letter may claim.
        route: the version in force on the day whose law applies; it is stored in the notice.
        now: aware, UTC.
        sightings: as for :func:`draft_and_store_notice`.
        language: as for :func:`draft_and_store_notice`.

    Raises:
        NoSuchLanguage: there are no letters in that language.
        NotYoursToFile: somebody acts for the person shown, which the law does not permit.
        NoSuchCaseEntry, ChatNotCovered, NoSightingToName, OnlyInChats, NoAddressee,
            NoThreateningAccount: as for :func:`.sightings_to_name`.
    """
    _refuse_unentitled(case, route)
    person_language = case.situation.language or language_of_person()
    letter_language = letter_language_for(route, person_language, language)
    named_sightings = sightings_to_name(case, route, sightings)
    draft = DraftContext(case, route, named_sightings, letter_language, now)
    # English turns translation off: the words come from the table of the letter's own language.
    with speaking(ENGLISH):
        lines = make_case_lines(draft)
        worded = word_elements(draft, lines)
        parts = _document_parts(draft, worded, lines)
    return Notice(
        number=len(case.notices) + 1,
        route=route,
        drafted_at=now,
        elements=tuple(one.element for one in worded),
        letter=render_document_text(parts),
        named_sightings=named_sightings,
        to=addressee_of(case, route, named_sightings, letter_language).name or route.addressee,
        language=letter_language,
        parts=parts,
        other_gaps=_other_gaps(parts, worded),
    )


def render_document_text(parts: tuple[DocumentPart, ...]) -> str:
    """Return a document as plain text."""
    blocks = ("\n".join((f"{part.heading}", *part.lines)) for part in parts)
    return "\n\n".join(blocks)


def render_notice_pdf(notice: Notice) -> bytes:
    """Return a notice as an accessible PDF with title, language, bookmarks and tags. The only other
    metadata are the time when the notice was drafted, and "Entrenous" as the producer.
    """
    from entrenous.media.tagged_pdf import BlockTag, PdfBlock, write_tagged_pdf  # noqa: PLC0415 - slow to load

    blocks = [
        PdfBlock(BlockTag.PARAGRAPH if at else BlockTag.HEADING if number else BlockTag.TITLE, line)
        for number, part in enumerate(notice.parts)
        for at, line in enumerate((part.heading, *part.lines))
        if not at or line.strip()
    ]
    title = notice.parts[0].heading
    return write_tagged_pdf(title, notice.language, blocks, notice.drafted_at)


def _refuse_unentitled(case: Case, route: Route) -> None:
    """Raise NotYoursToFile if somebody acts for the person shown, and the law lets only that person
    file. Pages for the police or a court and the steps of a hash bank are not refused, because the
    person shown files these in their own name.
    """
    by_representative = case.representative is not None or case.situation.on_behalf
    in_own_name = route.document in SHEET_DOCUMENT_KINDS or route.document is DocumentKind.HASH_BANK
    if by_representative and route.representative is WhetherCovered.NO and not in_own_name:
        raise NotYoursToFile(law=law_name_in(route, "en"), name=case.name)


def _other_gaps(
    parts: tuple[DocumentPart, ...], worded: tuple[WordedElement, ...]
) -> tuple[str, ...]:
    """Return the gaps (what the person still has to fill in) of a document, except those in
    elements that the law requires. The gaps in elements are in :attr:`NoticeElement.gaps`.
    """
    known = {gap for one in worded for gap in one.element.gaps}
    lines = (line for part in parts for line in part.lines if line not in known)
    return tuple(line for line in lines if line.startswith("[") and line.endswith("]"))


def _document_parts(
    draft: DraftContext, worded: tuple[WordedElement, ...], lines: CaseLines
) -> tuple[DocumentPart, ...]:
    if draft.route.document in SHEET_DOCUMENT_KINDS:
        return sheet_parts(draft, worded, lines)
    if draft.route.document is DocumentKind.HASH_BANK:
        return hash_bank_parts(draft, worded, lines)
    return letter_parts(draft, worded)
