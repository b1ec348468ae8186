"""Tests of the answer "under 18" to ``case open`` and ``case about``, and of reopening a case."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from entrenous.cli import run

pytestmark = pytest.mark.slow

Cli = Callable[..., Any]
REFERRAL_STATUS = 3


@pytest.fixture
def case_name(cli: Cli) -> str:
    """Return the name of a case with one sighting."""
    name = str(cli("case", "open", "--adults")["case"])
    cli("case", "add", name, "--url", "https://pictures.example/p/123")
    return name


@pytest.mark.threat("under-eighteen")
@pytest.mark.parametrize(
    "commands",
    [
        [["case", "about", "NAME", "--under-18"]],
        [["case", "close", "NAME"], ["case", "open", "NAME", "--under-18"]],
        [["case", "open", "NAME", "--adults", "--under-18"]],  # the case is open already
    ],
)
def test_answer_under_18_closes_the_case_and_nothing_more_is_stored(
    commands: list[list[str]], cli: Cli, case_name: str, tmp_path: Path
) -> None:
    for command in commands:
        status = run([case_name if word == "NAME" else word for word in command], {})
    assert status == REFERRAL_STATUS
    before = cli("case", "show", case_name)
    shot = tmp_path / "screenshot.png"
    shot.write_bytes(b"a picture")
    for refused in (
        ("case", "add", case_name, str(shot)),
        ("case", "add", case_name, "--statement", "words"),
        ("case", "add", case_name, "--url", "https://pictures.example/p/124"),
        ("case", "notice", case_name, "--route", "search-google"),
        ("case", "open", case_name),
        ("case", "open", case_name, "--adults"),
        ("case", "about", case_name, "--intimate"),
        ("law", "routes", case_name),
    ):
        cli(*refused, status=REFERRAL_STATUS)
    assert cli("case", "show", case_name) == before
    assert (before["state"], before["age"], before["evidence"]) == ("closed", "child", [])
    cli("evidence", "verify", case_name)


@pytest.mark.parametrize("more", [("--for-somebody-else", "friend"), ("--consent", "she agreed")])
@pytest.mark.parametrize("command", ["open", "about"])
def test_answer_under_18_is_stored_even_if_the_consent_is_incomplete(
    command: str, more: tuple[str, str], cli: Cli, case_name: str
) -> None:
    cli("case", command, case_name, "--under-18", *more, status=REFERRAL_STATUS)
    case = cli("case", "show", case_name)
    assert (case["state"], case["age"], case["for_somebody_else"]) == ("closed", "child", None)


def test_help_is_for_the_place_given_with_the_answer_and_the_case_can_be_erased(
    cli: Cli, case_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(["case", "about", case_name, "--under-18", "--place", "GB", "--json"], {})
        == REFERRAL_STATUS
    )
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Childline" in captured.err
    assert f"entrenous case erase {case_name}" in " ".join(captured.err.split())
    assert "Childline" in cli("case", "show", case_name)["next"]
    assert run(["case", "erase", case_name, "--yes"], {}) == 0
    assert cli("case", "list")["cases"] == []


def test_under_18_without_a_vault_refers_to_help_and_creates_no_vault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "none"))
    assert run(["case", "open", "--under-18", "--from-trace", "9"], {}) == REFERRAL_STATUS
    assert "takeitdown.ncmec.org" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_reopening_a_case_adds_facts_but_no_trace(cli: Cli, case_name: str) -> None:
    assert run(["case", "close", case_name], {}) == 0
    cli("case", "open", case_name, "--place", "GB", "--intimate")
    assert "uk-osa-20a" in json.dumps(cli("law", "routes", case_name))
    cli("case", "open", case_name, "--from-trace", "1", status=2)


def test_sentence_after_the_help_lines_begins_on_a_line_of_its_own(
    case_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["case", "about", case_name, "--under-18"], {}) == REFERRAL_STATUS
    lines = capsys.readouterr().err.splitlines()
    (after_command,) = (
        after for line, after in pairwise(lines) if line.strip().endswith("--under-18")
    )
    assert after_command.strip().startswith("What was stored before")
