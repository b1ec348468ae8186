"""Tests of help lines: order for a place and a need, sources, cautions, numbers and first steps."""

import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from entrenous.respond.fact_tables import FACT_FRESH_DAYS, BadTable
from entrenous.respond.first_steps import FirstStepsId, shipped_first_steps
from entrenous.respond.help_lines import (
    HELP_TABLE_NAMES,
    HelpKind,
    HelpLine,
    parse_telephone_numbers,
    read_emergency_numbers,
    read_help_lines,
    shipped_emergency_numbers,
    shipped_help_lines,
)
from entrenous.respond.help_report import (
    emergency_numbers_in_words,
    help_in_words,
    help_line_in_words,
)
from entrenous.respond.law.places import COUNTRIES, EU, WORLDWIDE, Place, parse_place
from entrenous.respond.who_helps import (
    POLICE_NOTE,
    HelpNeed,
    emergency_numbers,
    find_help,
    find_help_lines,
)

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
#: Help lines whose pages were read again after the facts had been collected.
REREAD_LINES = {"za-gbv", "uy-08004141", "in-telemanas", "de-telefonseelsorge"}
COLLECTED_FACTS = Path(__file__).parents[3] / "shared" / "facts"
#: Countries that must have their own help line.
EXPECTED_COUNTRIES = frozenset(
    re.findall("..", "AEALAOBOBWCDCICMCNDODZECETGEHNIQIRJMJOKZLBMWMZRURWSASNSVTNTZZMZW")
)
NEEDS = [
    HelpNeed(),
    HelpNeed(threat=True),
    HelpNeed(danger=True),
    HelpNeed(under_18=True),
    HelpNeed(under_18=True, threat=True),
    HelpNeed(under_18=True, danger=True),
]


def help_lines_for(*places: str, need: HelpNeed = HelpNeed()) -> list[HelpLine]:  # noqa: B008 -- frozen
    return list(find_help_lines(tuple(map(Place, places)), need))


def test_european_line_is_shown_in_portugal_and_not_in_spain() -> None:
    named = {
        place: find_help_lines((Place(place),), HelpNeed(under_18=True))
        for place in ("ES", "ES-CT", "PT")
    }
    assert [
        place for place, lines in named.items() if any(line.id == "eu-116006" for line in lines)
    ] == ["PT"]


def test_notes_name_the_options_for_needs() -> None:
    assert "--threat if somebody only threatens" in find_help((), HelpNeed()).notes[0]
    assert "--threat --under-18" in "".join(find_help((Place("NG"),), HelpNeed(threat=True)).notes)


def test_at_least_75_countries_have_their_own_help_line() -> None:
    theirs = {
        country
        for country in COUNTRIES
        if any(line.place.partition("-")[0] == country for line in help_lines_for(country))
    }
    assert len(theirs) >= 75
    assert theirs >= EXPECTED_COUNTRIES
    for country in theirs:
        assert help_lines_for(country)[0].place.partition("-")[0] == country, country


@pytest.mark.parametrize("need", NEEDS)
def test_every_country_has_a_line_for_every_need(need: HelpNeed) -> None:
    for country in COUNTRIES:
        assert help_lines_for(country, need=need)
    assert all(line.place == WORLDWIDE for line in help_lines_for(need=need))


def test_picture_abuse_comes_before_generic_lines_and_verified_ones_first() -> None:
    assert [line.id for line in help_lines_for("GB")][:2] == ["gb-rph", "gb-samaritans"]
    assert help_lines_for("IN")[0].id == "in-rati"
    kinds = [line.kind for line in help_lines_for("DE") if line.place == "DE"]
    assert kinds[0] is HelpKind.IMAGE_ABUSE
    for place in COUNTRIES:
        local_lines = [line for line in help_lines_for(place) if line.place == place]
        for earlier, later in pairwise(local_lines):
            if earlier.kind is later.kind:
                assert earlier.verified >= later.verified


def test_nearest_lines_come_first_and_worldwide_lines_last() -> None:
    places = [line.place for line in help_lines_for("DE")]
    assert places == sorted(places, key=["DE", "EU", "worldwide"].index)


def test_under_18_gets_only_lines_for_children() -> None:
    young = help_lines_for("GB", need=HelpNeed(under_18=True))
    assert young[0].id == "gb-reportremove"
    assert all(line.for_children for line in young)
    assert "ww-takeitdown" in [line.id for line in young]
    assert "ww-takeitdown" not in [line.id for line in help_lines_for("GB")]


