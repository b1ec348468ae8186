"""Tests of the states of notices and cases: transitions, times, erasure and next steps."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

import msgspec
import pytest

from entrenous.device.vault_tables import pack, unpack
from entrenous.respond.case_file import find_case
from entrenous.respond.case_status import (
    CASE_TRANSITIONS,
    NOTICE_TRANSITIONS,
    CaseEvent,
    NoticeEvent,
    TransitionNotPossible,
    close_case,
    erase_case,
    record_notice_event,
    record_or_correct_notice_event,
    reopen_case,
)
from entrenous.respond.custody import CASES_TABLE, CUSTODY_LINKS_TABLE, verify_chain
from entrenous.respond.law.deadlines import DeadlineState, deadlines_of_case
from entrenous.respond.letters.draft import draft_and_store_notice
from entrenous.respond.next_step import next_step, step_if_deadline_passes
from entrenous.respond.nouns import (
    Case,
    CaseState,
    ImpossibleTime,
    NoSuchCase,
    NoSuchCaseEntry,
    Notice,
    NoticeState,
)
from entrenous.respond.open_case import add_file, add_sighting
from tests.respond.case_owner import START, CaseOwner, make_sighting, situation_in

HOUR = timedelta(hours=1)


@pytest.fixture
def case(owner: CaseOwner) -> Case:
    opened = owner.open_case()
    add_sighting(opened.name, make_sighting(), owner.device)
    draft_and_store_notice(opened.name, "us-tida-removal", owner.device)
    return find_case(opened.name, owner.device)


def test_notice_runs_from_draft_to_removal(owner: CaseOwner, case: Case) -> None:
    record_notice_event(case.name, 1, NoticeEvent.SEND, START, owner.device)
    owner.clock.advance(hours=1)
    record_notice_event(case.name, 1, NoticeEvent.RECEIPT, START + HOUR, owner.device)
    owner.clock.advance(hours=1)
    done = record_notice_event(
        case.name, 1, NoticeEvent.REMOVAL, START + 2 * HOUR, owner.device
    ).notices[0]
    assert done.state is NoticeState.REMOVED
    assert (done.sent_at, done.received_at, done.answered_at) == (
        START,
        START + HOUR,
        START + 2 * HOUR,
    )
    assert len(verify_chain(case.name, owner.device)) == 6


def test_times_of_answer_question_and_removal_are_separate(owner: CaseOwner, case: Case) -> None:
    questions = (NoticeEvent.ASK, NoticeEvent.SUPPLY, NoticeEvent.ASK)
    for event in (NoticeEvent.SEND, *questions, NoticeEvent.REFUSAL, NoticeEvent.REMOVAL):
        record_notice_event(case.name, 1, event, owner.clock.now(), owner.device)
        owner.clock.advance(hours=1)
    done = find_case(case.name, owner.device).notices[0]
    assert (done.sent_at, done.received_at, done.asked_at) == (START, None, START + HOUR)
    assert (done.answered_at, done.removed_at) == (START + 4 * HOUR, START + 5 * HOUR)


def test_old_record_without_separate_times_is_still_read(case: Case) -> None:
    """In old records, ``answered_at`` is also the time of the removal."""
    old = replace(
        case.notices[0], state=NoticeState.REMOVED, sent_at=START, answered_at=START + HOUR
    )
    plain = msgspec.msgpack.decode(pack(replace(case, notices=(old,))))
    for field in ("asked_at", "removed_at", "named_sightings"):
        del plain["notices"][0][field]
    read = unpack(Case, msgspec.msgpack.encode(plain))
    assert deadlines_of_case(read, START + 99 * HOUR)[0].state is DeadlineState.MET


def test_recording_that_a_notice_was_sent_starts_its_deadline(owner: CaseOwner, case: Case) -> None:
    assert deadlines_of_case(case, START)[0].state is DeadlineState.NOT_STARTED
    (clock,) = deadlines_of_case(
        record_notice_event(case.name, 1, NoticeEvent.SEND, START, owner.device), START
    )
    assert (clock.state, clock.due_at) == (DeadlineState.RUNNING, START + 48 * HOUR)


def test_event_that_a_draft_does_not_allow_is_refused(owner: CaseOwner, case: Case) -> None:
    for state, event in product(NoticeState, NoticeEvent):
        if state is NoticeState.DRAFTED and (state, event) not in NOTICE_TRANSITIONS:
            with pytest.raises(TransitionNotPossible, match="drafted"):
                record_notice_event(case.name, 1, event, START, owner.device)
    assert find_case(case.name, owner.device) == case


def test_transition_tables_use_every_state_and_event_and_lead_to_no_draft() -> None:
    assert {*NOTICE_TRANSITIONS.values(), NoticeState.DRAFTED} == set(NoticeState)
    assert NoticeState.DRAFTED not in NOTICE_TRANSITIONS.values()
    assert {event for _, event in NOTICE_TRANSITIONS} == set(NoticeEvent)
    assert set(CASE_TRANSITIONS) == {
        (CaseState.OPEN, CaseEvent.CLOSE),
        (CaseState.CLOSED, CaseEvent.REOPEN),
    }


def test_event_in_the_future_or_before_sending_is_refused(owner: CaseOwner, case: Case) -> None:
    with pytest.raises(ImpossibleTime, match="future"):
        record_notice_event(case.name, 1, NoticeEvent.SEND, START + HOUR, owner.device)
    record_notice_event(case.name, 1, NoticeEvent.SEND, START, owner.device)
    with pytest.raises(ImpossibleTime, match="earlier than the time of sending"):
        record_notice_event(case.name, 1, NoticeEvent.REMOVAL, START - HOUR, owner.device)


def test_repeated_event_is_refused_as_such_before_its_time_is_looked_at(
    owner: CaseOwner, case: Case
) -> None:
    record_notice_event(case.name, 1, NoticeEvent.SEND, START, owner.device)
    for at in (START - HOUR, START + HOUR):
        with pytest.raises(TransitionNotPossible, match="This notice is sent"):
            record_notice_event(case.name, 1, NoticeEvent.SEND, at, owner.device)


def test_time_of_the_newest_event_is_corrected_and_the_correction_recorded(
    owner: CaseOwner, case: Case
) -> None:
    def record(event: NoticeEvent, at: datetime) -> Notice:
        return record_or_correct_notice_event(case.name, 1, event, at, owner.device).notices[0]

    record(NoticeEvent.SEND, START)
    assert record(NoticeEvent.SEND, START - HOUR).sent_at == START - HOUR
    step = verify_chain(case.name, owner.device)[-1].purpose
    assert step == (
        "notice 1: send, time corrected from "
        "2026-11-25T12:00:00.000000Z to 2026-11-25T11:00:00.000000Z"
    )
    with pytest.raises(ImpossibleTime, match="future"):
        record(NoticeEvent.SEND, START + HOUR)
    owner.clock.advance(hours=9)
    record(NoticeEvent.RECEIPT, START + HOUR)
    with pytest.raises(TransitionNotPossible):
        record(NoticeEvent.SEND, START)
    with pytest.raises(ImpossibleTime, match="earlier than the time of sending"):
        record(NoticeEvent.RECEIPT, START - 2 * HOUR)
    record(NoticeEvent.ASK, START + 2 * HOUR)
    record(NoticeEvent.SUPPLY, START + 3 * HOUR)
    with pytest.raises(TransitionNotPossible):
        record(NoticeEvent.RECEIPT, START)  # the newest event is the answer to their question
    record(NoticeEvent.REFUSAL, START + 5 * HOUR)
    refused = record(NoticeEvent.REFUSAL, START + 4 * HOUR)
    assert (refused.refused_at, refused.answered_at) == (START + 4 * HOUR, START + 4 * HOUR)
    record(NoticeEvent.REMOVAL, START + 6 * HOUR)
    removed = record(NoticeEvent.REMOVAL, START + 7 * HOUR)
    assert (removed.removed_at, removed.answered_at) == (START + 7 * HOUR, START + 4 * HOUR)


def test_time_of_sending_a_withdrawn_notice_is_not_corrected(owner: CaseOwner, case: Case) -> None:
    for event in (NoticeEvent.SEND, NoticeEvent.WITHDRAW):
        record_notice_event(case.name, 1, event, START, owner.device)
    with pytest.raises(TransitionNotPossible, match="withdrawn"):
        record_or_correct_notice_event(case.name, 1, NoticeEvent.SEND, START - HOUR, owner.device)


def test_unknown_notice_is_not_found(owner: CaseOwner, case: Case) -> None:
    with pytest.raises(NoSuchCaseEntry, match="no notice number 2"):
        record_notice_event(case.name, 2, NoticeEvent.SEND, START, owner.device)


def test_cases_close_and_reopen_only_in_the_right_state(owner: CaseOwner, case: Case) -> None:
    assert close_case(case.name, owner.device).state is CaseState.CLOSED
    with pytest.raises(TransitionNotPossible, match="closed"):
        close_case(case.name, owner.device)
    assert reopen_case(case.name, owner.device).state is CaseState.OPEN
    with pytest.raises(TransitionNotPossible, match="open"):
        reopen_case(case.name, owner.device)


def test_erasing_removes_all_data_of_a_case_and_none_of_other_cases(
    owner: CaseOwner, case: Case
) -> None:
    other = owner.open_case()
    add_file(other.name, b"theirs", "a file", owner.device)
    add_file(case.name, b"hers", "a file", owner.device)
    erase_case(case.name, owner.device)
    with pytest.raises(NoSuchCase):
        find_case(case.name, owner.device)
    assert [key for key, _ in owner.vault.items(CASES_TABLE)] == [other.name]
    assert all(key.startswith(other.name) for key, _ in owner.vault.items(CUSTODY_LINKS_TABLE))
    assert list(owner.vault._files.values()) == [b"theirs"]
    verify_chain(other.name, owner.device)


def test_next_step_follows_the_state_of_the_case(owner: CaseOwner) -> None:
    case = owner.open_case()
    steps = [next_step(case, START)]
    steps.append(next_step(add_sighting(case.name, make_sighting(), owner.device), START))
    steps.append(next_step(add_file(case.name, b"x", "a file", owner.device), START))
    draft_and_store_notice(case.name, "us-tida-removal", owner.device)
    steps.append(next_step(find_case(case.name, owner.device), START))
    sent = record_notice_event(case.name, 1, NoticeEvent.SEND, START, owner.device)
    steps.append(next_step(sent, START))
    steps.append(next_step(sent, START + 49 * HOUR))
    owner.clock.advance(hours=50)
    late = record_notice_event(case.name, 1, NoticeEvent.REMOVAL, START + 50 * HOUR, owner.device)
    steps.append(next_step(late, START + 50 * HOUR))
    steps.append(next_step(close_case(case.name, owner.device), START))
    begins = (
        "Add where you saw it",
        "Keep a screenshot",
        "Have the evidence stamped",
        "You have not sent letter 1 yet",
        "Nothing to do now: they have until Friday 27 November",
        "Next you could go to: FTC",
        "They removed it",
        "This case is closed",
    )
    for words, begin in zip(steps, begins, strict=True):
        assert words.startswith(begin)
        waits = begin.startswith("Nothing to do")
        assert waits or re.search(rf"entrenous (case|law|evidence) \w+ {case.name}", words)


def test_site_that_is_late_for_longest_comes_first(owner: CaseOwner) -> None:
    case = owner.open_case()
    for site in ("https://one.example/1", "https://two.example/1"):
        add_sighting(case.name, make_sighting(site), owner.device)
        draft_and_store_notice(case.name, "us-tida-removal", owner.device)
    for number in (1, 2):
        owner.clock.advance(hours=3)
        now = owner.clock.now()
        record_notice_event(case.name, number, NoticeEvent.SEND, now, owner.device)
    step = next_step(find_case(case.name, owner.device), now + 60 * HOUR)
    assert "(letter 1)" in step


def draft_notices(owner: CaseOwner, *routes: str) -> Case:
    case = owner.open_case(situation_in("US", "DE"))
    add_sighting(case.name, make_sighting(), owner.device)
    for route in routes:
        draft_and_store_notice(case.name, route, owner.device)
    return find_case(case.name, owner.device)


def record_sending(owner: CaseOwner, case: Case, number: int) -> Case:
    return record_notice_event(case.name, number, NoticeEvent.SEND, owner.clock.now(), owner.device)


def test_missed_deadline_is_the_next_step_until_it_is_escalated(
    owner: CaseOwner,
) -> None:
    case = draft_notices(owner, "us-tida-removal", "eu-dsa-16")
    record_sending(owner, case, 1)
    late = record_sending(owner, case, 2)
    owner.clock.advance(days=9)
    words = next_step(late, owner.clock.now())
    assert words.startswith("Next you could go to: FTC (route us-tida-ftc). ")
    assert words.endswith(f": entrenous law routes {case.name}")
    draft_and_store_notice(case.name, "us-tida-ftc", owner.device)
    escalated = find_case(case.name, owner.device)
    assert next_step(escalated, owner.clock.now()).startswith("You have not sent letter 3 yet")
    escalated = record_sending(owner, case, 3)
    assert "the law sets no date here" in next_step(escalated, owner.clock.now())


def test_step_after_a_missed_deadline_is_announced(owner: CaseOwner) -> None:
    case = draft_notices(owner, "us-tida-removal")
    assert step_if_deadline_passes(case, START) == ""
    sent = record_sending(owner, case, 1)
    assert step_if_deadline_passes(sent, START).endswith("write to: FTC, TakeItDown.ftc.gov.")
    assert step_if_deadline_passes(sent, START, 1) == step_if_deadline_passes(sent, START)
    assert step_if_deadline_passes(sent, START, 2) == ""
    # When the deadline has passed, ``next_step`` names the step instead.
    assert step_if_deadline_passes(sent, START + 49 * HOUR) == ""


def test_unsent_draft_comes_before_a_sent_notice(owner: CaseOwner) -> None:
    case = draft_notices(owner, "eu-dsa-16", "us-tida-removal")
    assert next_step(record_sending(owner, case, 1), START).startswith(
        "You have not sent letter 2 yet"
    )


def test_replaced_draft_is_not_the_next_step(owner: CaseOwner) -> None:
    case = draft_notices(owner, "us-tida-removal", "us-tida-removal")
    assert next_step(case, START).startswith("You have not sent letter 2 yet")
    assert next_step(record_sending(owner, case, 2), START).startswith("Nothing to do now")


def test_request_for_more_information_is_a_next_step(owner: CaseOwner, case: Case) -> None:
    record_sending(owner, case, 1)
    asked = record_notice_event(case.name, 1, NoticeEvent.ASK, START, owner.device)
    assert next_step(asked, START).startswith("They asked for more about letter 1")
    assert next_step(asked, START + 49 * HOUR).startswith("Next you could go to: FTC")
    supplied = record_notice_event(case.name, 1, NoticeEvent.SUPPLY, START, owner.device)
    assert next_step(supplied, START).startswith("Nothing to do now")


def test_running_deadline_comes_before_a_notice_without_a_date(owner: CaseOwner) -> None:
    case = draft_notices(owner, "us-tida-removal", "eu-dsa-16")
    record_sending(owner, case, 1)
    assert "they have until Friday 27 November" in next_step(record_sending(owner, case, 2), START)


REDDIT_POST = "https://www.reddit.com/r/x/comments/1abcd/title/"
OTHER_SITE_POST = "https://pics.example.net/a/7"


def open_case_on_two_sites(owner: CaseOwner) -> Case:
    case = owner.open_case()
    for where in (REDDIT_POST, OTHER_SITE_POST):
        add_sighting(case.name, make_sighting(where), owner.device)
    draft_and_store_notice(case.name, "us-tida-removal", owner.device)
    return record_sending(owner, case, 1)


def test_next_step_after_a_removal_is_a_notice_to_the_other_site(owner: CaseOwner) -> None:
    case = open_case_on_two_sites(owner)
    gone = record_notice_event(case.name, 1, NoticeEvent.REMOVAL, START, owner.device)
    same = f"entrenous case notice {case.name} --route us-tida-removal --sighting 2"
    step = next_step(gone, START)
    assert step.startswith("No letter yet asks to remove it from place 2 (pics.example.net)")
    assert same in step
    draft_and_store_notice(case.name, "us-tida-removal", owner.device, sightings=(2,))
    record_sending(owner, case, 2)
    both = record_notice_event(case.name, 2, NoticeEvent.REMOVAL, START, owner.device)
    assert next_step(both, START).startswith("They removed it")


def test_police_sheet_hides_no_missed_deadline_and_no_site_without_a_notice(
    owner: CaseOwner,
) -> None:
    case = open_case_on_two_sites(owner)
    owner.clock.advance(hours=49)
    draft_and_store_notice(case.name, "us-tida-crime", owner.device)
    late = find_case(case.name, owner.device)
    assert next_step(late, owner.clock.now()).startswith("Next you could go to: FTC")
    assert "sighting 2" in next_step(late, START)
    draft_and_store_notice(case.name, "us-tida-removal", owner.device, sightings=(2,))
    asked = record_sending(owner, case, 3)
    assert next_step(asked, START).startswith("You have not taken page 2 to")


def test_complaint_names_only_the_site_that_missed_its_deadline(
    owner: CaseOwner,
) -> None:
    case = open_case_on_two_sites(owner)
    record_notice_event(case.name, 1, NoticeEvent.REMOVAL, START, owner.device)
    draft_and_store_notice(case.name, "us-tida-removal", owner.device, sightings=(2,))
    record_sending(owner, case, 2)
    owner.clock.advance(hours=49)
    letter = draft_and_store_notice(case.name, "us-tida-ftc", owner.device).letter
    assert OTHER_SITE_POST in letter
    assert REDDIT_POST not in letter


def test_next_step_does_not_show_a_missing_time_limit_as_none(owner: CaseOwner) -> None:
    case = draft_notices(owner, "us-tida-crime")
    (clock,) = deadlines_of_case(case, START)
    assert clock.sets_no_time_limit
    assert "none" not in next_step(record_sending(owner, case, 1), START)
