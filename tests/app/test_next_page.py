"""Tests of the page to which the next step of a case leads, and of the order of the cases."""

import pytest

from entrenous.app.case_index import CaseIndex
from entrenous.app.wording import page_for_step
from entrenous.respond.case_status import NoticeEvent, close_case, record_notice_event
from entrenous.respond.letters.draft import draft_and_store_notice
from entrenous.respond.next_step import next_step
from entrenous.respond.nouns import CaseName
from entrenous.respond.open_case import add_sighting, add_statement
from tests.respond.case_owner import CaseOwner, make_sighting, situation_in

CASE_NAME = CaseName("case-owl")


def test_each_next_step_of_a_case_has_its_page() -> None:
    owner = CaseOwner()
    name = owner.open_case(situation_in("US")).name

    def next_page() -> tuple[str, int, str]:
        from entrenous.respond.case_file import find_case

        step = page_for_step(next_step(find_case(name, owner.device), owner.clock.now()), name)
        assert "entrenous " not in step.words
        assert "--" not in step.words
        assert len(step.words.split()) > 3
        return step.page, step.number, step.route

    assert next_page() == ("seen", 0, "")
    add_sighting(name, make_sighting(), owner.device)
    assert next_page() == ("evidence", 0, "")
    add_statement(name, "seen on Monday", owner.device)
    assert next_page() == ("evidence", 0, "")  # the step is to have the statement stamped
    draft_and_store_notice(name, "us-tida-removal", owner.device)
    assert next_page() == ("letter", 1, "")
    record_notice_event(name, 1, NoticeEvent.SEND, owner.clock.now(), owner.device)
    assert next_page() == ("", 0, "")  # nothing to do now
    owner.clock.advance(days=3)
    assert next_page() == ("case_routes", 0, "us-tida-ftc")
    close_case(name, owner.device)
    assert next_page() == ("ending", 0, "")


@pytest.mark.parametrize(
    ("step", "page"),
    [
        ("Choose a route: entrenous law routes case-owl", "case_routes"),
        ("Note it: entrenous case about case-owl --platform NAME", "about"),
        ("To talk to somebody: entrenous help --threat", "help"),
        ("Note that you did: entrenous case notice case-owl --supplied 3", "letter"),
        ("They have until Friday.", ""),
    ],
)
def test_step_leads_to_the_page_of_its_command_if_it_has_one(step: str, page: str) -> None:
    assert page_for_step(step, CASE_NAME).page == page


def test_cases_are_sorted_by_deadline_and_read_again_after_changes() -> None:
    owner, index = CaseOwner(), CaseIndex()
    names = [owner.open_case(situation_in("US")).name for _ in range(3)]
    for name in names[:2]:
        add_sighting(name, make_sighting(), owner.device)
        draft_and_store_notice(name, "us-tida-removal", owner.device)
    record_notice_event(names[1], 1, NoticeEvent.SEND, owner.clock.now(), owner.device)
    assert index.sorted_cases(owner.device)[0].name == names[1]
    owner.clock.advance(hours=1)
    record_notice_event(names[0], 1, NoticeEvent.SEND, owner.clock.now(), owner.device)
    close_case(names[1], owner.device)
    assert [due.name for due in index.sorted_cases(owner.device)] == [
        names[0],
        names[2],
        names[1],
    ]
    index.clear()
    assert [due.name for due in index.sorted_cases(owner.device)] == [
        names[0],
        names[2],
        names[1],
    ]
