"""Tests of the states of a watched sighting, the time of the next check, and Retry-After."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import CaseName
from entrenous.device.vault_tables import pack, unpack
from entrenous.respond.watch.states import (
    CHECK_INTERVAL,
    LONGEST_RETRY_WAIT,
    RARE_CHECK_INTERVAL,
    RARE_CHECKS_AFTER,
    WATCH_REASON_TEXTS,
    WATCH_TRANSITIONS,
    WatchCheckOutcome,
    WatchedSighting,
    WatchEvent,
    WatchReason,
    WatchState,
    parse_retry_after,
    watch_state_in_words,
    watched_after_check,
)

STATE_MACHINE_DOCUMENT = Path(__file__).parents[3] / "docs" / "machines" / "watch.md"
NOW = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
RECORD = WatchedSighting(CaseName("case-a"), 2, since=NOW, due_at=NOW)
FAILURE_EVENTS = (WatchEvent.BUSY, WatchEvent.SILENT)
RANDOM_MAX = b"\xff\xff"
RANDOM_MIN = b"\0\0"


def expected_diagram() -> str:
    """Return the diagram and the table that docs/machines/watch.md must contain."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> unknown: watch"]
    lines += [
        f"    {_diagram_name(state)} --> {_diagram_name(after)}: {event}"
        for (state, event), after in WATCH_TRANSITIONS.items()
    ]
    lines += ["```", "", f"| | {' | '.join(WatchEvent)} |", f"| --- |{' --- |' * len(WatchEvent)}"]
    for state in WatchState:
        cells = " | ".join(WATCH_TRANSITIONS[state, event] for event in WatchEvent)
        lines.append(f"| **{state}** | {cells} |")
    return "\n".join(lines)


def _diagram_name(state: WatchState) -> str:
    return {"still there": "there"}.get(state, state)


def test_documented_diagram_matches_the_table() -> None:
    assert expected_diagram() in STATE_MACHINE_DOCUMENT.read_text()


def test_every_state_has_a_transition_for_every_event() -> None:
    assert set(WATCH_TRANSITIONS) == set(product(WatchState, WatchEvent))


def test_only_a_not_found_answer_leads_to_gone() -> None:
    to_gone = {key for key, after in WATCH_TRANSITIONS.items() if after is WatchState.GONE}
    assert {event for _, event in to_gone} == {WatchEvent.NOT_FOUND, WatchEvent.BUSY}
    assert (WatchState.GONE, WatchEvent.BUSY) in to_gone  # BUSY never changes the state
    assert len(to_gone) == len(WatchState) + 1


def test_every_reason_has_a_text() -> None:
    assert set(WATCH_REASON_TEXTS) == set(WatchReason)
    assert watch_state_in_words(RECORD) == "unknown: nobody has looked yet"


@given(
    event=st.sampled_from(WatchEvent),
    why=st.sampled_from(WatchReason),
    random=st.binary(min_size=2, max_size=2),
    failures=st.integers(0, 30),
    wait=st.none() | st.timedeltas(timedelta(0), timedelta(days=900)),
)
def test_next_check_is_never_sooner_than_an_hour_nor_later_than_five_weeks(
    event: WatchEvent, why: WatchReason, random: bytes, failures: int, wait: timedelta | None
) -> None:
    before = replace(RECORD, failures=failures)
    after = watched_after_check(before, WatchCheckOutcome(event, why, wait=wait), NOW, random)
    assert timedelta(hours=1) <= after.due_at - NOW <= LONGEST_RETRY_WAIT * 9 / 8
    if event in FAILURE_EVENTS and wait is not None:
        assert after.due_at - NOW >= min(wait, LONGEST_RETRY_WAIT)
    assert unpack(WatchedSighting, pack(after)) == after


def test_failed_check_keeps_etag_and_picture_url_and_an_unclear_one_drops_them() -> None:
    before = replace(RECORD, etag='"1"', picture_url="http://a/p", state=WatchState.THERE)
    for event in FAILURE_EVENTS:
        after = watched_after_check(
            before, WatchCheckOutcome(event, WatchReason.SILENT), NOW, RANDOM_MIN
        )
        assert (after.etag, after.picture_url, after.failures) == ('"1"', "http://a/p", 1)
    outcome = watched_after_check(
        after, WatchCheckOutcome(WatchEvent.UNCLEAR, WatchReason.ODD), NOW, RANDOM_MIN
    )
    assert (outcome.etag, outcome.picture_url, outcome.failures) == ("", "", 0)


def test_page_that_stays_gone_is_checked_weekly() -> None:
    gone = WatchCheckOutcome(WatchEvent.NOT_FOUND, WatchReason.NOT_FOUND)
    first = watched_after_check(RECORD, gone, NOW, RANDOM_MIN)
    assert first.due_at == NOW + CHECK_INTERVAL
    later = watched_after_check(first, gone, NOW + RARE_CHECKS_AFTER, RANDOM_MIN)
    assert later.due_at == NOW + RARE_CHECKS_AFTER + RARE_CHECK_INTERVAL
    assert later.gone_at == NOW


def test_random_part_of_the_interval_is_at_most_an_eighth() -> None:
    outcome = WatchCheckOutcome(WatchEvent.SEEN, WatchReason.PICTURE)
    assert watched_after_check(RECORD, outcome, NOW, RANDOM_MIN).due_at == NOW + CHECK_INTERVAL
    assert NOW + CHECK_INTERVAL * 9 / 8 - watched_after_check(
        RECORD, outcome, NOW, RANDOM_MAX
    ).due_at < timedelta(seconds=2)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", timedelta(minutes=2)),
        (" 0 ", timedelta(0)),
        ("Mon, 30 Nov 2026 10:00:00 GMT", timedelta(hours=1)),
        ("Mon, 30 Nov 2026 08:00:00 GMT", timedelta(0)),
        ("99999999999999999999999999", LONGEST_RETRY_WAIT),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_WAIT),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("\u0662", None),
    ],
)
def test_retry_after_is_parsed_as_in_rfc_9110(value: str, wait: timedelta | None) -> None:
    assert parse_retry_after(value, NOW) == wait


@given(st.text())
def test_any_retry_after_is_read_or_refused(value: str) -> None:
    wait = parse_retry_after(value, NOW)
    assert wait is None or timedelta(0) <= wait <= LONGEST_RETRY_WAIT
