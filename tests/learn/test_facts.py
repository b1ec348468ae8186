"""Tests of the check-up's tables (contents, sources, readability, parsing) and of answer files."""

import tomllib
from importlib import resources

import pytest

from entrenous.learn.facts import (
    BadAnswers,
    BadFacts,
    SyncService,
    _QuestionsTable,
    _SyncServicesTable,
    _SystemsTable,
    all_questions,
    read_answers,
    read_facts_table,
    shipped_questions,
    shipped_support_ends,
    shipped_sync_services,
)
from tests.learn.readability import flesch_kincaid_grade


def table_text(file_name: str) -> str:
    return resources.files("entrenous.learn").joinpath(file_name).read_text()


def test_every_fact_has_a_source_a_date_and_a_verification() -> None:
    rows = (
        *shipped_support_ends().system,
        *shipped_sync_services().service,
        *shipped_questions().question,
    )
    assert len(rows) > 70
    for row in rows:
        assert row.source.startswith("https://")
        assert row.verified_by
    for table in (shipped_support_ends(), shipped_sync_services(), shipped_questions()):
        assert table.read_on.isoformat() == "2026-11-30"


def test_no_version_of_a_system_is_listed_twice() -> None:
    names = [(one.system, one.version) for one in shipped_support_ends().system]
    assert len(set(names)) == len(names)


def test_six_sync_services_are_known_and_each_can_be_recognized() -> None:
    names = {one.name for one in shipped_sync_services().service}
    assert names == {
        *("Dropbox", "OneDrive", "Google Drive", "iCloud Drive", "Nextcloud", "Syncthing")
    }
    for one in shipped_sync_services().service:
        assert one.markers or one.folders or one.variables or one.settings


@pytest.mark.parametrize(
    ("file_name", "table_class", "old", "new"),
    [
        ("facts/systems.toml", _SystemsTable, "ends = 2030-06-30", "ends = 'never'"),
        ("facts/systems.toml", _SystemsTable, "schema = 1", "schema = 1\nmore = 2"),
        ("facts/systems.toml", _SystemsTable, 'name = "Debian 13"\n', ""),
        ("facts/synced.toml", _SyncServicesTable, '([^"]+)', '([^"]+'),
        ("facts/synced.toml", _SyncServicesTable, '([^"]+)', "none"),
        ("facts/synced.toml", _SyncServicesTable, 'id = "onedrive"', 'id = "onedrive"\nmore = 1'),
        ("questions.toml", _QuestionsTable, 'path = "open"', 'path = "ajar"'),
        ("questions.toml", _QuestionsTable, "verified = true\n", ""),
    ],
)
def test_invalid_table_is_refused(file_name: str, table_class: type, old: str, new: str) -> None:
    whole = table_text(file_name)
    read_facts_table(file_name, whole.encode(), table_class)
    assert old in whole
    with pytest.raises(BadFacts):
        read_facts_table(file_name, whole.replace(old, new, 1).encode(), table_class)


def test_more_than_twelve_questions_are_refused() -> None:
    table = tomllib.loads(table_text("questions.toml"))
    block = table_text("questions.toml").split("[[question]]")[1]
    assert len(table["question"]) == 12
    more = f"{table_text('questions.toml')}\n[[question]]{block}"
    with pytest.raises(BadFacts):
        read_facts_table("questions", more.encode(), _QuestionsTable)


@pytest.mark.parametrize("question", all_questions(), ids=lambda one: one.id)
def test_a_child_of_12_can_read_each_question(question: object) -> None:
    one = next(q for q in all_questions() if q is question)
    answers = (answer.says for answer in one.answers)
    assert (
        flesch_kincaid_grade("\n\n".join((one.question, one.why, *answers, one.step, one.undo)))
        < 8.0
    )


def test_each_settings_pattern_of_syncthing_has_one_group() -> None:
    service = next(one for one in shipped_sync_services().service if one.id == "syncthing")
    assert isinstance(service, SyncService)
    assert all(setting.pattern.count("(") == 1 for setting in service.settings)


VALID_ANSWERS = (
    b'{"schema":"entrenous/check-up-answers/1","answers":{"passcode":"yes","threat":"skip"}}'
)


def test_skipped_answers_are_left_out() -> None:
    assert read_answers(VALID_ANSWERS) == {"passcode": "yes"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        VALID_ANSWERS.replace(b"answers/1", b"answers/2"),
        VALID_ANSWERS.replace(b'"answers"', b'"more":1,"answers"'),
        VALID_ANSWERS.replace(b'"passcode"', b'"password"'),
        VALID_ANSWERS.replace(b'"yes"', b'"perhaps"'),
        VALID_ANSWERS.replace(b'"yes"', b"true"),
    ],
)
def test_invalid_answers_are_refused_and_not_repeated_in_the_error(data: bytes) -> None:
    with pytest.raises(BadAnswers) as refused:
        read_answers(data)
    assert "perhaps" not in str(refused.value)
    assert "password" not in str(refused.value)
