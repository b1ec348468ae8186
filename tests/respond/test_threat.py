"""Tests of the next step while somebody only threatens to share a picture."""

import re
from dataclasses import replace

import pytest

from entrenous.respond.case_file import find_case
from entrenous.respond.case_status import NoticeEvent, record_notice_event
from entrenous.respond.law.ladders import THREAT_LADDER, shipped_ladder
from entrenous.respond.law.legal_route import RouteKind
from entrenous.respond.law.places import Place
from entrenous.respond.letters.draft import draft_and_store_notice
from entrenous.respond.next_step import next_step
from entrenous.respond.nouns import Case, Sighting, SightingReach, Stamp
from entrenous.respond.open_case import add_facts_to_case, add_sighting, add_statement
from entrenous.respond.situation import Demand, Situation, Spread
from entrenous.respond.threat import is_threat_only
from tests.respond.room import START, CaseOwner, make_sighting

THREAT = Situation((), intimate=True, posted=Spread.THREAT, demand=Demand.MONEY)


@pytest.fixture
def case(owner: CaseOwner) -> Case:
    return owner.open_case(THREAT)


def step(case: Case, owner: CaseOwner) -> str:
    return next_step(find_case(case.name, owner.device), START)


def file_document(case: Case, route: str, owner: CaseOwner) -> None:
    """Draft a document for a route, and record that it was sent."""
    number = draft_and_store_notice(case.name, route, owner.device).number
    assert f"--sent {number}" in step(case, owner)
    record_notice_event(case.name, number, NoticeEvent.SEND, START, owner.device)


def test_the_demand_is_saved_before_anything_else(owner: CaseOwner, case: Case) -> None:
    words = step(case, owner)
    assert words.startswith("Do not pay, and send nothing more. Save the demand")
    assert f"entrenous case add {case.name} FILE" in words
    assert "To skip this" in words


def test_hash_bank_is_the_step_after_saving_the_demand(owner: CaseOwner, case: Case) -> None:
    add_statement(case.name, "he wants 500 euros", owner.device)
    words = step(case, owner)
    assert "You make a fingerprint on your own device" in words
    assert re.search(r"--route hash-stopncii", words)


def test_all_steps_of_a_threat_end_with_the_police(owner: CaseOwner) -> None:
    """The steps are: save the demand, hash bank, report the account, police."""
    case = owner.open_case(replace(THREAT, places=(Place("NG"),), platform="instagram"))
    add_statement(case.name, "he wants 500 euros", owner.device)
    file_document(case, "hash-stopncii", owner)
    assert "Note which account threatens" in step(case, owner)
    account = Sighting("a chat on Instagram", SightingReach.PRIVATE, START, handle="badguy")
    add_sighting(case.name, account, owner.device)
    assert f"entrenous case notice {case.name} --route account-threat" in step(case, owner)
    file_document(case, "account-threat", owner)
    assert "--route ng-cybercrimes-24" in step(case, owner)
    file_document(case, "ng-cybercrimes-24", owner)
    assert "You have done all that can be done here before anything appears. If" in step(
        case, owner
    )


def test_where_no_law_reaches_a_threat_the_police_are_named_at_the_end(owner: CaseOwner) -> None:
    case = owner.open_case(replace(THREAT, platform="instagram"))
    add_statement(case.name, "he wants 500 euros", owner.device)
    add_sighting(
        case.name, Sighting("a chat", SightingReach.PRIVATE, START, handle="badguy"), owner.device
    )
    file_document(case, "hash-stopncii", owner)
    file_document(case, "account-threat", owner)
    assert "whether you report it to the police is your choice" in step(case, owner)


def test_the_order_is_that_of_the_ladder() -> None:
    """The ladder has: save the demand, hash bank, platform, police."""
    ladder = shipped_ladder(THREAT_LADDER).steps
    names = [step.name for step in ladder]
    banks = next(i for i, step in enumerate(ladder) if RouteKind.BANK in step.kinds)
    account = next(i for i, step in enumerate(ladder) if step.platform)
    police = next(i for i, step in enumerate(ladder) if RouteKind.POLICE in step.kinds)
    assert names.index("Save the demand before anything else") < banks < account < police


def test_threat_in_a_chat_is_not_a_leak(owner: CaseOwner, case: Case) -> None:
    add_sighting(
        case.name, make_sighting("a chat on Instagram", SightingReach.PRIVATE), owner.device
    )
    assert is_threat_only(find_case(case.name, owner.device))


def test_posted_picture_turns_the_threat_into_a_leak(owner: CaseOwner, case: Case) -> None:
    add_facts_to_case(case.name, Situation((), posted=Spread.PUBLIC), owner.device)
    assert "Add where you saw it" in step(case, owner)
    add_sighting(case.name, make_sighting(), owner.device)
    assert not is_threat_only(find_case(case.name, owner.device))
    assert "Keep a screenshot of it" in step(case, owner)


def test_a_public_page_ends_the_threat_path_by_itself(owner: CaseOwner, case: Case) -> None:
    add_sighting(case.name, make_sighting(), owner.device)
    assert not is_threat_only(find_case(case.name, owner.device))


def test_case_without_a_threat_has_no_threat_step(owner: CaseOwner) -> None:
    assert "Save the demand" not in step(owner.open_case(), owner)


def test_next_step_of_a_chat_leads_to_the_chat_ladder(owner: CaseOwner) -> None:
    case = owner.open_case(Situation((Place("NG"),), intimate=True))
    add_sighting(case.name, make_sighting("the class chat", SightingReach.PRIVATE), owner.device)
    add_statement(case.name, "it is in the class chat", owner.device)
    words = step(case, owner)
    assert "law routes" in words
    assert "entrenous law routes --place NG --what group" in step_when_stamped(case, owner)


def step_when_stamped(case: Case, owner: CaseOwner) -> str:
    stored = find_case(case.name, owner.device)
    stamp = Stamp(b"manifest", b"token", START, "http://stamps.test", b"ca")
    return next_step(replace(stored, stamps=(stamp,)), START)


def test_once_it_is_public_the_next_step_does_not_wait_for_an_answer_to_the_threat(
    owner: CaseOwner,
) -> None:
    case = owner.open_case(replace(THREAT, places=(Place("NG"),), platform="instagram"))
    add_statement(case.name, "he wants 500 euros", owner.device)
    for route in ("hash-stopncii", "ng-cybercrimes-24"):
        file_document(case, route, owner)
    assert "--platform NAME" not in step(case, owner)  # the platform is already known
    add_facts_to_case(case.name, Situation((), posted=Spread.PUBLIC), owner.device)
    assert step(case, owner).startswith("Add where you saw it")
    add_sighting(case.name, make_sighting("https://www.instagram.com/p/abc/"), owner.device)
    assert "No letter yet asks to remove it from place 1 (Instagram)" in step(case, owner)


def test_chat_is_added_in_words_not_as_an_address(owner: CaseOwner) -> None:
    case = owner.open_case(Situation((), posted=Spread.GROUP))
    assert f"entrenous case add {case.name} --chat -" in step(case, owner)


def test_police_sheet_about_a_threat_does_not_say_where_it_was_seen(owner: CaseOwner) -> None:
    situation = Situation((Place("NG"),), intimate=True, posted=Spread.THREAT, demand=Demand.MONEY)
    case = owner.open_case(situation)
    sheet = draft_and_store_notice(case.name, "ng-cybercrimes-24", owner.device)
    assert "nothing has been posted so far" in sheet.letter
    assert "It was seen here" not in sheet.letter
    assert not any("where it can be seen" in gap for gap in sheet.missing)
