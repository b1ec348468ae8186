"""Tests of ``case notice``: list, show, compare and save notices, and store reference numbers."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

Cli = Callable[..., Any]
PAGE_URL = "https://pictures.example/p/1"


@pytest.fixture
def case_name(cli: Cli) -> str:
    opened = cli("case", "open", "--adults", "--place", "US", "--intimate", "--taken-by-me")
    cli("case", "add", opened["case"], "--url", PAGE_URL)
    return str(opened["case"])


def test_without_options_the_notices_are_listed(cli: Cli, case_name: str) -> None:
    assert cli("case", "notice", case_name)["notices"] == []
    cli("case", "notice", case_name, "--route", "us-tida-removal")
    cli("case", "notice", case_name, "--route", "us-tida-removal")
    listed = cli("case", "notice", case_name)
    assert listed["schema"] == "entrenous/notices/1"
    shown = [
        (one["notice"], one["route"], one["version"], one["state"]) for one in listed["notices"]
    ]
    assert shown == [
        (1, "us-tida-removal", 1, "drafted"),
        (2, "us-tida-removal", 2, "drafted"),
    ]


def test_sent_notice_is_shown_again_unchanged(cli: Cli, case_name: str) -> None:
    drafted = cli("case", "notice", case_name, "--route", "us-tida-removal", "--language", "de")
    cli("case", "notice", case_name, "--sent", "1")
    again = cli("case", "notice", case_name, "--show", "1")
    assert again["schema"] == "entrenous/notice/1"
    assert again["letter"] == drafted["letter"]
    assert again["language"] == "de"
    assert again["sent"] is True
    assert set(drafted) >= {"case", "notice", "route", "law", "provision", "source", "read_on"}
    assert set(drafted) >= {"letter", "sightings", "left_out", "missing", "sent"}


def test_two_drafts_are_compared(cli: Cli, case_name: str) -> None:
    cli("case", "notice", case_name, "--route", "us-tida-removal")
    cli("case", "add", case_name, "--url", "https://pictures.example/p/2")
    cli("case", "notice", case_name, "--route", "us-tida-removal")
    changes = cli("case", "notice", case_name, "--compare", "1", "2")["changes"]
    assert [line for line in changes if line.startswith("+- ")]
    cli("case", "notice", case_name, "--compare", "1", "7", status=4)


def test_letters_are_written_to_new_files_only(cli: Cli, case_name: str, tmp_path: Path) -> None:
    text, pdf = tmp_path / "letter.txt", tmp_path / "letter.pdf"
    drafted = cli("case", "notice", case_name, "--route", "us-dmca-512c", "--text", str(text))
    assert text.read_text() == drafted["letter"] + "\n"
    cli("case", "notice", case_name, "--show", "1", "--pdf", str(pdf))
    assert pdf.read_bytes().startswith(b"%PDF-")
    text.write_text("something else")
    cli("case", "notice", case_name, "--show", "1", "--text", str(text), status=3)
    assert text.read_text() == "something else"


def test_no_file_is_written_for_a_letter_that_is_refused(cli: Cli, tmp_path: Path) -> None:
    bare = cli("case", "open", "--adults", "--place", "US")["case"]
    file = tmp_path / "letter.pdf"
    cli("case", "notice", bare, "--route", "us-tida-removal", "--pdf", str(file), status=3)
    assert not file.exists()
    assert cli("case", "notice", bare)["notices"] == []


def test_reference_number_is_read_from_standard_input_and_stored(
    cli: Cli, case_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("case", "notice", case_name, "--route", "hash-stopncii")
    monkeypatch.setattr("sys.stdin", io.StringIO("4711 0815\n"))
    cli("case", "notice", case_name, "--number-of", "1")
    assert cli("case", "notice", case_name, "--show", "1")["reference"] == "4711 0815"
    assert "4711" not in str(cli("case", "show", case_name))


@pytest.mark.parametrize("route", ["account-threat", "civil-letter"])
def test_builtin_letters_need_an_account(cli: Cli, case_name: str, route: str) -> None:
    cli("case", "notice", case_name, "--route", route, status=3)
    sighting = ("--chat", "a message on Instagram", "--handle", "@shadow")
    cli("case", "add", case_name, *sighting)
    assert "@shadow" in cli("case", "notice", case_name, "--route", route)["letter"]


def test_typed_time_corrects_the_newest_event_and_a_repeated_command_does_not(
    cli: Cli, case_name: str
) -> None:
    def sent_at() -> str:
        return str(cli("case", "notice", case_name)["notices"][0]["sent_at"])

    cli("case", "notice", case_name, "--route", "us-tida-removal")
    cli("case", "notice", case_name, "--sent", "1")
    before = sent_at()
    cli("case", "notice", case_name, "--sent", "1", status=3)
    assert sent_at() == before
    cli("case", "notice", case_name, "--sent", "1", "--at", "2026-05-20T09:30")
    assert sent_at() == "2026-05-20T09:30:00Z"
