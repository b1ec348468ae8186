"""Tests of opening a case at a terminal: questions about safety come first, and may be skipped."""

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

Ask = Callable[..., Any]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def at_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command with typed answers: its status, output and errors."""

    def answering(*arguments: str, answers: list[str]) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", Terminal("".join(f"{one}\n" for one in answers)))
        status = run(list(arguments), {})
        said = capsys.readouterr()
        return status, said.out, said.err

    return answering


Answering = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
def test_every_question_may_be_skipped(ask: Ask, at_terminal: Answering) -> None:
    status, out, err = at_terminal("case", "open", answers=["", "skip", "yes", ""])
    assert status == 0
    assert "opened on" in out
    asked = [
        "Are you safe right now?",
        "Might somebody watch",
        "18 or older",
        "Where is the picture now?",
    ]
    assert [err.index(words) for words in asked] == sorted(err.index(words) for words in asked)
    assert len(ask("case", "list")["cases"]) == 1


def test_stop_ends_it_before_the_vault_is_touched(
    at_terminal: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    for answers in (["stop"], ["yes", "stop"], ["yes", "no", "yes", "stop"]):
        status, out, err = at_terminal("case", "open", answers=answers)
        assert (status, out.strip()) == (0, "")
        assert "Nothing was requested or stored" in err
    assert not (tmp_path / "home").exists()


def test_somebody_unsure_is_helped_as_if_so_and_a_slip_of_the_pen_is_asked_again(
    at_terminal: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    answers = ["yess", "yes", "maybe", "yes", "ye", "stop"]
    status, _, err = at_terminal("case", "open", answers=answers)
    assert status == 0
    assert err.count("This answer was not understood") == 2
    assert "Your phone or accounts may be watched" in err
    assert "may have been, under 18" not in err  # the age question was not answered


def test_who_is_not_safe_sees_people_of_the_place_first(
    at_terminal: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    status, _, err = at_terminal("case", "open", answers=["no", "Deutschland", "stop"])
    assert status == 0
    assert "In danger (Germany): call 112 (police: 110)" in err
    assert "Hilfetelefon Gewalt gegen Frauen" in err
    assert err.index("call 112") < err.index("Go on with the case now?")


def test_under_18_hands_over_and_stores_nothing(
    at_terminal: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    status, _, err = at_terminal("case", "open", "--place", "UK", answers=["yes", "no", "unsure"])
    assert status == 3
    assert "Report Remove" in err
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
def test_of_the_answers_only_how_far_it_has_come_is_stored(
    ask: Ask, at_terminal: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = at_terminal("case", "open", answers=["yes", "yes", "yes", "yes", "threat"])
    assert status == 0
    assert "on a safer device" in err
    assert "Save the demand before anything else" in out
    shown = json.dumps(ask("case", "list"))
    assert "watched" not in shown
    assert "Save the demand" in shown
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_a_script_is_asked_nothing_and_may_answer_by_options(
    ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = ask(
        "case", "open", "--adults", "--posted", "threat", "--demand", "money", "--not-safe"
    )
    assert "Save the demand" in opened["next"]
    assert "Are you safe" not in capsys.readouterr().err
    told = ask("case", "about", opened["case"], "--posted", "public")
    assert "Add where you saw it" in told["next"]


@pytest.mark.real
@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of this kind is Unix's")
def test_at_a_real_terminal_the_questions_come_before_the_passphrase(tmp_path: Path) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.environ["ENTRENOUS_HOME"] = str(tmp_path / "home")
        os.execv(sys.executable, [sys.executable, "-m", "entrenous", "case", "open"])
    shown = _until(terminal, b"stop)")
    assert b"Are you safe right now?" in shown
    os.write(terminal, b"stop\n")
    shown += _until(terminal, b"entrenous help")
    assert b"assphrase" not in shown
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _until(terminal: int, wanted: bytes) -> bytes:
    shown, ends = b"", time.monotonic() + 20
    while wanted not in shown and time.monotonic() < ends:
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 4096)
    return shown
