"""Tests of what documents of each kind and their previews contain and do not contain."""

from dataclasses import replace
from datetime import timedelta

import pytest

from entrenous.respond.law.legal_route import DocumentKind, Route, WhetherCovered
from entrenous.respond.letters.draft import NotYoursToFile, draft_notice
from entrenous.respond.letters.drafted_notices import with_gaps_filled
from entrenous.respond.letters.preview import format_notice_preview
from entrenous.respond.letters.sightings import NoAddressee, NoThreateningAccount
from entrenous.respond.nouns import (
    Case,
    Notice,
    NoticeState,
    Reappearance,
    Representative,
    RepresentativeRole,
    SightingReach,
)
from entrenous.respond.situation import Demand, Spread
from tests.respond.case_owner import START, make_sighting, situation_in
from tests.respond.letters.letter_cases import (
    BARE_CASE,
    DRAFTED_AT,
    LETTER_ROUTES,
    ROUTES,
    full_case,
)

FULL_CASE = full_case()
REPRESENTED_CASE = replace(
    FULL_CASE,
    representative=Representative(RepresentativeRole.FRIEND, "she asked me by telephone", START),
    situation=replace(FULL_CASE.situation, on_behalf=True),
)
THREAT_CASE = replace(
    BARE_CASE,
    situation=replace(
        situation_in("US"), posted=Spread.THREAT, demand=Demand.MONEY, platform="instagram"
    ),
    sightings=(
        replace(
            make_sighting("Instagram message of Monday", SightingReach.PRIVATE), handle="@shadow"
        ),
    ),
)


def draft_document(
    case: Case, route_id: str, language: str = "en", *sighting_numbers: int
) -> Notice:
    return draft_notice(case, ROUTES[route_id], DRAFTED_AT, sighting_numbers, language)  # type: ignore[index]


def headings(notice: Notice) -> list[str]:
    return [part.heading for part in notice.parts]


def test_police_sheet_is_filled_from_the_case() -> None:
    sheet = draft_document(FULL_CASE, "uk-soa-66b")
    assert headings(sheet) == [
        "Report to the police: Sexual Offences Act 2003, s.66B(1)-(4)",
        "Who reports",
        "What happened, in order",
        "Where it was seen",
        "Who shared it or threatens",
        "What I have kept",
        "The law",
        "What I ask for",
        "What to bring",
    ]
    assert [gap[:11] for gap in sheet.missing] == ["[your name,"]  # the case has everything else
    assert with_gaps_filled(sheet, {sheet.missing[0]: "Ana Ruiz"}).missing == ()
    assert "item 1, a screenshot or file of mine" in sheet.letter
    assert "- account @shadow" in sheet.letter
    assert "To:" not in sheet.letter
    for request in ("case number", "devices that hold the picture", "preserve its data"):
        assert request in sheet.letter


def test_events_in_a_police_sheet_are_in_order() -> None:
    sheet = draft_document(FULL_CASE, "us-tida-crime")
    lines = next(part for part in sheet.parts if part.heading == "What happened, in order").lines
    days = [line[2:18] for line in lines if line.startswith("- 20")]
    assert len(days) >= 6
    assert days == sorted(days)
    assert any("notice 1 was sent to" in line for line in lines)
    assert any("was refused" in line for line in lines)


def test_missing_facts_are_gaps_in_a_police_sheet() -> None:
    sheet = draft_document(replace(BARE_CASE, sightings=()), "us-tida-crime")
    assert [gap.split()[0] for gap in sheet.missing] == [
        "[what",
        "[where",
        "[what",
        "[who",
        "[your",
    ]


def test_unverified_penalty_is_not_in_a_police_sheet() -> None:
    assert "re-verify" in ROUTES["uk-soa-66b"].penalty  # type: ignore[index]
    assert "re-verify" not in draft_document(FULL_CASE, "uk-soa-66b").letter
    assert "up to 5 years" in draft_document(FULL_CASE, "gb-sct-asbh-2").letter


def test_letter_about_a_threat_names_neither_evidence_nor_notices() -> None:
    case = replace(THREAT_CASE, evidence=FULL_CASE.evidence, notices=FULL_CASE.notices)
    letter = draft_document(case, "account-threat").letter
    assert "@shadow" in letter
    assert "item 1 kept" not in letter
    assert "notice 1" not in letter


def test_a_court_sheet_says_against_whom_and_what_is_asked() -> None:
    sheet = draft_document(FULL_CASE, "za-cybercrimes-16-20")
    assert "Against whom" in headings(sheet)
    assert "without hearing the other side" in sheet.letter
    assert "an order that the sharing stops" in sheet.letter


