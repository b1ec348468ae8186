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


def fill_gaps(name: str, number: int, texts: Mapping[str, str], device: Device) -> Case:
    """Replace the gaps of a draft with the person's texts, and store it.

    Args:
        name: the case.
        number: the notice.
        texts: what to write for each gap of ``Notice.missing``; empty texts leave the gap.
        device: its vault stores the case.

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed, NoSuchCaseEntry.
        AlreadySent: the notice was sent or withdrawn.
    """

    def fill_notice_gaps(case: Case) -> Case:
        notice = find_notice(case, number)
        if notice.state is not NoticeState.DRAFTED:
            raise AlreadySent(name=name, number=number)
        after = with_gaps_filled(notice, texts)
        return replace(
            case, notices=tuple(after if one.number == number else one for one in case.notices)
        )

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
    )


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
