"""Fill the gaps in brackets that a draft leaves for the person."""

from collections.abc import Mapping
from dataclasses import replace

from entrenous.base.errors import Refused
from entrenous.device.device import Device
from entrenous.respond.case_file import edit_case
from entrenous.respond.letters.versions import find_notice
from entrenous.respond.nouns import Case, DocumentPart, Notice, NoticeElement, NoticeState


class AlreadySent(Refused):
    """Notice {number} of case {name} is no longer a draft, so it was not changed. To write
    something else, draft a new notice.
    """


def fill_gaps(name: str, number: int, given: Mapping[str, str], device: Device) -> Case:
    """Replace the gaps of a draft with the person's texts, and store it.

    Args:
        name: the case.
        number: the notice.
        given: what to write for each gap of ``Notice.missing``; empty texts leave the gap.
        device: its vault stores the case.

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed, NoSuchCaseEntry.
        AlreadySent: it was sent or withdrawn.
    """

    def filled_in(case: Case) -> Case:
        notice = find_notice(case, number)
        if notice.state is not NoticeState.DRAFTED:
            raise AlreadySent(name=name, number=number)
        after = with_gaps_filled(notice, given)
        return replace(
            case, notices=tuple(after if one.number == number else one for one in case.notices)
        )

    return edit_case(name, device, filled_in, f"notice {number}: filled in what was missing")


def with_gaps_filled(notice: Notice, given: Mapping[str, str]) -> Notice:
    """Return the notice with its gaps replaced everywhere: elements, parts and letter."""
    words = {gap: text.strip() for gap, text in given.items() if text.strip()}
    known = {gap: words[gap] for gap in notice.missing if gap in words}
    return replace(
        notice,
        elements=tuple(_fill_element(one, known) for one in notice.elements),
        parts=tuple(_fill_part(one, known) for one in notice.parts),
        letter=_replace_gaps(notice.letter, known),
    )


def _fill_element(element: NoticeElement, known: Mapping[str, str]) -> NoticeElement:
    left = tuple(gap for gap in element.gaps if gap not in known)
    return replace(element, text=_replace_gaps(element.text, known), gaps=left)


def _fill_part(part: DocumentPart, known: Mapping[str, str]) -> DocumentPart:
    lines = (_replace_gaps(line, known).split("\n") for line in part.lines)
    return replace(part, lines=tuple(row for rows in lines for row in rows))


def _replace_gaps(text: str, known: Mapping[str, str]) -> str:
    """Replace each gap once; the person's texts are not searched again."""
    for gap in sorted(known, key=len, reverse=True):
        before, found, after = text.partition(gap)
        if found:
            return _replace_gaps(before, known) + known[gap] + _replace_gaps(after, known)
    return text
