"""Tests of what survives a wrong clock, and of future dates recorded by such a clock."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from entrenous.base.errors import EntrenousError, RelayUnreachable
from entrenous.base.identifiers import EnvelopeId, MailboxId, MessageId
from entrenous.base.identity import DeviceListHead
from entrenous.base.limits import AWAITING_DEVICE_LIST_DAYS_MAX
from entrenous.base.secret import Secret
from entrenous.device.identities import MailboxAddress, clear_next_relay_lock, contacts
from entrenous.device.relay_lock_client import former_addresses
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE
from entrenous.device.vault_tables import (
    EARLY_RECALL,
    INVITE,
    LETTER_AWAITING_DEVICE_LIST,
    MAILBOX_TO_DELETE,
    PREPARED_MAILBOX,
    RETIRED_TOKEN_RANGE,
    SENT_RECORD,
    UNCONFIRMED_RECALL,
    peer_key,
)
from entrenous.send.devices.linked_devices import MailboxDeletion
from entrenous.send.devices.move_device import move_all_devices
from entrenous.send.devices.next_mailbox import (
    PREPARED_MAILBOX_TABLE,
    PreparedMailbox,
    prepare_to_follow_moves,
)
from entrenous.send.devices.old_mailbox import old_mailboxes_due_for_fetch
from entrenous.send.devices.own_key_bundle import schedule_mailbox_deletion
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages, remove_received_message
from entrenous.send.letter.arrivals import (
    LETTER_AWAITING_DEVICE_LIST_TABLE,
    LetterAwaitingDeviceList,
    apply_recall,
)
from entrenous.send.letter.letter_nouns import (
    OWN_XWING_KEY_TABLE,
    OwnXWingKey,
    PersonDeviceListHead,
    RecallNote,
)
from entrenous.send.letter.receipts import OWED_RECEIPT_TABLE, OwedReceipt
from entrenous.send.message.draft import RecallIncomplete
from entrenous.send.message.states import InboxState
from entrenous.send.open import open_message
from entrenous.send.people.contact_history import (
    LAST_HEARD_TABLE,
    SENT_RECORD_TABLE,
    LastHeard,
)
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_named, mark_keys_compared, store_contact
from entrenous.send.people.people_nouns import DEVICE_LIST_TO_FETCH_TABLE, DeviceListToFetch
from entrenous.send.recall import recall_message
from entrenous.send.status import query_sent_messages
from entrenous.send.tokens.token_ranges import (
    ISSUED_TOKEN_RANGE_TABLE,
    RETIRED_TOKEN_RANGE_TABLE,
    IssuedRange,
    RetiredIssuedRange,
)
from entrenous.wire.relay_nouns import EnvelopeState, WaitingEnvelope
from tests.deterministic import SettableClock
from tests.send.send_device import OTHER_RELAY_URL, RELAY_URL, SMALL_PICTURE, Network, Person
from tests.send.test_guard import guard_reasons
from tests.village.households import owner_and_device_ids, tokens_for_peer
from tests.village.malicious_relay import error_trick

pytestmark = pytest.mark.slow

FAR_AHEAD = timedelta(days=400)


@contextmanager
def clock_ahead(
    network: Network, person: Person, clock_error: timedelta = FAR_AHEAD
) -> Iterator[None]:
    """Make one person's clock wrong by ``clock_error`` within the block."""
    right = person.device
    person.device = replace(right, clock=SettableClock(network.clock.moment + clock_error))
    yield
    person.device = right


def fetch_with_clock_ahead(network: Network, person: Person) -> None:
    """Fetch once with a person's clock ahead, then once with the right clock."""
    with clock_ahead(network, person), suppress(EntrenousError):
        fetch_messages(person.device)
    fetch_messages(person.device)


def make_clock_ahead_trusted(network: Network, person: Person) -> None:
    """Keep a person's clock ahead for more than an hour, so that the device trusts the clock."""
    with clock_ahead(network, person):
        fetch_messages(person.device)
    with clock_ahead(network, person, FAR_AHEAD + timedelta(minutes=90)):
        fetch_messages(person.device)


def copy_state(ana: Person) -> EnvelopeState:
    ((copy,),) = (one.copies for one in query_sent_messages(ana.device))
    return copy.state