@pytest.mark.parametrize("route_id", ["hash-stopncii", "hash-takeitdown"])
def test_a_hash_bank_has_its_own_steps_and_no_letter(route_id: str) -> None:
    steps = draft_document(FULL_CASE, route_id)
    address = "/".join(ROUTES[route_id].source.split("/")[:3])  # type: ignore[index]
    assert f"Open {address}" in steps.letter
    assert "only its fingerprint is sent" in steps.letter
    assert "Keep it in your case" in steps.letter
    assert "entrenous" not in steps.letter
    assert steps.missing == ()


def test_complaint_contains_request_answer_and_missed_deadline() -> None:
    complaint = draft_document(FULL_CASE, "us-tida-ftc")
    for line in (
        "notice 1 was sent to pictures.example under TAKE IT DOWN Act",
        "notice 1 was refused",
        "the time that the law gives for notice 1 ended",
        "https://pictures.example/p/123",
    ):
        assert line in complaint.letter
    assert "notice 2" not in complaint.letter  # notice 2 was sent under another law
    assert complaint.missing == ()


def test_complaint_says_if_there_was_no_answer_or_no_notice() -> None:
    asked = replace(FULL_CASE.notices[0], refused_at=None, answered_at=None, state=NoticeState.SENT)
    case = replace(FULL_CASE, notices=(asked,))
    assert "no answer to notice 1 so far" in draft_document(case, "us-tida-ftc").letter
    assert "has not been done so far" in draft_document(case, "us-tida-ftc").letter
    nothing = draft_document(replace(FULL_CASE, notices=()), "us-tida-ftc")
    assert [gap for gap in nothing.missing if "no notice that you sent" in gap]


def test_each_complaint_is_about_one_addressee() -> None:
    first = FULL_CASE.notices[0]
    other = replace(
        first,
        number=4,
        to="b.example",
        named_sightings=(replace(make_sighting("https://b.example/2"), number=2),),
    )
    case = replace(FULL_CASE, notices=(*FULL_CASE.notices, other))
    complaint = draft_document(case, "us-tida-ftc")
    assert "b.example" not in complaint.letter
    sent = replace(complaint, state=NoticeState.SENT, sent_at=DRAFTED_AT)
    second_complaint = draft_document(replace(case, notices=(*case.notices, sent)), "us-tida-ftc")
    assert "b.example" in second_complaint.letter
    assert "pictures.example" not in second_complaint.letter


def test_form_lists_its_fields_in_order_with_text_to_paste() -> None:
    page = replace(make_sighting("https://www.bing.com/images/1"), number=1)
    notice = draft_document(replace(FULL_CASE, sightings=(page,)), "search-bing")
    fields = notice.parts[1]
    assert notice.to == "Bing (Microsoft)"
    assert fields.heading == "Fields of the form, in its order"
    numbered = [line for line in fields.lines if line[:2] in ("1.", "2.", "3.")]
    assert [line[:2] for line in numbered] == ["1.", "2.", "3."]
    assert "https://www.bing.com/images/1" in fields.lines
    german = draft_document(replace(FULL_CASE, sightings=(page,)), "search-bing", "de")
    assert german.parts[1].heading == "Felder des Formulars, in seiner Reihenfolge"


def test_head_of_a_letter_names_the_platform_and_its_form() -> None:
    page = replace(make_sighting("https://x.com/a/status/1"), number=1)
    notice = draft_document(replace(FULL_CASE, sightings=(page,)), "us-tida-removal")
    assert "To: X (Twitter)\n" in notice.letter
    assert "Form: https://help.x.com/" in notice.letter


def test_letters_contain_no_notes_for_maintainers_and_name_the_addressee_briefly() -> None:
    for route in LETTER_ROUTES:
        for language in ("en", "de"):
            letter = draft_notice(FULL_CASE, route, DRAFTED_AT, language=language).letter
            assert "re-verify" not in letter, route.id
            assert "datenanfragen" not in letter, route.id
            head = next((line for line in letter.splitlines() if line[:3] in {"To:", "An:"}), "")
            assert len(head) < 90, head


def test_letter_about_a_threat_needs_an_account_and_names_it_but_not_the_message() -> None:
    letter = draft_document(THREAT_CASE, "account-threat").letter
    assert "To: Instagram" in letter
    assert "- account @shadow" in letter
    assert "money was demanded" in letter
    assert "message of Monday" not in letter
    nobody = replace(THREAT_CASE, sightings=(replace(THREAT_CASE.sightings[0], handle=""),))
    with pytest.raises(NoThreateningAccount, match="account that makes threats"):
        draft_document(nobody, "account-threat")


def test_letter_to_the_sender_follows_cautions_and_needs_a_known_sender() -> None:
    chat = replace(make_sighting("the class group", SightingReach.PRIVATE), number=1, handle="@tom")
    case = replace(BARE_CASE, sightings=(chat,))
    notice = draft_document(case, "civil-letter", "en", 1)
    text = format_notice_preview(notice, case, DRAFTED_AT.date())
    assert "To: @tom" in notice.letter
    assert "differs from country" not in notice.letter
    assert "Send me a signed undertaking" in notice.letter
    assert text.index("A letter warns the sender") < text.index("To: @tom")
    unknown = replace(
        case,
        sightings=(replace(chat, handle=""),),
        situation=replace(case.situation, recipient_known=None),
    )
    with pytest.raises(NoAddressee):
        draft_document(unknown, "civil-letter")


