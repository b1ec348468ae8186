"""Lay out documents: letters, complaints, forms with their fields in the form's order, pages for
the police or a court, and the steps of a hash bank.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from entrenous.respond.form_answers import FormAnswer
from entrenous.respond.law.deadlines import RequiredAct, time_allowed
from entrenous.respond.law.legal_route import DocumentKind, Route, RouteKind
from entrenous.respond.letters.case_lines import CaseLines, DraftContext
from entrenous.respond.letters.elements import (
    FilledWording,
    WordedElement,
    applicable_wording_keys,
    fill_wording,
    lacks_source_notes,
    speaks_for_somebody,
)
from entrenous.respond.letters.sightings import ACCOUNT_THREAT_ROUTE, Addressee, addressee_of
from entrenous.respond.letters.wordings import law_name_in, standard_sections_of, words_in_language
from entrenous.respond.nouns import DocumentPart
from entrenous.respond.platforms import FormAnswerKind, PlatformRecord
from entrenous.respond.report_steps import report_steps

_TITLE_KEYS: Final = {
    DocumentKind.COMPLAINT: "complaint_under",
    DocumentKind.LETTER: "letter_under",
    DocumentKind.FORM: "notice_under",
}
_REQUEST_TEXT_KEYS: Final = {
    RouteKind.COPYRIGHT: "ask_copyright",
    RouteKind.PLATFORM: "ask_platform",
    RouteKind.DATA: "ask_data",
    RouteKind.SEARCH: "ask_search",
}
# the elements of letters along these routes already contain the request
_KINDS_WITHOUT_REQUEST: Final = frozenset({RouteKind.SENDER})
_KINDS_STATING_NO_PICTURE: Final = frozenset({RouteKind.PLATFORM, RouteKind.SEARCH})
_FRAME_PREFIXES: Final = {DocumentKind.POLICE_SHEET: "police", DocumentKind.COURT_SHEET: "court"}
# elements with the person's request, which come near the top
_REQUEST_ELEMENT_KEYS: Final = ("complaint", "claim", "unilateral")


def letter_parts(
    draft: DraftContext, worded: tuple[WordedElement, ...]
) -> tuple[DocumentPart, ...]:
    """Lay out a letter: the addressee, the law, the numbered elements, the request, and the
    deadline.

    If the platform's record has the fields of its form, they come before the elements.
    """
    route, frame = draft.route, draft.frame
    addressee = addressee_of(draft.case, route, draft.named_sightings, draft.language)
    to_person = route.kind is RouteKind.SENDER
    title_key = "sender_letter" if to_person else _TITLE_KEYS.get(route.document, "letter_under")
    title = frame[title_key].format(law=law_name_in(route, draft.language))
    body = tuple(
        DocumentPart(
            f"{number}. {_element_heading(one, draft.language)}",
            tuple(one.element.text.splitlines()),
        )
        for number, one in enumerate(worded, start=1)
    )
    closing = tuple(_closing_lines(route, draft.language))
    closing_parts = (DocumentPart(frame["request"], closing),) if closing else ()
    return (
        DocumentPart(title, tuple(_letter_opening_lines(draft, addressee))),
        *_form_parts(draft, addressee),
        *body,
        *closing_parts,
    )


def sheet_parts(
    draft: DraftContext, worded: tuple[WordedElement, ...], lines: CaseLines
) -> tuple[DocumentPart, ...]:
    """Lay out a page for the police or a court: the sections that every such page has, and what
    this law requires.
    """
    route, frame = draft.route, draft.frame
    kind = _FRAME_PREFIXES[route.document]
    title = frame[f"{kind}_page"].format(law=law_name_in(route, draft.language))
    opening = (frame[f"{kind}_purpose"], *representative_lines(draft))
    standard = standard_sections_of(route.document)
    required_keys = {one.key for element in worded for one in element.wordings}
    other_keys = tuple(key for key in standard if key not in required_keys)
    other_sections = [
        fill_wording(key, draft, lines) for key in applicable_wording_keys(other_keys, draft)
    ]
    placed = [
        (_section_position(one.wordings, standard), _element_sections(one, draft.language))
        for one in worded
    ]
    placed += [
        (_section_position((one,), standard), (_document_part(one),)) for one in other_sections
    ]
    ordered = sorted(placed, key=lambda pair: pair[0])
    return (DocumentPart(title, opening), *(part for _, parts in ordered for part in parts))


def hash_bank_parts(
    draft: DraftContext, worded: tuple[WordedElement, ...], lines: CaseLines
) -> tuple[DocumentPart, ...]:
    """Lay out a hash bank's own steps, and how to store the number that it gives."""
    route, frame = draft.route, draft.frame
    steps = f"bank_{route.family.removeprefix('hash-')}"
    keys = (
        [steps, "bank_number"]
        if steps in words_in_language(draft.language).element
        else ["bank_number"]
    )
    step_sections = [fill_wording(key, draft, lines) for key in keys]
    title = frame["bank_page"].format(law=law_name_in(route, draft.language))
    where = frame["bank_where"].format(address=lines.address)
    hashed = (_document_part(one) for element in worded for one in element.wordings)
    return (DocumentPart(title, (where,)), *hashed, *map(_document_part, step_sections))


def representative_lines(draft: DraftContext) -> Iterator[str]:
    """Yield the sentence which says that somebody acts for the person shown, if the law permits
    that.
    """
    if not speaks_for_somebody(draft.case, draft.route):
        return
    acting = draft.case.representative
    role = draft.frame[f"role_{acting.role}" if acting else "role_unsaid"]
    yield draft.frame["behalf"].format(role=role)


