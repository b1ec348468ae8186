"""Tests of drafted notices: elements, gaps, statutory words, sightings, previews and secrets."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from entrenous.base.identifiers import CaseName, RecipientId
from entrenous.base.language import speaking
from entrenous.respond.case_file import CaseClosed, find_case
from entrenous.respond.case_status import NoticeEvent, close_case, record_notice_event
from entrenous.respond.law.law_tables import shipped_routes
from entrenous.respond.law.legal_route import DocumentKind
from entrenous.respond.law.routes import RouteNotApplicable
from entrenous.respond.letters.draft import draft_and_store_notice, draft_notice
from entrenous.respond.letters.elements import lacks_source_notes
from entrenous.respond.letters.preview import format_notice_preview
from entrenous.respond.letters.sightings import ChatNotCovered, NoSightingToName, OnlyInChats
from entrenous.respond.nouns import (
    AgeAnswer,
    Case,
    NoSuchCase,
    NoSuchCaseEntry,
    NoticeState,
    SightingReach,
)
from entrenous.respond.open_case import add_file, add_sighting, open_case
from entrenous.respond.situation import PictureMaker
from entrenous.watermark.verdict import Finding, Trace, Verdict
from tests.respond.case_owner import PAGE_URL, START, CaseOwner, make_sighting, situation_in

ROUTES = {route.id: route for route in shipped_routes()}
CASE = Case(CaseName("case-1-calm-otter"), START, situation_in("US"), sightings=(make_sighting(),))
CASE_WITH_ACCOUNT = replace(CASE, sightings=(replace(make_sighting(), handle="@shadow", number=1),))
TODAY = START.date()


@pytest.mark.parametrize("route_id", sorted(ROUTES))
def test_every_required_element_and_every_gap_is_in_the_letter(route_id: str) -> None:
    route = ROUTES[route_id]  # type: ignore[index]
    notice = draft_notice(CASE_WITH_ACCOUNT, route, START, language="en")
    assert [element.required for element in notice.elements] == list(route.elements)
    for element in notice.elements:
        is_law = route.document is not DocumentKind.HASH_BANK and lacks_source_notes(
            element.required
        )
        assert element.required in notice.letter or not is_law
        assert element.text in notice.letter
        assert element.text
    for gap in notice.missing:
        assert gap.startswith("[")
        assert gap.endswith("]")
        assert gap in notice.letter


def test_take_it_down_request_has_its_required_elements() -> None:
    notice = draft_notice(CASE, ROUTES["us-tida-removal"], START)  # type: ignore[index]
    assert PAGE_URL in notice.letter
    assert "believe in good faith" in notice.letter
    assert "48 hours after receipt of the valid removal request" in notice.letter
    assert [gap[:15] for gap in notice.missing] == ["[your signature", "[an e-mail addr"]


def test_letter_is_in_the_persons_language_or_in_the_laws_language() -> None:
    with speaking("de"):
        assert draft_notice(CASE, ROUTES["eu-gdpr-17"], START).language == "de"  # type: ignore[index]
        assert draft_notice(CASE, ROUTES["uk-osa-20a"], START).language == "en"  # type: ignore[index]


def test_statutory_words_are_quoted() -> None:
    dmca = draft_notice(CASE, ROUTES["us-dmca-512c"], START)  # type: ignore[index]
    assert "under penalty of perjury" in dmca.elements[5].text
    uk = draft_notice(CASE, ROUTES["uk-osa-20a"], START)  # type: ignore[index]
    assert "intimate image content" in uk.elements[0].text
    assert "best of my knowledge and belief" in uk.elements[2].text


def test_draft_contains_no_oath_that_the_person_did_not_state() -> None:
    unstated = replace(CASE, situation=situation_in("US", taken_by=PictureMaker.UNSAID))
    notice = draft_notice(unstated, ROUTES["us-dmca-512c"], START)  # type: ignore[index]
    assert "that I took myself" not in notice.letter
    oath = next(gap for gap in notice.missing if "under penalty of perjury" in gap)
    assert oath.startswith("[only if you took the picture")
    assert len(notice.missing) == 6


@pytest.mark.parametrize(
    ("route_id", "declared"),
    [
        ("uk-osa-20a", "I declare that the content is intimate"),
        ("us-tida-removal", "The intimate visual depiction is here"),
    ],
)
def test_draft_declares_a_picture_intimate_only_if_the_person_said_so(
    route_id: str, declared: str
) -> None:
    route = ROUTES[route_id]  # type: ignore[index]
    assert declared in draft_notice(CASE, route, START).letter
    unstated = replace(CASE, situation=replace(CASE.situation, intimate=None))
    notice = draft_notice(unstated, route, START)
    assert declared not in notice.letter
    assert [gap for gap in notice.missing if gap.startswith("[only if it is")]
    assert PAGE_URL in notice.letter  # the letter still names the page


def test_letter_names_a_time_limit_only_for_the_duty_that_has_it() -> None:
    def times(route_id: str) -> list[str]:
        lines = draft_notice(CASE, ROUTES[route_id], START).letter.splitlines()  # type: ignore[index]
        return [line for line in lines if line.startswith("Time that")]

    assert times("us-ca-22671") == ["Time that the law gives for an answer: 30 days after report."]
    assert times("eu-gdpr-17")[0].startswith("Time that the law gives for an answer: one calendar")
    assert times("uk-osa-20a") == ["Time that the law gives: 48 hours after receipt of the report."]
    assert times("au-osa-77") == []


@pytest.mark.parametrize(
    "route_id", ["us-tida-removal", "us-dmca-512c", "eu-gdpr-17", "search-google"]
)
def test_no_letter_is_drafted_without_a_public_sighting(route_id: str) -> None:
    route = ROUTES[route_id]  # type: ignore[index]
    with pytest.raises(NoSightingToName, match=r"case\s+add\s+case-1-calm-otter\s+--url -"):
        draft_notice(replace(CASE, sightings=()), route, START)
    chat_only = replace(CASE, sightings=(CHAT_SIGHTING,))
    with pytest.raises(OnlyInChats, match=r"--sighting\s+3"):
        draft_notice(chat_only, route, START)


CHAT_SIGHTING = replace(
    make_sighting("Tom Miller sent it to the football group", SightingReach.PRIVATE), number=3
)
CASE_ON_TWO_HOSTS = replace(
    CASE,
    sightings=(
        replace(make_sighting("https://a.example/1"), number=1),
        replace(make_sighting("https://b.example/2"), number=2),
        CHAT_SIGHTING,
        replace(make_sighting("https://www.A.example/4"), number=4),
    ),
)


def test_chat_is_named_only_if_chosen_and_if_the_route_covers_chats() -> None:
    """The description of a chat may name people, and a letter goes to strangers."""
    sender_known = replace(
        CASE_ON_TWO_HOSTS, situation=replace(CASE.situation, recipient_known=True)
    )
    for route in ROUTES.values():
        assert CHAT_SIGHTING.where not in draft_notice(sender_known, route, START).letter
    notice = draft_notice(CASE_ON_TWO_HOSTS, ROUTES["us-tida-removal"], START, (3,))  # type: ignore[index]
    assert CHAT_SIGHTING.where in notice.letter
    with pytest.raises(ChatNotCovered, match="Sighting 3"):
        draft_notice(CASE_ON_TWO_HOSTS, ROUTES["us-dmca-512c"], START, (3,))  # type: ignore[index]
    with pytest.raises(NoSuchCaseEntry, match="no sighting number 5"):
        draft_notice(CASE_ON_TWO_HOSTS, ROUTES["us-tida-removal"], START, (5,))  # type: ignore[index]


@pytest.mark.parametrize(
    ("route_id", "numbers"),
    [("us-tida-removal", [1, 4]), ("eu-gdpr-17", [1, 4]), ("search-google", [1, 2, 4])],
)
def test_notice_to_a_platform_names_one_host_and_to_a_search_engine_all(
    route_id: str, numbers: list[int]
) -> None:
    notice = draft_notice(CASE_ON_TWO_HOSTS, ROUTES[route_id], START)  # type: ignore[index]
    assert [sighting.number for sighting in notice.named_sightings] == numbers
    assert ("b.example" in notice.letter) is (2 in numbers)


def test_next_notice_under_the_same_law_names_the_next_host() -> None:
    route = ROUTES["us-tida-removal"]  # type: ignore[index]
    first = draft_notice(CASE_ON_TWO_HOSTS, route, START)
    second = draft_notice(replace(CASE_ON_TWO_HOSTS, notices=(first,)), route, START)
    assert [sighting.number for sighting in second.named_sightings] == [2]
    withdrawn = replace(first, state=NoticeState.WITHDRAWN)
    again = draft_notice(replace(CASE_ON_TWO_HOSTS, notices=(withdrawn,)), route, START)
    assert again.named_sightings == first.named_sightings


def test_preview_says_what_is_left_out_and_whether_people_are_named() -> None:
    route = ROUTES["us-tida-removal"]  # type: ignore[index]
    text = format_notice_preview(
        draft_notice(CASE_ON_TWO_HOSTS, route, START), CASE_ON_TWO_HOSTS, TODAY
    )
    assert "names nobody who passed it on" in text
    assert "sighting 2: https://b.example/2; sighting 3: a chat" in text
    assert "Tom Miller" not in text
    text = format_notice_preview(
        draft_notice(CASE_ON_TWO_HOSTS, route, START, (1, 3)), CASE_ON_TWO_HOSTS, TODAY
    )
    assert "names nobody" not in text
    assert "your own words for a chat" in text
    shown = replace(CASE, sightings=(replace(make_sighting(), handle="@shadow"),))
    assert "the name of an account" in format_notice_preview(
        draft_notice(shown, route, START), shown, TODAY
    )


def test_sighting_without_a_host_gets_a_notice_of_its_own() -> None:
    case = replace(
        CASE, sightings=(make_sighting("http://[::1"), make_sighting("a poster at the station"))
    )
    notice = draft_notice(case, ROUTES["us-tida-removal"], START)  # type: ignore[index]
    assert [sighting.where for sighting in notice.named_sightings] == ["http://[::1"]


def test_preview_says_that_the_notice_is_unsent_and_cites_its_law() -> None:
    text = format_notice_preview(draft_notice(CASE, ROUTES["us-tida-removal"], START), CASE, TODAY)  # type: ignore[index]
    assert "You have not sent it yet." in text
    assert "[your signature" in text.split("----")[0]
    assert "https://uscode.house.gov" in text
    assert "read on 2026-11-25" in text
    assert "government ID" in text.split("----")[2]


def test_preview_of_an_unverified_route_recommends_a_help_line() -> None:
    text = format_notice_preview(draft_notice(CASE, ROUTES["pk-peca-21"], START), CASE, TODAY)  # type: ignore[index]
    assert "check with a help line" in text


def open_traced_case() -> tuple[CaseOwner, Case]:
    owner = CaseOwner()
    verdict = Verdict(Finding.ONE, (RecipientId("Caro"),), {RecipientId("Caro"): 1e-9}, {})
    trace = Trace(41, START, b"L" * 32, verdict)
    case = open_case(trace, situation_in("US"), AgeAnswer.ADULTS, owner.device)
    add_sighting(case.name, replace(make_sighting(), handle="@shadow"), owner.device)
    add_file(case.name, b"\x89PNG picture bytes", "a screenshot", owner.device)
    return owner, case


def test_no_draft_contains_the_recipients_name_the_picture_or_its_hash() -> None:
    owner, opened = open_traced_case()
    case = find_case(opened.name, owner.device)
    for route in ROUTES.values():
        letter = draft_notice(case, route, START, language="en").letter
        for secret in ("Caro", "picture bytes", case.evidence[0].sha256.hex(), (b"L" * 32).hex()):
            assert secret not in letter
        allowed = ("shown at the account @shadow", "To: @shadow", "- account @shadow")
        assert "@shadow" not in letter or any(words in letter for words in allowed)


def test_stored_notice_follows_the_law_of_the_day_of_the_request() -> None:
    """The sighting is older than the law."""
    owner = CaseOwner()
    case = owner.open_case(situation_in("IN"))
    add_sighting(case.name, make_sighting(at=datetime(2026, 2, 1, tzinfo=UTC)), owner.device)
    notice = draft_and_store_notice(case.name, "in-it-3-2-b", owner.device)
    assert notice.route.deadline_hours == 2
    assert find_case(case.name, owner.device).notices == (notice,)
    assert notice.state is NoticeState.DRAFTED


def test_preview_of_a_sent_notice_says_when_it_was_sent() -> None:
    owner, case = open_traced_case()
    draft_and_store_notice(case.name, "us-tida-removal", owner.device)
    sent = record_notice_event(case.name, 1, NoticeEvent.SEND, START, owner.device).notices[0]
    assert "You sent it on 2026-11-25 12:00 UTC." in format_notice_preview(sent, case, TODAY)


def test_draft_needs_an_open_case_and_an_applicable_route() -> None:
    owner, case = open_traced_case()
    with pytest.raises(NoSuchCase):
        draft_and_store_notice("case-9-no-one", "us-tida-removal", owner.device)
    with pytest.raises(RouteNotApplicable):
        draft_and_store_notice(case.name, "uk-osa-20a", owner.device)
    close_case(case.name, owner.device)
    with pytest.raises(CaseClosed):
        draft_and_store_notice(case.name, "us-tida-removal", owner.device)
