"""Tests of ``case notice``: list, draft, show, compare, write to a file, add a reference."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

Ask = Callable[..., Any]
PAGE = "https://pictures.example/p/1"


@pytest.fixture
def case(ask: Ask) -> str:
    opened = ask("case", "open", "--adults", "--place", "US", "--intimate", "--taken-by-me")
    ask("case", "add", opened["case"], "--url", PAGE)
    return str(opened["case"])


def test_alone_it_lists_what_is_there(ask: Ask, case: str) -> None:
    assert ask("case", "notice", case)["notices"] == []
    ask("case", "notice", case, "--route", "us-tida-removal")
    ask("case", "notice", case, "--route", "us-tida-removal")
    listed = ask("case", "notice", case)
    assert listed["schema"] == "entrenous/notices/1"
    shown = [
        (one["notice"], one["route"], one["version"], one["state"]) for one in listed["notices"]
    ]
    assert shown == [
        (1, "us-tida-removal", 1, "drafted"),
        (2, "us-tida-removal", 2, "drafted"),
    ]


def test_a_draft_is_shown_again_as_it_was(ask: Ask, case: str) -> None:
    drafted = ask("case", "notice", case, "--route", "us-tida-removal", "--language", "de")
    ask("case", "notice", case, "--sent", "1")
    again = ask("case", "notice", case, "--show", "1")
    assert again["schema"] == "entrenous/notice/1"
    assert again["letter"] == drafted["letter"]
    assert again["language"] == "de"
    assert again["sent"] is True
    assert set(drafted) >= {"case", "notice", "route", "law", "provision", "source", "read_on"}
    assert set(drafted) >= {"letter", "sightings", "left_out", "missing", "sent"}


def test_two_drafts_are_compared(ask: Ask, case: str) -> None:
    ask("case", "notice", case, "--route", "us-tida-removal")
    ask("case", "add", case, "--url", "https://pictures.example/p/2")
    ask("case", "notice", case, "--route", "us-tida-removal")
    changes = ask("case", "notice", case, "--compare", "1", "2")["changes"]
    assert [line for line in changes if line.startswith("+- ")]
    ask("case", "notice", case, "--compare", "1", "7", status=4)


def test_letters_are_written_to_new_files_only(ask: Ask, case: str, tmp_path: Path) -> None:
    text, pdf = tmp_path / "letter.txt", tmp_path / "letter.pdf"
    drafted = ask("case", "notice", case, "--route", "us-dmca-512c", "--text", str(text))
    assert text.read_text() == drafted["letter"] + "\n"
    ask("case", "notice", case, "--show", "1", "--pdf", str(pdf))
    assert pdf.read_bytes().startswith(b"%PDF-")
    text.write_text("something else")
    ask("case", "notice", case, "--show", "1", "--text", str(text), status=3)
    assert text.read_text() == "something else"


def test_no_file_is_written_for_a_letter_that_is_refused(ask: Ask, tmp_path: Path) -> None:
    bare = ask("case", "open", "--adults", "--place", "US")["case"]
    file = tmp_path / "letter.pdf"
    ask("case", "notice", bare, "--route", "us-tida-removal", "--pdf", str(file), status=3)
    assert not file.exists()
    assert ask("case", "notice", bare)["notices"] == []


def test_the_number_that_they_gave_is_read_unseen_and_kept(
    ask: Ask, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask("case", "notice", case, "--route", "hash-stopncii")
    monkeypatch.setattr("sys.stdin", io.StringIO("4711 0815\n"))
    ask("case", "notice", case, "--number-of", "1")
    assert ask("case", "notice", case, "--show", "1")["reference"] == "4711 0815"
    assert "4711" not in str(ask("case", "show", case))


@pytest.mark.parametrize("id_", ["account-threat", "civil-letter"])
def test_letters_of_our_own_need_an_account_or_a_person(ask: Ask, case: str, id_: str) -> None:
    ask("case", "notice", case, "--route", id_, status=3)
    told = ("--chat", "a message on Instagram", "--handle", "@shadow")
    ask("case", "add", case, *told)
    assert "@shadow" in ask("case", "notice", case, "--route", id_)["letter"]
