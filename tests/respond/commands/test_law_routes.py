"""Tests of ``entrenous law routes`` without a case or a vault: with options or with a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from entrenous.cli import run


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a device folder that does not exist."""
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ENTRENOUS_PASSPHRASE", raising=False)
    return tmp_path / "home"


def run_law_routes(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(["law", "routes", *arguments, "--json"], {}) == 0
    return json.loads(capsys.readouterr().out)


def test_routes_are_shown_before_any_set_up_and_nothing_is_stored(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    given = ("--place", "Nigeria", "--what", "public", "--platform", "instagram", "--intimate")
    shown = run_law_routes(capsys, *given)
    assert shown["schema"] == "entrenous/routes/2"
    assert shown["first"] == shown["routes"][0]["route"] == "platform-instagram"
    assert set(shown["routes"][0]) == {"route", "kind", "why", "to", "expected", "verified"}
    assert shown["hand_over"] is None
    assert all(set(one) == {"route", "why"} for one in shown["refused"])
    assert not home.exists()


@pytest.mark.parametrize(
    "text",
    [
        '{"lives_in": "GB", "posted": "public", "platform": "https://x.com/a/1", "intimate": true}',
        'lives_in = "GB"\nposted = "public"\nplatform = "X"\nintimate = true\nday = 2026-11-30\n',
        ' \n{"lives_in": ["United Kingdom"], "platform_kind": "social", "day": "2026-11-30"}',
    ],
)
def test_a_scenario_is_read_as_json_or_toml_by_its_content(
    text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "scenario"
    file.write_text(text)
    shown = run_law_routes(capsys, "--scenario", str(file))
    assert shown["first"] == "uk-osa-20a"
    assert "48 hours" in shown["routes"][0]["expected"]


def test_under_18_gets_only_hash_banks_and_contacts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = run_law_routes(capsys, "--place", "GB", "--what", "public", "--under-18")
    assert {one["route"] for one in shown["routes"]} == {"uk-report-remove", "hash-takeitdown"}
    assert {one["kind"] for one in shown["routes"]} == {"hash bank"}
    assert any("takeitdown" in one["web"] for one in shown["hand_over"]["contacts"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('posted = "everywhere"', "everywhere is not a valid value for posted"),
        ('{"posted": 1}', "1 is not a valid value for posted"),
        ("intimate = 'yes'", "yes is not a valid value for intimate"),
        ("day = 2026-03-01T00:00:00", "is not a valid value for day"),
        ('day = "March"', "March is not a valid value for day"),
        ("colour = 1", "no field with the name colour"),
        ("lives_in = 1", "1 is not a valid value for lives_in"),
        ('lives_in = "Atlantis"', "Atlantis is not a place"),
        ('platform = "mybook"', "no record of a platform called mybook"),
        ('platform_kind = "pub"', "pub is not a valid value for platform_kind"),
        ('demand = "love"', "love is not a valid value for demand"),
        ("{", "cannot be read"),
        ("= 1", "cannot be read"),
        ("[" * 70_000, "longer than"),
        ('{"a":' + "[" * 60_000, "cannot be read"),
    ],
)
def test_invalid_scenario_is_refused_with_the_reason(
    text: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "scenario"
    file.write_text(text)
    assert run(["law", "routes", "--scenario", str(file), "--json"], {}) in (3, 7)
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("case-1-calm-otter", "--place", "GB"),
        ("--scenario", "FILE", "--place", "GB"),
        ("--scenario", "no such file"),
    ],
)
def test_missing_or_conflicting_arguments_and_a_missing_file_are_usage_errors(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["law", "routes", *arguments], {}) == 2
    assert capsys.readouterr().out == ""


def test_option_all_shows_every_step_in_full(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["law", "routes", "--place", "DE", "--what", "group", "--platform", "whatsapp"]
    assert run(given, {}) == 0
    short = capsys.readouterr().out
    assert "Words that you may use" in short
    assert "only somebody who has the message can report it" not in short
    assert "add --all" in short
    assert run([*given, "--all"], {}) == 0
    full = capsys.readouterr().out
    assert "only somebody who has the message can report it" in full
    assert "These routes do not apply:" in full
    assert full.count("read on") > 10


def test_risks_of_asking_come_before_the_suggested_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = run_law_routes(capsys, "--what", "group")
    asking = next(one for one in shown["routes"] if one["route"] == "ladder-chat-step_02")["why"]
    assert 0 < asking.index("risks") < asking.index("Words that you may use")


def test_unknown_site_is_accepted_with_its_kind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ("--place", "DE", "--what", "public", "--platform", "mybook")
    shown = run_law_routes(capsys, *given, "--platform-kind", "forum", "--intimate")
    assert shown["first"] == "eu-dsa-16"
    assert "platform-generic_site" in [one["route"] for one in shown["routes"]]


def test_after_a_threat_the_account_is_reported_and_no_picture(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = run_law_routes(capsys, "--place", "US", "--what", "threat", "--platform", "instagram")
    report = next(one for one in shown["routes"] if one["route"] == "platform-instagram")
    assert report["why"].startswith("Report the account that threatens")
    assert "Copy the link of each post" not in report["why"]
