"""Read and save case files in the device's vault.

Each change is recorded together with a link of the case's chain of custody.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from entrenous.base.errors import BadRecord, Refused
from entrenous.crypto.hashing import sha256
from entrenous.device.device import Device
from entrenous.device.vault_tables import pack, unpack
from entrenous.respond.age_gate import refuse_unless_adults
from entrenous.respond.custody import CASES, CustodyAct, add_link, custody_link, last_link
from entrenous.respond.nouns import Case, CaseState, Evidence, NoSuchCase, NothingThere, Step


class CaseClosed(Refused):
    """
    Case {name} is closed, so nothing was added to it. Open it again first:
    entrenous case open {name}
    """


OWNER: Final = "the owner of this device"
_READ_ONLY_ACTS: Final = frozenset({CustodyAct.READ, CustodyAct.EXPORTED})


def all_cases(device: Device) -> tuple[Case, ...]:
    """Every case on this device, the newest first."""
    found = (unpack(Case, record) for _, record in device.vault.items(CASES))
    return tuple(sorted(found, key=lambda case: case.opened_at, reverse=True))


def find_case(name: str, device: Device) -> Case:
    """The case of that name.

    Raises:
        NoSuchCase: there is none.
        BadRecord: its record is damaged, or is another case's.
    """
    record = device.vault.get(CASES, name)
    if record is None:
        raise NoSuchCase(name=name)
    case = unpack(Case, record)
    if case.name != name:  # everything else is looked up by the name in the record
        raise BadRecord(kind=Case.__name__)
    return case


def save_case(
    case: Case,
    device: Device,
    act: CustodyAct,
    purpose: str,
    item: Evidence | None = None,
) -> Case:
    """Store a case file and the link that says why, both or neither; returns it as stored.

    ``purpose`` is also the new step on the case's ladder, unless the act only looked at an item.
    Call it inside the vault's ``together`` that also loaded the case.
    """
    now = device.clock.now()
    last = last_link(case, device)
    steps = case.steps if act in _READ_ONLY_ACTS else (*case.steps, Step(now, purpose))
    stored = replace(case, steps=steps, links=case.links + 1)
    record = pack(stored)
    after = sha256(record)
    with device.vault.together():
        device.vault.put(CASES, case.name, record)
        add_link(case.name, custody_link(last, now, (OWNER, act, purpose), after, item), device)
    return stored


def edit_case(name: str, device: Device, edit: Callable[[Case], Case], step: str) -> Case:
    """Load an open case, edit it, store it; ``step`` goes onto its ladder.

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed: as their messages say.
    """
    with device.vault.together():
        edited = edit(find_open_case(name, device))
        return save_case(edited, device, CustodyAct.CHANGED, step)


def find_open_case(name: str, device: Device) -> Case:
    """The case of that name, if it is open; raises NoSuchCase, NotAllAdults, CaseClosed."""
    case = find_case(name, device)
    refuse_unless_adults(case, device.clock.now().date())
    if case.state is CaseState.CLOSED:
        raise CaseClosed(name=name)
    return case


def refuse_young_file(digest: bytes, device: Device) -> None:
    """Raises NotAllAdults if a file of this SHA-256 belongs to a case that was said to be of
    somebody under 18: what was said there holds for the same bytes in every case.
    """
    for case in all_cases(device):
        found = set() if case.trace is None else {case.trace.leak_sha256}
        if digest in found | {item.sha256 for item in case.evidence}:
            refuse_unless_adults(case, device.clock.now().date())


def find_item(case: Case, number: int) -> Evidence:
    """One item of evidence; raises NothingThere."""
    for item in case.evidence:
        if item.number == number:
            return item
    raise NothingThere(name=case.name, what="item", number=number)
