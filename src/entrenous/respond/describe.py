"""Say more about what a case is about; the choice of routes turns on it."""

from dataclasses import replace

from entrenous.model.case import Case, Situation, TakenBy
from entrenous.ports import Device
from entrenous.respond.case_file import change


def describe_case(name: str, more: Situation, device: Device) -> Case:
    """Add to what was said when the case was opened; what ``more`` leaves unsaid stays as it was.

    Raises:
        NoSuchCase, CaseClosed: as their messages say.
    """

    def described(case: Case) -> Case:
        return replace(case, situation=_joined(case.situation, more))

    return change(name, device, described, "said more about it")


def _joined(known: Situation, more: Situation) -> Situation:
    return replace(
        known,
        places=tuple(dict.fromkeys((*known.places, *more.places))),
        intimate=known.intimate if more.intimate is None else more.intimate,
        altered=known.altered if more.altered is None else more.altered,
        taken_by=known.taken_by if more.taken_by is TakenBy.UNSAID else more.taken_by,
        name_must_stay_hidden=known.name_must_stay_hidden or more.name_must_stay_hidden,
    )
