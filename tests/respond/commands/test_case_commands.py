"""Tests of ``case`` commands and ``law routes``: notices, times, erasing, consent, and facts."""

import os
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import typer

from entrenous.cli import run
from entrenous.stop.commands.protect_command import ask_if_everybody_adult
from entrenous.terminal.output import rfc3339_utc
from entrenous.terminal.typed_input import parse_time

pytestmark = pytest.mark.slow

Cli = Callable[..., Any]
SENT_AT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=9)


def typed_time(hours: float) -> str:
    """Return the time ``hours`` after sending the notice, as a person types it."""
    return (SENT_AT + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.fixture
def case_name(cli: Cli) -> str:
    """Return the name of a case with a notice that was sent nine days ago."""
    name = str(cli("case", "open", "--adults", "--intimate", "--place", "US")["case"])
    cli("case", "add", name, "--url", "https://pictures.example/p/123")
    cli("case", "notice", name, "--route", "us-tida-removal")
    cli("case", "notice", name, "--sent", "1", "--at", typed_time(0))
    return name


def notice_state(shown: Any) -> str:
    return str(shown["notices"][0]["state"])


def test_removal_in_time_meets_the_deadline(cli: Cli, case_name: str) -> None:
    assert cli("case", "show", case_name)["deadlines"][0]["state"] == "missed"
    removed = cli("case", "notice", case_name, "--removed", "1", "--at", typed_time(24))
    assert notice_state(removed) == "removed"
    deadline = cli("case", "show", case_name)["deadlines"][0]
    assert deadline["state"] == "met"
    assert "ran out" not in deadline["in_words"]
    assert "They removed it" in removed["next"]


def test_receipt_restarts_the_deadline_and_refusal_names_a_next_step(
    cli: Cli, case_name: str
) -> None:
    received = cli("case", "notice", case_name, "--received", "1", "--at", typed_time(2))
    assert notice_state(received) == "received"
    assert received["deadlines"][0]["due_at"] == typed_time(2 + 48) + "Z"
    refused = cli("case", "notice", case_name, "--refused", "1")
    assert notice_state(refused) == "refused"
    assert refused["next"].startswith("Next you could go to: ")


def test_asked_supplied_and_withdrawn_change_the_state_and_withdrawn_is_final(
    cli: Cli, case_name: str
) -> None:
    for option, becomes in (
        ("--asked", "asked for more"),
        ("--supplied", "received"),
        ("--withdrawn", "withdrawn"),
    ):
        assert notice_state(cli("case", "notice", case_name, option, "1")) == becomes
    cli("case", "notice", case_name, "--removed", "1", status=3)


def test_time_with_a_zone_is_converted_to_utc(cli: Cli, case_name: str) -> None:
    shown = cli("case", "notice", case_name, "--received", "1", "--at", typed_time(2 + 2) + "+0200")
    assert shown["deadlines"][0]["due_at"] == typed_time(2 + 48) + "Z"


INVALID_TIMES = (
    *("20261120", "2026", "24", "0", "-1", "1e9", "1764000000", "now", ""),
    *("2026-11", "2026-11-25T09", "2026-W47-1", "25.11.2026", "2026-02-30", "2026-11-25T25:00"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1989-12-31T23:59:59"),
    "2026-11-25T09:30:00+99:00",
)


def test_invalid_time_is_refused_and_the_error_names_the_expected_form(
    cli: Cli, case_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def stored_case() -> dict[str, object]:
        shown = cli("case", "show", case_name)
        # The next step depends on the current time, so it is not compared.
        return {name: value for name, value in shown.items() if name != "next"}

    before = stored_case()
    commands = (("add", "--chat=x", "--seen-at"), ("notice", "--removed=1", "--at"))
    for (command, what, option), typed in product(commands, INVALID_TIMES):
        capsys.readouterr()
        assert run(["case", command, case_name, what, f"{option}={typed}"], {}) == 2
        errors = " ".join(capsys.readouterr().err.split())
        assert option in errors
        assert "write it as 2026-11-25, 2026-11-25T09:30" in errors
    assert stored_case() == before


@pytest.mark.parametrize(
    ("typed", "utc"),
    [
        ("2026-11-20", "2026-11-20T00:00:00Z"),
        ("2026-11-20T09:30", "2026-11-20T09:30:00Z"),
        ("2026-11-20 09:30:05", "2026-11-20T09:30:05Z"),
        (" 2026-11-20T09:30:05Z ", "2026-11-20T09:30:05Z"),
        ("2026-11-20T09:30:05.5+05:30", "2026-11-20T04:00:05Z"),
    ],
)
def test_accepted_forms_of_time_are_converted_to_utc(typed: str, utc: str) -> None:
    assert rfc3339_utc(parse_time(typed)) == utc


def test_sighting_in_the_future_is_refused(cli: Cli, case_name: str) -> None:
    cli("case", "add", case_name, "--chat", "x", "--seen-at", "9999-12-31T23:59:59", status=3)


def test_conflicting_or_incomplete_options_of_case_notice_are_usage_errors(
    cli: Cli, case_name: str
) -> None:
    for options in (
        ("--show", "1", "--sent", "1"),
        ("--pdf", "a.pdf"),
        ("--language", "de"),
        ("--sent", "1", "--removed", "1"),
        ("--route", "x", "--refused", "1"),
        ("--sighting", "1", "--refused", "1"),
    ):
        cli("case", "notice", case_name, *options, status=2)


def test_questions_go_to_standard_error(
    cli: Cli, case_name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def answer(text: str, *, err: bool = False, **_: object) -> str:
        assert err, text
        asked.append(text)
        return "yes"

    monkeypatch.setattr(typer, "prompt", answer)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert cli("case", "open")["state"] == "open"
    assert ask_if_everybody_adult()
    assert run(["case", "erase", case_name], {}) == 0
    capsys.readouterr()
    # ``case open`` asks four questions (safe, watched, go on, age), and then three times where the
    # picture is, because "yes" is not a valid answer. The other two calls ask one question each.
    assert len(asked) == 4 + 3 + 1 + 1


def test_empty_file_is_refused(cli: Cli, case_name: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")
    cli("case", "add", case_name, str(empty), status=7)
    assert cli("case", "show", case_name)["evidence"] == []


def test_erasing_without_a_terminal_needs_an_existing_case_and_option_yes(
    cli: Cli, case_name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    capsys.readouterr()
    assert run(["case", "erase", "nope"], {}) == 4
    assert "nope" in capsys.readouterr().err
    assert run(["case", "erase", case_name], {}) == 2
    assert "--yes" in capsys.readouterr().err
    assert cli("case", "show", case_name)["state"] == "open"
    assert run(["case", "erase", case_name, "--yes"], {}) == 0


def test_facts_can_be_added_to_an_open_case(cli: Cli) -> None:
    name = str(cli("case", "open", "--adults")["case"])
    before = {one["route"] for one in cli("law", "routes", name)["routes"]}
    cli("case", "about", name, "--place", "GB", "--intimate")
    afterwards = {one["route"] for one in cli("law", "routes", name)["routes"]}
    assert "uk-osa-20a" not in before
    assert "uk-osa-20a" in afterwards
    cli("case", "about", name, "--place", "US")  # adds a place; the earlier place stays
    assert {"uk-osa-20a", "us-tida-removal"} <= {
        one["route"] for one in cli("law", "routes", name)["routes"]
    }


def test_altered_and_taken_by_decide_the_routes(cli: Cli) -> None:
    name = str(cli("case", "open", "--adults", "--intimate", "--place", "US-CA")["case"])

    def notes(route: str) -> list[str] | None:
        routes = cli("law", "routes", name)["routes"]
        return next((one["notes"] for one in routes if one["route"] == route), None)

    assert any("you can add whether" in note for note in notes("us-ca-22671") or ())
    cli("case", "about", name, "--altered", "--taken-by-somebody-else")
    remaining = notes("us-ca-22671")
    assert remaining is not None
    assert not any("you can add" in note for note in remaining)
    assert notes("us-dmca-512c") is None
    cli("case", "about", name, "--not-altered", "--taken-by-me")
    assert notes("us-ca-22671") is None
    assert notes("us-dmca-512c")


def test_invalid_url_is_not_added(cli: Cli, case_name: str) -> None:
    cli("case", "add", case_name, "--url", "not a url", status=2)
    assert len(cli("case", "show", case_name)["sightings"]) == 1


def test_notice_names_the_sightings_without_a_notice_or_the_chosen_ones(
    cli: Cli, case_name: str
) -> None:
    cli("case", "add", case_name, "--url", "https://b.example/2")
    drafted = cli("case", "notice", case_name, "--route", "us-tida-removal")
    assert (drafted["sightings"], drafted["left_out"]) == ([2], [1])
    picked = ("--sighting", "1", "--sighting", "2")
    drafted = cli("case", "notice", case_name, "--route", "us-tida-removal", *picked)
    assert (drafted["sightings"], drafted["left_out"]) == ([1, 2], [])
    cli("case", "notice", case_name, "--route", "us-tida-removal", "--sighting", "9", status=4)


def test_draft_prints_its_number_and_the_next_command(
    cli: Cli, case_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("case", "show", case_name)["case"] == case_name
    assert run(["case", "notice", case_name, "--route", "us-tida-removal"], {}) == 0
    assert f"entrenous case notice {case_name} --sent 2" in capsys.readouterr().out


def test_case_for_somebody_else_needs_their_consent(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["case", "open", "--adults", "--for-somebody-else", "friend"], {}) == 3
    assert "Ask them first" in capsys.readouterr().err
    assert cli("case", "list")["cases"] == []
    options = ("--for-somebody-else", "friend", "--consent", "Ana asked me by phone")
    opened = cli("case", "open", "--adults", *options)
    assert opened["for_somebody_else"] == "friend"
    assert run(["case", "show", opened["case"]], {}) == 0
    out = capsys.readouterr().out
    assert "as friend. Consent, noted on" in out
    assert "Ana asked me by phone" in out


def test_routes_of_a_chat_begin_with_keeping_proof_and_end_with_the_notice_command(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    name = str(cli("case", "open", "--adults", "--intimate", "--place", "DE")["case"])
    cli("case", "add", name, "--chat", "the WhatsApp group of my class")
    assert cli("law", "routes", name)["schema"] == "entrenous/routes/1"
    capsys.readouterr()
    assert run(["law", "routes", name], {}) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "For: Germany (DE)"
    assert lines[2] == "1. Keep proof before anything vanishes"
    assert any(line.endswith(". WhatsApp (chats, groups, channels)") for line in lines)
    assert any(line.endswith("[de-stgb-201a]") for line in lines)
    assert lines[-1].endswith(f"entrenous case notice {name} --route WORD")


def test_sender_and_platform_decide_the_routes_of_a_case(cli: Cli) -> None:
    given = ("--adults", "--intimate", "--place", "NG", "--platform-in", "US", "--taken-by-me")
    name = str(cli("case", "open", *given)["case"])
    cli("case", "add", name, "--url", "https://pictures.example/p/123")

    def routes() -> list[str]:
        return [str(one["route"]) for one in cli("law", "routes", name)["routes"]]

    assert {"us-tida-removal", "us-dmca-512c", "ng-cybercrimes-24"} <= set(routes())
    assert "us-6851" not in routes()  # only for somebody who lives in the US
    cli("case", "about", name, "--place", "US", "--sender-known")
    assert "us-6851" in routes()
    cli("case", "about", name, "--sender-unknown", "--shows-somebody-else")
    assert not {"us-6851", "us-tida-removal"} & set(routes())
    assert "us-dmca-512c" in routes()


def test_saved_page_with_file_names_that_are_not_utf_8_is_stored(cli: Cli, tmp_path: Path) -> None:
    name = str(cli("case", "open", "--adults")["case"])
    folder = tmp_path / "page_files"
    folder.mkdir()
    names = [b"caf\xe9.png", b"caf\xe8.png", "café.png".encode()]
    for data in names:
        Path(os.fsdecode(bytes(folder) + b"/" + data)).write_bytes(data)
    (tmp_path / os.fsdecode(b"page-\xe9_files")).mkdir()  # begins like the page, is not its folder
    page = tmp_path / "page.html"
    page.write_bytes(b'<html><img src="page_files/caf%E9.png">')
    assert cli("case", "add", name, str(page))["evidence"][0]["what"].endswith("3 files (ZIP)")
    file = cli("evidence", "export", name, "1", "--out", str(tmp_path / "out"))["file"]
    with zipfile.ZipFile(file) as archive:
        stored = {one: archive.read(one) for one in archive.namelist() if "files" in one}
    assert stored == {
        "page_files/caf%E9.png": names[0],
        "page_files/caf%E8.png": names[1],
        "page_files/café.png": names[2],
    }


def test_case_shows_what_was_typed_about_the_picture_and_the_account(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    name = cli("case", "open", "--adults", "--shows-somebody-else", "--platform-in", "US")["case"]
    cli("case", "add", name, "--url", "https://pictures.example/p/1", "--handle", "some_account")
    assert cli("case", "show", name)["sightings"][0]["account"] == "some_account"
    assert run(["case", "show", name], {}) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "the picture shows somebody else" in shown
    assert "the platform's company is based in United States" in shown
    assert ", account: some_account" in shown
