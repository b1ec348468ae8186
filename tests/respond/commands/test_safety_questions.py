"""Tests of the questions that ``case open`` asks, and of the options that replace them."""

import io
import json
import os
import pty
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrenous.cli import run

Cli = Callable[..., Any]


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def run_at_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command, types the answers, and returns status and output."""

    def command(*arguments: str, answers: list[str]) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", FakeTerminal("".join(f"{one}\n" for one in answers)))
        status = run(list(arguments), {})
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


RunAtTerminal = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
def test_every_question_but_that_of_age_may_be_skipped(
    cli: Cli, run_at_terminal: RunAtTerminal
) -> None:
    status, out, err = run_at_terminal("case", "open", answers=["", "skip", "yes", ""])
    assert status == 0
    assert "opened on" in out
    asked = [
        "Are you safe right now?",
        "Might somebody watch",
        "18 or older",
        "Where is the picture now?",
    ]
    assert [err.index(words) for words in asked] == sorted(err.index(words) for words in asked)
    assert len(cli("case", "list")["cases"]) == 1


def test_stop_ends_the_command_before_a_vault_exists(
    run_at_terminal: RunAtTerminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    for answers in (["stop"], ["yes", "stop"], ["yes", "no", "yes", "stop"]):
        status, out, err = run_at_terminal("case", "open", answers=answers)
        assert (status, out.strip()) == (0, "")
        assert "Nothing was requested or stored" in err
    assert not (tmp_path / "home").exists()


def test_maybe_watched_counts_as_yes_and_after_a_typo_the_question_is_repeated(
    run_at_terminal: RunAtTerminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    answers = ["yess", "yes", "maybe", "yes", "ye", "stop"]
    status, _, err = run_at_terminal("case", "open", answers=answers)
    assert status == 0
    assert err.count("This answer was not understood") == 2
    assert "Your phone or accounts may be watched" in err
    assert "may have been, under 18" not in err  # the person stopped at the question about age


def test_unsafe_person_sees_help_of_the_place_first(
    run_at_terminal: RunAtTerminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    status, _, err = run_at_terminal("case", "open", answers=["no", "Deutschland", "stop"])
    assert status == 0
    assert "In danger (Germany): call 112 (police: 110)" in err
    assert "Hilfetelefon Gewalt gegen Frauen" in err
    assert err.index("call 112") < err.index("Go on with the case now?")


def test_question_about_the_country_is_repeated_skipped_or_stopped(
    run_at_terminal: RunAtTerminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    question, advice = "Which country do you live in?", "You are not safe right now:"
    _, _, err = run_at_terminal("case", "open", answers=["no", "Germny", "Germany", "stop"])
    assert "Did you mean Germany (DE)?" in err
    assert err.count(question) == 2
    assert "In danger (Germany): call 112 (police: 110)" in err
    _, _, err = run_at_terminal("case", "open", answers=["no", "skip", "y es", "yes", "stop"])
    assert "is not a place" not in err
    assert err.count("Go on with the case now?") == 2
    assert "Might somebody watch" in err
    _, _, err = run_at_terminal("case", "open", answers=["no", "stop"])
    assert "Nothing was requested or stored" in err
    assert advice not in err
    _, _, err = run_at_terminal("case", "open", answers=["no", "x", "y", "z", "stop"])
    assert err.count(question) == 3
    assert advice in err


def test_unsure_whether_under_18_names_help_and_stores_nothing(
    run_at_terminal: RunAtTerminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    status, _, err = run_at_terminal(
        "case", "open", "--place", "UK", answers=["yes", "no", "unsure"]
    )
    assert status == 3
    assert "Report Remove" in err
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
def test_skipped_question_about_age_is_repeated_once_with_the_reason(
    cli: Cli, run_at_terminal: RunAtTerminal
) -> None:
    status, _, err = run_at_terminal("case", "open", answers=["", "", "", "yes", ""])
    assert status == 0
    assert err.count("18 or older") == 2
    assert "Without this answer, nothing can be stored." in err
    status, _, err = run_at_terminal("case", "open", answers=["", "", "skip", ""])
    assert status == 3
    assert err.count("18 or older") == 2
    assert len(cli("case", "list")["cases"]) == 1


@pytest.mark.slow
def test_answer_about_being_watched_is_not_stored(cli: Cli, run_at_terminal: RunAtTerminal) -> None:
    status, out, err = run_at_terminal(
        "case", "open", answers=["yes", "yes", "yes", "yes", "threat"]
    )
    assert status == 0
    assert "on a safer device" in err
    assert "Save the demand before anything else" in out
    shown = json.dumps(cli("case", "list"))
    assert "watched" not in shown
    assert "Save the demand" in shown


@pytest.mark.slow
def test_options_replace_the_questions_without_a_terminal(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    options = ("--adults", "--posted", "threat", "--demand", "money", "--not-safe")
    assert run(["case", "open", *options, "--json"], {}) == 0
    out, err = capsys.readouterr()
    opened = json.loads(out)
    assert "Save the demand" in opened["next"]
    assert "Are you safe" not in err
    described = cli("case", "about", opened["case"], "--posted", "public")
    assert "Add where you saw it" in described["next"]


@pytest.mark.real
@pytest.mark.skipif(sys.platform == "win32", reason="pty exists only on Unix")
def test_at_a_real_terminal_the_questions_come_before_the_passphrase(tmp_path: Path) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.environ["ENTRENOUS_HOME"] = str(tmp_path / "home")
        os.execv(sys.executable, [sys.executable, "-m", "entrenous", "case", "open"])
    shown = _read_until(terminal, b"stop)")
    assert b"Are you safe right now?" in shown
    os.write(terminal, b"stop\n")
    shown += _read_until(terminal, b"entrenous help")
    assert b"assphrase" not in shown
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _read_until(terminal: int, expected: bytes) -> bytes:
    shown, ends = b"", time.monotonic() + 20
    while expected not in shown and time.monotonic() < ends:
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 4096)
    return shown
