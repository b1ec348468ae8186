"""Tests that after the answer "under 18", at any step, help is named and nothing is stored."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrenous.cli import run

pytestmark = pytest.mark.slow

Ask = Callable[..., Any]
HANDED_OVER = 3


@pytest.fixture
def case(ask: Ask) -> str:
    name = str(ask("case", "open", "--adults")["case"])
    ask("case", "add", name, "--url", "https://pictures.example/p/123")
    return name


@pytest.mark.threat("under-eighteen")
@pytest.mark.parametrize(
    "said",
    [
        [["case", "about", "NAME", "--under-18"]],
        [["case", "close", "NAME"], ["case", "open", "NAME", "--under-18"]],
        [["case", "open", "NAME", "--adults", "--under-18"]],  # while it is open
    ],
)
def test_it_is_heard_whenever_it_is_said_and_nothing_is_taken_in_after_it(
    said: list[list[str]], ask: Ask, case: str, tmp_path: Path
) -> None:
    for words in said:
        status = run([case if word == "NAME" else word for word in words], {})
    assert status == HANDED_OVER
    before = ask("case", "show", case)
    shot = tmp_path / "screenshot.png"
    shot.write_bytes(b"a picture")
    for refused in (
        ("case", "add", case, str(shot)),
        ("case", "add", case, "--statement", "words"),
        ("case", "add", case, "--url", "https://pictures.example/p/124"),
        ("case", "notice", case, "--route", "search-google"),
        ("case", "open", case),
        ("case", "open", case, "--adults"),
        ("case", "about", case, "--intimate"),
        ("law", "routes", case),
    ):
        ask(*refused, status=HANDED_OVER)
    assert ask("case", "show", case) == before
    assert (before["state"], before["age"], before["evidence"]) == ("closed", "child", [])
    ask("evidence", "verify", case)


def test_who_helps_is_of_the_place_that_she_names_with_it(
    ask: Ask, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["case", "about", case, "--under-18", "--place", "GB", "--json"], {}) == HANDED_OVER
    told = capsys.readouterr()
    assert told.out == ""
    assert "Childline" in told.err
    assert f"entrenous case erase {case}" in " ".join(told.err.split())
    assert "Childline" in ask("case", "show", case)["next"]
    assert run(["case", "erase", case, "--yes"], {}) == 0
    assert ask("case", "list")["cases"] == []


def test_who_helps_is_told_without_a_vault_a_trace_or_a_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "none"))
    assert run(["case", "open", "--under-18", "--from-trace", "9"], {}) == HANDED_OVER
    assert "takeitdown.ncmec.org" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_what_is_said_when_a_case_opens_again_is_kept(ask: Ask, case: str) -> None:
    assert run(["case", "close", case], {}) == 0
    ask("case", "open", case, "--place", "GB", "--intimate")
    assert "uk-osa-20a" in json.dumps(ask("law", "routes", case))
    ask("case", "open", case, "--from-trace", "1", status=2)
