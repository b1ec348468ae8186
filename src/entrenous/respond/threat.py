"""Name the next step while somebody only threatens: what can be done before anything appears.

The order follows respond/facts/threat-ladder.toml: save the demand, let platforms refuse the
picture by its fingerprints, report the account, then go to the police.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from entrenous.base.language import translatable, translated
from entrenous.respond.law.law_tables import builtin_letter_route
from entrenous.respond.law.legal_route import Route, RouteKind
from entrenous.respond.law.routes import day_of_event, routes_for_case, situation_of
from entrenous.respond.letters.sightings import ACCOUNT_THREAT_ROUTE
from entrenous.respond.nouns import Case
from entrenous.respond.situation import Spread

_SAVE_DEMAND_TEXT: Final = translatable(
    "Do not pay, and send nothing more. Save the demand before anything else: a screenshot of every"
    " message, with the account and the time. Add the screenshots here: entrenous case add"
    " {name} FILE"
)
_HASH_BANK_TEXT: Final = translatable(
    "Before anything appears, let platforms refuse it. You make a fingerprint on your own device;"
    " the picture stays there. The steps: entrenous case notice {name} --route {route}"
)
_NOTE_ACCOUNT_TEXT: Final = translatable(
    "Note which account threatens, so that its platform can be told: entrenous case add {name}"
    " --chat - --handle ACCOUNT"
)
_NOTE_ACCOUNT_AND_PLATFORM_TEXT: Final = translatable(
    "Note which account threatens, so that its platform can be told: entrenous case add {name}"
    " --chat - --handle ACCOUNT. Note the platform too: entrenous case about {name}"
    " --platform NAME"
)
_REPORT_ACCOUNT_TEXT: Final = translatable(
    "Report the account that threatens to its platform, then block it everywhere."
    " To write a letter about it: entrenous case notice {name} --route {route}"
)
_POLICE_TEXT: Final = translatable(
    "A threat like this is an offence in many places; whether you report it is your choice, and a"
    " help line can be asked first. To make a page for the desk: entrenous case notice {name}"
    " --route {route}"
)
_ALL_DONE_TEXT: Final = translatable(
    "You have done all that can be done here before anything appears.{police} If something does"
    " appear, say so here:"
    " entrenous case about {name} --posted public. To talk to somebody: entrenous help --threat"
)
_POLICE_HINT: Final = translatable(
    "A demand with a threat is an offence nearly everywhere; whether you report it to the police"
    " is your choice."
)
_SKIP_HINT: Final = translatable("To skip this and see all steps: entrenous law routes {name}")


def is_threat_only(case: Case) -> bool:
    """Return whether, according to the case, somebody threatens and nothing has been shared yet."""
    return situation_of(case).posted is Spread.THREAT


def threat_step(case: Case, now: datetime) -> str:
    """Return the next step of a case in which somebody only threatens, in words.

    Args:
        case: an open case about adults.
        now: aware, UTC.
    """
    if not case.evidence:
        return _with_skip_hint(_SAVE_DEMAND_TEXT, case.name)
    for words, route in _threat_steps(case, now):
        if not any(_is_same_step(notice.route, route) for notice in case.notices):
            return _with_skip_hint(words, case.name, route.family)
    police_notified = any(notice.route.kind is RouteKind.POLICE for notice in case.notices)
    police_hint = "" if police_notified else f" {translated(_POLICE_HINT)}"
    return translated(_ALL_DONE_TEXT).format(name=case.name, police=police_hint)


def _with_skip_hint(words: str, name: str, route: str = "") -> str:
    """Return a step in words, with the hint that it can be skipped."""
    text = f"{translated(words)}. {translated(_SKIP_HINT)}"
    return text.format(name=name, route=route)


def _threat_steps(case: Case, now: datetime) -> Iterator[tuple[str, Route]]:
    """Yield the steps after the demand is saved, each with its route, in the order of
    threat-ladder.toml.
    """
    choice = routes_for_case(case, day_of_event(case), now.date())
    first = {one.route.kind: one.route for one in reversed(choice.ranked)}
    letter = builtin_letter_route(ACCOUNT_THREAT_ROUTE)
    knows_account = any(seen.handle for seen in case.sightings)
    if RouteKind.BANK in first:
        yield _HASH_BANK_TEXT, first[RouteKind.BANK]
    if letter is not None:
        ask = _NOTE_ACCOUNT_TEXT if case.situation.platform else _NOTE_ACCOUNT_AND_PLATFORM_TEXT
        yield _REPORT_ACCOUNT_TEXT if knows_account else ask, letter
    if RouteKind.POLICE in first:
        yield _POLICE_TEXT, first[RouteKind.POLICE]


def _is_same_step(drafted: Route, route: Route) -> bool:
    """Return whether a notice was drafted for this step, whatever became of it."""
    return drafted.kind is route.kind
