"""Tests that commands print no untranslated words, and the same JSON in three languages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrenous.base.language import PSEUDO_LANGUAGE, speaking, translated
from entrenous.cli import COMMANDS, build_command_line, run
from entrenous.learn.lesson import all_lessons
from entrenous.terminal.lazy_commands import load_command
from tests.house.brackets import (
    names_of_shipped_facts,
    untranslated_text_pattern,
    words_outside_brackets,
)

PASSPHRASE = "four or five unrelated words"
COMMANDS_TO_SHOW = (
    ("help", "--place", "Germany"),
    ("help", "--place", "US", "--under-18"),
    ("help", "--place", "India", "--threat"),
    ("case", "platform"),
    ("case", "platform", "instagram"),
    ("case", "platform", "https://pictures.example/1"),
    ("law", "routes", "--place", "DE", "--what", "public", "--all"),
    ("law", "routes", "--place", "GB", "--what", "group", "--all"),
    ("law", "deadline", "eu-gdpr-17", "--event", "received=2026-02-20", "--country", "DE"),
    ("learn",),
    ("--help",),
    ("case", "--help"),
    ("person", "add", "--help"),
)
#: Words that need no translation, such as metavariables and typed values.
UNTRANSLATED_TEXTS = (
    "@beach",
    "env var:",
    "required",
    "[OPTIONS] COMMAND [ARGS]...",
    "NAME",
    "LINK",
    "<str>",
    "<int>",
)


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS_TO_SHOW if "--help" not in one], ids=" ".join
)
def test_json_does_not_depend_on_the_language(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    if command == ("learn",):
        pytest.skip("it has no --json")
    outputs = []
    for tag in ("en", "de", PSEUDO_LANGUAGE):
        with speaking(tag):
            run([*command, "--json"], {})
            outputs.append(capsys.readouterr().out)
            assert translated("Send") != "Send" or tag == "en"
    assert outputs[0].startswith("{")
    assert outputs[0] == outputs[1] == outputs[2]


@pytest.mark.parametrize("command", COMMANDS_TO_SHOW, ids=" ".join)
def test_command_prints_no_untranslated_word_in_the_pseudo_language(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with speaking(PSEUDO_LANGUAGE):
        run(list(command), {})
    assert untranslated_words(capsys.readouterr().out) == []


@pytest.mark.slow
def test_case_commands_print_no_untranslated_word_in_the_pseudo_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", PASSPHRASE)
    assert run(["setup", "--name", "ana", "--offline"], {}) == 0
    run(["case", "open", "--adults", "--place", "USA", "--posted", "public", "--intimate"], {})
    case = capsys.readouterr().out.split(", opened")[0].split()[-1]
    with speaking(PSEUDO_LANGUAGE):
        for command in (
            ("add", case, "--url", "https://www.instagram.com/p/1", "--handle", "@beach"),
            ("add", case, "--statement", "Ben wrote to me"),
            ("list",),
            ("notice", case),
            ("show", case),
            ("close", case),
        ):
            run(["case", *command], {})
        run(["evidence", "verify", case], {})
        run(["law", "routes", case], {})
    assert untranslated_words(capsys.readouterr().out) == []


def untranslated_words(printed: str) -> list[str]:
    """Return the words outside brackets, except names and texts that need no translation."""
    lessons = [text for one in all_lessons() for text in (one.name, one.title, one.closes)]
    commands = [f"  {name} " for name in names_of_commands(build_command_line())]
    return words_outside_brackets(
        printed,
        untranslated_text_pattern(
            (*names_of_shipped_facts(), *lessons, *commands, *UNTRANSLATED_TEXTS)
        ),
    )


def names_of_commands(group: Any) -> Iterator[str]:
    """Yield the names of the group's commands, and of the commands of ``entrenous case``."""
    yield from group.commands
    yield from load_command("case", COMMANDS["case"]).commands
