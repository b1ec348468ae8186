"""What watching stores: found quickly, beside the cases, and gone with them."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from entrenous.respond.case_file import CaseClosed, find_case
from entrenous.respond.case_status import close_case, erase_case
from entrenous.respond.custody import chain
from entrenous.respond.nouns import NothingThere, Reach
from entrenous.respond.open_case import add_sighting
from entrenous.respond.watch.records import (
    DUE,
    LOOKS,
    WATCHED,
    NotAgreed,
    NotWatchable,
    agree,
    due,
    has_agreed,
    save_watched,
    watch_off,
    watch_on,
    watched_in,
    what_the_site_sees,
)
from entrenous.respond.watch.states import Watched
from tests.respond.room import START, Room, seen


@pytest.fixture
def name(room: Room) -> str:
    case = room.opens()
    add_sighting(case.name, seen(), room.device)
    add_sighting(case.name, seen("the football group", Reach.PRIVATE), room.device)
    return case.name


def test_watching_is_off_until_she_agrees(room: Room, name: str) -> None:
    with pytest.raises(NotAgreed):
        watch_on(name, 1, room.device, by_proxy=False)
    assert room.vault.keys(WATCHED.name) == ()
    agree(room.device, by_proxy=False)
    assert watch_on(name, 1, room.device, by_proxy=False).due_at == START


def test_what_the_site_sees_is_said_with_and_without_a_proxy() -> None:
    plain, hidden = (" ".join(what_the_site_sees(by_proxy=by)) for by in (False, True))
    assert "your IP address" in plain
    assert "not yours" in hidden
    assert all("Entrenous" in text and "when" in text for text in (plain, hidden))


@pytest.mark.parametrize(
    ("agreed", "asked", "holds"),
    [(False, False, True), (False, True, True), (True, True, True), (True, False, False)],
)
def test_agreement_covers_what_is_seen(
    room: Room, *, agreed: bool, asked: bool, holds: bool
) -> None:
    agree(room.device, by_proxy=agreed)
    assert has_agreed(room.device, by_proxy=asked) is holds


def test_chats_and_missing_sightings_cannot_be_watched(room: Room, name: str) -> None:
    agree(room.device, by_proxy=False)
    with pytest.raises(NotWatchable):
        watch_on(name, 2, room.device, by_proxy=False)
    with pytest.raises(NothingThere):
        watch_on(name, 3, room.device, by_proxy=False)
    close_case(name, room.device)
    with pytest.raises(CaseClosed):
        watch_on(name, 1, room.device, by_proxy=False)


def test_watching_adds_nothing_to_the_case(room: Room, name: str) -> None:
    before = find_case(name, room.device)
    agree(room.device, by_proxy=False)
    watch_on(name, 1, room.device, by_proxy=False)
    assert find_case(name, room.device) == before
    assert len(chain(before.name, room.device)) == before.links


def test_switching_on_twice_keeps_what_is_known(room: Room, name: str) -> None:
    agree(room.device, by_proxy=False)
    first = replace(watch_on(name, 1, room.device, by_proxy=False), etag='"1"')
    save_watched(first, room.device)
    assert watch_on(name, 1, room.device, by_proxy=False) == first


def test_switching_off_and_erasing_leave_nothing(room: Room, name: str) -> None:
    agree(room.device, by_proxy=False)
    for leave in (lambda: watch_off(name, 1, room.device), lambda: erase_case(name, room.device)):
        watch_on(name, 1, room.device, by_proxy=False)
        room.vault.put(LOOKS, name, b"x")
        leave()
        assert room.vault.keys(WATCHED.name) == room.vault.keys(DUE) == ()
    assert room.vault.keys(LOOKS) == ()


def test_case_whose_name_begins_like_another_is_not_touched(room: Room) -> None:
    room.vault.put(WATCHED.name, "case-ab/0000000001", b"x")
    assert watched_in("case-a", room.device) == ()


def test_due_sightings_among_20_000_are_found_at_once(room: Room, name: str) -> None:
    case = find_case(name, room.device)
    for number in range(1, 20_001):
        at = START + timedelta(minutes=number)
        save_watched(Watched(case.name, number, since=START, due_at=at), room.device)
    start = time.perf_counter()
    found = [one.sighting for one in due(START + timedelta(minutes=30), room.device)]
    assert found == list(range(1, 31))
    assert time.perf_counter() - start < 0.2
