"""Tests of ``law deadline``, of ``case calendar``, and of a missed deadline of a case."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar

from entrenous.cli import run

Cli = Callable[..., Any]
RECEIVED_EVENT = ("--event", "received=2026-02-20T00:10:00+05:30")


@pytest.fixture
def run_law_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Return a function that runs ``law deadline`` and returns the exit status and the output."""
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ENTRENOUS_PASSPHRASE", raising=False)

    def command(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        status = run(["law", "deadline", *arguments], {})
        assert not (tmp_path / "home").exists()
        captured = capsys.readouterr()
        return status, captured.out or captured.err

    return command


def test_version_of_a_law_is_decided_by_the_day_in_its_time_zone(
    run_law_deadline: Callable[..., tuple[int, str]],
) -> None:
    status, out = run_law_deadline("in-it-3-2-b", *RECEIVED_EVENT, "--country", "IN", "--json")
    answer = json.loads(out)
    assert (status, answer["schema"]) == (0, "entrenous/deadline/1")
    assert (answer["route"], answer["in_force"]) == ("in-it-3-2-b", True)
    assert answer["due_at"] == "2026-02-20T02:10:00+05:30"
    assert answer["rule"].startswith("PT2H")
    assert any("Friday 20 February 2026 in India" in line for line in answer["working"])
    assert answer["source"].startswith("https://")


def test_a_law_that_was_not_in_force_has_no_deadline(
    run_law_deadline: Callable[..., tuple[int, str]],
) -> None:
    early = ("us-tida-removal", "--event", "received=2026-05-18T12:00:00-04:00")
    status, out = run_law_deadline(*early, "--country", "US", "--region", "CA", "--json")
    answer = json.loads(out)
    assert (status, answer["due_at"], answer["in_force"]) == (1, None, False)
    assert "It began on 19 May 2026." in answer["working"][-1]


def test_a_law_without_a_period_that_can_be_counted_gives_no_date(
    run_law_deadline: Callable[..., tuple[int, str]],
) -> None:
    status, out = run_law_deadline("eu-dsa-16", *RECEIVED_EVENT, "--country", "Germany")
    assert status == 1
    assert out.splitlines()[-1] == "No date: this law names none that can be counted."


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("2026-01-20T10:00Z", "Until they have what they asked for, their time may stand still."),
        ("2026-03-10T10:00Z", ""),
    ],
)
def test_question_after_the_end_is_not_said_to_pause_anything(
    run_law_deadline: Callable[..., tuple[int, str]], asked: str, said: str
) -> None:
    events = ("--event", "received=2026-01-05T10:00Z", "--event", f"asked={asked}")
    status, out = run_law_deadline("eu-gdpr-17", *events, "--country", "DE")
    assert status == 0
    assert said in out
    assert ("asked for" in out) == bool(said)


def test_text_output_ends_with_the_deadline(
    run_law_deadline: Callable[..., tuple[int, str]],
) -> None:
    sent = ("--event", "sent=2026-03-05T10:00+01:00", "--event", "answered=2026-04-09T10:00+02:00")
    status, out = run_law_deadline(
        "eu-gdpr-17", *sent, "--country", "Deutschland", "--region", "BY"
    )
    assert status == 0
    assert "When it was received is not known" in out
    assert "Sunday 5 April 2026 (Sunday), Monday 6 April 2026 (Easter Monday)" in out
    assert "They answered 1 day and 10 hours late." in out
    assert out.splitlines()[-1] == (
        "They have until Tuesday 7 April 2026, 23:59 in Germany (BY) (21:59 UTC)."
    )


