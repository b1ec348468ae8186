"""What a draft leaves open is filled in by the person, until it is sent."""

import pytest

from entrenous.respond.case_file import find_case
from entrenous.respond.case_status import NoticeEvent, record_notice_event
from entrenous.respond.letters.draft import write_notice
from entrenous.respond.letters.fill_gaps import AlreadySent, fill_gaps
from entrenous.respond.open_case import add_sighting
from tests.respond.room import Room, lived_in, seen


def test_a_gap_is_replaced_everywhere_and_no_longer_missing() -> None:
    room = Room()
    case = room.opens(lived_in("US"))
    add_sighting(case.name, seen(), room.device)
    drafted = write_notice(case.name, "us-tida-removal", room.device)
    first, *rest = drafted.missing
    assert first in drafted.letter
    filled = fill_gaps(case.name, 1, {first: " Ana [Ruiz] \n"}, room.device).notices[0]
    assert first not in filled.letter
    assert "Ana [Ruiz]" in filled.letter
    assert any("Ana [Ruiz]" in line for part in filled.parts for line in part.lines)
    assert filled.missing == tuple(gap for gap in rest if gap != first)
    assert find_case(case.name, room.device).notices[0] == filled
    same = fill_gaps(case.name, 1, {"[what is not missing]": "x", rest[0]: "  "}, room.device)
    assert same.notices[0] == filled


def test_what_was_filled_in_is_not_searched_for_gaps() -> None:
    room = Room()
    case = room.opens(lived_in("US"))
    add_sighting(case.name, seen(), room.device)
    first, second, *_ = dict.fromkeys(
        write_notice(case.name, "us-tida-removal", room.device).missing
    )
    filled = fill_gaps(case.name, 1, {first: f"A {second} B", second: "C"}, room.device).notices[0]
    assert f"A {second} B" in filled.letter
    assert "A C B" not in filled.letter


def test_what_was_sent_stays_as_it_was() -> None:
    room = Room()
    case = room.opens(lived_in("US"))
    add_sighting(case.name, seen(), room.device)
    drafted = write_notice(case.name, "us-tida-removal", room.device)
    record_notice_event(case.name, 1, NoticeEvent.SEND, room.clock.now(), room.device)
    with pytest.raises(AlreadySent):
        fill_gaps(case.name, 1, {drafted.missing[0]: "Ana"}, room.device)
