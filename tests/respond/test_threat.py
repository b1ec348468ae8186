"""Tests of the steps after a threat to share a picture, and of the next step for a chat."""

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
from tests.respond.case_owner import START, CaseOwner, make_sighting

THREAT_SITUATION = Situation((), intimate=True, posted=Spread.THREAT, demand=Demand.MONEY)


@pytest.fixture
def case(owner: CaseOwner) -> Case:
    return owner.open_case(THREAT_SITUATION)


def next_step_of(case: Case, owner: CaseOwner) -> str:
    return next_step(find_case(case.name, owner.device), START)


def draft_and_send(case: Case, route: str, owner: CaseOwner) -> None:
    """Draft a document for a route, and record that it was sent."""
    number = draft_and_store_notice(case.name, route, owner.device).number
    assert f"--sent {number}" in next_step_of(case, owner)
    record_notice_event(case.name, number, NoticeEvent.SEND, START, owner.device)


def test_first_step_is_to_save_the_demand(owner: CaseOwner, case: Case) -> None:
    words = next_step_of(case, owner)
    assert words.startswith("Do not pay, and send nothing more. Save the demand")
    assert f"entrenous case add {case.name} FILE" in words
    assert "To skip this" in words


def test_next_step_after_saving_the_demand_is_a_hash_bank(owner: CaseOwner, case: Case) -> None:
    add_statement(case.name, "he wants 500 euros", owner.device)
    words = next_step_of(case, owner)
    assert "You make a fingerprint on your own device" in words
    assert re.search(r"--route hash-stopncii", words)


def test_all_steps_of_a_threat_end_with_the_police(owner: CaseOwner) -> None:
    """The steps: save the demand, use a hash bank, report the account, go to the police."""
    case = owner.open_case(replace(THREAT_SITUATION, places=(Place("NG"),), platform="instagram"))
    add_statement(case.name, "he wants 500 euros", owner.device)
    draft_and_send(case, "hash-stopncii", owner)
    assert "Note which account threatens" in next_step_of(case, owner)
    account = Sighting("a chat on Instagram", SightingReach.PRIVATE, START, handle="badguy")
    add_sighting(case.name, account, owner.device)
    assert f"entrenous case notice {case.name} --route account-threat" in next_step_of(case, owner)
    draft_and_send(case, "account-threat", owner)
    assert "--route ng-cybercrimes-24" in next_step_of(case, owner)
    draft_and_send(case, "ng-cybercrimes-24", owner)
    assert "You have done all that can be done here before anything appears. If" in next_step_of(
        case, owner
    )


def test_last_step_names_the_police_even_if_no_law_covers_the_threat(owner: CaseOwner) -> None:
    case = owner.open_case(replace(THREAT_SITUATION, platform="instagram"))
    add_statement(case.name, "he wants 500 euros", owner.device)
    add_sighting(
        case.name, Sighting("a chat", SightingReach.PRIVATE, START, handle="badguy"), owner.device
    )
    draft_and_send(case, "hash-stopncii", owner)
    draft_and_send(case, "account-threat", owner)
    assert "whether you report it to the police is your choice" in next_step_of(case, owner)


def test_threat_ladder_has_its_steps_in_order() -> None:
    """The order: save the demand, then go to a hash bank, the platform, and the police."""
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
    assert "Add where you saw it" in next_step_of(case, owner)
    add_sighting(case.name, make_sighting(), owner.device)
    assert not is_threat_only(find_case(case.name, owner.device))
    assert "Keep a screenshot of it" in next_step_of(case, owner)


def test_public_sighting_alone_ends_the_threat_path(owner: CaseOwner, case: Case) -> None:
    add_sighting(case.name, make_sighting(), owner.device)
    assert not is_threat_only(find_case(case.name, owner.device))


def test_case_without_a_threat_has_no_threat_step(owner: CaseOwner) -> None:
    assert "Save the demand" not in next_step_of(owner.open_case(), owner)


def test_next_step_of_a_chat_leads_to_the_chat_ladder(owner: CaseOwner) -> None:
    case = owner.open_case(Situation((Place("NG"),), intimate=True))
    add_sighting(case.name, make_sighting("the class chat", SightingReach.PRIVATE), owner.device)
    add_statement(case.name, "it is in the class chat", owner.device)
    words = next_step_of(case, owner)
    assert "law routes" in words
    assert "entrenous law routes --place NG --what group" in next_step_after_stamp(case, owner)


def next_step_after_stamp(case: Case, owner: CaseOwner) -> str:
    stored = find_case(case.name, owner.device)
    stamp = Stamp(b"manifest", b"token", START, "http://stamps.test", b"ca")
    return next_step(replace(stored, stamps=(stamp,)), START)


def test_next_step_after_publication_ignores_documents_about_the_threat(
    owner: CaseOwner,
) -> None:
    case = owner.open_case(replace(THREAT_SITUATION, places=(Place("NG"),), platform="instagram"))
    add_statement(case.name, "he wants 500 euros", owner.device)
    for route in ("hash-stopncii", "ng-cybercrimes-24"):
        draft_and_send(case, route, owner)
    assert "--platform NAME" not in next_step_of(case, owner)  # the platform is already known
    add_facts_to_case(case.name, Situation((), posted=Spread.PUBLIC), owner.device)
    assert next_step_of(case, owner).startswith("Add where you saw it")
    add_sighting(case.name, make_sighting("https://www.instagram.com/p/abc/"), owner.device)
    assert "No letter yet asks to remove it from place 1 (Instagram)" in next_step_of(case, owner)


def test_next_step_for_a_chat_asks_for_words_not_for_a_url(owner: CaseOwner) -> None:
    case = owner.open_case(Situation((), posted=Spread.GROUP))
    assert f"entrenous case add {case.name} --chat -" in next_step_of(case, owner)


def test_police_sheet_about_a_threat_does_not_say_where_it_was_seen(owner: CaseOwner) -> None:
    situation = Situation((Place("NG"),), intimate=True, posted=Spread.THREAT, demand=Demand.MONEY)
    case = owner.open_case(situation)
    sheet = draft_and_store_notice(case.name, "ng-cybercrimes-24", owner.device)
    assert "nothing has been posted so far" in sheet.letter
    assert "It was seen here" not in sheet.letter
    assert not any("where it can be seen" in gap for gap in sheet.missing)
