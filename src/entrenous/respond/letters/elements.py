"""Put the elements that a law requires into words, with the facts of the case, or with gaps in
brackets where facts are missing.
"""

import re
from dataclasses import dataclass
from typing import Final

from entrenous.respond.law.legal_route import DocumentKind, Route, WhetherCovered
from entrenous.respond.letters.case_lines import CaseLines, DraftContext
from entrenous.respond.letters.wordings import (
    Wording,
    placeholders_in,
    wording_keys_for,
    words_in_language,
)
from entrenous.respond.nouns import Case, Notice, NoticeElement, SightingReach
from entrenous.respond.situation import PictureMaker, Situation, Spread

_DOCUMENTS_AS_ONE_TEXT: Final = frozenset(
    {DocumentKind.LETTER, DocumentKind.FORM, DocumentKind.COMPLAINT}
)
_NAME_WORDING_KEYS: Final = ("signature", "name_email", "person")
#: The gap that is written if the case lacks a fact.
_GAP_KEY_OF_MISSING_FACT: Final = {
    "places": "gap_places",
    "timeline": "gap_timeline",
    "sender": "gap_sender",
    "kept": "gap_kept",
    "history": "gap_history",
    "answers": "gap_answers",
    "asked": "gap_asked",
    "copies": "gap_history",
}


@dataclass(frozen=True, slots=True)
class FilledWording:
    """One wording, filled in with facts. ``gaps`` are the placeholders in it, in square brackets,
    for missing facts.
    """

    key: str
    title: str
    text: str
    gaps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WordedElement:
    """One element of the law, and the wordings that it consists of."""

    element: NoticeElement
    wordings: tuple[FilledWording, ...]

    @property
    def title(self) -> str:
        return "; ".join(one.title for one in self.wordings)


def word_elements(draft: DraftContext, lines: CaseLines) -> tuple[WordedElement, ...]:
    """Put every element that the route's law requires into words, in the law's order.

    Missing facts become gaps; ``lines`` are the facts of the case.
    """
    route = draft.route
    keys = wording_keys_for(route)
    if keys is None:
        return tuple(_unworded_element(need) for need in route.elements)
    headed = route.document not in _DOCUMENTS_AS_ONE_TEXT
    return tuple(
        _join_wordings(
            need,
            tuple(fill_wording(key, draft, lines) for key in applicable_wording_keys(some, draft)),
            headed=headed,
        )
        for need, some in zip(route.elements, keys, strict=True)
    )


def applicable_wording_keys(keys: tuple[str, ...], draft: DraftContext) -> tuple[str, ...]:
    """Return the keys of the wordings that apply. If nothing has been shared yet, wordings about
    places are left out.

    If a wording about places is the only one for an element of the law, it is kept, with its gap.
    """
    if draft.case.situation.posted is not Spread.THREAT or draft.named_sightings:
        return keys
    return tuple(key for key in keys if key != "places") or keys


def fill_wording(key: str, draft: DraftContext, lines: CaseLines) -> FilledWording:
    """Fill in the wording with this key; arguments as for :func:`word_elements`."""
    says, gap = _choose_wording(key, draft)
    known = {name: lines.text_of_placeholder(name) for name in placeholders_in(says)}
    missing = {name: _gap_for(name, draft) for name, value in known.items() if not value}
    text = "\n".join(filter(None, [says.format(**(known | missing)), gap]))
    gaps = (*gap.splitlines(), *missing.values())
    return FilledWording(key, words_in_language(draft.language).element[key].title, text, gaps)


def _gap_for(name: str, draft: DraftContext) -> str:
    """Return the gap that is written in place of a fact: one that the case lacks, or a chat, which
    a letter names only if the person wants that.
    """
    in_chat = any(seen.reach is SightingReach.PRIVATE for seen in draft.case.sightings)
    if name == "places" and in_chat:
        return draft.frame["gap_chat"]
    return draft.frame[_GAP_KEY_OF_MISSING_FACT[name]]


_SOURCE_NOTE_PATTERN: Final = re.compile(r"re-verify|per one|press:")


def lacks_source_notes(fact: str) -> bool:
    """Return whether a text is only what the law states, without a note of ours on its source."""
    return _SOURCE_NOTE_PATTERN.search(fact) is None


