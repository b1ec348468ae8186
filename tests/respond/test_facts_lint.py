"""Tests of the lint of facts: the shipped facts, planted defects, warnings and the exit status."""

import re
from datetime import date, timedelta

import pytest

from tests.respond import facts_lint
from tests.respond.facts_lint import lint_facts, shipped_facts

TODAY = date(2026, 12, 1)
VALID_TABLES = {
    "laws/one.toml": b"""
schema = 1
read_on = 2026-11-29

[route.xx-1]
source = "https://law.example/1"
verified = true
in_force_from = 2024-01-01
in_force_until = 2025-01-01

[route.xx-2]
version_of = "xx-1"
platform = "one"
source = "https://law.example/2"
read_on = 2026-11-30
verified = false
""",
    "platforms.toml": b"""
schema = 1
read_on = 2026-11-29

[platform.one]
hosts = ["one.example"]
report_url = "https://one.example/report"
first_step = "Report it, then: entrenous case platform two"
source = "https://one.example/help"
verified = true

[platform.two]
hosts = ["two.example", "three.example"]
source = "https://two.example/help"
verified = true
""",
    "ladder.toml": b"""
schema = 1
read_on = 2026-11-29

[ladder]
title = "What to do"

[step.step_01]
routes = ["xx-1", "xx-2"]
sources = ["https://help.example/"]
verified = true

[police]
DE = "police: xx-1"
""",
    "wordings.toml": b'schema = 1\n[wording]\nxx-1 = [{ says = "words" }]\n',
    "zones.toml": b"""
schema = 1
read_on = 2026-11-29
source = "https://zones.example/"

[part]
US-AK = "x"
""",
}
DEFECTS = {
    "no source": ("platforms.toml", b'source = "https://one.example/help"\n', b""),
    "a source that names nothing": (
        "platforms.toml",
        b'"https://one.example/help"',
        b'"none read"',
    ),
    "no day": ("laws/one.toml", b"read_on = 2026-11-29\n", b""),
    "a file without source": ("zones.toml", b'source = "https://zones.example/"\n', b""),
    "verified in words": ("laws/one.toml", b"verified = true", b'verified = "yes"'),
    "a day to come": ("laws/one.toml", b"read_on = 2026-11-30", b"read_on = 2026-12-02"),
    "a day before all readings": (
        "laws/one.toml",
        b"read_on = 2026-11-30",
        b"read_on = 2016-11-30",
    ),
    "a year of law that cannot be": ("laws/one.toml", b"from = 2024-01-01", b"from = 0204-01-01"),
    "an end before the beginning": ("laws/one.toml", b"until = 2025", b"until = 2023"),
    "a version of nothing": ("laws/one.toml", b'version_of = "xx-1"', b'version_of = "xx-9"'),
    "a platform that is not there": ("laws/one.toml", b'platform = "one"', b'platform = "nine"'),
    "a route that is not there": ("ladder.toml", b'"xx-2"]', b'"xx-3"]'),
    "police without a route": ("ladder.toml", b"police: xx-1", b"police: xx-3"),
    "a command for no platform": ("platforms.toml", b"case platform two", b"case platform six"),
    "a form without TLS": (
        "platforms.toml",
        b'"https://one.example/report"',
        b'"http://one.example/r"',
    ),
    "a form that is nowhere": (
        "platforms.toml",
        b'"https://one.example/report"',
        b'"ftp://one.example"',
    ),
    "a source that is nowhere": ("platforms.toml", b"https://one.example/help", b"https://help"),
    "a host of two platforms": ("platforms.toml", b'"three.example"', b'"one.example"'),
    "a host that is none": ("platforms.toml", b'"three.example"', b'"https://three.example"'),
    "words about our files": (
        "platforms.toml",
        b"Report it, then",
        b"Report it (see laws.toml), then",
    ),
    "words about our tables": (
        "platforms.toml",
        b"Report it, then",
        b"Report it (platform.two), then",
    ),
    "no TOML": ("platforms.toml", b"schema = 1", b"schema ="),
}


def test_shipped_facts_have_no_errors() -> None:
    report = lint_facts(shipped_facts(), TODAY)
    assert report.errors == ()


def test_shipped_facts_include_files_in_subfolders() -> None:
    files = set(shipped_facts())
    assert {"platforms.toml", "laws/worldwide.toml", "places.toml"} <= files


def test_valid_tables_give_no_errors_or_warnings() -> None:
    assert lint_facts(VALID_TABLES, TODAY) == facts_lint.LintReport((), ())


@pytest.mark.parametrize("defect", DEFECTS)
def test_planted_defect_is_an_error(defect: str) -> None:
    file, old, new = DEFECTS[defect]
    assert old in VALID_TABLES[file]
    report = lint_facts({**VALID_TABLES, file: VALID_TABLES[file].replace(old, new, 1)}, TODAY)
    assert len(report.errors) >= 1
    assert file in report.errors[0] or defect == "no TOML"


def test_same_id_in_two_files_is_an_error() -> None:
    other = VALID_TABLES["laws/one.toml"].replace(b"xx-2]", b"xx-4]")
    errors = lint_facts({**VALID_TABLES, "laws/two.toml": other}, TODAY).errors
    assert errors == ("laws/two.toml: [route.xx-1]: also in laws/one.toml",)


def test_fact_read_more_than_180_days_ago_is_a_warning() -> None:
    last = date(2026, 11, 30) + timedelta(days=180)
    assert lint_facts(VALID_TABLES, date(2026, 11, 29) + timedelta(days=180)).warnings == ()
    report = lint_facts(VALID_TABLES, last)
    assert report.errors == ()
    assert all("2026-11-29" in one for one in report.warnings)
    assert len(report.warnings) == 4
    assert re.search(
        r"xx-2\].*2026-11-30, more than 180 days",
        lint_facts(VALID_TABLES, last + timedelta(1)).warnings[1],
    )


def test_command_prints_errors_and_fails_only_if_there_are_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    defective = {
        **VALID_TABLES,
        "platforms.toml": VALID_TABLES["platforms.toml"].replace(b'["one.example"]', b'["x"]'),
    }
    monkeypatch.setattr(facts_lint, "shipped_facts", lambda: defective)
    assert facts_lint.main() == 1
    assert "error: platforms.toml: [platform.one]: x is no host name" in capsys.readouterr().err
    monkeypatch.setattr(facts_lint, "shipped_facts", lambda: VALID_TABLES)
    assert facts_lint.main() == 0