def test_under_threat_police_and_crisis_lines_come_early() -> None:
    kinds = [
        line.kind for line in help_lines_for("US", need=HelpNeed(threat=True)) if line.place == "US"
    ]
    assert kinds[:3] == [HelpKind.IMAGE_ABUSE, HelpKind.POLICE, HelpKind.CRISIS]


def test_in_danger_violence_police_and_crisis_lines_come_first() -> None:
    kinds = [
        line.kind for line in help_lines_for("US", need=HelpNeed(danger=True)) if line.place == "US"
    ]
    assert kinds[:4] == [HelpKind.VIOLENCE, HelpKind.VIOLENCE, HelpKind.POLICE, HelpKind.CRISIS]


def test_adults_see_lines_for_children_only_if_no_other_line_is_about_pictures() -> None:
    assert "ee-lasteabi" in [line.id for line in help_lines_for("EE")]
    assert "nl-helpwanted" in [line.id for line in help_lines_for("NL")]
    assert not any(
        line.kind is HelpKind.CHILDREN for line in help_lines_for("NL") if line.place == "NL"
    )
    (estonian,) = [line for line in help_lines_for("EE") if line.id == "ee-lasteabi"]
    assert "ask whether they help adults too" in " ".join(help_line_in_words(estonian, NOW, UTC))


def test_line_of_a_region_is_shown_for_its_country_too() -> None:
    assert "ca-bc-iips" in [line.id for line in help_lines_for("CA")]
    assert "ca-bc-iips" in [line.id for line in help_lines_for("CA-BC")]
    assert "ca-bc-iips" not in [line.id for line in help_lines_for("CA-ON")]
    assert "ca-988" in [line.id for line in help_lines_for("CA-ON")]


def test_every_line_has_source_day_and_a_way_to_reach_it() -> None:
    every = shipped_help_lines()
    assert len({line.id for line in every}) == len(every) >= 230
    for line in every:
        assert line.source
        assert line.verified_by
        assert line.read_on >= date(2026, 11, 25)
        assert line.phone or line.web or line.chat or line.email
        assert parse_place(line.place) == line.place
        assert not line.opening or line.hours


def test_fact_from_public_code_or_a_number_list_is_unverified() -> None:
    for line in shipped_help_lines():
        if "public code files, no page" in line.source or "itu.int" in line.source:
            assert not line.verified, line.id
    for numbers in shipped_emergency_numbers():
        assert numbers.verified is not ("itu.int" in numbers.source), numbers.place


def test_unverified_or_old_contact_is_shown_with_a_caution() -> None:
    samaritans = next(line for line in help_lines_for("GB") if line.id == "gb-samaritans")
    assert samaritans.cautions(NOW.date()) == ()
    late = NOW + timedelta(days=FACT_FRESH_DAYS + 1)
    assert "read more than 180 days ago" in " ".join(help_line_in_words(samaritans, late, UTC))
    unsure = next(line for line in help_lines_for("EG") if line.place == "EG")
    assert unsure.verified
    unread = next(line for line in shipped_help_lines() if line.id == "al-alo116")
    assert "check first that this is still right" in " ".join(help_line_in_words(unread, NOW, UTC))
    childline = help_lines_for("GB", need=HelpNeed(under_18=True))[0]
    assert "check the number first" in help_line_in_words(childline, NOW, UTC, under_18=True)


def test_hours_are_parsed_only_if_certain_and_else_shown_as_written() -> None:
    shares = next(
        line for line in help_lines_for("NO", need=HelpNeed(under_18=True)) if line.place == "NO"
    )
    assert shares.opening is not None
    sweden = next(
        line for line in help_lines_for("SE", need=HelpNeed(under_18=True)) if line.id == "se-ecpat"
    )
    assert sweden.opening is None
    assert "adult support chat weekdays 15:30-16:30" in " ".join(
        help_line_in_words(sweden, NOW, UTC)
    )


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("DE", "In danger (Germany): call 112 (police: 110)"),
        ("NG", "In danger (Nigeria): call 112"),
        ("AU-NSW", "In danger (Australia): call 000"),
    ],
)
def test_the_emergency_number_is_that_of_the_country(place: str, words: str) -> None:
    (numbers,) = emergency_numbers((Place(place),))
    assert emergency_numbers_in_words(numbers, NOW.date()) == words


def test_every_country_of_the_union_has_112_and_over_200_places_have_numbers() -> None:
    for country in EU:
        (numbers,) = emergency_numbers((Place(country),))
        assert "112" in numbers.any_service
    assert len(shipped_emergency_numbers()) > 200


def test_police_lines_come_with_a_note() -> None:
    assert POLICE_NOTE in find_help((Place("US"),), HelpNeed()).notes
    assert POLICE_NOTE not in find_help((Place("GB"),), HelpNeed()).notes


