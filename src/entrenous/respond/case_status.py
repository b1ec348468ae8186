"""State machines of notices and cases: two transition tables, and the functions that apply them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.base.errors import Refused
from entrenous.base.language import translatable
from entrenous.device.device import Device
from entrenous.respond.age_gate import refuse_unless_adults
from entrenous.respond.case_file import (
    case_with_replaced_notice,
    edit_case,
    find_case,
    find_notice,
    find_open_case,
    save_case,
)
from entrenous.respond.custody import CASES_TABLE, CustodyAct, delete_chain, record_erased_case
from entrenous.respond.nouns import (
    AgeAnswer,
    Case,
    CaseState,
    ImpossibleTime,
    Notice,
    NoticeState,
)
from entrenous.respond.watch.records import forget_watching
from entrenous.wire.encodings import write_time


class NoticeEvent(StrEnum):
    SEND = "send"
    RECEIPT = "receipt"
    ASK = "ask for more"
    SUPPLY = "supply more"
    PARTIAL = "removal in part"
    REMOVAL = "removal"
    REFUSAL = "refusal"
    WITHDRAW = "withdraw"


class CaseEvent(StrEnum):
    CLOSE = "close"
    REOPEN = "open again"


class TransitionNotPossible(Refused):
    """
    This {what} is {state}, so "{event}" is not possible now, and nothing was changed. To see the
    whole case: entrenous case show {name}
    """


NOTICE_TRANSITIONS: Final[Mapping[tuple[NoticeState, NoticeEvent], NoticeState]] = {
    (NoticeState.DRAFTED, NoticeEvent.SEND): NoticeState.SENT,
    (NoticeState.DRAFTED, NoticeEvent.WITHDRAW): NoticeState.WITHDRAWN,
    (NoticeState.SENT, NoticeEvent.RECEIPT): NoticeState.RECEIVED,
    (NoticeState.SENT, NoticeEvent.ASK): NoticeState.ASKED,
    (NoticeState.SENT, NoticeEvent.PARTIAL): NoticeState.PARTLY,
    (NoticeState.SENT, NoticeEvent.REMOVAL): NoticeState.REMOVED,
    (NoticeState.SENT, NoticeEvent.REFUSAL): NoticeState.REFUSED,
    (NoticeState.SENT, NoticeEvent.WITHDRAW): NoticeState.WITHDRAWN,
    (NoticeState.RECEIVED, NoticeEvent.ASK): NoticeState.ASKED,
    (NoticeState.RECEIVED, NoticeEvent.PARTIAL): NoticeState.PARTLY,
    (NoticeState.RECEIVED, NoticeEvent.REMOVAL): NoticeState.REMOVED,
    (NoticeState.RECEIVED, NoticeEvent.REFUSAL): NoticeState.REFUSED,
    (NoticeState.RECEIVED, NoticeEvent.WITHDRAW): NoticeState.WITHDRAWN,
    (NoticeState.ASKED, NoticeEvent.SUPPLY): NoticeState.RECEIVED,
    (NoticeState.ASKED, NoticeEvent.PARTIAL): NoticeState.PARTLY,
    (NoticeState.ASKED, NoticeEvent.REMOVAL): NoticeState.REMOVED,
    (NoticeState.ASKED, NoticeEvent.REFUSAL): NoticeState.REFUSED,
    (NoticeState.ASKED, NoticeEvent.WITHDRAW): NoticeState.WITHDRAWN,
    (NoticeState.PARTLY, NoticeEvent.REMOVAL): NoticeState.REMOVED,
    (NoticeState.PARTLY, NoticeEvent.REFUSAL): NoticeState.REFUSED,
    (NoticeState.PARTLY, NoticeEvent.WITHDRAW): NoticeState.WITHDRAWN,
    (NoticeState.REFUSED, NoticeEvent.REMOVAL): NoticeState.REMOVED,
}
CASE_TRANSITIONS: Final[Mapping[tuple[CaseState, CaseEvent], CaseState]] = {
    (CaseState.OPEN, CaseEvent.CLOSE): CaseState.CLOSED,
    (CaseState.CLOSED, CaseEvent.REOPEN): CaseState.OPEN,
}
_TIME_FIELDS_OF_EVENT: Final[Mapping[NoticeEvent, tuple[str, ...]]] = {
    NoticeEvent.SEND: ("sent_at",),
    NoticeEvent.RECEIPT: ("received_at",),
    NoticeEvent.ASK: ("asked_at",),
    NoticeEvent.SUPPLY: ("supplied_at",),
    NoticeEvent.PARTIAL: ("partly_at", "answered_at"),
    NoticeEvent.REMOVAL: ("removed_at", "answered_at"),
    NoticeEvent.REFUSAL: ("refused_at", "answered_at"),
}


def record_notice_event(
    name: str, number: int, event: NoticeEvent, at: datetime, device: Device
) -> Case:
    """Record an event of a notice and its time (aware UTC).

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed.
        NoSuchCaseEntry: the case has no such notice.
        TransitionNotPossible: the event is not possible in the notice's state.
        ImpossibleTime: ``at`` is in the future, or before the notice was sent.
    """
    now = device.clock.now()

    def add_event(case: Case) -> Case:
        changed = _notice_after_event(find_notice(case, number), event, at, case)
        _refuse_impossible_time(changed, event, at, now)
        return case_with_replaced_notice(case, changed)

    return edit_case(name, device, add_event, f"notice {number}: {event.value}")


def record_or_correct_notice_event(
    name: str, number: int, event: NoticeEvent, at: datetime, device: Device
) -> Case:
    """Correct an event's time if the event is the newest that was recorded; otherwise record the
    event. The custody chain keeps both times. Raises the errors of :func:`record_notice_event`.
    """
    now = device.clock.now()
    with device.vault.transaction():
        recorded = _time_of_newest_event(find_notice(find_open_case(name, device), number), event)
        if recorded is None:
            return record_notice_event(name, number, event, at, device)

        def correct_time(case: Case) -> Case:
            changed = _notice_with_corrected_time(find_notice(case, number), event, recorded, at)
            _refuse_impossible_time(changed, event, at, now)
            return case_with_replaced_notice(case, changed)

        times = f"{write_time(recorded)} to {write_time(at)}"
        step = f"notice {number}: {event.value}, time corrected from {times}"
        return edit_case(name, device, correct_time, step)


def close_case(name: str, device: Device) -> Case:
    """Close a case. It keeps everything and accepts nothing new.

    Raises NoSuchCase, TransitionNotPossible.
    """
    return _apply_case_event(name, CaseEvent.CLOSE, device)


def reopen_case(name: str, device: Device) -> Case:
    """Reopen a closed case; raises NoSuchCase, NotAllAdults, TransitionNotPossible."""
    refuse_unless_adults(find_case(name, device), device.clock.now().date())
    return _apply_case_event(name, CaseEvent.REOPEN, device)


def erase_case(name: str, device: Device) -> None:
    """Delete a case with its custody chain and its evidence, all or nothing. Raises NoSuchCase.

    If somebody in the picture was or may have been under 18, the hash of the chain's first link is
    kept, so that no archive import restores the case. Nothing else of the case remains in the
    vault's files, not even in the journal of its database.
    """
    with device.vault.transaction():
        case = find_case(name, device)
        if case.age is not AgeAnswer.ADULTS:
            record_erased_case(case.name, device)
        delete_chain(case.name, device)
        forget_watching(case.name, device)
        device.vault.drop(CASES_TABLE, case.name)
        # before the commit, because nothing names the sealed files once the record is deleted
        for item in case.evidence:
            device.vault.delete_file(item.blob)
    device.vault.empty_journal()


ERASURE_RECEIPT_SCHEMA: Final = "entrenous/erasure/1"
_ERASURE_RECEIPT_NUMBER_BYTES: Final = 16


def erasure_receipt(device: Device) -> dict[str, object]:
    """Return a receipt for an erasure at this moment. It contains only the time and a random
    number.

    The device keeps no record of the receipt.
    """
    number = device.random_source.token(_ERASURE_RECEIPT_NUMBER_BYTES).hex()
    return {
        "schema": ERASURE_RECEIPT_SCHEMA,
        "erased_at": write_time(device.clock.now()),
        "number": number,
    }


ARCHIVE_KEEPS_CASE_NOTE: Final = translatable("An archive that you made before still holds it.")


def _apply_case_event(name: str, event: CaseEvent, device: Device) -> Case:
    with device.vault.transaction():
        case = find_case(name, device)
        state = CASE_TRANSITIONS.get((case.state, event))
        if state is None:
            raise TransitionNotPossible(
                what="case", state=case.state.value, event=event.value, name=name
            )
        changed = replace(case, state=state)
        return save_case(changed, device, CustodyAct.CHANGED, event.value)


def _notice_after_event(notice: Notice, event: NoticeEvent, at: datetime, case: Case) -> Notice:
    state = NOTICE_TRANSITIONS.get((notice.state, event))
    if state is None:
        raise TransitionNotPossible(
            what="notice", state=notice.state.value, event=event.value, name=case.name
        )
    unset_fields = [
        field for field in _TIME_FIELDS_OF_EVENT.get(event, ()) if getattr(notice, field) is None
    ]
    times = dict.fromkeys(unset_fields, at)  # later events do not change a recorded time
    return replace(notice, state=state, **times)  # type: ignore[arg-type]


def _time_of_newest_event(notice: Notice, event: NoticeEvent) -> datetime | None:
    """Return the recorded time of an event; None if it is not the newest of the notice's events."""
    leads_to = {state for (_, one), state in NOTICE_TRANSITIONS.items() if one is event}
    fields = {one: getattr(notice, names[0]) for one, names in _TIME_FIELDS_OF_EVENT.items()}
    at: datetime | None = fields.pop(event, None)
    fields.pop(NoticeEvent.SEND, None)  # every other event follows it, perhaps at the same time
    if at is None or notice.state not in leads_to:
        return None
    return None if any(one is not None and one >= at for one in fields.values()) else at


def _notice_with_corrected_time(
    notice: Notice, event: NoticeEvent, recorded: datetime, at: datetime
) -> Notice:
    fields = [one for one in _TIME_FIELDS_OF_EVENT[event] if getattr(notice, one) == recorded]
    return replace(notice, **dict.fromkeys(fields, at))  # type: ignore[arg-type]


def _refuse_impossible_time(
    notice: Notice, event: NoticeEvent, at: datetime, now: datetime
) -> None:
    if at > now:
        raise ImpossibleTime(what=event.value, when="in the future")
    if notice.sent_at is not None and at < notice.sent_at:
        raise ImpossibleTime(what=event.value, when="earlier than the time of sending")
