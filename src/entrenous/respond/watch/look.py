"""Check the watched sightings that are due, and record each outcome.

A check is not recorded in the custody chain, but finding the picture again is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from entrenous.base.errors import NotFound
from entrenous.device.device import Device
from entrenous.respond.case_file import edit_case, find_case
from entrenous.respond.nouns import AgeAnswer, Case, CaseState, Reappearance
from entrenous.respond.reappearance import find_reappearance
from entrenous.respond.watch.ask import PageChecker
from entrenous.respond.watch.likeness import case_hashes
from entrenous.respond.watch.polite import PoliteWeb
from entrenous.respond.watch.records import (
    WatchingNotAgreed,
    due_sightings,
    find_sighting,
    forget_watching,
    has_agreed,
    host_of,
    host_postponed_until,
    load_watched,
    postpone_host,
    save_watched,
)
from entrenous.respond.watch.states import CHECK_INTERVAL, WatchCheck, Watched, after_check

CHECKS_MAX: Final = 50  # number of checks in one run, during which the vault is unlocked
_RANDOM_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class CheckedSighting:
    """A checked sighting; ``is_back``: the picture was found again."""

    record: Watched
    is_back: bool


def check_due_sightings(
    device: Device, web: PoliteWeb, *, by_proxy: bool, name: str | None = None
) -> Iterator[CheckedSighting]:
    """Check up to 50 due sightings, the longest overdue first. If ``name`` is given, check only
    those of that case.

    Closed cases, and cases in which somebody was under 18, are skipped.

    Raises WatchingNotAgreed before the first request.
    """
    now, left = device.clock.now(), CHECKS_MAX
    for record in due_sightings(now, device, name):
        if left == 0:
            return
        if not has_agreed(device, by_proxy=by_proxy):
            raise WatchingNotAgreed(name=record.case, number=record.sighting)
        case = _case_to_check(record, device)
        if case is not None:
            left -= 1
            yield _check_sighting(record, case, device, web)


def _case_to_check(record: Watched, device: Device) -> Case | None:
    """Return the case of a watched sighting; None if it is not to be checked now or ever again."""
    now = device.clock.now()
    with device.vault.transaction():
        try:
            case = find_case(record.case, device)
            host = host_of(find_sighting(case, record.sighting).where)
        except NotFound:
            forget_watching(record.case, device)
            return None
        if case.age is not AgeAnswer.ADULTS:
            forget_watching(record.case, device)
            return None
        postponed_until = host_postponed_until(host, device)
        due_at = now + CHECK_INTERVAL if case.state is CaseState.CLOSED else postponed_until or now
        if due_at > now:
            save_watched(replace(record, due_at=due_at), device)
            return None
    return case


def _check_sighting(record: Watched, case: Case, device: Device, web: PoliteWeb) -> CheckedSighting:
    where = find_sighting(case, record.sighting).where
    checker = PageChecker(web, case_hashes(case, device), device.read_picture)
    check = checker.check(record, where, device.clock.now())
    return _store_outcome(record, check, host_of(where), device)


def _store_outcome(
    record: Watched, check: WatchCheck, host: str, device: Device
) -> CheckedSighting:
    """Store the outcome, unless watching was switched off in the meantime."""
    now = device.clock.now()
    after = after_check(record, check, now, device.dice.token(_RANDOM_BYTES))
    with device.vault.transaction():
        postpone_host(host, after.due_at if after.failures else None, device)
        if load_watched(record.case, record.sighting, device) is None:
            return CheckedSighting(after, is_back=False)
        save_watched(after, device)
        reappearance = find_reappearance(find_case(record.case, device), record, check, now)
        if reappearance is not None:
            _record_reappearance(reappearance, record.case, device)
    return CheckedSighting(after, reappearance is not None)


def _record_reappearance(reappearance: Reappearance, name: str, device: Device) -> None:
    def append_reappearance(case: Case) -> Case:
        return replace(case, returned=(*case.returned, reappearance))

    edit_case(name, device, append_reappearance, f"sighting {reappearance.sighting} is there again")
