"""Notices stay in the vault until they are dismissed."""

from entrenous.send.fetch import fetch_messages
from entrenous.send.people.invite import add_person, make_invite
from entrenous.send.people.notices import dismiss_notice, unread_notices
from tests.send.send_device import Room


def test_a_notice_stays_until_it_is_dismissed() -> None:
    room = Room()
    ana, ben = room.settles("ana"), room.settles("ben")
    add_person(make_invite(ana.device), "ana", ben.device)
    fetch_messages(ana.device)
    for _ in range(2):
        (notice,) = unread_notices(ana.device)
        assert "joined by your link" in notice.words
    dismiss_notice(notice.id, ana.device)
    assert unread_notices(ana.device) == ()
    dismiss_notice(notice.id, ana.device)
    dismiss_notice("self name", ana.device)
