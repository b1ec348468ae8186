"""Drafts: every element there or marked as missing, the law's own words, nobody named."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from entrenous.model.case import (
    AgeAnswer,
    Case,
    CaseClosed,
    NoSuchCase,
    NoticeEvent,
    NoticeState,
    Reach,
    TakenBy,
)
from entrenous.model.ids import CaseName, RecipientId
from entrenous.model.route import Reaches, UnknownRoute
from entrenous.model.verdict import Finding, Trace, Verdict
from entrenous.respond.add import add_file, add_sighting
from entrenous.respond.case_file import case_called
from entrenous.respond.notice import NO_PLACE, draft_notice, preview, write_notice
from entrenous.respond.open_case import open_case
from entrenous.respond.progress import close_case, note
from entrenous.respond.tables import shipped_routes
from tests.respond.room import PAGE, START, Room, lived_in, seen

ROUTES = {route.id: route for route in shipped_routes()}
CASE = Case(CaseName("case-1-calm-otter"), START, lived_in("US"), sightings=(seen(),))
TODAY = START.date()


@pytest.mark.parametrize("id_", sorted(ROUTES))
def test_every_element_the_law_wants_is_there_or_marked_as_missing(id_: str) -> None:
    route = ROUTES[id_]  # type: ignore[index]
    notice = draft_notice(CASE, route, START)
    assert [element.required for element in notice.elements] == list(route.elements)
    for element in notice.elements:
        assert element.required in notice.letter
        assert element.text in notice.letter
        assert element.text
    for gap in notice.missing:
        assert gap.startswith("[")
        assert gap.endswith("]")
        assert gap in notice.letter


def test_the_take_it_down_request_has_its_five_elements() -> None:
    notice = draft_notice(CASE, ROUTES["us-tida-removal"], START)  # type: ignore[index]
    assert PAGE in notice.letter
    assert "believe in good faith" in notice.letter
    assert "48 hours after receipt of the valid removal request" in notice.letter
    assert [gap[:15] for gap in notice.missing] == ["[your signature", "[an e-mail addr"]


def test_statutory_words_stay_as_the_law_has_them() -> None:
    dmca = draft_notice(CASE, ROUTES["us-dmca-512c"], START)  # type: ignore[index]
    assert "under penalty of perjury" in dmca.elements[5].text
    uk = draft_notice(CASE, ROUTES["uk-osa-20a"], START)  # type: ignore[index]
    assert "intimate image content" in uk.elements[0].text
    assert "best of my knowledge and belief" in uk.elements[2].text


def test_a_draft_does_not_swear_what_she_never_said() -> None:
    unsaid = replace(CASE, situation=lived_in("US", taken_by=TakenBy.UNSAID))
    notice = draft_notice(unsaid, ROUTES["us-dmca-512c"], START)  # type: ignore[index]
    assert "that I took myself" not in notice.letter
    sworn = next(gap for gap in notice.missing if "under penalty of perjury" in gap)
    assert sworn.startswith("[only if you took the picture")
    assert len(notice.missing) == 6


def test_a_letter_gives_a_time_only_for_what_the_law_gives_it_for() -> None:
    def times(id_: str) -> list[str]:
        lines = draft_notice(CASE, ROUTES[id_], START).letter.splitlines()  # type: ignore[index]
        return [line for line in lines if line.startswith("Time that")]

    assert times("us-ca-22671") == ["Time that the law gives for an answer: 30 days after report."]
    assert times("eu-gdpr-17")[0].startswith("Time that the law gives for an answer: one calendar")
    assert times("uk-osa-20a") == ["Time that the law gives: 48 hours after receipt of the report."]
    assert times("au-osa-77") == []


def test_without_a_sighting_the_place_is_marked_as_missing() -> None:
    nowhere = replace(CASE, sightings=())
    notice = draft_notice(nowhere, ROUTES["us-tida-removal"], START)  # type: ignore[index]
    assert NO_PLACE in notice.missing


def test_a_chat_is_named_only_to_whom_the_route_reaches_chats() -> None:
    chat = seen("the group of my class", Reach.PRIVATE)
    both = replace(CASE, sightings=(seen(), chat))
    for route in ROUTES.values():
        letter = draft_notice(both, route, START).letter
        if route.covers_private_sharing is Reaches.NO:
            assert chat.where not in letter


def test_the_preview_says_that_it_is_not_sent_and_cites_its_ground() -> None:
    text = preview(draft_notice(CASE, ROUTES["us-tida-removal"], START), TODAY)  # type: ignore[index]
    assert "You have not sent it yet." in text
    assert "[your signature" in text.split("----")[0]
    assert "https://uscode.house.gov" in text
    assert "read on 2026-11-25" in text
    assert "government ID" in text.split("----")[2]


def test_the_preview_of_an_unverified_route_sends_to_a_help_line() -> None:
    text = preview(draft_notice(CASE, ROUTES["ca-cc-162-1"], START), TODAY)  # type: ignore[index]
    assert "check with a help line" in text


def traced_room() -> tuple[Room, Case]:
    room = Room()
    verdict = Verdict(Finding.ONE, (RecipientId("Caro"),), {RecipientId("Caro"): 1e-9}, {})
    trace = Trace(41, START, b"L" * 32, verdict)
    case = open_case(trace, lived_in("US"), AgeAnswer.ADULTS, room.device)
    add_sighting(case.name, replace(seen(), handle="@shadow"), room.device)
    add_file(case.name, b"\x89PNG picture bytes", "a screenshot", room.device)
    return room, case


def test_no_draft_names_whose_copy_it_was_or_holds_a_picture_or_its_hash() -> None:
    room, opened = traced_room()
    case = case_called(opened.name, room.device)
    for route in ROUTES.values():
        letter = draft_notice(case, route, START).letter
        for never in ("Caro", "picture bytes", case.evidence[0].sha256.hex(), (b"L" * 32).hex()):
            assert never not in letter
        assert "@shadow" not in letter or "shown at the account @shadow" in letter


def test_writing_keeps_the_law_of_the_day_in_the_case() -> None:
    """Of the day it is asked, though the picture was there before that law."""
    room = Room()
    case = room.opens(lived_in("IN"))
    add_sighting(case.name, seen(at=datetime(2026, 2, 1, tzinfo=UTC)), room.device)
    notice = write_notice(case.name, "in-it-3-2-b", room.device)
    assert notice.route.deadline_hours == 2
    assert case_called(case.name, room.device).notices == (notice,)
    assert notice.state is NoticeState.DRAFTED


def test_after_sending_the_preview_says_when() -> None:
    room, case = traced_room()
    write_notice(case.name, "us-tida-removal", room.device)
    sent = note(case.name, 1, NoticeEvent.SEND, START, room.device).notices[0]
    assert "You sent it on 2026-11-25 12:00 UTC." in preview(sent, TODAY)


def test_a_draft_needs_a_case_that_is_open_and_a_route_that_reaches_it() -> None:
    room, case = traced_room()
    with pytest.raises(NoSuchCase):
        write_notice("case-9-no-one", "us-tida-removal", room.device)
    with pytest.raises(UnknownRoute):
        write_notice(case.name, "uk-osa-20a", room.device)
    close_case(case.name, room.device)
    with pytest.raises(CaseClosed):
        write_notice(case.name, "us-tida-removal", room.device)
