"""List, find and compare the drafted notices of a case, and store the reference number that an
addressee gave.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from entrenous.base.language import day_in_words, translatable, translated
from entrenous.device.device import Device
from entrenous.respond.case_file import edit_case
from entrenous.respond.letters.wordings import words_in
from entrenous.respond.nouns import Case, NoSuchCaseEntry, Notice

NO_DIFFERENCE: Final = translatable("Notices {first} and {second} have the same text.")
NO_NOTICES: Final = translatable(
    "There are no notices yet. See which routes there are: entrenous law routes {name}"
)
_HOW_TO_SHOW_TEXT: Final = translatable(
    "To read one again: entrenous case notice {name} --show NUMBER"
)


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
    """Yield one line for each notice: number, route, addressee, state and days."""
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
            language=words_in(notice.language).name,
        )
        yield f"   {'; '.join(_notice_days(notice))}"
    yield translated(_HOW_TO_SHOW_TEXT if case.notices else NO_NOTICES).format(name=case.name)


def find_notice(case: Case, number: int) -> Notice:
    """Return a notice by its number; raises NoSuchCaseEntry."""
    for notice in case.notices:
        if notice.number == number:
            return notice
    raise NoSuchCaseEntry(name=case.name, what="notice", number=number)


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


def keep_reference(name: str, number: int, reference: str, device: Device) -> Case:
    """Store the number that an addressee gave for a notice, e.g. a hash bank's case number.

    Raises NoSuchCase, NotAllAdults, CaseClosed, NoSuchCaseEntry.
    """

    def set_reference(case: Case) -> Case:
        kept = replace(find_notice(case, number), reference=reference)
        return replace(
            case, notices=tuple(kept if one.number == number else one for one in case.notices)
        )

    return edit_case(
        name, device, set_reference, f"notice {number}: kept the number that they gave"
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