def test_removing_a_message_with_a_wrong_clock_expires_no_other(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    names = [ana.send(SMALL_PICTURE, ben).name for _ in range(2)]
    fetch_messages(ben.device)
    for name in names:
        open_message(name, ben.device)
    with clock_ahead(friends, ben):
        remove_received_message(names[0], ben.device)
        received_messages(ben.device)
    states = {one.name: one.state for one in received_messages(ben.device)}
    assert states == {names[0]: InboxState.REMOVED, names[1]: InboxState.OPENED}
    assert open_message(names[1], ben.device).files


def test_messages_expire_even_if_every_fetch_is_forty_days_apart(friends: Network) -> None:
    """After forty days without a fetch, the clock counts as implausible. The next fetch then marks
    a message as expired only if the message had expired by the time of the previous fetch.
    """
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    fetch_messages(ben.device)
    open_message(name, ben.device)
    for ended in (InboxState.OPENED, InboxState.EXPIRED):
        friends.clock.advance(days=40)
        fetch_messages(ben.device)
        assert [one.state for one in received_messages(ben.device)] == [ended]


def test_a_copy_is_not_marked_expired_by_the_clock_alone(friends: Network) -> None:
    """A single implausible reading of the clock must not expire the copy."""
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    with clock_ahead(friends, ana):
        assert copy_state(ana) is EnvelopeState.WAITING
    fetch_messages(ben.device)
    open_message(name, ben.device)
    assert copy_state(ana) is EnvelopeState.OPENED


def test_a_copy_wrongly_marked_expired_is_still_asked_about(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    make_clock_ahead_trusted(friends, ana)
    with clock_ahead(friends, ana, FAR_AHEAD + timedelta(hours=3)):
        assert copy_state(ana) is EnvelopeState.EXPIRED
    fetch_messages(ben.device)
    open_message(name, ben.device)
    assert copy_state(ana) is EnvelopeState.OPENED


def test_a_signed_receipt_overrides_a_recorded_expiry(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    mark_keys_compared("ana", ben.device)
    name = ana.send(SMALL_PICTURE, ben).name
    (copy,) = COPY_DELIVERY_TABLE.all(ana.device.vault)
    COPY_DELIVERY_TABLE.store(
        replace(copy, state=EnvelopeState.EXPIRED), copy.envelope.hex(), ana.device.vault
    )
    fetch_messages(ben.device)
    open_message(name, ben.device)
    friends.clock.advance(days=8)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    assert copy_state(ana) is EnvelopeState.OPENED


@pytest.mark.parametrize("unreachable", [False, True])
def test_an_old_mailbox_survives_a_clock_that_was_ahead(
    friends: Network, *, unreachable: bool
) -> None:
    ana = friends["ana"]
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    clear_next_relay_lock(ana.device)
    if unreachable:
        friends.disconnect(RELAY_URL)
    with clock_ahead(friends, ana):
        fetch_messages(ana.device)
        fetch_messages(ana.device)
    (old,) = former_addresses(ana.device)
    assert old.until < friends.clock.moment + timedelta(days=31)
    assert old_mailboxes_due_for_fetch(ana.device) == (old,)


def test_a_replaced_prekey_survives_a_clock_that_was_ahead(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    link = make_invite_link(ben.device)
    with (
        ana.courier.replace_calls(post=error_trick(RelayUnreachable(host="x"))),
        suppress(EntrenousError),
    ):
        add_person(link, "ben", ana.device)
    network.clock.advance(days=7, minutes=1)
    fetch_messages(ben.device)  # the prekey is rotated as usual
    with clock_ahead(network, ben):
        fetch_messages(ben.device)
    fetch_messages(ana.device)
    fetch_messages(ben.device)
    assert len(contacts(ben.device)) == 1


def own_xwing_prekeys(person: Person) -> list[OwnXWingKey]:
    return [key for key in OWN_XWING_KEY_TABLE.all(person.device.vault) if key.peer is None]


@pytest.mark.slow
@pytest.mark.parametrize("clock_error", [timedelta(days=20), FAR_AHEAD])
def test_a_prekey_with_a_future_date_is_rotated_and_deleted(
    friends: Network, clock_error: timedelta
) -> None:
    ben = friends["ben"]
    friends.clock.advance(days=8)
    with clock_ahead(friends, ben, clock_error):
        fetch_messages(ben.device)
    new_keys = {key.id for key in own_xwing_prekeys(ben)}
    fetch_messages(ben.device)
    assert {key.id for key in own_xwing_prekeys(ben)} - new_keys
    for _ in range(6):
        friends.clock.advance(days=7)
        fetch_messages(ben.device)
    assert not {key.id for key in own_xwing_prekeys(ben)} & new_keys


def issued_range(person: Person, to: Person) -> IssuedRange:
    key = peer_key(*owner_and_device_ids(to))
    token_range = ISSUED_TOKEN_RANGE_TABLE.load(key, person.device.vault)
    assert token_range is not None
    return token_range


def test_a_token_range_with_a_future_date_is_replaced(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    fetch_messages(ben.device)
    fetch_with_clock_ahead(friends, ben)
    assert issued_range(ben, ana).made_at <= friends.clock.moment
    fetch_messages(ana.device)
    seed = issued_range(ben, ana).seed
    assert tokens_for_peer(ana, ben).seed == seed  # Ana has the newest range
    fetch_messages(ben.device)
    assert issued_range(ben, ana).seed == seed


def test_a_clock_that_is_behind_replaces_no_token_range(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    fetch_messages(ben.device)
    seed = issued_range(ben, ana).seed
    with clock_ahead(friends, ben, datetime(1970, 1, 1, tzinfo=UTC) - friends.clock.moment):
        fetch_messages(ben.device)
    fetch_messages(ben.device)
    assert issued_range(ben, ana).seed == seed
    assert ben.device.vault.keys(RETIRED_TOKEN_RANGE) == ()


def test_a_replaced_token_range_is_valid_for_a_week(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    fetch_messages(ben.device)
    for made_ahead in (False, True):
        drop_at = (
            friends.clock.moment + timedelta(days=7) + (FAR_AHEAD if made_ahead else timedelta())
        )
        old = RetiredIssuedRange(Secret(bytes(32)), 0, 8, drop_at)
        RETIRED_TOKEN_RANGE_TABLE.store(
            old, f"{peer_key(*owner_and_device_ids(ana))} {made_ahead:02x}", ben.device.vault
        )
    fetch_with_clock_ahead(friends, ben)
    assert sum(one.seed == old.seed for one in retired_ranges(ben)) == 2
    friends.clock.advance(days=8)
    fetch_messages(ben.device)
    assert all(one.seed != old.seed for one in retired_ranges(ben))


def retired_ranges(person: Person) -> list[RetiredIssuedRange]:
    return list(RETIRED_TOKEN_RANGE_TABLE.all(person.device.vault))


def test_letters_awaiting_a_list_survive_a_clock_that_was_ahead(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    letter = WaitingEnvelope(
        EnvelopeId(bytes(16)), 1, b"x", friends.clock.moment + timedelta(days=20)
    )
    missing_head = PersonDeviceListHead(ana.id, 9, bytes(32))
    awaiting = LetterAwaitingDeviceList(letter, missing_head, ana.id, friends.clock.moment)
    LETTER_AWAITING_DEVICE_LIST_TABLE.store(awaiting, letter.id.hex(), ben.device.vault)
    fetch_with_clock_ahead(friends, ben)
    assert ben.device.vault.keys(LETTER_AWAITING_DEVICE_LIST)
    friends.clock.advance(days=AWAITING_DEVICE_LIST_DAYS_MAX + 1)
    fetch_messages(ben.device)
    assert not ben.device.vault.keys(LETTER_AWAITING_DEVICE_LIST)


def test_an_invite_survives_a_clock_that_was_ahead(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    link = make_invite_link(ben.device)
    add_person(link, "ben", ana.device)
    with clock_ahead(network, ben):
        fetch_messages(ben.device)
    fetch_messages(ben.device)
    assert len(contacts(ben.device)) == 1


def test_a_new_invite_with_a_wrong_clock_deletes_no_other(network: Network) -> None:
    ben = network["ben"]
    make_invite_link(ben.device)
    (lock,) = ben.device.vault.keys(INVITE)
    with clock_ahead(network, ben):
        make_invite_link(ben.device)
    assert lock in ben.device.vault.keys(INVITE)


def test_recall_that_did_not_reach_the_relay_is_repeated_after_a_clock_error(
    friends: Network,
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    with ana.courier.replace_calls(withdraw=error_trick(RelayUnreachable(host="x"))):
        with pytest.raises(RecallIncomplete):
            recall_message(name, ana.device)
        with clock_ahead(friends, ana):
            fetch_messages(ana.device)
    fetch_messages(ana.device)
    assert copy_state(ana) is EnvelopeState.TAKEN_BACK
    assert not ana.device.vault.keys(UNCONFIRMED_RECALL)


def test_an_early_recall_note_survives_a_clock_that_was_ahead(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    apply_recall(RecallNote(MessageId(bytes(16))), ana.id, ben.device)
    with clock_ahead(friends, ben):
        apply_recall(RecallNote(MessageId(bytes([1]) * 16)), ana.id, ben.device)
    assert len(ben.device.vault.keys(EARLY_RECALL)) == 2


@pytest.mark.parametrize("date_field", ["give_up_at", "not_before"])
def test_a_mailbox_deletion_is_carried_out_after_a_clock_error(
    friends: Network, date_field: str
) -> None:
    ana = friends["ana"]
    lost_device = friends.set_up_person("lost")
    url, mailbox, owner = lost_device.home
    moment = friends.clock.moment + (FAR_AHEAD if date_field == "not_before" else timedelta(days=7))
    schedule_mailbox_deletion(
        replace(MailboxDeletion(url, mailbox, owner), **{date_field: moment}), ana.device
    )
    with (
        ana.courier.replace_calls(close_mailbox=error_trick(RelayUnreachable(host="x"))),
        clock_ahead(friends, ana),
    ):
        fetch_messages(ana.device)
    assert ana.device.vault.keys(MAILBOX_TO_DELETE)
    fetch_messages(ana.device)
    friends.clock.advance(hours=1)
    fetch_messages(ana.device)
    assert not ana.device.vault.keys(MAILBOX_TO_DELETE)


def test_receipts_do_not_wait_for_a_future_date(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    mark_keys_compared("ana", ben.device)
    ana.send(SMALL_PICTURE, ben)
    with clock_ahead(friends, ben):
        fetch_messages(ben.device)
    assert [one.due_at > friends.clock.moment + FAR_AHEAD for one in owed_receipts(ben)] == [True]
    fetch_messages(ben.device)
    assert owed_receipts(ben) == []


def owed_receipts(person: Person) -> list[OwedReceipt]:
    return list(OWED_RECEIPT_TABLE.all(person.device.vault))


def test_an_idle_prepared_mailbox_survives_a_clock_that_was_ahead(friends: Network) -> None:
    ana = friends["ana"]
    home = MailboxAddress(OTHER_RELAY_URL, MailboxId(bytes(16)), Secret(bytes(32)))
    yesterday = friends.clock.moment - timedelta(days=1)
    new = PreparedMailbox(
        home, Secret(bytes(32)), leads=False, idle_since=yesterday, hushed_since=yesterday
    )
    PREPARED_MAILBOX_TABLE.store(new, OTHER_RELAY_URL, ana.device.vault)
    with clock_ahead(friends, ana):
        prepare_to_follow_moves(ana.device)
    assert ana.device.vault.keys(PREPARED_MAILBOX) == (OTHER_RELAY_URL,)
    friends.clock.advance(days=7)
    prepare_to_follow_moves(ana.device)
    assert ana.device.vault.keys(PREPARED_MAILBOX) == ()


def test_device_list_announced_by_a_letter_is_fetched_after_a_clock_error(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    named = DeviceListHead(contact_named("ben", ana.device).person.epoch + 1, bytes(32))
    asked = DeviceListToFetch(named, asked_at=friends.clock.moment + FAR_AHEAD, tries=1)
    DEVICE_LIST_TO_FETCH_TABLE.store(asked, ben.id.hex(), ana.device.vault)
    before = ana.courier.calls["key_bundle"]
    fetch_messages(ana.device)
    fetch_messages(ana.device)
    assert ana.courier.calls["key_bundle"] == before + 1


def test_the_guard_asks_about_a_silent_device_after_a_clock_error(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    future_date = friends.clock.moment + FAR_AHEAD
    LAST_HEARD_TABLE.store(
        LastHeard(future_date, looked_at=future_date),
        peer_key(*owner_and_device_ids(ben)),
        ana.device.vault,
    )
    store_contact(replace(contact_named("ben", ana.device), since=future_date), ana.device)
    (key,) = ana.device.vault.keys(SENT_RECORD, ben.id.hex())
    sent_record = SENT_RECORD_TABLE.load(key, ana.device.vault)
    assert sent_record is not None
    SENT_RECORD_TABLE.store(replace(sent_record, asked_at=future_date), key, ana.device.vault)
    friends.clock.advance(days=22)
    claims = ana.courier.calls["claim_prekeys"]
    assert "has been silent" in guard_reasons(ana, "ben")["ben"]
    assert ana.courier.calls["claim_prekeys"] == claims + 1