def speaks_for_somebody(case: Case, route: Route) -> bool:
    """Return whether the document says that somebody acts for the person shown.

    Where only the person shown may file, the page speaks in that person's own name.
    """
    acts = case.representative is not None or case.situation.on_behalf
    return acts and route.representative is not WhetherCovered.NO


def _unworded_element(need: str) -> WordedElement:
    gap = f"[{need}]"
    return WordedElement(NoticeElement(need, gap, (gap,)), (FilledWording("", need, gap, (gap,)),))


def _join_wordings(
    need: str, wordings: tuple[FilledWording, ...], *, headed: bool
) -> WordedElement:
    """Join the wordings of one element: under headings of their own on a page, as one text in a
    letter.
    """
    rest = (f"\n{one.title}\n{one.text}" if headed else one.text for one in wordings[1:])
    text = "\n".join((wordings[0].text, *rest))
    gaps = tuple(gap for one in wordings for gap in one.gaps)
    return WordedElement(NoticeElement(need, text, gaps), wordings)


def _choose_wording(key: str, draft: DraftContext) -> tuple[str, str]:
    """Return the text of a wording for this case, with placeholders, and its gap lines."""
    frame, wording = draft.frame, words_in_language(draft.language).element[key]
    acts = speaks_for_somebody(draft.case, draft.route)
    says = (acts and wording.says_for) or wording.says
    gap = (acts and wording.gap_for) or wording.gap
    open_claims = _unmade_claims(wording, draft.case.situation)
    if wording.says_for and draft.case.situation.depicts_me is False and not acts:
        open_claims = (*open_claims, frame["only_if_shown"].format(says=_first_sentence(says)))
    if open_claims:
        place_line = frame["here"] if "{places}" in says else ""
        return place_line, "\n".join(filter(None, [*open_claims, gap]))
    if wording.law_language and wording.law_language != draft.language:
        return _with_law_text(key, says, acts=acts, language=draft.language), gap
    return says, gap


def _unmade_claims(wording: Wording, situation: Situation) -> tuple[str, ...]:
    """Return the claims of a wording that the person has not made, as gaps to fill in."""
    claims = (
        wording.if_maker_unsaid if situation.taken_by is not PictureMaker.ME else "",
        wording.if_intimate_unsaid if situation.intimate is None else "",
    )
    return tuple(filter(None, claims))


def claim_sentences_by_gap(notice: Notice, case: Case) -> dict[str, str]:
    """Return the gaps of a draft that are claims, each with the sentence that the person may write
    there if it is true.
    """
    acts, element = (
        speaks_for_somebody(case, notice.route),
        words_in_language(notice.language).element,
    )
    found = dict[str, str]()
    for key in (key for some in wording_keys_for(notice.route) or () for key in some):
        wording = element[key]
        says = wording.claim or (acts and wording.says_for) or wording.says
        if not wording.claim and wording.law_language not in ("", notice.language):
            says = _with_law_text(key, says, acts=acts, language=notice.language)
        gaps = {wording.if_maker_unsaid, wording.if_intimate_unsaid} & set(notice.missing)
        found |= dict.fromkeys(gaps, says)
    return found


def lacks_person_name(notice: Notice) -> bool:
    """Return whether the person's name or signature is among the gaps of a draft."""
    element = words_in_language(notice.language).element
    gaps = {gap for key in _NAME_WORDING_KEYS for gap in (element[key].gap, element[key].gap_for)}
    return not gaps.isdisjoint(notice.missing)


def _with_law_text(key: str, says: str, *, acts: bool, language: str) -> str:
    """Return the law's own words, followed by what they mean in the letter's language."""
    law = words_in_language(words_in_language(language).element[key].law_language).element[key]
    law_words = (acts and law.says_for) or law.says
    meaning = (
        words_in_language(language).frame["not_my_language"].format(says=_first_sentence(says))
    )
    return f"{law_words}\n{meaning}"


def _first_sentence(says: str) -> str:
    """Return the first line of a wording, without a colon that leads to a list."""
    return says.partition("\n")[0].removesuffix(":").rstrip()
