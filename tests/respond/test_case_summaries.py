"""Tests of the summaries of all cases, of damaged records, and of unique names of cases."""

from dataclasses import replace

import pytest

from entrenous.base.errors import BadRecord
from entrenous.respond.case_file import all_cases, case_summaries, save_case
from entrenous.respond.case_status import close_case
from entrenous.respond.custody import CASES_TABLE, CustodyAct
from entrenous.respond.nouns import AgeAnswer, CaseState
from entrenous.respond.open_case import add_sighting
from tests.respond.case_owner import START, CaseOwner, make_sighting


def test_summaries_agree_with_the_cases_and_are_sorted_newest_first(owner: CaseOwner) -> None:
    for _ in range(3):
        opened = owner.open_case()
        add_sighting(opened.name, make_sighting(), owner.device)
        owner.clock.advance(hours=1)
    close_case(opened.name, owner.device)
    waiting = replace(owner.open_case(), stamp_wanted_at=START, age=AgeAnswer.UNSURE)
    save_case(waiting, owner.device, CustodyAct.CHANGED, "a test")
    summaries = case_summaries(owner.device)
    cases = all_cases(owner.device)
    assert [summary.name for summary in summaries] == [summary.name for summary in cases]
    for summary, case in zip(summaries, cases, strict=True):
        for field in ("name", "opened_at", "state", "age", "stamp_wanted_at"):
            assert getattr(summary, field) == getattr(case, field), field
    assert {summary.state for summary in summaries} == {CaseState.OPEN, CaseState.CLOSED}
    assert summaries[0].opened_at.utcoffset() == START.utcoffset()


@pytest.mark.parametrize("record", [b"", b"\x80", b"\xc1", b"\x81\xa4name\x01"])
def test_damaged_record_is_an_error(owner: CaseOwner, record: bytes) -> None:
    owner.open_case()
    owner.vault.put(CASES_TABLE, "case-damaged", record)
    with pytest.raises(BadRecord):
        case_summaries(owner.device)


def test_case_names_are_unique(owner: CaseOwner) -> None:
    names = {owner.open_case().name for _ in range(60)}
    assert len(names) == 60
