"""What an archive contains of cases in which somebody was, or may have been, under 18."""

import io

import pytest

from entrenous.archive import contents
from entrenous.archive.write_archive import write_archive_tar
from entrenous.base.identifiers import BlobId
from entrenous.respond.age_gate import NotAllAdults
from entrenous.respond.case_file import all_cases, find_case
from entrenous.respond.case_status import erase_case
from entrenous.respond.custody import ERASED_CASES_TABLE, verify_chain
from entrenous.respond.nouns import AgeAnswer, Case
from entrenous.respond.open_case import (
    add_file,
    add_sighting,
    add_statement,
    record_somebody_under_18,
)
from tests.archive.boxes import exported, imported, nobody_watches
from tests.respond.room import Room, lived_in, seen

PICTURE = b"a screenshot of the picture"


@pytest.fixture
def room() -> Room:
    return Room()


def case_with_evidence(room: Room) -> Case:
    """Open a case with a sighting, a statement and a picture."""
    name = room.opens().name
    add_sighting(name, seen(), room.device)
    add_statement(name, "I was at home", room.device)
    return add_file(name, PICTURE, "a screenshot", room.device)


def record_under_18(case: Case, room: Room) -> Case:
    with pytest.raises(NotAllAdults):
        record_somebody_under_18(case.name, lived_in("GB"), room.device)
    return find_case(case.name, room.device)


def stored_files(room: Room) -> set[BlobId]:
    return {BlobId(blob) for blob in room.vault._files}


def test_cases_under_18_export_words_but_no_pictures(room: Room) -> None:
    case, fresh = record_under_18(case_with_evidence(room), room), Room()
    statement, picture = case.evidence
    report = write_archive_tar(io.BytesIO(), room.device, nobody_watches)
    assert (report.lost, report.left_of_cases) == (0, 1)
    tar = exported(room.device)
    assert PICTURE not in tar
    assert imported(tar, fresh.device).cases == 1
    assert stored_files(fresh) == {statement.blob}
    assert picture.blob not in stored_files(fresh)
    assert find_case(case.name, fresh.device) == case
    assert len(verify_chain(case.name, fresh.device)) == case.links
    with pytest.raises(NotAllAdults):  # another case does not bring it in either
        add_file(fresh.opens().name, PICTURE, "a screenshot", fresh.device)


def test_all_files_of_adult_cases_are_exported(room: Room) -> None:
    fresh = Room()
    case_with_evidence(room)
    assert imported(exported(room.device), fresh.device).erased_cases == ()
    assert stored_files(fresh) == stored_files(room)


def test_pictures_of_cases_under_18_are_skipped_on_import(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive is made without the filter that leaves out the pictures."""
    case, fresh = record_under_18(case_with_evidence(room), room), Room()
    with monkeypatch.context() as older:
        older.setattr(
            "entrenous.archive.write_archive.archived_files_of",
            lambda noun: (item.blob for item in noun.evidence),
        )
        tar = exported(room.device)
    assert PICTURE in tar
    assert imported(tar, fresh.device).cases == 1
    assert stored_files(fresh) == {case.evidence[0].blob}


def test_erased_case_under_18_is_not_restored_by_an_older_archive(room: Room) -> None:
    case = case_with_evidence(room)
    before = exported(room.device)
    record_under_18(case, room)
    after = exported(room.device)
    erase_case(case.name, room.device)
    for tar in (before, after):
        report = imported(tar, room.device)
        assert (report.cases, report.erased_cases) == (0, (case.name,))
    assert (all_cases(room.device), stored_files(room)) == ((), set())
    ((_, record),) = room.device.vault.items(ERASED_CASES_TABLE)  # its key is nothing but a hash
    assert record == b""


def test_erased_adult_case_is_restored(room: Room) -> None:
    """It may have been erased by mistake, and an archive still has it."""
    case = case_with_evidence(room)
    tar = exported(room.device)
    erase_case(case.name, room.device)
    assert imported(tar, room.device).cases == 1
    assert all_cases(room.device) == (case,)
    assert case.age is AgeAnswer.ADULTS
    assert (contents.ERASED_CASE_TABLE, list(room.device.vault.items(ERASED_CASES_TABLE))) == (
        ERASED_CASES_TABLE,
        [],
    )
