"""The age gate: at the opening of a case, and wherever the answer comes later.

When somebody in the picture was, or may have been, under 18, nothing is captured or stored: keeping
such a picture may itself be an offence, and there are people whose work this is.
"""

from datetime import date

from entrenous.model.case import AgeAnswer, Case, ForYoungPeople, NotAllAdults
from entrenous.model.route import Place
from entrenous.respond.help_lines import hand_over, shown


def pass_age_gate(age: AgeAnswer, places: tuple[Place, ...], today: date) -> None:
    """Raises ForYoungPeople, with who helps in these places, unless all were adults."""
    if age is not AgeAnswer.ADULTS:
        raise ForYoungPeople(help=who_helps(places, today))


def refuse_unless_adults(case: Case, today: date) -> None:
    """Raises NotAllAdults, with who helps, if a case was said to be of somebody under 18."""
    if case.age is not AgeAnswer.ADULTS:
        raise not_all_adults(case, today)


def not_all_adults(case: Case, today: date) -> NotAllAdults:
    """The refusal, with who helps in the places of the case."""
    return NotAllAdults(name=case.name, help=who_helps(case.situation.places, today))


def who_helps(places: tuple[Place, ...], today: date) -> str:
    """Who takes over when somebody in the picture was under 18, in one line; never empty."""
    return "; ".join(shown(line, today) for line in hand_over(places))
