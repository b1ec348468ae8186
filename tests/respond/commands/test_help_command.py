"""Tests of ``entrenous help``: places, JSON, processor time, and use without a vault."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from entrenous.cli import COMMANDS, run


def test_country_is_an_argument_or_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    for place in (["New", "Zealand"], ["--place", "NZ"]):
        assert run(["help", *place, "--threat"], {}) == 0
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


def test_help_as_json_has_contacts_emergency_numbers_and_opening_hours(
    capsys: pytest.CaptureFixture[str],
) -> None:
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


def test_misspelled_place_suggests_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", "--place", "Nigerai"], {}) == 3
    assert "Did you mean Nigeria (NG)" in capsys.readouterr().err


def test_help_comes_first_in_the_list_of_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert next(iter(COMMANDS)) == "help"
    assert run(["--help"], {}) == 0
    commands = capsys.readouterr().out.partition("Commands")[2]
    assert commands.index("help ") < commands.index("setup")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="RUSAGE_CHILDREN exists only on Unix")
def test_help_takes_less_than_a_second_of_processor_time(tmp_path: Path) -> None:
    import resource

    command = [sys.executable, "-m", "entrenous", "help", "--place", "Deutschland", "--threat"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
    assert "HateAid" in done.stdout
