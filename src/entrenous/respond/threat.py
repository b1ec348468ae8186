"""The next step while somebody only threatens: what can be done before anything appears.

The order is that of respond/facts/threat-ladder.toml: save the demand, fingerprints, the account,
then those who prosecute it.
"""

from datetime import datetime
from typing import Final

from entrenous.respond.law.legal_route import Route, RouteKind
from entrenous.respond.law.routes import day_of_event, routes_for_case, situation_of
from entrenous.respond.nouns import Case
from entrenous.respond.situation import Posted

_KEEP: Final = (
    "Do not pay, and send nothing more. Save the demand before anything else: a screenshot of every"
    " message, with the account and the time. Keep it here: entrenous case add {name} FILE"
)
_BANK: Final = (
    "Before anything appears, let platforms refuse it: make fingerprints on your device, the"
    " picture stays there. The steps: entrenous case notice {name} --route {route}"
)
_ACCOUNT: Final = (
    "Note which account threatens, so that its platform can be told: entrenous case add {name}"
    " --chat - --handle ACCOUNT"
)
_REPORT: Final = (
    "Report the account that threatens to its platform, then block it everywhere; not before the"
    " demand is saved. A letter about it: entrenous case notice {name} --route {route}"
)
_POLICE: Final = (
    "A threat like this is an offence in many places; whether you report it is your choice, and a"
    " help line can be asked first. A page for the desk: entrenous case notice {name} --route"
    " {route}"
)
_DONE: Final = (
    "What can be done from here before anything appears is done.{police} If something does appear:"
    " entrenous case about {name} --posted public. To talk to somebody: entrenous help --threat"
)
_ASK_POLICE: Final = (
    " A demand with a threat is an offence nearly everywhere; whether you report it to the police"
    " is your choice."
)
_SKIP: Final = ". Or skip this; all steps: entrenous law routes {name}"


def is_threat_only(case: Case) -> bool:
    """Whether nothing was shared yet, as far as the case knows."""
    return situation_of(case).posted is Posted.THREAT


def threat_step(case: Case, now: datetime) -> str:
    """Return the next step of a case in which somebody only threatens, in words.

    Args:
        case: open, about adults.
        now: aware, UTC.
    """
    if not case.evidence:
        return _words(_KEEP, case) + _words(_SKIP, case)
    for kind in (RouteKind.BANK, RouteKind.PLATFORM, RouteKind.POLICE):
        route = _route_of_kind(kind, case, now)
        if route is not None and not _was_tried(kind, case):
            return _about(kind, route, case) + _words(_SKIP, case)
    police = "" if _was_tried(RouteKind.POLICE, case) else _ASK_POLICE
    return _DONE.format(name=case.name, police=police)


def _about(kind: RouteKind, route: Route, case: Case) -> str:
    if kind is RouteKind.PLATFORM and not any(seen.handle for seen in case.sightings):
        return _words(_ACCOUNT, case)
    words = {RouteKind.BANK: _BANK, RouteKind.PLATFORM: _REPORT, RouteKind.POLICE: _POLICE}[kind]
    return words.format(name=case.name, route=route.family)


def _route_of_kind(kind: RouteKind, case: Case, now: datetime) -> Route | None:
    choice = routes_for_case(case, day_of_event(case), now.date())
    return next((one.route for one in choice.ranked if one.route.kind is kind), None)


def _was_tried(kind: RouteKind, case: Case) -> bool:
    """Whether a notice of this kind was drafted, whatever became of it."""
    return any(notice.route.kind is kind for notice in case.notices)


def _words(words: str, case: Case) -> str:
    return words.format(name=case.name)