def test_help_without_a_place_says_how_to_name_one() -> None:
    text = "\n".join(help_in_words(find_help((), HelpNeed()), NOW, UTC))
    assert "entrenous help --place Germany" in text
    assert "StopNCII" in text


def test_place_without_its_own_help_line_has_a_note() -> None:
    found = find_help((Place("AQ"),), HelpNeed())
    assert "No help line of Antarctica is known here" in found.notes[0]


def test_in_danger_help_lines_come_before_the_first_steps() -> None:
    text = list(help_in_words(find_help((Place("US"),), HelpNeed(danger=True)), NOW, UTC))
    assert text[0].startswith("In danger (United States): call 911")
    assert text.index("People who help:") < text.index("You are not safe right now:")


def test_first_steps_after_a_threat_are_ordered_and_differ_under_18() -> None:
    adult = " ".join(shipped_first_steps(FirstStepsId.THREAT).steps)
    order = ["Do not pay", "Stop answering", "Save the demand", "StopNCII", "report the account"]
    assert [adult.index(words) for words in order] == sorted(adult.index(w) for w in order)
    young = " ".join(shipped_first_steps(FirstStepsId.THREAT, under_18=True).steps)
    assert "Do not copy or save the nude picture" in young
    assert "takeitdown.ncmec.org" in young
    assert "StopNCII" not in young
    assert "takeitdown" not in adult


@pytest.mark.parametrize("table_name", HELP_TABLE_NAMES)
def test_help_table_with_an_invalid_row_is_refused(table_name: str) -> None:
    row = (
        'schema = 1\nread_on = 2026-11-30\n[contact.x]\nplace = "GB"\nkind = "crisis"\n'
        'for_children = true\nname = "N"\nwho = "w"\nlanguages = []\nconfidential = true\n'
        'source = "s"\nverified = true\nverified_by = "v"\n'
    )
    assert read_help_lines(f'{row}phone = "1"\n'.encode(), table_name)[0].id == "x"
    invalid_ends = ["", 'phone = "1"\nfax = "2"\n', 'phone = "1"\nopen = "always"\n']
    invalid_ends += ['phone = "1"\nhours = "x"\nopen = "Mon 9-17"\nzone = "Europe/London"\n']
    for end in invalid_ends:
        with pytest.raises(BadTable):
            read_help_lines((row + end).encode(), table_name)
    with pytest.raises(BadTable):
        read_emergency_numbers(b"schema = 2")


@pytest.mark.skipif(not COLLECTED_FACTS.exists(), reason="../shared/facts is not here")
def test_shipped_help_lines_equal_the_collected_facts() -> None:
    """Names, notes for maintainers, and help lines in REREAD_LINES are not compared."""
    shipped = {line.id: line for line in shipped_help_lines()}
    facts = tomllib.loads((COLLECTED_FACTS / "support-world.toml").read_text())["contact"]
    assert len(facts) == 125
    texts = ("place", "hours", "email", "web", "chat", "cost", "phone")
    assert {
        id_ for id_ in REREAD_LINES if shipped[id_].read_on > facts[id_]["read_on"]
    } == REREAD_LINES
    for id_, row in facts.items():
        line = shipped[id_]
        if id_ in REREAD_LINES:
            continue
        assert [getattr(line, text) for text in texts] == [row.get(text, "") for text in texts]
        assert line.for_children is row["for_children"]
        assert line.verified is row["verified"]
        assert line.phone_verified is row.get("phone_verified", True)
        assert list(line.languages) == row["languages"]
        assert line.read_on == row["read_on"]


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("0800 22 55 530", ["tel:08002255530"]),
        ("+44 (0)345 6000 459", ["tel:+443456000459"]),
        ("1-800-843-5678 (1-800-THE-LOST)", ["tel:18008435678"]),
        ("1-888-NO-ABUSE", ["tel:18886622873"]),
        ("#8103 (sex crimes); #9110", ["tel:%238103", "tel:%239110"]),
        ("", []),
        ("only in writing", []),
    ],
)
def test_telephone_numbers_become_links(text: str, links: list[str]) -> None:
    assert [one.link for one in parse_telephone_numbers(text)] == links


def test_every_line_with_a_telephone_can_be_called() -> None:
    for line in shipped_help_lines():
        found = parse_telephone_numbers(line.phone)
        assert len(found) == len([part for part in line.phone.split(";") if part.strip()])
        assert all(re.fullmatch(r"[+*#]?\d{2,15}", one.dialled) for one in found), line.id
