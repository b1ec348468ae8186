"""The age gate (was everybody in the picture 18 or older?), and help lines for people under 18.

The question is answered when a case is opened, and "under 18" may also be answered later. If
somebody was or may have been under 18, the person is referred to help lines, which are chosen by
the places where the person lives.
"""

from datetime import date
from typing import Final

from entrenous.base.errors import Refused
from entrenous.base.language import translatable, translated
from entrenous.respond.help_lines import HelpLine
from entrenous.respond.law.places import WORLDWIDE, Place
from entrenous.respond.nouns import AgeAnswer, Case
from entrenous.respond.who_helps import HelpNeed, find_help_lines

# number of help lines named in an error; ``entrenous help`` shows all of them
_LOCAL_HELP_LINES_MAX: Final = 3
_WORLDWIDE_HELP_LINES_MAX: Final = 2


class SomebodyUnder18(Refused):
    """Thank you for saying so. Because somebody in the picture was, or may have been, under 18 when
    it was taken, nothing was captured or stored here. There are people whose job it is to help with
    this, free of charge and without judging you. {help}
    """


class NotAllAdults(Refused):
    """Nothing more can be added to case {name}, because somebody in the picture was, or may have
    been, under 18 when it was taken. It is good that you said so. There are people whose job it is
    to help with this, free of charge and without judging you. {help} What was stored before is
    still on this device. Those who help need to know where the picture was seen; they do not need
    the picture. You can erase the whole case from this device, for good: entrenous case erase
    {name}
    """


def help_line_text(line: HelpLine, today: date) -> str:
    """Format one help line with its cautions."""
    parts = [
        line.name,
        line.translated_phone,
        translated(line.hours),
        line.web,
        *line.cautions(today),
    ]
    return ", ".join(part for part in parts if part)


def check_age_answer(age: AgeAnswer, places: tuple[Place, ...], today: date) -> None:
    """Raise SomebodyUnder18, with the help lines of these places, unless all were adults."""
    if age is not AgeAnswer.ADULTS:
        raise SomebodyUnder18(help=_child_help_paragraphs(places, today))


def refuse_unless_adults(case: Case, today: date) -> None:
    """Raise NotAllAdults, with help lines, unless everybody in the case's picture was an adult."""
    if case.age is not AgeAnswer.ADULTS:
        raise not_all_adults_error(case, today)


def not_all_adults_error(case: Case, today: date) -> NotAllAdults:
    """Return the error NotAllAdults with the help lines of the case's places."""
    # a new paragraph follows, because the help lines end with a command
    help_lines = f"{_child_help_paragraphs(case.situation.places, today)}\n\n"
    return NotAllAdults(name=case.name, help=help_lines)


def child_help_text(places: tuple[Place, ...], today: date) -> str:
    """Format the best help lines for people under 18 as one text, separated by semicolons: first
    those of these places, then worldwide ones.
    """
    return "; ".join(_child_help_texts(places, today))


def _child_help_paragraphs(places: tuple[Place, ...], today: date) -> str:
    """Format the best help lines, one per paragraph. The last paragraph has the command that shows
    all help lines and the first steps.
    """
    named = "".join(f" --place {place}" for place in places)
    return "\n\n".join(
        (
            *_child_help_texts(places, today),
            translated(_LIST_ALL_HELP_LINES_HINT).format(places=named),
        )
    )


_LIST_ALL_HELP_LINES_HINT: Final = translatable(
    "All of them, with their hours, and what to do first: entrenous help{places} --under-18"
)


def _child_help_texts(places: tuple[Place, ...], today: date) -> tuple[str, ...]:
    lines = find_help_lines(places, HelpNeed(under_18=True))
    near = [line for line in lines if line.place != WORLDWIDE][:_LOCAL_HELP_LINES_MAX]
    everywhere = [line for line in lines if line.place == WORLDWIDE]
    return tuple(
        help_line_text(line, today) for line in (*near, *everywhere[:_WORLDWIDE_HELP_LINES_MAX])
    )
