"""Load and save case files in the device's vault.

Every change is stored together with a new link in the case's custody chain (custody.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec

from entrenous.base.errors import BadRecord, Refused
from entrenous.base.identifiers import CaseName
from entrenous.base.language import translatable, translated
from entrenous.crypto.hashing import sha256
from entrenous.device.device import Device
from entrenous.device.sent_copies import stored_trace_with_current_names
from entrenous.device.vault_tables import pack, unpack
from entrenous.respond.age_gate import refuse_unless_adults
from entrenous.respond.custody import (
    CASES_TABLE,
    CustodyAct,
    append_link,
    last_link,
    next_custody_link,
)
from entrenous.respond.nouns import (
    AgeAnswer,
    Case,
    CaseState,
    CaseStep,
    EvidenceItem,
    NoSuchCase,
    NoSuchCaseEntry,
    Notice,
    Sighting,
)
from entrenous.watermark.verdict import Trace


class CaseClosed(Refused):
    """Case {name} is closed, so nothing was added to it. Reopen it first: entrenous case open
    {name}
    """


CUSTODY_ACTOR: Final = "the owner of this device"
_READ_ONLY_ACTS: Final = frozenset({CustodyAct.READ, CustodyAct.EXPORTED, CustodyAct.PACKED})


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """The data of a case that a list of cases shows."""

    name: CaseName
    opened_at: datetime
    state: CaseState = CaseState.OPEN
    age: AgeAnswer = AgeAnswer.ADULTS
    stamp_wanted_at: datetime | None = None


def case_summaries(device: Device) -> tuple[CaseSummary, ...]:
    """Return summaries of all cases on this device, newest first; other fields are not decoded.

    Raises BadRecord.
    """
    decoder = msgspec.msgpack.Decoder(CaseSummary)
    try:
        found = [decoder.decode(record) for _, record in device.vault.items(CASES_TABLE)]
    except msgspec.MsgspecError:
        raise BadRecord(kind=Case.__name__) from None
    return tuple(sorted(found, key=lambda case: case.opened_at, reverse=True))


def all_cases(device: Device) -> tuple[Case, ...]:
    """Return all cases on this device in full, newest first; :func:`case_summaries` is quicker."""
    found = (unpack(Case, record) for _, record in device.vault.items(CASES_TABLE))
    return tuple(sorted(found, key=lambda case: case.opened_at, reverse=True))


def find_case(name: str, device: Device) -> Case:
    """Return the case with this name.

    Raises:
        NoSuchCase: there is no such case.
        BadRecord: its record is damaged, or belongs to another case.
    """
    record = device.vault.get(CASES_TABLE, name)
    if record is None:
        raise NoSuchCase(name=name)
    case = unpack(Case, record)
    if case.name != name:  # later look-ups use the name in the record
        raise BadRecord(kind=Case.__name__)
    return case


def save_case(
    case: Case,
    device: Device,
    act: CustodyAct,
    purpose: str,
    item: EvidenceItem | None = None,
) -> Case:
    """Store a case file and a custody link for the change, atomically; returns the case as stored.

    ``purpose`` is also appended to the case's steps, unless ``act`` changed nothing in the case.
    Call it in the transaction that loaded the case.
    """
    now = device.clock.now()
    last = last_link(case, device)
    steps = case.steps if act in _READ_ONLY_ACTS else (*case.steps, CaseStep(now, purpose))
    stored = replace(case, steps=steps, links=case.links + 1)
    record = pack(stored)
    after = sha256(record)
    with device.vault.transaction():
        device.vault.put(CASES_TABLE, case.name, record)
        append_link(
            case.name,
            next_custody_link(last, now, (CUSTODY_ACTOR, act, purpose), after, item),
            device,
        )
    return stored


def edit_case(name: str, device: Device, edit: Callable[[Case], Case], step: str) -> Case:
    """Load an open case, edit and store it; ``step`` describes the change.

    Raises NoSuchCase, NotAllAdults, CaseClosed.
    """
    with device.vault.transaction():
        edited = edit(find_open_case(name, device))
        return save_case(edited, device, CustodyAct.CHANGED, step)


def find_open_case(name: str, device: Device) -> Case:
    """Load a case that can be changed; raises NoSuchCase, NotAllAdults, CaseClosed."""
    case = find_case(name, device)
    refuse_unless_adults(case, device.clock.now().date())
    if case.state is CaseState.CLOSED:
        raise CaseClosed(name=name)
    return case


def refuse_file_of_minor(digest: bytes, device: Device) -> None:
    """Raise NotAllAdults if a case about somebody under 18 contains a file with this SHA-256.

    If a case is about somebody under 18, its files are refused in every other case as well.
    """
    case_names = [one.name for one in case_summaries(device) if one.age is not AgeAnswer.ADULTS]
    for case in (find_case(name, device) for name in case_names):
        leak_hashes = set() if case.trace is None else {case.trace.leak_sha256}
        if digest in leak_hashes | {item.sha256 for item in case.evidence}:
            refuse_unless_adults(case, device.clock.now().date())


def find_item(case: Case, number: int) -> EvidenceItem:
    """Return one item of evidence; raises NoSuchCaseEntry."""
    for item in case.evidence:
        if item.number == number:
            return item
    raise NoSuchCaseEntry(name=case.name, what="item", number=number)


def find_sighting(case: Case, number: int) -> Sighting:
    """Return one sighting; raises NoSuchCaseEntry."""
    for seen in case.sightings:
        if seen.number == number:
            return seen
    raise NoSuchCaseEntry(name=case.name, what="sighting", number=number)


def find_notice(case: Case, number: int) -> Notice:
    """Return a notice by its number; raises NoSuchCaseEntry."""
    for notice in case.notices:
        if notice.number == number:
            return notice
    raise NoSuchCaseEntry(name=case.name, what="notice", number=number)


def case_with_replaced_notice(case: Case, changed: Notice) -> Case:
    """Return the case with one notice replaced by a changed one with the same number."""
    notices = tuple(changed if one.number == changed.number else one for one in case.notices)
    return replace(case, notices=notices)


_LEAK_MATCHES_COPY: Final = translatable(
    "What was found: the copy made for {named}. This says whose copy got out, not who passed it on."
)


def trace_and_named_recipients(case: Case, device: Device) -> tuple[Trace | None, tuple[str, ...]]:
    """Return this device's own record of the case's trace, or None if it has none; and the names of
    the recipients whose copies match.

    The names are those in the device's record or, without one, those in the case's copy of the
    trace.
    """
    stored_trace = stored_trace_with_current_names(case.trace, device)
    trace = stored_trace or case.trace
    return stored_trace, () if trace is None else trace.verdict.named


def describe_named_copies(named: tuple[str, ...]) -> str:
    """Return a sentence that says whose copy the picture matches; "" if it matches none."""
    return translated(_LEAK_MATCHES_COPY).format(named=", ".join(named)) if named else ""
