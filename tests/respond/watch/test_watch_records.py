"""Tests of the records of watched sightings, and of the agreement to watching."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler

import pytest

from entrenous.respond.case_file import CaseClosed, find_case
from entrenous.respond.case_status import close_case, erase_case
from entrenous.respond.custody import custody_chain
from entrenous.respond.nouns import NoSuchCaseEntry, SightingReach
from entrenous.respond.open_case import add_sighting
from entrenous.respond.watch.records import (
    CASE_HASHES_TABLE,
    HOST_POSTPONEMENT_TABLE,
    WATCH_DUE_TABLE,
    WATCHED_TABLE,
    NotWatchable,
    WatchingNotAgreed,
    describe_what_site_sees,
    due_sightings,
    has_agreed_to_watching,
    save_watched,
    start_watching,
    stop_watching,
    store_watching_agreement,
    watched_in_case,
)
from entrenous.respond.watch.states import WatchedSighting
from tests.respond.case_owner import START, CaseOwner, make_sighting
from tests.respond.watch.site import PageWatcher, reply

SILENT_HOST = "127.0.0.1:9"
END_WATCHING = {
    "switched off": lambda watcher: stop_watching(watcher.case, 1, watcher.owner.device),
    "erased": lambda watcher: erase_case(watcher.case, watcher.owner.device),
}


@pytest.fixture
def case_name(owner: CaseOwner) -> str:
    case = owner.open_case()
    add_sighting(case.name, make_sighting(), owner.device)
    add_sighting(
        case.name, make_sighting("the football group", SightingReach.PRIVATE), owner.device
    )
    return case.name


def test_watching_is_off_until_the_person_agrees(owner: CaseOwner, case_name: str) -> None:
    with pytest.raises(WatchingNotAgreed):
        start_watching(case_name, 1, owner.device, by_proxy=False)
    assert owner.vault.keys(WATCHED_TABLE.name) == ()
    store_watching_agreement(owner.device, by_proxy=False)
    assert start_watching(case_name, 1, owner.device, by_proxy=False).due_at == START


def test_description_of_what_the_site_sees_depends_on_the_proxy() -> None:
    plain, hidden = (" ".join(describe_what_site_sees(by_proxy=by)) for by in (False, True))
    assert "your IP address" in plain
    assert "not yours" in hidden
    assert all("Entrenous" in text and "when" in text for text in (plain, hidden))


@pytest.mark.parametrize(
    ("agreed_by_proxy", "by_proxy", "is_valid"),
    [(False, False, True), (False, True, True), (True, True, True), (True, False, False)],
)
def test_agreement_with_a_proxy_covers_no_requests_without_a_proxy(
    owner: CaseOwner, *, agreed_by_proxy: bool, by_proxy: bool, is_valid: bool
) -> None:
    store_watching_agreement(owner.device, by_proxy=agreed_by_proxy)
    assert has_agreed_to_watching(owner.device, by_proxy=by_proxy) is is_valid


def test_chats_missing_sightings_and_closed_cases_cannot_be_watched(
    owner: CaseOwner, case_name: str
) -> None:
    store_watching_agreement(owner.device, by_proxy=False)
    with pytest.raises(NotWatchable):
        start_watching(case_name, 2, owner.device, by_proxy=False)
    with pytest.raises(NoSuchCaseEntry):
        start_watching(case_name, 3, owner.device, by_proxy=False)
    close_case(case_name, owner.device)
    with pytest.raises(CaseClosed):
        start_watching(case_name, 1, owner.device, by_proxy=False)


def test_watching_adds_nothing_to_the_case(owner: CaseOwner, case_name: str) -> None:
    before = find_case(case_name, owner.device)
    store_watching_agreement(owner.device, by_proxy=False)
    start_watching(case_name, 1, owner.device, by_proxy=False)
    assert find_case(case_name, owner.device) == before
    assert len(custody_chain(before.name, owner.device)) == before.links


def test_switching_on_twice_keeps_the_record(owner: CaseOwner, case_name: str) -> None:
    store_watching_agreement(owner.device, by_proxy=False)
    first = replace(start_watching(case_name, 1, owner.device, by_proxy=False), etag='"1"')
    save_watched(first, owner.device)
    assert start_watching(case_name, 1, owner.device, by_proxy=False) == first


def test_switching_off_and_erasing_leave_no_records(owner: CaseOwner, case_name: str) -> None:
    store_watching_agreement(owner.device, by_proxy=False)
    for remove in (
        lambda: stop_watching(case_name, 1, owner.device),
        lambda: erase_case(case_name, owner.device),
    ):
        start_watching(case_name, 1, owner.device, by_proxy=False)
        owner.vault.put(CASE_HASHES_TABLE, case_name, b"x")
        remove()
        assert owner.vault.keys(WATCHED_TABLE.name) == owner.vault.keys(WATCH_DUE_TABLE) == ()
    assert owner.vault.keys(CASE_HASHES_TABLE) == ()


@pytest.mark.real
@pytest.mark.parametrize("end_watching", END_WATCHING.values(), ids=END_WATCHING)
def test_no_host_name_is_left_once_nothing_on_the_host_is_watched(
    watcher: PageWatcher, end_watching: Callable[[PageWatcher], None]
) -> None:
    vault, cases = watcher.owner.vault, list[str]()
    for path in ("/a", "/b"):
        cases.append(watcher.watch_pages(f"http://{SILENT_HOST}{path}").case)
        watcher.check_due(days=8)
    for name, left in zip(cases, [(SILENT_HOST,), ()], strict=True):
        assert vault.keys(HOST_POSTPONEMENT_TABLE.name) == (SILENT_HOST,)
        watcher.case = name
        end_watching(watcher)
        assert vault.keys(HOST_POSTPONEMENT_TABLE.name) == left


@pytest.mark.real
@pytest.mark.parametrize("end_watching", END_WATCHING.values(), ids=END_WATCHING)
def test_check_during_which_watching_ends_leaves_no_host_name(
    watcher: PageWatcher, end_watching: Callable[[PageWatcher], None]
) -> None:
    def end_and_answer(request: BaseHTTPRequestHandler) -> None:
        end_watching(watcher)
        reply(status=503)(request)

    watcher.site.pages["/post"] = end_and_answer
    assert watcher.watch_pages("/post").check_state() == ("unknown", "busy")
    assert watcher.owner.vault.keys(HOST_POSTPONEMENT_TABLE.name) == ()


def test_watched_sightings_of_a_case_with_a_longer_name_are_not_found(owner: CaseOwner) -> None:
    owner.vault.put(WATCHED_TABLE.name, "case-ab/0000000001", b"x")
    assert watched_in_case("case-a", owner.device) == ()


def test_due_sightings_among_20_000_are_found_quickly(owner: CaseOwner, case_name: str) -> None:
    case = find_case(case_name, owner.device)
    with owner.vault.transaction():  # only one, because each transaction copies the vault
        for number in range(1, 20_001):
            at = START + timedelta(minutes=number)
            save_watched(WatchedSighting(case.name, number, since=START, due_at=at), owner.device)
    start = time.process_time()
    found = [one.sighting for one in due_sightings(START + timedelta(minutes=30), owner.device)]
    assert found == list(range(1, 31))
    assert time.process_time() - start < 0.2
