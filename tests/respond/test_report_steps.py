"""Tests of the steps to report to a platform, and of finding the platforms of a case."""

import re
from dataclasses import replace
from datetime import date, timedelta

import pytest

from entrenous.base.identifiers import CaseName
from entrenous.respond.law.places import Place
from entrenous.respond.law.routes import situation_of
from entrenous.respond.nouns import Case, Sighting, SightingReach
from entrenous.respond.platforms import (
    FormAnswerKind,
    PlatformKind,
    PlatformRecord,
    platform_by_id,
    platform_named_in_text,
    shipped_platforms,
)
from entrenous.respond.report_steps import (
    report_destination_text,
    report_destinations,
    report_steps,
    sightings_on_platform,
)
from entrenous.respond.situation import Demand, Situation, Spread
from tests.respond.case_owner import START

TODAY = date(2026, 12, 1)
POST_URL = "https://www.instagram.com/p/abc"
FULL_SITUATION = Situation((Place("DE"),), intimate=True, altered=False, depicts_me=True)


def case_with(*sightings: Sighting, situation: Situation = FULL_SITUATION) -> Case:
    numbered = tuple(replace(one, number=at) for at, one in enumerate(sightings, 1))
    return Case(CaseName("case-1"), START, situation, sightings=numbered)


def public_sighting(where: str, handle: str = "") -> Sighting:
    return Sighting(where, SightingReach.PUBLIC, START, handle)


def chat_sighting(words: str) -> Sighting:
    return Sighting(words, SightingReach.PRIVATE, START)


def form_answers(platform_id: str, about: Case | Situation) -> dict[str, str]:
    steps = report_steps(platform_by_id(platform_id), about, TODAY)
    return {answer.asks: answer.paste for answer in steps.answers}


def test_form_is_filled_from_the_sightings_at_that_platform_only() -> None:
    case = case_with(
        public_sighting(POST_URL, "@mean"),
        public_sighting("https://www.tumblr.com/a/1"),
        public_sighting(POST_URL),
    )
    answers = form_answers("tumblr", case)
    assert answers["link of the post (permanent link)"] == "https://www.tumblr.com/a/1"
    assert "instagram" not in " ".join(answers.values())
    assert form_answers("instagram", case)["the link of each place"] == POST_URL
    assert form_answers("instagram", case)["the account that showed it"] == "@mean"


def test_questions_keep_the_order_of_the_form() -> None:
    record = platform_by_id("google_search")
    case = case_with(public_sighting("https://www.google.com/search?q=ana"))
    steps = report_steps(record, case, TODAY)
    assert steps.answers_known
    assert tuple(answer.asks for answer in steps.answers) == record.asks_for
    assert [answer.paste for answer in steps.answers][1:4] == [
        "Germany",
        "It is real.",
        "https://www.google.com/search?q=ana",
    ]


@pytest.mark.parametrize("record", shipped_platforms(), ids=lambda record: record.id)
def test_unknown_answers_are_gaps_in_brackets(
    record: PlatformRecord,
) -> None:
    for answer in report_steps(record, Situation(()), TODAY).answers:
        assert answer.gap == (answer.paste == f"[{answer.asks}]")
    for answer, paste in zip(
        report_steps(record, FULL_SITUATION, TODAY).answers, record.paste, strict=False
    ):
        assert answer.gap or paste not in (
            FormAnswerKind.LINKS,
            FormAnswerKind.GAP,
            FormAnswerKind.ACCOUNT,
            FormAnswerKind.DOMAIN,
        )


@pytest.mark.parametrize("record", shipped_platforms(), ids=lambda record: record.id)
def test_steps_show_form_source_and_what_to_expect(
    record: PlatformRecord,
) -> None:
    steps = report_steps(record, FULL_SITUATION, TODAY)
    shown = "\n".join(steps.text)
    assert record.first_step in shown
    assert record.report_url in shown
    assert f"{record.source}, read on {record.read_on}" in shown
    assert steps.answers or record.id == "signal"  # Signal cannot see messages and takes no reports
    if steps.answers:
        assert "account" in steps.before[0]
        assert re.match(r"What comes back: |Keep a screenshot of the last page", steps.after[0])
        assert re.match(r"Time: |It is not known how long", steps.after[1])
    assert bool(steps.in_chats) == (record.private_messages is not None)


def test_answers_claim_only_stated_facts() -> None:
    unstated = form_answers("tumblr", Situation(()))["what happened"]
    assert unstated == "A private picture was shared here without consent."
    threatened = form_answers("tumblr", Situation((), posted=Spread.THREAT))["what happened"]
    assert threatened == "Somebody threatens to share a private picture."
    assert "intimate" not in unstated.lower()
    assert "software" not in unstated
    threat = replace(FULL_SITUATION, posted=Spread.THREAT, demand=Demand.MONEY)
    text = form_answers("tumblr", threat)["what happened"]
    assert text.startswith("Somebody threatens to share an intimate picture of me.")
    assert "Money is demanded" in text
    on_behalf = replace(FULL_SITUATION, on_behalf=True)
    assert "the person I act for" in form_answers("tumblr", on_behalf)["what happened"]
    assert (
        "their consent" in form_answers("cloudflare", on_behalf)["whether you are the person shown"]
    )
    assert form_answers("cloudflare", Situation(()))["whether you are the person shown"].startswith(
        "["
    )


