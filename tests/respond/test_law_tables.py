"""Tests of the shipped laws (ids, sources, documents, periods), and of refusing invalid tables."""

import re
import tomllib
from datetime import date
from importlib import resources
from pathlib import Path

import pytest

from entrenous.respond.law.counting import PeriodUnit, read_period
from entrenous.respond.law.deadlines import (
    clause_duration,
    clause_in_words,
    deadline_clauses_of,
)
from entrenous.respond.law.law_tables import (
    BadTable,
    read_changes,
    read_routes,
    shipped_changes,
    shipped_routes,
)
from entrenous.respond.law.legal_route import DeadlineStart, DocumentKind, RouteKind, WhetherCovered
from entrenous.respond.situation import Spread

FACTS_FOLDER = resources.files("entrenous.respond").joinpath("facts")
LAW_TABLES = {file.name: file.read_bytes() for file in FACTS_FOLDER.joinpath("laws").iterdir()}
AMERICAN_TABLE = "north-america.toml"
COLLECTED_FACTS = Path(__file__).parents[3] / "shared" / "facts"
FIRST_READ_ON = date(2026, 11, 25)
_REREAD_COLUMNS = ("read_on", "source", "source2", "verified", "verified_by")
CHANGED_COLUMNS = {  # columns in which a shipped law may differ from the collected facts
    **dict.fromkeys(("eu-gdpr-77", "eu-dsa-53", "uk-gdpr-17", "ke-cmca-37"), _REREAD_COLUMNS),
    **dict.fromkeys(("us-tida-crime", "nz-hdca"), _REREAD_COLUMNS),
    "hash-stopncii": (*_REREAD_COLUMNS, "law"),
    "ca-cc-162-1": (*_REREAD_COLUMNS, "scope", "escalation"),
    "au-osa-77": (*_REREAD_COLUMNS, "escalation"),
    "cl-cp-161d": (*_REREAD_COLUMNS, "penalty"),
    "hash-takeitdown": ("law",),  # the shipped text omits the word "hash"
    "ng-nitda-code": ("caution",),  # the shipped text omits a note for maintainers
    "br-mci-21": ("in_force_from",),  # the older law is now a separate version
}
DEADLINES_IN_WORDS = frozenset(  # the collected deadlines contain codes and notes to editors
    {
        *("mx-olimpia", "cl-cp-161d", "co-tutela", "uk-gdpr-17", "uk-gdpr-33", "pk-peca-21"),
        *("sg-osra-osc", "kr-support", "hk-159aae", "au-privacy-tort", "nz-hdca", "de-kug-22"),
        *("at-mandatsverfahren", "es-aepd-canal", "eu-dsa-16", "eu-dsa-20", "eu-dsa-21"),
        *("eu-dsa-22", "eu-gdpr-17", "eu-gdpr-33", "eu-gdpr-77", "us-ca-22671"),
        *("us-ca-ccpa-delete", "ca-bc-iipa", "ca-qc-p9-0002", "il-psh-3a5a", "tr-5651-9a"),
    }
)


def test_every_route_has_a_source_and_a_date() -> None:
    assert all(route.source and route.read_on >= FIRST_READ_ON for route in shipped_routes())


def test_routes_have_unique_ids_and_cover_all_kinds() -> None:
    routes = shipped_routes()
    assert len({route.id for route in routes}) == len(routes) == 92
    assert {route.kind for route in routes} == set(RouteKind)
    assert {route.document for route in routes} == set(DocumentKind)


def test_document_of_a_route_fits_its_kind() -> None:
    documents = {
        RouteKind.POLICE: {DocumentKind.POLICE_SHEET, DocumentKind.COMPLAINT},
        RouteKind.COURT: {DocumentKind.COURT_SHEET},
        RouteKind.BANK: {DocumentKind.HASH_BANK},
        RouteKind.SENDER: {DocumentKind.LETTER},
        RouteKind.REGULATOR: {DocumentKind.COMPLAINT},
        RouteKind.ESCALATION: {DocumentKind.COMPLAINT},
        RouteKind.DUTY: {DocumentKind.NONE},
        RouteKind.HELPER: {DocumentKind.NONE},
    }
    either = {DocumentKind.FORM, DocumentKind.LETTER}
    for route in shipped_routes():
        assert route.document in documents.get(route.kind, either), route.id


def test_posted_agrees_with_covers_private_sharing() -> None:
    for route in shipped_routes():
        in_chats = {Spread.GROUP, Spread.PRIVATE} & set(route.posted)
        if route.covers_private_sharing is WhetherCovered.YES:
            assert Spread.PRIVATE in route.posted, route.id
        if route.covers_private_sharing is WhetherCovered.NO and route.kind is not RouteKind.BANK:
            assert not in_chats, route.id
        assert Spread.GROUP in route.posted or Spread.PRIVATE not in route.posted, route.id
        assert Spread.PUBLIC in route.posted, route.id


def test_letter_to_the_sender_needs_a_known_sender() -> None:
    assert all(r.sender_known for r in shipped_routes() if r.kind is RouteKind.SENDER)