def _letter_opening_lines(draft: DraftContext, addressee: Addressee) -> Iterator[str]:
    yield draft.frame["to"].format(addressee=_addressee_name(addressee, draft))
    if addressee.form:
        yield draft.frame["form_address"].format(address=addressee.form)
    yield from representative_lines(draft)


def _addressee_name(addressee: Addressee, draft: DraftContext) -> str:
    return ", ".join(filter(None, (addressee.name, addressee.office))) or draft.frame["gap_sender"]


def _element_heading(element: WordedElement, language: str) -> str:
    own_words = language == "en" and lacks_source_notes(element.element.required)
    return element.element.required if own_words else element.title


def _closing_lines(route: Route, language: str) -> Iterator[str]:
    frame = words_in_language(language).frame
    if route.kind in _KINDS_WITHOUT_REQUEST or route.family == ACCOUNT_THREAT_ROUTE:
        return
    yield frame[_REQUEST_TEXT_KEYS.get(route.kind, "ask_other")]
    if route.kind in _KINDS_STATING_NO_PICTURE:
        yield frame["no_picture"]
    yield from _deadline_lines(route, language)


def _deadline_lines(route: Route, language: str) -> Iterator[str]:
    frame = words_in_language(language).frame
    own_words = language == "en" and lacks_source_notes(route.deadline_from)
    since = (route.deadline_from if own_words else "") or frame["since_receipt"]
    for due, key in ((RequiredAct.REMOVE, "time_remove"), (RequiredAct.ANSWER, "time_answer")):
        if time := _translate_duration(time_allowed(route, due), language):
            yield frame[key].format(time=time, since=since)
            return


_DURATION_PATTERN: Final = re.compile(r"(one|\d+) (hour|day|calendar month)s?")


def _translate_duration(english: str, language: str) -> str:
    """Translate a length of time such as "48 hours"; "" if there is none.

    >>> _translate_duration("48 hours", "de")
    '48 Stunden'
    """
    found = _DURATION_PATTERN.fullmatch(english)
    if found is None or language == "en":
        return english
    number = 1 if found[1] == "one" else int(found[1])
    unit = {"hour": "hours", "day": "days"}.get(found[2], "month" if number == 1 else "months")
    return words_in_language(language).frame[unit].format(n=number)


def _form_parts(draft: DraftContext, addressee: Addressee) -> Iterator[DocumentPart]:
    if (
        draft.route.document is DocumentKind.FORM
        and addressee.platform
        and addressee.platform.asks_for
    ):
        yield _form_fields(draft, addressee.platform)


_ANSWER_KINDS_IN_ANY_LANGUAGE: Final = frozenset(
    {
        FormAnswerKind.LINKS,
        FormAnswerKind.ACCOUNT,
        FormAnswerKind.CHAT,
        FormAnswerKind.DOMAIN,
        FormAnswerKind.COUNTRY,
    }
)
_CHOSEN_ANSWER_KINDS: Final = frozenset(
    {FormAnswerKind.CHOOSE, FormAnswerKind.CONFIRM, FormAnswerKind.KIND}
)


def _form_fields(draft: DraftContext, platform: PlatformRecord) -> DocumentPart:
    """Return the form's fields in order, with the texts to paste, which use only the named
    sightings.
    """
    frame = draft.frame
    asked = frame["fields_from"].format(name=platform.name, day=platform.read_on)
    with_named_sightings_only = replace(draft.case, sightings=draft.named_sightings)
    answers = report_steps(platform, with_named_sightings_only, draft.now.date()).answers
    pasted = (
        _text_to_paste(one, paste, draft.language)
        for one, paste in zip(answers, platform.paste, strict=True)
    )
    items = (
        frame["field"].format(field=one.asks, paste=paste)
        for one, paste in zip(answers, pasted, strict=True)
    )
    numbered = (f"{number}. {item}" for number, item in enumerate(items, start=1))
    rows = (row.rstrip() for item in numbered for row in item.splitlines())
    return DocumentPart(frame["fields"], (asked, *rows))


def _text_to_paste(answer: FormAnswer, paste: FormAnswerKind, language: str) -> str:
    """Return the text to paste. In languages other than English, refer to the letter below instead
    of repeating its sentences.
    """
    frame = words_in_language(language).frame
    if answer.gap:
        return frame["field_gap"].format(field=answer.asks)
    if language == "en" or paste in _ANSWER_KINDS_IN_ANY_LANGUAGE:
        return (
            f"\n{answer.paste}"
            if "\n" in answer.paste or paste in _ANSWER_KINDS_IN_ANY_LANGUAGE
            else answer.paste
        )
    return frame["field_choose" if paste in _CHOSEN_ANSWER_KINDS else "field_text"]


def _element_sections(element: WordedElement, language: str) -> tuple[DocumentPart, ...]:
    """Return the sections for an element of the law. In English, the first begins with the law's
    words.
    """
    first, *others = map(_document_part, element.wordings)
    if language != "en" or not lacks_source_notes(element.element.required):
        return (first, *others)
    asks = words_in_language("en").frame["law_asks"].format(required=element.element.required)
    return (replace(first, lines=(asks, *first.lines)), *others)


def _document_part(wording: FilledWording) -> DocumentPart:
    return DocumentPart(wording.title, tuple(wording.text.splitlines()))


def _section_position(wordings: tuple[FilledWording, ...], sections: tuple[str, ...]) -> float:
    """Return a sort key for a section. A section with the person's request comes near the top, one
    with a standard section takes that section's place, and any other comes just before the section
    about the law.
    """
    places = [sections.index(one.key) for one in wordings if one.key in sections]
    if any(one.key in _REQUEST_ELEMENT_KEYS for one in wordings):
        return 0.5
    return float(min(places)) if places else sections.index("law") - 0.5
