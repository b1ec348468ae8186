"""Tests of the commands ``check-up`` and ``learn``, with and without a terminal."""

import json
import os
import pty
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from entrenous.cli import run
from entrenous.learn.facts import all_questions
from entrenous.learn.lesson import all_lessons, find_lesson
from tests.ready import start_program
from tests.real.processes import PROGRAM

pytestmark = [pytest.mark.slow]
PASSPHRASE = "teapot violin marmot gravel canoe"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder with a private device folder and without synchronized folders."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "entrenous"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", PASSPHRASE)
    (tmp_path / "entrenous").mkdir(mode=0o700)
    return tmp_path


def write_answers_file(folder: Path, **given: str) -> str:
    file = folder / "answers.json"
    named = {name.replace("_", "-"): key for name, key in given.items()}
    file.write_text(json.dumps({"schema": "entrenous/check-up-answers/1", "answers": named}))
    return str(file)


def test_check_up_with_an_answers_file_prints_advice_but_not_the_passphrase(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_answers_file(home, email_second_step="no", passcode="no")
    assert run(["check-up", "--json", "--answers", file], {}) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert err == ""
    assert result["schema"] == "entrenous/check-up/1"
    assert result["questions"] == {"known": 12, "answered": 2}
    assert result["advice"][0]["check"] == "email-second-step"
    assert result["advice"][0]["next"]
    assert result["advice"][0]["undo"]
    assert result["advice"][0]["read_on"] == "2026-11-30"
    assert result["help"] is None
    assert PASSPHRASE not in out


def test_threat_in_the_answers_file_prints_the_help_command_and_no_step(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_answers_file(home, threat="yes", unknown_sessions="yes")
    assert run(["check-up", "--answers", file], {}) == 0
    output = capsys.readouterr().out
    assert "Type: entrenous help --threat" in output
    assert "next:" not in output
    assert run(["check-up", "--json", "--answers", file], {}) == 0
    assert json.loads(capsys.readouterr().out)["help"] == "entrenous help --threat"


def test_pictures_are_counted_but_named_only_with_option_list(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (50.0, 5.0, 1.0), 3: "E", 4: (14.0, 2.0, 3.0)})
    (home / "pictures").mkdir()
    Image.new("RGB", (16, 16)).save(home / "pictures/garden.jpg", exif=exif)
    assert run(["check-up", "--folder", str(home / "pictures")], {}) == 0
    assert "garden" not in (output := capsys.readouterr().out)
    assert "1 of 1 pictures tell where they were taken." in output
    run(["check-up", "--folder", str(home / "pictures"), "--list"], {})
    assert "tells a place: garden.jpg" in capsys.readouterr().out
    run(["check-up", "--folder", str(home / "pictures"), "--list", "--json"], {})
    assert json.loads(capsys.readouterr().out)["pictures"] == {
        "folder": str(home / "pictures"),
        "read": 1,
        "with_place": 1,
        "unread": 0,
        "whole": True,
        "names": ["garden.jpg"],
    }


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--folder", "/no/such/folder"], 4),
        (["--answers", "/no/such/file"], 4),
        (["--answers", "NONSENSE"], 7),
    ],
)
def test_missing_folder_or_file_and_invalid_answers_are_errors(
    options: list[str], status: int, home: Path
) -> None:
    (home / "nonsense").write_text("no answers")
    options = [str(home / "nonsense") if one == "NONSENSE" else one for one in options]
    assert run(["check-up", *options], {}) == status


def test_questions_are_listed_as_json_and_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check-up", "--questions", "--json"], {}) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["schema"] == "entrenous/check-up-questions/1"
    assert [one["id"] for one in result["questions"]] == [one.id for one in all_questions()]
    assert run(["check-up", "--questions"], {}) == 0
    assert "threat: Is somebody threatening you now" in capsys.readouterr().out


def test_check_up_creates_no_file(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_answers_file(home, passcode="yes")
    before = sorted(home.rglob("*"))
    run(["check-up", "--answers", file, "--folder", str(home)], {})
    capsys.readouterr()
    assert sorted(home.rglob("*")) == before


def run_in_terminal(home: Path, *arguments: str, keys: str) -> tuple[str, int]:
    """Run a command in a terminal, type the keys, and return the output and the exit status."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "HOME": str(home), "TERM": "xterm", "COLUMNS": "100"}
    with start_program(
        (*PROGRAM, *arguments), env=environment, stdin=terminal, stdout=terminal, stderr=terminal
    ) as program:
        os.close(terminal)
        os.write(controller, keys.encode())
        output = b"".join(_read_chunks(controller))
        os.close(controller)
    return output.decode().replace("\r\n", "\n"), program.returncode


def _read_chunks(terminal: int) -> Iterator[bytes]:
    with suppress(OSError):  # Linux reports EIO once no program has the terminal open
        while chunk := os.read(terminal, 65_536):
            yield chunk


@pytest.mark.real
def test_questions_are_asked_one_at_a_time_and_can_be_skipped_and_stopped(home: Path) -> None:
    output, status = run_in_terminal(home, "check-up", keys="2\n\nmaybe\n1\ns\n")
    assert "1 of 12: Does your e-mail account" in output
    assert "4 of 12:" in output
    assert "5 of 12:" not in output
    assert "Type a number from 1 to 3, Enter to skip, or s to stop." in output
    shown = output[output.index("4 of 12:") :]
    assert "open    somebody who learns your e-mail password" in shown
    assert "closed  somebody reads along on a device that is still signed in" in shown
    assert "old address or number" not in shown  # the second question was skipped
    assert status == 0


@pytest.mark.real
def test_threat_answer_at_the_terminal_ends_the_check_up(home: Path) -> None:
    output, status = run_in_terminal(home, "check-up", keys="\n" * 11 + "2\n")
    assert "12 of 12: Is somebody threatening you now" in output
    assert output.rstrip().endswith("You can come back to the check-up at any time.")
    assert "Type: entrenous help --threat" in output
    assert status == 0


@pytest.mark.real
@pytest.mark.parametrize(
    ("keys", "verdict_start", "status"),
    [("2\n", "Yes.", 0), ("1\n", "Not quite.", 1), ("\n", "", 0)],
)
def test_quiz_says_right_or_wrong_and_why_unless_it_is_skipped(
    keys: str, verdict_start: str, status: int, home: Path
) -> None:
    output, ended = run_in_terminal(home, "learn", "weak-encryption", "--quiz", keys=keys)
    quiz = find_lesson("weak-encryption").question
    assert quiz.ask in output
    assert (
        (f"{verdict_start} " in output.split("Your answer")[1])
        if verdict_start
        else quiz.why not in output
    )
    assert ended == status


def test_a_quiz_needs_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["learn", "weak-encryption", "--quiz"], {}) == 2
    capsys.readouterr()


def test_lessons_are_listed_with_their_leak_paths(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["learn"], {}) == 0
    output = capsys.readouterr().out
    for one in all_lessons():
        assert one.name in output
        assert one.title in output
        assert f"closes: {one.closes}" in output


def test_each_lesson_is_printed_with_its_title_and_an_unknown_one_is_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [one.name for one in all_lessons()]:
        assert run(["learn", name], {}) == 0
        assert find_lesson(name).title in capsys.readouterr().out
    assert run(["learn", "nothing"], {}) == 4
    assert "There is no lesson called nothing." in capsys.readouterr().err
