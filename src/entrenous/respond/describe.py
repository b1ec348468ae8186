"""Say more about what a case is about; the choice of routes turns on it."""

from dataclasses import replace
from typing import NoReturn

from entrenous.model.case import AgeAnswer, Case, CaseState, Situation, TakenBy
from entrenous.model.evidence import CustodyAct
from entrenous.ports import Device
from entrenous.respond.age_gate import not_all_adults
from entrenous.respond.case_file import case_called, change, put_away


def describe_case(name: str, more: Situation, device: Device) -> Case:
    """Add to what was said when the case was opened; what ``more`` leaves unsaid stays as it was.

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed: as their messages say.
    """

    def described(case: Case) -> Case:
        return replace(case, situation=_joined(case.situation, more))

    return change(name, device, described, "said more about it")


def under_18_after_all(name: str, more: Situation, device: Device) -> NoReturn:
    """Keep in a case, be it open or closed, that somebody in the picture was, or may have been,
    under 18, and what else was said; it is then closed for good (docs/spec/case.md section 1).

    Raises:
        NoSuchCase: there is none.
        NotAllAdults: always otherwise, once this is kept; says who helps, and how to erase.
    """
    with device.vault.together():
        case = case_called(name, device)
        heard = replace(
            case,
            age=AgeAnswer.CHILD,
            state=CaseState.CLOSED,
            situation=_joined(case.situation, more),
        )
        if heard != case:  # it may be said again
            put_away(heard, device, CustodyAct.CHANGED, "said that somebody was under 18")
    raise not_all_adults(heard, device.clock.now().date())


def _joined(known: Situation, more: Situation) -> Situation:
    return replace(
        known,
        places=tuple(dict.fromkeys((*known.places, *more.places))),
        intimate=known.intimate if more.intimate is None else more.intimate,
        altered=known.altered if more.altered is None else more.altered,
        taken_by=known.taken_by if more.taken_by is TakenBy.UNSAID else more.taken_by,
        name_must_stay_hidden=known.name_must_stay_hidden or more.name_must_stay_hidden,
    )
