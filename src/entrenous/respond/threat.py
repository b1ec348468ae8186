"""Name the next step while somebody only threatens: what can be done before anything appears.

The order is that of respond/facts/threat-ladder.toml: save the demand, fingerprints, the account,
then those who prosecute it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from entrenous.base.language import translatable, translated
from entrenous.respond.law.law_tables import own_letter
from entrenous.respond.law.legal_route import Route, RouteKind
from entrenous.respond.law.routes import day_of_event, routes_for_case, situation_of
from entrenous.respond.letters.sightings import ACCOUNT_THREAT
from entrenous.respond.nouns import Case
from entrenous.respond.situation import Spread

_KEEP: Final = translatable(
    "Do not pay, and send nothing more. Save the demand before anything else: a screenshot of every"
    " message, with the account and the time. Add the screenshots here: entrenous case add"
    " {name} FILE"
)
_BANK: Final = translatable(
    "Before anything appears, let platforms refuse it. You make a fingerprint on your own device;"
    " the picture stays there. The steps: entrenous case notice {name} --route {route}"
)
_ACCOUNT: Final = translatable(
    "Note which account threatens, so that its platform can be told: entrenous case add {name}"
    " --chat - --handle ACCOUNT"
)
_ACCOUNT_WHERE: Final = (
    f"{_ACCOUNT}, and the platform: entrenous case about {{name}} --platform NAME"
)
_REPORT: Final = translatable(
    "Report the account that threatens to its platform, then block it everywhere. Save the"
    " demand first. To write a letter about it: entrenous case notice {name} --route {route}"
)
_POLICE: Final = translatable(
    "A threat like this is an offence in many places; whether you report it is your choice, and a"
    " help line can be asked first. To make a page for the desk: entrenous case notice {name}"
    " --route {route}"
)
_DONE: Final = translatable(
    "You have done all that can be done here before anything appears.{police} If something does"
    " appear, say so here:"
    " entrenous case about {name} --posted public. To talk to somebody: entrenous help --threat"
)
_ASK_POLICE: Final = translatable(
    "A demand with a threat is an offence nearly everywhere; whether you report it to the police"
    " is your choice."
)
_SKIP: Final = translatable("Or skip this. To see all steps: entrenous law routes {name}")


def is_threat_only(case: Case) -> bool:
    """Return whether nothing was shared yet, as far as the case says."""
    return situation_of(case).posted is Spread.THREAT


def threat_step(case: Case, now: datetime) -> str:
    """Return the next step of a case in which somebody only threatens, in words.

    Args:
        case: open, about adults.
        now: aware, UTC.
    """
    if not case.evidence:
        return _with_skip_hint(_KEEP, case.name)
    for words, route in _threat_steps(case, now):
        if not any(_is_same_step(notice.route, route) for notice in case.notices):
            return _with_skip_hint(words, case.name, route.family)
    tried = any(notice.route.kind is RouteKind.POLICE for notice in case.notices)
    police = "" if tried else f" {translated(_ASK_POLICE)}"
    return translated(_DONE).format(name=case.name, police=police)


def _with_skip_hint(words: str, name: str, route: str = "") -> str:
    """Return a step in words, with the hint that it can be skipped."""
    said = f"{translated(words)}. {translated(_SKIP)}"
    return said.format(name=name, route=route)


def _threat_steps(case: Case, now: datetime) -> Iterator[tuple[str, Route]]:
    """Yield what follows once the demand is saved, each with its route, in the ladder's order."""
    choice = routes_for_case(case, day_of_event(case), now.date())
    first = {one.route.kind: one.route for one in reversed(choice.ranked)}
    letter = own_letter(ACCOUNT_THREAT)
    knows_account = any(seen.handle for seen in case.sightings)
    if RouteKind.BANK in first:
        yield _BANK, first[RouteKind.BANK]
    if letter is not None:
        ask = _ACCOUNT if case.situation.platform else _ACCOUNT_WHERE
        yield _REPORT if knows_account else ask, letter
    if RouteKind.POLICE in first:
        yield _POLICE, first[RouteKind.POLICE]


def _is_same_step(drafted: Route, route: Route) -> bool:
    """Return whether a notice was drafted for this step, whatever became of it."""
    return drafted.kind is route.kind
