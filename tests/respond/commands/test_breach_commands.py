"""Tests of the commands ``case open --breach`` and ``case breach``."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from entrenous.cli import run

pytestmark = pytest.mark.slow
Cli = Callable[..., Any]
OPEN_BREACH_CASE = ("case", "open", "--breach", "--adults", "--place", "DE")


def test_missed_deadline_of_a_breach_is_met_by_recording_an_earlier_notification(cli: Cli) -> None:
    case = cli(*OPEN_BREACH_CASE, "--aware-at", "2026-01-05T09:00+01:00")
    assert case["breach"] == {
        "route": "eu-gdpr-33",
        "aware_at": "2026-01-05T08:00:00Z",
        "notified_at": None,
        "told_at": None,
    }
    first = case["deadlines"][0]
    assert (first["state"], first["due_at"]) == ("missed", "2026-01-08T08:00:00Z")
    name = str(case["case"])
    done = cli("case", "breach", name, "--notified", "--at", "2026-01-07T12:00+01:00")
    assert done["breach"]["notified_at"] == "2026-01-07T11:00:00Z"
    assert done["deadlines"][0]["state"] == "met"


def test_breach_can_be_recorded_for_an_open_case(cli: Cli) -> None:
    name = str(cli("case", "open", "--adults", "--place", "France")["case"])
    noted = cli("case", "breach", name, "--aware-at", "2026-01-05T09:00Z", "--told")
    assert noted["breach"]["aware_at"] == "2026-01-05T09:00:00Z"
    assert noted["breach"]["told_at"] is not None


def test_without_a_known_law_no_case_is_opened(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    before = cli("case", "list")["cases"]
    assert run(["case", "open", "--breach", "--adults", "--place", "JP"], {}) == 4
    assert "Entrenous knows no law for this place" in capsys.readouterr().err
    assert cli("case", "list")["cases"] == before


def test_without_a_known_law_a_closed_case_stays_as_it_was(cli: Cli) -> None:
    name = str(cli("case", "open", "--adults", "--place", "JP")["case"])
    assert run(["case", "close", name], {}) == 0
    before = cli("case", "show", name)
    facts = ("--intimate", "--for-somebody-else", "friend", "--consent", "she agreed")
    cli("case", "open", name, "--breach", *facts, status=4)
    assert cli("case", "show", name) == before


def test_under_18_the_deadline_and_help_are_shown_and_no_case_is_stored(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    before = cli("case", "list")["cases"]
    capsys.readouterr()
    assert run(["case", "open", "--breach", "--under-18", "--place", "GB"], {}) == 3
    errors = capsys.readouterr().err
    assert "Your organisation has until" in errors
    assert "https://takeitdown.ncmec.org" in errors
    assert cli("case", "list")["cases"] == before


def test_under_18_help_is_named_even_if_no_law_is_known(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    cli("case", "list")
    assert run(["case", "open", "--breach", "--under-18", "--place", "JP"], {}) == 3
    errors = capsys.readouterr().err
    assert "https://takeitdown.ncmec.org" in errors
    assert "knows no law" not in errors


def test_under_18_case_accepts_no_breach(cli: Cli) -> None:
    name = str(cli("case", "open", "--adults", "--place", "DE")["case"])
    cli("case", "about", name, "--under-18", status=3)
    cli("case", "breach", name, "--aware-at", "2026-01-05", status=3)
    assert cli("case", "show", name)["breach"] is None


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["case", "open", "--adults", "--aware-at", "2026-01-05"], 2),
        (["case", "breach", "case-1-no-such", "--notified"], 4),
    ],
)
@pytest.mark.usefixtures("cli")
def test_invalid_breach_command_is_refused(
    arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments, {}) == status
    capsys.readouterr()


def test_json_and_text_say_the_same_time(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(cli(*OPEN_BREACH_CASE, "--aware-at", "2026-01-05T09:00+01:00")["case"])
    capsys.readouterr()
    assert run(["case", "breach", name], {}) == 0
    output = capsys.readouterr().out
    assert "Thursday 8 January 2026, 09:00 in Germany" in output
    assert "- the likely consequences" in output
    assert run(["case", "breach", name, "--json"], {}) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["schema"] == "entrenous/case/1"
    assert shown["deadlines"][0]["due_at"] == "2026-01-08T08:00:00Z"
