"""Tests of stored notices: listing, comparing, filling gaps in drafts, and reference numbers."""

from dataclasses import replace

import pytest

from entrenous.respond.case_file import find_case, find_notice
from entrenous.respond.case_status import NoticeEvent, record_notice_event
from entrenous.respond.letters.draft import draft_and_store_notice
from entrenous.respond.letters.drafted_notices import (
    NoLongerDraft,
    compare_notices,
    fill_gaps,
    notice_list_lines,
    notice_versions,
    store_reference_number,
)
from entrenous.respond.nouns import Case, NoSuchCaseEntry
from entrenous.respond.open_case import add_sighting
from tests.respond.case_owner import CaseOwner, make_sighting, situation_in


@pytest.fixture
def case(owner: CaseOwner) -> Case:
    opened = owner.open_case()
    add_sighting(opened.name, make_sighting(), owner.device)
    draft_and_store_notice(opened.name, "us-tida-removal", owner.device)
    owner.clock.advance(days=1)
    add_sighting(opened.name, make_sighting("https://pictures.example/p/124"), owner.device)
    draft_and_store_notice(opened.name, "us-tida-removal", owner.device)
    draft_and_store_notice(opened.name, "us-dmca-512c", owner.device)
    return find_case(opened.name, owner.device)


def test_drafting_again_keeps_the_old_version(case: Case) -> None:
    assert [(one.notice.route.id, one.version) for one in notice_versions(case)] == [
        ("us-tida-removal", 1),
        ("us-tida-removal", 2),
        ("us-dmca-512c", 1),
    ]
    assert "p/124" not in find_notice(case, 1).letter
    assert "p/124" in find_notice(case, 2).letter


def test_list_has_number_route_addressee_state_and_date(case: Case) -> None:
    lines = list(notice_list_lines(case))
    assert lines[2].startswith("2  us-tida-removal to pictures.example: drafted, version 2")
    assert lines[3] == "   drafted 26 November 2026"
    assert lines[-1].endswith("--show NUMBER")
    (only,) = notice_list_lines(replace(case, notices=()))
    assert "no notices yet" in only


def test_two_versions_are_compared_line_by_line(case: Case) -> None:
    changes = compare_notices(case, 1, 2).splitlines()
    assert changes[:2] == [
        "--- notice 1, drafted 25 November 2026",
        "+++ notice 2, drafted 26 November 2026",
    ]
    added = [line for line in changes[2:] if line.startswith("+")]
    assert added == ["+- https://pictures.example/p/124, seen 2026-11-25 12:00 UTC"]
    assert compare_notices(case, 1, 1) == "Notices 1 and 1 have the same text."
    with pytest.raises(NoSuchCaseEntry):
        compare_notices(case, 1, 9)


def test_reference_number_is_stored_with_the_notice(case: Case, owner: CaseOwner) -> None:
    store_reference_number(case.name, 2, "NCII-77 / 4711", owner.device)
    stored = find_case(case.name, owner.device)
    assert [one.reference for one in stored.notices] == ["", "NCII-77 / 4711", ""]
    assert "4711" not in "\n".join(notice_list_lines(stored))
    assert "4711" not in "".join(step.what for step in stored.steps)


def test_filled_gap_is_replaced_everywhere_and_no_longer_missing() -> None:
    owner = CaseOwner()
    case = owner.open_case(situation_in("US"))
    add_sighting(case.name, make_sighting(), owner.device)
    drafted = draft_and_store_notice(case.name, "us-tida-removal", owner.device)
    first, *rest = drafted.missing
    assert first in drafted.letter
    filled = fill_gaps(case.name, 1, {first: " Ana [Ruiz] \n"}, owner.device).notices[0]
    assert first not in filled.letter
    assert "Ana [Ruiz]" in filled.letter
    assert any("Ana [Ruiz]" in line for part in filled.parts for line in part.lines)
    assert filled.missing == tuple(gap for gap in rest if gap != first)
    assert find_case(case.name, owner.device).notices[0] == filled
    same = fill_gaps(case.name, 1, {"[what is not missing]": "x", rest[0]: "  "}, owner.device)
    assert same.notices[0] == filled


def test_text_that_was_filled_in_is_not_searched_for_gaps() -> None:
    owner = CaseOwner()
    case = owner.open_case(situation_in("US"))
    add_sighting(case.name, make_sighting(), owner.device)
    first, second, *_ = dict.fromkeys(
        draft_and_store_notice(case.name, "us-tida-removal", owner.device).missing
    )
    filled = fill_gaps(case.name, 1, {first: f"A {second} B", second: "C"}, owner.device).notices[0]
    assert f"A {second} B" in filled.letter
    assert "A C B" not in filled.letter


def test_sent_notice_cannot_be_changed() -> None:
    owner = CaseOwner()
    case = owner.open_case(situation_in("US"))
    add_sighting(case.name, make_sighting(), owner.device)
    drafted = draft_and_store_notice(case.name, "us-tida-removal", owner.device)
    record_notice_event(case.name, 1, NoticeEvent.SEND, owner.clock.now(), owner.device)
    with pytest.raises(NoLongerDraft):
        fill_gaps(case.name, 1, {drafted.missing[0]: "Ana"}, owner.device)