def test_output_says_that_clocks_and_holidays_of_the_laws_country_count(
    run_law_deadline: Callable[..., tuple[int, str]],
) -> None:
    _, out = run_law_deadline("in-it-3-2-b", *RECEIVED_EVENT, "--country", "DE")
    assert out.splitlines()[0].strip() == (
        "This law is that of India, so the clocks and holidays of India count, not those of "
        "Germany."
    )


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("no-such-route", *RECEIVED_EVENT), 4, "There is no legal route called no-such-route"),
        (
            ("uk-osa-20a", "--event", "asked=2026-07-01T10:00Z"),
            3,
            "None of the events that you",
        ),
        (("uk-osa-20a", "--event", "seen=2026-07-01T10:00Z"), 2, "WHAT=TIME"),
        (("uk-osa-20a", "--event", "received=soon"), 2, "not a time"),
        (("uk-osa-20a", "--event", "received=9998-12-31"), 2, "too far in the future"),
        (
            (*("uk-osa-20a", "--event", "sent=2026-07-02"), "--event", "received=2026-07-01"),
            3,
            '"received" cannot be earlier than "sent"',
        ),
    ],
)
def test_deadline_that_cannot_be_counted_says_why(
    run_law_deadline: Callable[..., tuple[int, str]],
    arguments: tuple[str, ...],
    status: int,
    message: str,
) -> None:
    found, out = run_law_deadline(*arguments, "--country", "IN")
    assert (found, message in " ".join(out.split())) == (status, True), out


def test_deadline_is_written_to_a_calendar_file(
    run_law_deadline: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    ics = tmp_path / "a.ics"
    status, _ = run_law_deadline(
        "in-it-3-2-b", *RECEIVED_EVENT, "--country", "IN", "--ics", str(ics), "--alarm", "1"
    )
    (event,) = Calendar.from_ical(ics.read_bytes()).walk("VEVENT")
    assert (status, event["SUMMARY"]) == (0, "Reminder 1")
    assert event["DTSTART"].dt == datetime(2026, 2, 19, 20, 40, tzinfo=UTC)
    assert len(event.walk("VALARM")) == 1


@pytest.mark.slow
def test_missed_deadline_leads_to_a_complaint_with_the_history(cli: Cli, tmp_path: Path) -> None:
    name = str(cli("case", "open", "--adults", "--intimate", "--place", "US")["case"])
    cli("case", "add", name, "--url", "https://pictures.example/p/123")
    cli("case", "notice", name, "--route", "us-tida-removal")
    cli("case", "calendar", name, "--ics", str(tmp_path / "none.ics"), status=3)
    sent_at = datetime.now(UTC) - timedelta(hours=49)
    cli("case", "notice", name, "--sent", "1", "--at", f"{sent_at:%Y-%m-%dT%H:%M:%S}")
    step = cli("case", "show", name)["next"]
    assert "Their time ended 1 hour ago (letter 1)." in step
    assert f"entrenous case notice {name} --route us-tida-ftc" in step
    complaint = cli("case", "notice", name, "--route", "us-tida-ftc")
    for line in (
        "notice 1 was sent to pictures.example",
        "notice 1 ended",
        "no answer to notice 1",
    ):
        assert line in complaint["letter"]


@pytest.mark.slow
def test_calendar_of_a_case_names_the_law_only_with_plain_titles(cli: Cli, tmp_path: Path) -> None:
    name = str(cli("case", "open", "--adults", "--intimate", "--place", "IE")["case"])
    cli("case", "add", name, "--url", "https://pictures.example/p/123")
    cli("case", "notice", name, "--route", "eu-gdpr-17")
    cli("case", "notice", name, "--sent", "1")
    ics = tmp_path / "mine.ics"
    written = cli("case", "calendar", name, "--ics", str(ics))
    assert written == {"schema": "entrenous/calendar/1", "file": str(ics), "entries": 1}
    assert name not in ics.read_text()
    assert "GDPR" not in ics.read_text()
    cli("case", "calendar", name, "--ics", str(tmp_path / "plain.ics"), "--plain-titles")
    assert "GDPR" in (tmp_path / "plain.ics").read_text()


def test_clauses_are_shown_with_their_periods_in_words(
    run_law_deadline: Callable[..., tuple[int, str]],
) -> None:
    _, out = run_law_deadline("us-ca-22671", *RECEIVED_EVENT, "--country", "US-CA")
    assert "Clause: 48 hours to confirm receipt." in out
    assert "Clause: 7 days for a status update." in out