def test_facts_read_more_than_180_days_ago_get_a_caution() -> None:
    record = platform_by_id("instagram")
    fresh = report_steps(record, FULL_SITUATION, record.read_on + timedelta(days=180))
    stale = report_steps(record, FULL_SITUATION, record.read_on + timedelta(days=181))
    assert fresh.cautions == ()
    assert "180 days" in " ".join(stale.cautions)
    assert "180 days" in stale.text[-1]


def test_each_platform_is_listed_once_in_the_order_of_the_sightings() -> None:
    case = case_with(
        public_sighting(POST_URL),
        chat_sighting("the WhatsApp group of 10b"),
        public_sighting("https://pics.example/1"),
        public_sighting(POST_URL),
    )
    assert [record.id for record in report_destinations(case)] == [
        "instagram",
        "whatsapp",
        "generic_site",
    ]
    text = report_destination_text(platform_by_id("instagram"), case)
    assert "sightings 1, 4" in text
    assert text.endswith("entrenous case platform instagram --case case-1")
    assert [
        sighting.number for sighting in sightings_on_platform(platform_by_id("generic_site"), case)
    ] == [3]


def test_look_alike_counts_as_a_generic_site() -> None:
    case = case_with(public_sighting("https://instagram.com.evil.example/p/1"))
    assert [record.id for record in report_destinations(case)] == ["generic_site"]


def test_chat_without_a_known_name_uses_the_platform_of_the_situation() -> None:
    assert report_destinations(case_with(chat_sighting("our class chat"))) == ()
    situation = replace(FULL_SITUATION, platform="signal")
    assert report_destinations(case_with(chat_sighting("our class chat"), situation=situation)) == (
        platform_by_id("signal"),
    )


@pytest.mark.parametrize(
    ("words", "platform_id"),
    [
        ("the WhatsApp group of 10b", "whatsapp"),
        ("on Only Fans, somebody told me", "onlyfans"),
        ("TIK TOK", "tiktok"),
        ("Signal, then Telegram", "signal"),
    ],
)
def test_platform_is_found_in_a_description(words: str, platform_id: str) -> None:
    assert platform_named_in_text(words) == platform_by_id(platform_id)


@pytest.mark.parametrize("words", ["a chat on the line", "his x and mine", "", "the group"])
def test_short_or_common_words_are_no_platform(words: str) -> None:
    assert platform_named_in_text(words) is None


def test_steps_name_sightings_elsewhere_only_for_a_search_engine_and_name_no_chat() -> None:
    secret = "https://pics.example/very-secret"
    case = case_with(
        public_sighting(secret), public_sighting(POST_URL), chat_sighting("the chat of Bea")
    )
    for record in shipped_platforms():
        if record.kind is not PlatformKind.GENERIC:
            shown = "\n".join(report_steps(record, case, TODAY).text)
            # Only the steps for a search engine name pages of other sites.
            assert (secret in shown) is (record.kind is PlatformKind.SEARCH)
            assert "Bea" not in shown


def test_steps_for_a_site_without_a_record_name_no_sighting_on_another_site() -> None:
    record = platform_by_id("generic_site")
    case = case_with(
        public_sighting("https://a-site.example/1"),
        public_sighting("https://www.b-site.example/2"),
        public_sighting("https://b-site.example/3"),
    )
    for host, links in (
        ("a-site.example", "https://a-site.example/1"),
        ("b-site.example", "https://www.b-site.example/2\nhttps://b-site.example/3"),
        ("", "https://www.b-site.example/2\nhttps://b-site.example/3"),  # the site added last
    ):
        steps = report_steps(record, case, TODAY, host)
        assert steps.answers[0].paste == links
        other = "entrenous case platform ADDRESS --case case-1"
        assert other in "\n".join(steps.text)
    assert report_steps(record, case, TODAY, "c-site.example").answers[0].gap
    only = case_with(public_sighting("https://a-site.example/1"))
    assert "ADDRESS --case" not in "\n".join(report_steps(record, only, TODAY).text)


def test_case_is_about_the_stated_platform_or_the_one_with_all_sightings() -> None:
    assert (
        situation_of(
            case_with(public_sighting(POST_URL), public_sighting("https://ig.me/x"))
        ).platform
        == "instagram"
    )
    assert (
        situation_of(
            case_with(public_sighting(POST_URL), chat_sighting("the WhatsApp group"))
        ).platform
        == ""
    )
    assert situation_of(case_with(public_sighting("https://pics.example/1"))).platform == ""
    assert situation_of(case_with()).platform == ""
    situation = replace(FULL_SITUATION, platform="tiktok")
    assert (
        situation_of(case_with(public_sighting(POST_URL), situation=situation)).platform == "tiktok"
    )


def test_first_step_after_a_threat_is_to_report_the_account() -> None:
    threat = Situation((), posted=Spread.THREAT)
    assert "report the account" in report_steps(platform_by_id("instagram"), threat, TODAY).text[1]


def test_search_engine_gets_every_page_and_the_name_of_the_country() -> None:
    case = case_with(
        public_sighting(POST_URL),
        public_sighting("https://x.example/a"),
        situation=Situation((Place("US-CA"),)),
    )
    answers = form_answers("google_search", case)
    assert f"{POST_URL}\nhttps://x.example/a" in answers.values()
    assert "United States" in answers.values()
