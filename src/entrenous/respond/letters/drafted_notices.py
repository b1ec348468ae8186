"""The notices of a case that have been drafted: list and compare them, fill the gaps in brackets
that a draft leaves for the person, and store the reference number that an addressee gave.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from entrenous.base.errors import Refused
from entrenous.base.language import day_in_words, translatable, translated
from entrenous.device.device import Device
from entrenous.respond.case_file import case_with_replaced_notice, edit_case, find_notice
from entrenous.respond.letters.wordings import words_in_language
from entrenous.respond.nouns import (
    Case,
    DocumentPart,
    Notice,
    NoticeElement,
    NoticeState,
)

NO_DIFFERENCE: Final = translatable("Notices {first} and {second} have the same text.")
NO_NOTICES: Final = translatable(
    "There are no notices yet. See which routes there are: entrenous law routes {name}"
)
_HOW_TO_SHOW_TEXT: Final = translatable(
    "To read one again: entrenous case notice {name} --show NUMBER"
)


class NoLongerDraft(Refused):
    """Notice {number} of case {name} is no longer a draft, so it was not changed. To write
    something else, draft a new notice.
    """


@dataclass(frozen=True, slots=True)
class NoticeVersion:
    """A notice, and its version number among drafts along the same route to the same addressee,
    from 1.
    """

    notice: Notice
    version: int


def notice_versions(case: Case) -> tuple[NoticeVersion, ...]:
    """Return all notices of a case, in the order in which they were drafted."""
    drafts = dict[tuple[str, str], int]()
    found = []
    for notice in case.notices:
        key = (notice.route.family, notice.to)
        drafts[key] = drafts.get(key, 0) + 1
        found.append(NoticeVersion(notice, drafts[key]))
    return tuple(found)


def notice_list_lines(case: Case) -> Iterator[str]:
    """Yield two lines for each notice, and a last line of advice.

    The first line says what the notice is, and its state; the second, on which days it was drafted,
    sent, received and so on.
    """
    for one in notice_versions(case):
        notice = one.notice
        again = translated(", version {version}").format(version=one.version)
        yield translated(
            "{number}  {route} to {to}: {state}{again} ({document}, {language})"
        ).format(
            number=notice.number,
            route=notice.route.id,
            to=translated(notice.to),
            state=translated(notice.state.value),
            again=again if one.version > 1 else "",
            document=translated(notice.route.document.value),
            language=words_in_language(notice.language).name,
        )
        yield f"   {'; '.join(_notice_days(notice))}"
    yield translated(_HOW_TO_SHOW_TEXT if case.notices else NO_NOTICES).format(name=case.name)


def compare_notices(case: Case, first: int, second: int) -> str:
    """Return what changed from one notice to another, as lines with - and + before them.

    Raises NoSuchCaseEntry.
    """
    old, new = find_notice(case, first), find_notice(case, second)
    before, after = old.letter.splitlines(), new.letter.splitlines()
    changes = list(
        difflib.unified_diff(before, after, _notice_name(old), _notice_name(new), n=1, lineterm="")
    )
    if not changes:
        return translated(NO_DIFFERENCE).format(first=first, second=second)
    return "\n".join(line for line in changes if not line.startswith("@@"))


def store_reference_number(name: str, number: int, reference: str, device: Device) -> Case:
    """Store the number that an addressee gave for a notice, e.g. a hash bank's case number.

    Raises NoSuchCase, NotAllAdults, CaseClosed, NoSuchCaseEntry.
    """

    def set_reference(case: Case) -> Case:
        return case_with_replaced_notice(
            case, replace(find_notice(case, number), reference=reference)
        )

    return edit_case(
        name, device, set_reference, f"notice {number}: kept the number that they gave"
    )


def fill_gaps(name: str, number: int, texts: Mapping[str, str], device: Device) -> Case:
    """Replace the gaps of a draft with the person's texts, and store it.

    Args:
        name: the case.
        number: the notice.
        texts: what to write for each gap of ``Notice.missing``; empty texts leave the gap.
        device: its vault stores the case.

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed, NoSuchCaseEntry.
        NoLongerDraft: the notice was sent or withdrawn.
    """

    def fill_notice_gaps(case: Case) -> Case:
        notice = find_notice(case, number)
        if notice.state is not NoticeState.DRAFTED:
            raise NoLongerDraft(name=name, number=number)
        return case_with_replaced_notice(case, with_gaps_filled(notice, texts))

    return edit_case(name, device, fill_notice_gaps, f"notice {number}: filled in what was missing")


def with_gaps_filled(notice: Notice, texts: Mapping[str, str]) -> Notice:
    """Return the notice with its gaps replaced everywhere: elements, parts and letter."""
    filled = {gap: text.strip() for gap, text in texts.items() if text.strip()}
    text_of_gap = {gap: filled[gap] for gap in notice.missing if gap in filled}
    return replace(
        notice,
        elements=tuple(_fill_element(one, text_of_gap) for one in notice.elements),
        parts=tuple(_fill_part(one, text_of_gap) for one in notice.parts),
        letter=_replace_gaps(notice.letter, text_of_gap),
        other_gaps=tuple(gap for gap in notice.other_gaps if gap not in text_of_gap),
    )


def _notice_days(notice: Notice) -> Iterator[str]:
    for words, at in (
        (translated("drafted {day}"), notice.drafted_at),
        (translated("sent {day}"), notice.sent_at),
        (translated("received {day}"), notice.received_at),
        (translated("asked for more {day}"), notice.asked_at),
        (translated("partly removed {day}"), notice.partly_at),
        (translated("refused {day}"), notice.refused_at),
        (translated("removed {day}"), notice.removed_at),
    ):
        if at is not None:
            yield words.format(day=day_in_words(at))
    if notice.reference:
        yield translated("their number is kept")


def _notice_name(notice: Notice) -> str:
    words = translated("notice {number}, drafted {day}")
    return words.format(number=notice.number, day=day_in_words(notice.drafted_at))


def _fill_element(element: NoticeElement, text_of_gap: Mapping[str, str]) -> NoticeElement:
    left = tuple(gap for gap in element.gaps if gap not in text_of_gap)
    return replace(element, text=_replace_gaps(element.text, text_of_gap), gaps=left)


def _fill_part(part: DocumentPart, text_of_gap: Mapping[str, str]) -> DocumentPart:
    lines = (_replace_gaps(line, text_of_gap).split("\n") for line in part.lines)
    return replace(part, lines=tuple(row for rows in lines for row in rows))


def _replace_gaps(text: str, text_of_gap: Mapping[str, str]) -> str:
    """Replace every gap in a text, but none inside the person's own texts."""
    for gap in sorted(text_of_gap, key=len, reverse=True):
        before, found, after = text.partition(gap)
        if found:
            return (
                _replace_gaps(before, text_of_gap)
                + text_of_gap[gap]
                + _replace_gaps(after, text_of_gap)
            )
    return text