def test_each_sender_gets_a_separate_letter() -> None:
    chats = [
        replace(
            make_sighting(f"chat {number}", SightingReach.PRIVATE), number=number, handle=handle
        )
        for number, handle in ((1, "@tom"), (2, "@ida"))
    ]
    case = replace(BARE_CASE, sightings=tuple(chats))
    first = draft_document(case, "civil-letter")
    assert "To: @tom" in first.letter
    assert "@ida" not in first.letter
    second = draft_document(replace(case, notices=(first,)), "civil-letter")
    assert "To: @ida" in second.letter
    assert "@tom" not in second.letter


def excludes_representatives(route: Route) -> bool:
    return route.representative is WhetherCovered.NO and route.document in {
        DocumentKind.LETTER,
        DocumentKind.FORM,
        DocumentKind.COMPLAINT,
    }


def test_representative_may_act_only_where_the_law_allows_it() -> None:
    letter = draft_document(REPRESENTED_CASE, "uk-osa-20a").letter
    assert "I act for the person shown, as a friend, with that person's consent." in letter
    assert "on behalf of the subject of the content" in letter
    assert "I am the subject" not in letter
    assert "she asked me by telephone" not in letter
    refused = [route for route in LETTER_ROUTES if excludes_representatives(route)]
    assert refused
    for route in refused:
        with pytest.raises(NotYoursToFile, match="only the person in the picture"):
            draft_notice(REPRESENTED_CASE, route, DRAFTED_AT)


def test_document_that_only_the_person_can_file_names_no_representative() -> None:
    sheet = draft_document(REPRESENTED_CASE, "uk-soa-66b")
    assert "I act for" not in sheet.letter
    assert "only the person shown can file it" in format_notice_preview(
        sheet, REPRESENTED_CASE, DRAFTED_AT.date()
    )


def test_letter_says_that_the_picture_shows_the_person_only_if_it_does() -> None:
    claim = "This is an image of me. It was made available without my consent."
    assert claim in draft_document(FULL_CASE, "eu-dsa-16").letter.splitlines()
    situation = replace(FULL_CASE.situation, depicts_me=False)
    notice = draft_document(replace(FULL_CASE, situation=situation), "eu-dsa-16")
    assert claim not in notice.letter.splitlines()
    assert any(gap.startswith("[only if it shows you") for gap in notice.missing)


def test_letters_contain_neither_hash_nor_description_of_an_item() -> None:
    for route in LETTER_ROUTES:
        letter = draft_notice(
            FULL_CASE, route, DRAFTED_AT + timedelta(days=1), language="en"
        ).letter
        assert (b"h" * 32).hex() not in letter
        assert "the kitchen wall" not in letter


def test_letter_to_the_sender_names_a_chat_only_if_it_is_the_only_sighting() -> None:
    chat = replace(make_sighting("the class group", SightingReach.PRIVATE), number=1, handle="@tom")
    alone = draft_document(replace(BARE_CASE, sightings=(chat,)), "civil-letter")
    assert [one.number for one in alone.named_sightings] == [1]
    page = replace(make_sighting("https://pictures.example/1"), number=2)
    assert (
        draft_document(replace(BARE_CASE, sightings=(chat, page)), "civil-letter").named_sightings
        == ()
    )


def test_steps_for_a_hash_bank_explain_the_service() -> None:
    steps = draft_document(FULL_CASE, "hash-stopncii")
    assert "This free service makes a fingerprint of the picture" in steps.letter
    assert "The law asks" not in steps.letter


@pytest.mark.parametrize("words", ["removed, and back on", "answering again since"])
def test_letter_after_a_reappearance_says_so(words: str) -> None:
    page = replace(make_sighting("https://pictures.example/1"), number=1)
    back = Reappearance(1, DRAFTED_AT, compared=words.startswith("removed"))
    case = replace(BARE_CASE, sightings=(page,), returned=(back,))
    assert words in draft_document(case, "us-tida-removal").letter
    assert words not in draft_document(replace(case, returned=()), "us-tida-removal").letter


def test_preview_of_a_letter_to_an_unknown_site_names_the_look_up() -> None:
    page = replace(make_sighting("https://pictures.example/1"), number=1)
    case = replace(BARE_CASE, sightings=(page,))
    preview = format_notice_preview(
        draft_document(case, "us-tida-removal"), case, DRAFTED_AT.date()
    )
    assert "--look-up" in preview
    known = replace(case, sightings=(replace(page, where="https://www.instagram.com/p/1"),))
    assert "--look-up" not in format_notice_preview(
        draft_document(known, "us-tida-removal"), known, DRAFTED_AT.date()
    )
