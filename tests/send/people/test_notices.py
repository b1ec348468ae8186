"""Tests of reports that a contact's devices or keys changed, and of dismissing notices."""

from dataclasses import replace

from entrenous.base.identifiers import DeviceId, MailboxId
from entrenous.base.identity import Trust
from entrenous.send.devices.device_lists import removed_devices
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.people.contact_history import record_contact_change, take_contact_changes
from entrenous.send.people.invite import add_person, make_invite_link, queue_hellos
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.people.notices import dismiss_notice, unread_notices
from tests.send.send_device import Network
from tests.send.signed_lists import certify_another_device, issue_key_bundle


def test_key_bundle_with_a_new_device_is_reported(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    issue_key_bundle(ana, further_devices=(certify_another_device(ana),))
    queue_hellos(contact_named("ben", ana.device), None, ana.device)
    flush_outbox(ana.device)
    fetch_messages(ben.device)
    assert contact_named("ana", ben.device).changed_at == friends.clock.now()
    (changed,) = take_contact_changes(ben.device)
    assert (changed.name, changed.devices_added, changed.devices_removed, changed.trust_lost) == (
        "ana",
        1,
        0,
        False,
    )
    assert changed.at == friends.clock.now()
    assert take_contact_changes(ben.device) == ()


def test_unchanged_key_bundle_is_not_reported(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    queue_hellos(contact_named("ben", ana.device), None, ana.device)
    flush_outbox(ana.device)
    fetch_messages(ben.device)
    assert take_contact_changes(ben.device) == ()
    assert contact_named("ana", ben.device).changed_at is None


def test_other_keys_under_one_device_id_are_a_new_device(friends: Network) -> None:
    """A device that only moved to another mailbox is not new."""
    ana = friends["ana"]
    before = contact_named("ben", ana.device)
    (key,) = before.person.devices
    for changed, count in (
        (replace(key, ed25519=bytes(32)), 1),
        (replace(key, curve25519=bytes(32)), 1),
        (replace(key, mailbox=MailboxId(bytes(16))), 0),
    ):
        after = replace(before.person, devices=(changed,))
        record_contact_change(before, replace(before, person=after), ana.device)
        assert [
            (one.devices_added, one.devices_removed) for one in take_contact_changes(ana.device)
        ] == [(1, 1)] * count
        assert removed_devices(before.person, after) == (key.device,) * count


def test_removed_devices_and_lost_trust_are_reported(friends: Network) -> None:
    ana = friends["ana"]
    before = contact_named("ben", ana.device)
    key = replace(before.person.devices[0], device=DeviceId(bytes(16)))
    after = replace(before, person=replace(before.person, devices=(key,)), trust=Trust.UNKNOWN)
    assert record_contact_change(before, after, ana.device).changed_at is not None
    (changed,) = take_contact_changes(ana.device)
    assert (changed.devices_added, changed.devices_removed, changed.trust_lost) == (1, 1, True)


def test_a_notice_stays_until_it_is_dismissed() -> None:
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben")
    add_person(make_invite_link(ana.device), "ana", ben.device)
    fetch_messages(ana.device)
    for _ in range(2):
        (notice,) = unread_notices(ana.device)
        assert "joined by your link" in notice.words
    dismiss_notice(notice.id, ana.device)
    assert unread_notices(ana.device) == ()
    dismiss_notice(notice.id, ana.device)
    dismiss_notice("self name", ana.device)
