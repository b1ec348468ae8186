"""Recognise pictures that came back: decide when a check counts as a return, and name the next
step.
"""

from collections.abc import Iterator
from datetime import datetime

from entrenous.base.language import day_in_words, translated
from entrenous.respond.nouns import Case, Notice, NoticeState, Reappearance
from entrenous.respond.watch.states import (
    WatchCheckOutcome,
    WatchedSighting,
    WatchEvent,
    WatchReason,
)


def find_reappearance(
    case: Case, watched_before: WatchedSighting, check: WatchCheckOutcome, now: datetime
) -> Reappearance | None:
    """Return what a check found again, or None; each return is reported once.

    A page that answers again counts if it was gone before. A picture that was compared and matches
    also counts if it had been removed after a notice.
    """
    compared = check.why in {WatchReason.PICTURE, WatchReason.PICTURE_ELSEWHERE}
    if not compared and check.event is not WatchEvent.SEEN:
        return None
    ends = [
        watched_before.gone_at,
        *(_removal_times_of(case, watched_before.sighting) if compared else ()),
    ]
    known = [end for end in ends if end is not None]
    if not known or _was_already_reported(case, watched_before.sighting, max(known)):
        return None
    return Reappearance(watched_before.sighting, now, compared)


def _removal_times_of(case: Case, sighting: int) -> Iterator[datetime]:
    for notice in case.notices:
        if notice.removed_at is not None and _names_sighting(notice, sighting):
            yield notice.removed_at


def _was_already_reported(case: Case, sighting: int, since: datetime) -> bool:
    return any(one.sighting == sighting and one.at >= since for one in case.returned)


def _names_sighting(notice: Notice, sighting: int) -> bool:
    return sighting in {seen.number for seen in notice.named_sightings}


def reappearance_steps(case: Case) -> Iterator[tuple[datetime, str]]:
    """Yield a step for each sighting where the picture came back and that no notice has named since
    then.
    """
    newest = {one.sighting: one for one in case.returned}
    for one in newest.values():
        if not _has_new_notice(case, one):
            yield one.at, _reappearance_with_advice(case, one)


def _has_new_notice(case: Case, reappearance: Reappearance) -> bool:
    return any(
        notice.drafted_at >= reappearance.at
        and notice.state is not NoticeState.WITHDRAWN
        and _names_sighting(notice, reappearance.sighting)
        for notice in case.notices
    )


def reappearance_text(reappearance: Reappearance) -> str:
    """Say which picture came back, and when it was found."""
    day = day_in_words(reappearance.at)
    if reappearance.compared:
        return translated(
            "The picture was removed and is back at sighting {sighting}: it was found there on"
            " {day}."
        ).format(sighting=reappearance.sighting, day=day)
    return translated(
        "The page of sighting {sighting} answers again since {day}: look whether the picture is"
        " back."
    ).format(sighting=reappearance.sighting, day=day)


def _reappearance_with_advice(case: Case, reappearance: Reappearance) -> str:
    first = reappearance_text(reappearance)
    route = _route_id_to_use_again(case, reappearance.sighting)
    if route is None:
        words = translated("To ask for its removal, choose a route: entrenous law routes {name}")
        return f"{first} {words.format(name=case.name)}"
    again = f"entrenous case notice {case.name} --route {route} --sighting {reappearance.sighting}"
    words = translated("Ask again, along the route that you used: {command}")
    return f"{first} {words.format(command=again)}"


def _route_id_to_use_again(case: Case, sighting: int) -> str | None:
    """Return the route of the newest notice about a sighting, preferring one that led to
    removal.
    """
    about = [notice for notice in case.notices if _names_sighting(notice, sighting)]
    removed = [notice for notice in about if notice.removed_at is not None]
    last = (removed or about)[-1:]
    return last[0].route.id if last else None
