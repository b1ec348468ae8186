"""Tests of adding sightings, statements and files to a case."""

from dataclasses import replace
from datetime import timedelta

import pytest

import entrenous.respond.open_case as open_case_module
from entrenous.respond.case_file import CaseClosed, find_case
from entrenous.respond.case_status import close_case
from entrenous.respond.custody import CustodyAct, verify_chain
from entrenous.respond.nouns import EvidenceLevel, ImpossibleTime, NoSuchCaseEntry
from entrenous.respond.open_case import TooLargeToKeep, add_file, add_sighting, add_statement
from tests.respond.case_owner import START, CaseOwner, make_sighting


def test_sightings_are_numbered_and_have_one_line(owner: CaseOwner) -> None:
    case = owner.open_case()
    add_sighting(case.name, replace(make_sighting("  a\nchat  "), number=77), owner.device)
    twice = add_sighting(case.name, make_sighting(), owner.device)
    assert [(s.number, s.where) for s in twice.sightings] == [
        (1, "a chat"),
        (2, make_sighting().where),
    ]


def test_sighting_in_the_future_is_refused(owner: CaseOwner) -> None:
    case = owner.open_case()
    with pytest.raises(ImpossibleTime, match="in the future"):
        add_sighting(case.name, make_sighting(at=START + timedelta(seconds=1)), owner.device)


def test_a_sighting_needs_a_place() -> None:
    with pytest.raises(ValueError, match="place"):
        make_sighting("  ")


def test_file_is_stored_exactly_with_its_level_and_hash(owner: CaseOwner) -> None:
    case = owner.open_case()
    item = add_file(case.name, b"\x00screenshot", "the\npost", owner.device).evidence[0]
    assert (item.level, item.what, item.size_bytes) == (EvidenceLevel.A1, "the post", 11)
    assert owner.vault.read_stored_file(item.blob) == b"\x00screenshot"
    link = verify_chain(case.name, owner.device)[-1]
    assert (link.act, link.item, link.item_sha256) == (CustodyAct.STORED, 1, item.sha256)


def test_statement_has_the_lowest_evidence_level(owner: CaseOwner) -> None:
    case = owner.open_case()
    item = add_statement(case.name, "I saw it on Monday", owner.device).evidence[0]
    assert item.level is EvidenceLevel.A0


def test_two_items_never_share_a_salt(owner: CaseOwner) -> None:
    case = owner.open_case()
    add_file(case.name, b"same", "one", owner.device)
    items = add_file(case.name, b"same", "two", owner.device).evidence
    assert items[0].sha256 == items[1].sha256
    assert items[0].salt.reveal() != items[1].salt.reveal()


def test_sighting_of_an_item_must_exist(owner: CaseOwner) -> None:
    case = owner.open_case()
    with pytest.raises(NoSuchCaseEntry):
        add_file(case.name, b"x", "one", owner.device, sighting=1)
    assert owner.vault._files == {}
    add_sighting(case.name, make_sighting(), owner.device)
    assert add_file(case.name, b"x", "one", owner.device, sighting=1).evidence[0].sighting == 1


def test_oversized_file_is_refused_before_anything_is_stored(
    owner: CaseOwner, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = owner.open_case()
    monkeypatch.setattr(open_case_module, "EVIDENCE_ITEM_BYTES_MAX", 10)
    with pytest.raises(TooLargeToKeep):
        add_file(case.name, b"x" * 11, "one", owner.device)
    assert owner.vault._files == {}


def test_closed_case_accepts_no_sighting_or_file(owner: CaseOwner) -> None:
    case = owner.open_case()
    close_case(case.name, owner.device)
    with pytest.raises(CaseClosed):
        add_sighting(case.name, make_sighting(), owner.device)
    with pytest.raises(CaseClosed):
        add_file(case.name, b"x", "one", owner.device)
    assert owner.vault._files == {}


def test_failed_write_removes_the_sealed_file(
    owner: CaseOwner, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = owner.open_case()

    def fail_to_write(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(owner.vault, "put", fail_to_write)
    with pytest.raises(OSError, match="disk full"):
        add_file(case.name, b"x", "one", owner.device)
    monkeypatch.undo()
    assert owner.vault._files == {}
    assert find_case(case.name, owner.device) == case
