"""Tests of the answer "under 18" after a case was opened, and of old records without an answer."""

from dataclasses import replace

import msgspec
import pytest

from entrenous.crypto.hashing import sha256
from entrenous.device.vault_tables import pack
from entrenous.respond.age_gate import NotAllAdults
from entrenous.respond.case_file import find_case
from entrenous.respond.case_status import erase_case
from entrenous.respond.custody import CASES_TABLE, verify_chain
from entrenous.respond.evidence import read_evidence, stamp_evidence
from entrenous.respond.nouns import AgeAnswer, Case, CaseState, Stamp
from entrenous.respond.open_case import add_file, open_case, record_somebody_under_18
from entrenous.watermark.verdict import Finding, Trace, Verdict
from tests.respond.case_owner import START, CaseOwner, situation_in

TRACE = Trace(7, START, b"x" * 32, Verdict(Finding.NOBODY, (), {}, {}))


def record_under_18(owner: CaseOwner, case: Case) -> Case:
    with pytest.raises(NotAllAdults, match="Childline"):
        record_somebody_under_18(case.name, situation_in("GB"), owner.device)
    return find_case(case.name, owner.device)


def test_answer_is_stored_in_the_case_and_once_in_its_chain(owner: CaseOwner) -> None:
    case = record_under_18(owner, owner.open_case())
    assert (case.age, case.state) == (AgeAnswer.CHILD, CaseState.CLOSED)
    assert record_under_18(owner, case) == case
    assert len(verify_chain(case.name, owner.device)) == 2


def test_earlier_evidence_stays_until_the_case_is_erased(owner: CaseOwner) -> None:
    case = add_file(owner.open_case().name, b"before", "a screenshot", owner.device)
    record_under_18(owner, case)
    assert read_evidence(case.name, 1, "for the police", owner.device) == b"before"
    erase_case(case.name, owner.device)
    assert owner.vault._files == {}


def test_stamp_that_arrives_after_the_answer_is_not_stored(owner: CaseOwner) -> None:
    case = add_file(owner.open_case().name, b"before", "a screenshot", owner.device)

    def answer_then_stamp(manifest: bytes) -> Stamp:
        record_under_18(owner, case)
        return Stamp(manifest, b"", START, "http://stamps.test", b"")

    for _ in range(2):
        with pytest.raises(NotAllAdults):
            stamp_evidence(case.name, answer_then_stamp, owner.device)
    assert find_case(case.name, owner.device).stamps == ()


def test_no_other_case_accepts_the_same_file(owner: CaseOwner) -> None:
    found = replace(TRACE, leak_sha256=sha256(b"the leak"))
    case = open_case(found, situation_in("US"), AgeAnswer.ADULTS, owner.device)
    add_file(case.name, b"a screenshot", "a screenshot", owner.device)
    other = owner.open_case()
    record_under_18(owner, case)
    for same in (b"the leak", b"a screenshot"):
        with pytest.raises(NotAllAdults, match=case.name):
            add_file(other.name, same, "a screenshot", owner.device)
    assert len(add_file(other.name, b"another", "a file", owner.device).evidence) == 1


def test_no_other_case_opens_from_a_trace_of_the_same_file(owner: CaseOwner) -> None:
    case = open_case(TRACE, situation_in("US"), AgeAnswer.ADULTS, owner.device)
    record_under_18(owner, case)
    again = replace(TRACE, number=8)
    with pytest.raises(NotAllAdults):
        open_case(again, situation_in("US"), AgeAnswer.ADULTS, owner.device)
    other = replace(TRACE, number=9, leak_sha256=b"y" * 32)
    open_case(other, situation_in("US"), AgeAnswer.ADULTS, owner.device)


def test_old_record_without_an_age_answer_is_read_as_adults(owner: CaseOwner) -> None:
    case = owner.open_case()
    record = msgspec.msgpack.decode(pack(case))
    assert record.pop("age") == "adults"
    owner.vault.put(CASES_TABLE, case.name, msgspec.msgpack.encode(record))
    assert find_case(case.name, owner.device) == case
