"""Tests of typed input: the value ``-`` (standard input), its help, and yes-or-no questions."""

import getpass
import io
import json
from pathlib import Path
from typing import Any

import pytest

from entrenous.cli import run
from entrenous.terminal.typed_input import STDIN_OPTION_ADVICE, ask_yes_or_no

pytestmark = pytest.mark.slow

USAGE_ERROR = 2
PAGE_URL = "https://forum.example/thread/quagga-7431"
CHAT_NAME = "the football group, not the large one"


class FakeTerminal(io.StringIO):
    """A standard input that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def run_with_stdin(monkeypatch: pytest.MonkeyPatch, stdin: io.TextIOBase, *words: str) -> int:
    monkeypatch.setattr("sys.stdin", stdin)
    return run(list(words), {})


@pytest.mark.parametrize(
    ("command", "metavars"),
    [
        (("send",), ("-|TEXT", "-|TEXT")),
        (("react",), ("-|EMOJI",)),
        (("person", "add"), ("-|LINK",)),
        (("setup",), ("-|CODE",)),
        (("case", "add"), ("-|TEXT", "-|URL", "-|TEXT", "-|NAME", "-|TEXT", "-|TEXT")),
        (("evidence", "export"), ("-|TEXT",)),
    ],
)
def test_help_names_standard_input_first_and_says_what_it_is_for(
    command: tuple[str, ...], metavars: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--help"], {}) == 0
    help_text = " ".join(capsys.readouterr().out.split())
    _, *options = help_text.split(" -|")
    names = [metavar.removeprefix("-|") for metavar in metavars]
    assert [option.split()[0] for option in options] == names
    assert all(STDIN_OPTION_ADVICE in option for option in options)
    assert help_text.count(STDIN_OPTION_ADVICE) == len(metavars)


STDIN_COMMANDS = [
    ("send", "--to", "ben", "--text", "-"),
    ("send", "beach.jpg", "--to", "ben", "--caption", "-"),
    ("react", "7-lunar-otter", "-"),
    ("person", "add", "-", "--as", "ben"),
]
for_each_command = pytest.mark.parametrize("words", STDIN_COMMANDS, ids=lambda words: words[0])


@for_each_command
@pytest.mark.parametrize(
    ("typed_text", "reason"),
    [("", "is empty"), ("\n", "is empty"), ("x" * (2 << 20), "is too long")],
    ids=["nothing", "an empty line", "too much"],
)
def test_empty_or_too_long_input_is_refused(
    words: tuple[str, ...],
    typed_text: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_with_stdin(monkeypatch, io.StringIO(typed_text), *words) == USAGE_ERROR
    assert reason in capsys.readouterr().err


@for_each_command
def test_non_text_input_is_refused(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), encoding="utf-8")
    assert run_with_stdin(monkeypatch, given, *words) == USAGE_ERROR
    assert "not text" in capsys.readouterr().err


@for_each_command
def test_passphrase_and_text_cannot_share_standard_input(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = io.StringIO("seven small otters swim\nhello\n")
    assert run_with_stdin(monkeypatch, given, "--passphrase-fd", "0", *words) == USAGE_ERROR
    assert "provides the passphrase" in capsys.readouterr().err
    assert given.tell() == 0


@pytest.fixture
def case_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "seven small otters swim")
    assert run(["setup", "--offline", "--name", "ana"], {}) == 0
    capsys.readouterr()
    assert run(["case", "open", "--adults", "--json"], {}) == 0
    return str(json.loads(capsys.readouterr().out)["case"])


def test_sighting_place_is_read_from_standard_input(
    case_name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def add_to_case(stdin: io.TextIOBase, *words: str) -> Any:
        assert run_with_stdin(monkeypatch, stdin, "case", "add", case_name, *words, "--json") == 0
        return json.loads(capsys.readouterr().out)

    prompts = list[str]()
    monkeypatch.setattr(getpass, "getpass", lambda prompt: prompts.append(prompt) or PAGE_URL)
    add_to_case(FakeTerminal(), "--url", "-")
    assert prompts == ["Address (it is not shown): "]
    seen = add_to_case(io.StringIO(CHAT_NAME + "\n"), "--chat", "-")["sightings"]
    assert [one["where"] for one in seen] == [PAGE_URL, CHAT_NAME]
    assert (
        run_with_stdin(
            monkeypatch, FakeTerminal("they did"), "case", "add", case_name, "--statement", "-"
        )
        == 0
    )
    assert "end it with Ctrl-D" in capsys.readouterr().err
    two = ("case", "add", case_name, "--url", "-", "--chat", "-")
    assert run_with_stdin(monkeypatch, io.StringIO(PAGE_URL), *two) == USAGE_ERROR
    assert "one of --url and --chat" in capsys.readouterr().err
    assert (
        run_with_stdin(monkeypatch, io.StringIO("ftp://x"), "case", "add", case_name, "--url", "-")
        == USAGE_ERROR
    )


def test_yes_no_or_empty_answer_is_accepted_and_others_are_asked_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for typed, agreed in (("perhaps", None), ("Ja", True), ("nein", False), ("", False)):
        answers = iter([typed, "y"] if agreed is None else [typed])
        monkeypatch.setattr("typer.prompt", lambda *_, answers=answers, **__: next(answers))
        assert ask_yes_or_no("Send it?") is (agreed is not False)
        assert ("Type yes or no." in capsys.readouterr().err) is (agreed is None)
