"""Tests of ``entrenous help``: it is fast, needs no set-up or passphrase, and stores nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from entrenous.cli import COMMANDS, run


def test_the_country_alone_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["New", "Zealand"], ["--place", "NZ"]):
        assert run(["help", *words, "--threat"], {}) == 0
    first, second = capsys.readouterr().out.split("In danger (New Zealand)")[1:]
    assert first == second


def test_help_needs_no_vault_and_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("ENTRENOUS_HOME", str(home))
    monkeypatch.delenv("ENTRENOUS_PASSPHRASE", raising=False)
    assert run(["help", "--place", "Nigeria", "--threat"], {}) == 0
    out = capsys.readouterr().out
    assert "In danger (Nigeria): call 112" in out
    assert out.index("Do not pay") < out.index("NAPTIP")
    assert "627" in out
    assert not home.exists()


def test_help_as_json_has_the_contacts_best_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", "--place", "Deutschland", "--place", "uk", "--json"], {}) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["schema"], answer["place"], answer["places"]) == (
        "entrenous/help/1",
        "DE",
        ["DE", "GB"],
    )
    first = answer["contacts"][0]
    assert (first["id"], first["place"], first["kind"]) == ("de-hateaid", "DE", "image-abuse")
    assert first["phone"] == "030 25208838"
    assert first["read_on"] == "2026-11-29"
    assert {"de-hateaid", "gb-rph", "ww-stopncii"} <= {line["id"] for line in answer["contacts"]}
    assert [numbers["any"] for numbers in answer["emergency"]] == [["112"], ["999", "112"]]
    assert answer["steps"]
    always = next(line for line in answer["contacts"] if line["id"] == "gb-samaritans")
    assert (always["open_now"], always["changes_at"]) == (True, None)


def test_a_place_that_is_unknown_says_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", "--place", "Nigerai"], {}) == 3
    assert "Did you mean Nigeria (NG)" in capsys.readouterr().err


def test_help_comes_first_in_the_list_of_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert next(iter(COMMANDS)) == "help"
    assert run(["--help"], {}) == 0
    commands = capsys.readouterr().out.partition("Commands")[2]
    assert commands.index("help ") < commands.index("setup")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="children's times are Unix's")
def test_help_answers_at_once(tmp_path: Path) -> None:
    """It takes less than 1 s of processor time, including the start of Python."""
    import resource

    command = [sys.executable, "-m", "entrenous", "help", "--place", "Deutschland", "--threat"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
    assert "HateAid" in done.stdout
