"""Tests of adding sightings, statements and files to a case."""

from dataclasses import replace
from datetime import timedelta

import pytest

import entrenous.respond.open_case as add_module
from entrenous.respond.case_file import CaseClosed, find_case
from entrenous.respond.case_status import close_case
from entrenous.respond.custody import CustodyAct, verify_chain
from entrenous.respond.nouns import EvidenceLevel, ImpossibleTime, NoSuchCaseEntry
from entrenous.respond.open_case import TooLargeToKeep, add_file, add_sighting, add_statement
from tests.respond.room import START, Room, seen


def test_sightings_are_numbered_and_tidied_to_one_line(room: Room) -> None:
    case = room.opens()
    add_sighting(case.name, replace(seen("  a\nchat  "), number=77), room.device)
    twice = add_sighting(case.name, seen(), room.device)
    assert [(s.number, s.where) for s in twice.sightings] == [(1, "a chat"), (2, seen().where)]


def test_sighting_in_the_future_is_refused(room: Room) -> None:
    case = room.opens()
    with pytest.raises(ImpossibleTime, match="in the future"):
        add_sighting(case.name, seen(at=START + timedelta(seconds=1)), room.device)


def test_a_sighting_needs_a_place() -> None:
    with pytest.raises(ValueError, match="place"):
        seen("  ")


def test_file_is_stored_exactly_with_its_level_and_hash(room: Room) -> None:
    case = room.opens()
    item = add_file(case.name, b"\x00screenshot", "the\npost", room.device).evidence[0]
    assert (item.level, item.what, item.size_bytes) == (EvidenceLevel.A1, "the post", 11)
    assert room.vault.read_stored_file(item.blob) == b"\x00screenshot"
    link = verify_chain(case.name, room.device)[-1]
    assert (link.act, link.item, link.item_sha256) == (CustodyAct.STORED, 1, item.sha256)


def test_a_statement_is_the_lowest_level(room: Room) -> None:
    case = room.opens()
    item = add_statement(case.name, "I saw it on Monday", room.device).evidence[0]
    assert item.level is EvidenceLevel.A0


def test_two_items_never_share_a_salt(room: Room) -> None:
    case = room.opens()
    add_file(case.name, b"same", "one", room.device)
    items = add_file(case.name, b"same", "two", room.device).evidence
    assert items[0].sha256 == items[1].sha256
    assert items[0].salt.reveal() != items[1].salt.reveal()


def test_sighting_of_an_item_must_exist(room: Room) -> None:
    case = room.opens()
    with pytest.raises(NoSuchCaseEntry):
        add_file(case.name, b"x", "one", room.device, sighting=1)
    assert room.vault._files == {}
    add_sighting(case.name, seen(), room.device)
    assert add_file(case.name, b"x", "one", room.device, sighting=1).evidence[0].sighting == 1


def test_oversized_file_is_refused_before_anything_is_stored(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = room.opens()
    monkeypatch.setattr(add_module, "EVIDENCE_ITEM_BYTES_MAX", 10)
    with pytest.raises(TooLargeToKeep):
        add_file(case.name, b"x" * 11, "one", room.device)
    assert room.vault._files == {}


def test_closed_case_accepts_nothing(room: Room) -> None:
    case = room.opens()
    close_case(case.name, room.device)
    with pytest.raises(CaseClosed):
        add_sighting(case.name, seen(), room.device)
    with pytest.raises(CaseClosed):
        add_file(case.name, b"x", "one", room.device)
    assert room.vault._files == {}


def test_failed_write_removes_the_sealed_file_too(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = room.opens()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(room.vault, "put", fail)
    with pytest.raises(OSError, match="disk full"):
        add_file(case.name, b"x", "one", room.device)
    monkeypatch.undo()
    assert room.vault._files == {}
    assert find_case(case.name, room.device) == case