def test_changes_of_law_have_sources_and_bills_are_not_announced() -> None:
    changes = shipped_changes()
    assert len(changes) == 19
    assert all(change.source and change.verified_by for change in changes)
    assert not [change.id for change in changes if change.tell and not change.law]
    bills = {change.id for change in changes if not change.law}
    assert {"de-digital-violence-bill", "dk-deepfake", "us-6851"} <= bills


@pytest.mark.skipif(not COLLECTED_FACTS.exists(), reason="../shared/facts is not here")
@pytest.mark.parametrize("file_name", ["laws.toml", "laws-more.toml"])
def test_shipped_laws_equal_the_collected_facts_but_for_listed_columns(file_name: str) -> None:
    collected = tomllib.loads((COLLECTED_FACTS / file_name).read_text())
    shipped: dict[str, dict[str, dict[str, object]]] = {"route": {}, "update": {}}
    for data in LAW_TABLES.values():
        for table, rows in tomllib.loads(data.decode()).items():
            if isinstance(rows, dict):
                shipped[table] |= rows
    for table in ("route", "update"):
        for id_, row in collected.get(table, {}).items():
            same = row.keys() - CHANGED_COLUMNS.get(id_, ())
            if id_ in DEADLINES_IN_WORDS:
                same.discard("deadline_rule")
            assert {c: shipped[table][id_][c] for c in same} == {c: row[c] for c in same}, id_


def test_deadline_hours_equal_the_deadline_rule() -> None:
    for route in shipped_routes():
        if route.deadline_hours is not None:
            period = read_period(route.deadline_rule)
            assert period is not None
            hours = {PeriodUnit.HOURS: 1, PeriodUnit.DAYS: 24}[period.unit] * period.number
            assert hours == route.deadline_hours, route.id


def test_a_month_is_never_given_in_hours() -> None:
    monthly = [route for route in shipped_routes() if re.match(r"P\d+M", route.deadline_rule)]
    assert len(monthly) == 3  # all in the GDPR or the UK GDPR
    assert all(route.deadline_hours is None for route in monthly)


def test_route_has_a_clock_if_and_only_if_its_rule_has_a_duration() -> None:
    for route in shipped_routes():
        assert (route.clock is DeadlineStart.NONE) == (not clause_duration(route.deadline_rule)), (
            route.id
        )


def test_clause_shown_to_people_has_no_codes_and_no_notes_of_editors() -> None:
    shown = {
        (route.id, clause_in_words(clause))
        for route in shipped_routes()
        for clause in deadline_clauses_of(route)
    }
    assert ("eu-dsa-20", "timely") in shown
    assert [one for one in shown if re.search(r"\bPT?\d|undue-delay|re-verify", one[1])] == []


def test_reference_to_another_route_is_replaced_by_its_text() -> None:
    by_id = {route.id: route for route in shipped_routes()}
    search, report = by_id["uk-osa-27-search"], by_id["uk-osa-20a"]  # type: ignore[index]
    assert search.elements == report.elements
    assert search.addressee != report.addressee
    assert not any(
        text.startswith("as ") and text[3:] in by_id
        for route in shipped_routes()
        for text in (*route.elements, route.scope, route.who_may_file, route.addressee)
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"schema = 1", b"schema = 2"),
        (b'kind = "platform"', b'kind = "magic"'),
        (b"\nverified = true", b'\nverified = "yes"'),
        (b"\nverified = true", b"\nverified = true\nverifed_at = 1"),
        (b"deadline_hours = 48", b"deadline_hours = 48.5"),
        (b"in_force_from = 2026-05-19", b'in_force_from = "2026-05-19"'),
        (b'source = "https://uscode', b'sauce = "https://uscode'),
        (b'clock = "receipt"', b""),
        (b'document = "form"', b'document = "fax"'),
        (b'posted = ["public", "group", "private"]', b'posted = ["everywhere"]'),
        (b'representative = "yes"', b"representative = true"),
        (b"schema = 1", b"schema = 1\n[["),
        (b"schema = 1", b"\xff"),
    ],
)
def test_invalid_law_table_is_refused(old: bytes, new: bytes) -> None:
    assert old in LAW_TABLES[AMERICAN_TABLE]
    with pytest.raises(BadTable, match=r"north-america\.toml"):
        read_routes({**LAW_TABLES, AMERICAN_TABLE: LAW_TABLES[AMERICAN_TABLE].replace(old, new, 1)})


def test_an_id_in_two_law_tables_is_refused() -> None:
    with pytest.raises(BadTable, match="this id is in"):
        read_routes({**LAW_TABLES, "twice.toml": LAW_TABLES["worldwide.toml"]})


def test_change_of_an_unknown_route_is_refused() -> None:
    changed = LAW_TABLES[AMERICAN_TABLE].replace(b'route = "us-6851"', b'route = "us-6852"')
    with pytest.raises(BadTable, match="there is no route us-6852"):
        read_changes({**LAW_TABLES, AMERICAN_TABLE: changed})
