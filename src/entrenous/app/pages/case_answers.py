"""Turn the answers about what happened into input for the legal rules, and open a case from the
answers.
"""

from typing import Final

from entrenous.device.device import Device
from entrenous.respond.case_file import find_case
from entrenous.respond.law.places import Place
from entrenous.respond.nouns import (
    AgeAnswer,
    Case,
    Representative,
    RepresentativeRole,
    Sighting,
    SightingReach,
)
from entrenous.respond.open_case import (
    add_sighting,
    find_trace,
    open_case,
    representative_with_consent,
)
from entrenous.respond.platforms import find_platform, host_of
from entrenous.respond.situation import Demand, PictureMaker, Situation, Spread

_BOOL_OF_ANSWER: Final = {"yes": True, "no": False}
_SPREADS_IN_CHATS: Final = (Spread.GROUP, Spread.PRIVATE, Spread.THREAT)


def situation_from_answers(answers: dict[str, str]) -> Situation:
    """Return the situation that the answers describe; skipped questions are unanswered."""
    said = {name: answer for name, answer in answers.items() if answer not in ("", "skip")}
    demand, posted = said.get("demand"), said.get("posted")
    told = said.get("told_platform", "")
    platform = find_platform(told or said.get("platform", ""))
    where = said.get("platform", "") if host_of(said.get("platform", "")) else ""
    return Situation(
        places=(Place(said["place"]),) if "place" in said else (),
        posted=Spread(posted) if posted else None,
        demand=Demand(demand) if demand else None,
        platform=platform.id if platform else told or (where if "." in where else ""),
        platform_kind=said.get("kind", ""),
        intimate=_BOOL_OF_ANSWER.get(said.get("intimate", "")),
        altered=_BOOL_OF_ANSWER.get(said.get("altered", "")),
        taken_by=PictureMaker(said.get("maker", PictureMaker.UNSAID)),
        recipient_known=_BOOL_OF_ANSWER.get(said.get("sender", "")),
        on_behalf=said.get("for") == "other",
    )


def role_from_answers(answers: dict[str, str]) -> RepresentativeRole:
    role = answers.get("role", "")
    return RepresentativeRole(role) if role in set(RepresentativeRole) else RepresentativeRole.OTHER


def sighting_from_answers(answers: dict[str, str], device: Device) -> Sighting | None:
    """Return the sighting that the answers describe, or None if they do not say where the picture
    was seen. A chat in which a threat was made counts as a sighting.
    """
    where, account = answers.get("where", ""), answers.get("account", "")
    if where in ("", "skip"):
        return None
    reach = (
        SightingReach.PRIVATE
        if answers.get("posted") in _SPREADS_IN_CHATS
        else SightingReach.PUBLIC
    )
    return Sighting(where, reach, device.clock.now(), account)


def open_case_from_answers(answers: dict[str, str], device: Device) -> Case:
    """Open a case from the answers, with the place where the picture was seen.

    Raises the errors of :func:`.open_case` and :func:`.add_sighting`; NoConsent, NoSuchTrace.
    """
    number = answers.get("trace", "")
    trace = find_trace(int(number), device) if number.isdigit() else None
    with device.vault.transaction():
        case = open_case(
            trace,
            situation_from_answers(answers),
            AgeAnswer.ADULTS,
            device,
            _representative_from_answers(answers, device),
        )
        seen = sighting_from_answers(answers, device)
        if seen is not None:
            add_sighting(case.name, seen, device)
        return find_case(case.name, device)


def _representative_from_answers(answers: dict[str, str], device: Device) -> Representative | None:
    if answers.get("for") != "other":
        return None
    return representative_with_consent(
        role_from_answers(answers), answers.get("consent", ""), device.clock.now()
    )


def web_address_or_empty(typed: str) -> str:
    """Return a typed web address, with https:// added if it is missing; "" if it is not valid."""
    scheme, _, rest = typed.partition(":")
    if scheme.lower() not in ("http", "https"):
        scheme, rest = "https", typed
    address = f"{scheme}://" + rest.lstrip("/\\")
    host = host_of(address)
    return address if "." in host or host == "localhost" else ""
