"""Check the watched sightings that are due, and record each outcome.

A check is no act of custody. Finding the picture again is: it is recorded in the case.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from entrenous.base.errors import NotFound
from entrenous.device.device import Device
from entrenous.respond.case_file import edit_case, find_case
from entrenous.respond.nouns import AgeAnswer, Case, CaseState, Reappearance
from entrenous.respond.reappearance import reappearance
from entrenous.respond.watch.ask import Asker
from entrenous.respond.watch.likeness import looks_of
from entrenous.respond.watch.polite import PoliteWeb
from entrenous.respond.watch.records import (
    NotAgreed,
    due,
    find_sighting,
    forget_watching,
    has_agreed,
    host_of,
    let_host_rest,
    load_watched,
    rest_of_host,
    save_watched,
)
from entrenous.respond.watch.states import EVERY, Look, Watched, after_look

LOOKS_MAX: Final = 50  # in one run, during which the vault is unlocked
_RANDOM_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class LookedAt:
    """A checked sighting; ``is_back``: the picture was found again."""

    record: Watched
    is_back: bool


def look_at_due(
    device: Device, web: PoliteWeb, *, by_proxy: bool, name: str | None = None
) -> Iterator[LookedAt]:
    """Check due sightings, at most 50, the longest overdue first; of one case if named.

    Closed cases, and cases in which somebody was under 18, are skipped.

    Raises NotAgreed before the first request.
    """
    now, left = device.clock.now(), LOOKS_MAX
    for record in due(now, device, name):
        if left == 0:
            return
        if not has_agreed(device, by_proxy=by_proxy):
            raise NotAgreed(name=record.case, number=record.sighting)
        case = _case_to_look_at(record, device)
        if case is not None:
            left -= 1
            yield _look_at(record, case, device, web)


def _case_to_look_at(record: Watched, device: Device) -> Case | None:
    """Return the case of a record, or None if it must not be checked, or not now."""
    now = device.clock.now()
    with device.vault.together():
        try:
            case = find_case(record.case, device)
            host = host_of(find_sighting(case, record.sighting).where)
        except NotFound:
            forget_watching(record.case, device)
            return None
        if case.age is not AgeAnswer.ADULTS:
            forget_watching(record.case, device)
            return None
        rest = rest_of_host(host, device)
        until = now + EVERY if case.state is CaseState.CLOSED else rest or now
        if until > now:
            save_watched(replace(record, due_at=until), device)
            return None
    return case


def _look_at(record: Watched, case: Case, device: Device, web: PoliteWeb) -> LookedAt:
    where = find_sighting(case, record.sighting).where
    asker = Asker(web, looks_of(case, device), device.read_picture)
    look = asker.ask(record, where, device.clock.now())
    return _recorded(record, look, host_of(where), device)


def _recorded(before: Watched, look: Look, host: str, device: Device) -> LookedAt:
    """Store the outcome, unless watching was switched off in the meantime."""
    now = device.clock.now()
    after = after_look(before, look, now, device.dice.token(_RANDOM_BYTES))
    with device.vault.together():
        let_host_rest(host, after.due_at if after.failures else None, device)
        if load_watched(before.case, before.sighting, device) is None:
            return LookedAt(after, is_back=False)
        save_watched(after, device)
        back = reappearance(find_case(before.case, device), before, look, now)
        if back is not None:
            _note(back, before.case, device)
    return LookedAt(after, back is not None)


def _note(back: Reappearance, name: str, device: Device) -> None:
    def with_return(case: Case) -> Case:
        return replace(case, returned=(*case.returned, back))

    edit_case(name, device, with_return, f"sighting {back.sighting} is there again")
