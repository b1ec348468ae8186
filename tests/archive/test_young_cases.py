"""Archives of cases in which somebody was, or may have been, under 18, and of adults' cases."""

import io

import pytest

from entrenous.archive import contents
from entrenous.archive.archive_format import BadArchive
from entrenous.archive.contents import CUSTODY_FOLDER, ArchiveRecord
from entrenous.archive.take_records import import_cases
from entrenous.archive.write_archive import write_archive_tar
from entrenous.base.identifiers import BlobId
from entrenous.device.vault_tables import unpack
from entrenous.respond.age_gate import NotAllAdults
from entrenous.respond.case_file import all_cases, find_case
from entrenous.respond.case_status import erase_case
from entrenous.respond.custody import ERASED_CASES_TABLE, CustodyLink, verify_chain
from entrenous.respond.nouns import AgeAnswer, Case
from entrenous.respond.open_case import (
    add_file,
    add_sighting,
    add_statement,
    record_somebody_under_18,
)
from tests.archive.archives_in_memory import export_tar, ignore_progress, import_tar
from tests.respond.case_owner import CaseOwner, make_sighting, situation_in

PICTURE = b"a screenshot of the picture"


@pytest.fixture
def owner() -> CaseOwner:
    return CaseOwner()


def case_with_evidence(owner: CaseOwner) -> Case:
    """Open a case with a sighting, a statement and a picture."""
    name = owner.open_case().name
    add_sighting(name, make_sighting(), owner.device)
    add_statement(name, "I was at home", owner.device)
    return add_file(name, PICTURE, "a screenshot", owner.device)


def record_under_18(case: Case, owner: CaseOwner) -> Case:
    with pytest.raises(NotAllAdults):
        record_somebody_under_18(case.name, situation_in("GB"), owner.device)
    return find_case(case.name, owner.device)


def stored_files(owner: CaseOwner) -> set[BlobId]:
    return {BlobId(blob) for blob in owner.vault._files}


def test_cases_under_18_export_statements_but_no_pictures(owner: CaseOwner) -> None:
    case, fresh = record_under_18(case_with_evidence(owner), owner), CaseOwner()
    statement, picture = case.evidence
    report = write_archive_tar(io.BytesIO(), owner.device, ignore_progress)
    assert (report.lost, report.left_of_cases) == (0, 1)
    tar = export_tar(owner.device)
    assert PICTURE not in tar
    assert import_tar(tar, fresh.device).cases == 1
    assert stored_files(fresh) == {statement.blob}
    assert picture.blob not in stored_files(fresh)
    assert find_case(case.name, fresh.device) == case
    assert len(verify_chain(case.name, fresh.device)) == case.links
    with pytest.raises(NotAllAdults):  # the picture cannot be added to another case
        add_file(fresh.open_case().name, PICTURE, "a screenshot", fresh.device)


def test_all_files_of_adult_cases_are_exported(owner: CaseOwner) -> None:
    fresh = CaseOwner()
    case_with_evidence(owner)
    assert import_tar(export_tar(owner.device), fresh.device).erased_cases == ()
    assert stored_files(fresh) == stored_files(owner)


def test_pictures_of_cases_under_18_are_skipped_on_import(
    owner: CaseOwner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive is made without the export's filter, and so contains the picture."""
    case, fresh = record_under_18(case_with_evidence(owner), owner), CaseOwner()
    with monkeypatch.context() as patch:
        patch.setattr(
            "entrenous.archive.write_archive.archived_files_of",
            lambda case: (item.blob for item in case.evidence),
        )
        tar = export_tar(owner.device)
    assert PICTURE in tar
    assert import_tar(tar, fresh.device).cases == 1
    assert stored_files(fresh) == {case.evidence[0].blob}


@pytest.mark.parametrize("places", [(1, 0, 2), (1, 2), (0, 2)])
def test_custody_links_out_of_order_or_missing_are_refused(
    owner: CaseOwner, places: tuple[int, ...]
) -> None:
    case_with_evidence(owner)
    links = [
        ArchiveRecord(CUSTODY_FOLDER, key, unpack(CustodyLink, data), data)
        for key, data in sorted(owner.device.vault.items(CUSTODY_FOLDER))
    ]
    import_cases(links, CaseOwner().device)
    with pytest.raises(BadArchive):
        import_cases([links[place] for place in places], CaseOwner().device)


def test_erased_case_under_18_is_not_restored_by_an_older_archive(owner: CaseOwner) -> None:
    case = case_with_evidence(owner)
    before = export_tar(owner.device)
    record_under_18(case, owner)
    after = export_tar(owner.device)
    erase_case(case.name, owner.device)
    for tar in (before, after):
        report = import_tar(tar, owner.device)
        assert (report.cases, report.erased_cases) == (0, (case.name,))
    assert (all_cases(owner.device), stored_files(owner)) == ((), set())
    ((_, record),) = owner.device.vault.items(ERASED_CASES_TABLE)
    assert record == b""


def test_erased_adult_case_is_restored_by_an_older_archive(owner: CaseOwner) -> None:
    """The owner may have erased the case by mistake."""
    case = case_with_evidence(owner)
    tar = export_tar(owner.device)
    erase_case(case.name, owner.device)
    assert import_tar(tar, owner.device).cases == 1
    assert all_cases(owner.device) == (case,)
    assert case.age is AgeAnswer.ADULTS
    assert (contents.ERASED_CASE_TABLE, list(owner.device.vault.items(ERASED_CASES_TABLE))) == (
        ERASED_CASES_TABLE,
        [],
    )
