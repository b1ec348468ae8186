"""Tests of moving all devices of a person to another relay."""

from collections.abc import Sequence

import pytest

from entrenous.base.errors import NoSuchMailbox, RelayUnreachable, WrongToken
from entrenous.base.limits import FORMER_MAILBOX_DAYS, PREPARED_MAILBOX_DAYS
from entrenous.device.generation import mark_unlock_unconfirmed
from entrenous.device.identities import clear_next_relay_lock, next_relay_lock, own_device
from entrenous.device.lock_errors import RevokedDeviceLocked
from entrenous.device.relay_lock_client import former_addresses
from entrenous.device.vault_tables import (
    DEVICE_TO_GREET,
    OUTBOX,
    PREPARED_MAILBOX,
    TOKEN_REGISTRATION,
)
from entrenous.send.devices.linked_devices import MailboxUse, UnknownDevice, own_linked_devices
from entrenous.send.devices.move_device import (
    OtherDevicesMustMoveFirst,
    cancel_move,
    move_all_devices,
)
from entrenous.send.devices.next_mailbox import MoveNotFollowed, WaitsForDevices, prepared_mailboxes
from entrenous.send.devices.own_devices import RevocationState, revoke_device
from entrenous.send.devices.own_key_bundle import pending_device_mailbox_deletions
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.message.draft import LetterRefused
from entrenous.send.message.states import InboxState
from entrenous.send.people.contact_history import take_contact_changes
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.people.people_nouns import FollowedMoveState
from entrenous.send.recall import recall_message
from entrenous.terminal.output import join_wrapped_lines
from entrenous.wire.relay_nouns import NoLock
from tests.send.devices.test_link import recovery_sheet_of
from tests.send.send_device import (
    OTHER_RELAY_URL,
    RELAY_URL,
    SMALL_PICTURE,
    Network,
    Person,
    cached_network,
    network_of_three,
)
from tests.village.households import add_linked_device, catch_up, prepare_move
from tests.village.malicious_relay import error_trick

pytestmark = pytest.mark.slow

THIRD_RELAY_URL = "https://relay.example"


@pytest.fixture
@cached_network
def network() -> Network:
    """Ana, who has a laptop and a phone, and Ben are at one relay. Cleo is at another relay."""
    network = network_of_three()
    ana, ben, cleo = (network[name] for name in ("ana", "ben", "cleo"))
    add_linked_device(network, ana, "phone", "phone")
    catch_up(ben, cleo, ana, network["phone"], ben, cleo)
    return network


def move_and_unlock(ana: Person, *others: Person, url: str = OTHER_RELAY_URL) -> None:
    """Move all devices to another relay, and record that each vault uses its new lock.

    In the program, the next unlock of a vault records this.
    """
    prepare_move(ana, *others, url=url)
    move_all_devices(url, None, ana.device)
    catch_up(*others, ana, *others)
    for one in (ana, *others):
        clear_next_relay_lock(one.device)


def keys_of_unfinished_records(*people: Person) -> Sequence[Sequence[str]]:
    tables = OUTBOX, TOKEN_REGISTRATION, DEVICE_TO_GREET, PREPARED_MAILBOX
    return [key for one in people for name in tables for key in one.device.vault.keys(name)]


def is_everything_decrypted(*people: Person) -> bool:
    return [take_undecryptable_count(one.device) for one in people] == [0] * len(people)


def test_all_devices_receive_at_the_new_relay(network: Network) -> None:
    ana, phone, ben, cleo = (network[name] for name in ("ana", "phone", "ben", "cleo"))
    for one in (phone, ben):
        take_contact_changes(one.device)
    move_and_unlock(ana, phone)
    catch_up(ben, cleo, ana, phone)
    assert {one.home[0] for one in (ana, phone)} == {OTHER_RELAY_URL}
    heads = {own_device(one.device).person.head for one in (ana, phone)}
    assert heads == {contact_named("ana", one.device).person.head for one in (ben, cleo)}
    moving_states = [one.moving for one in take_contact_changes(phone.device)]
    assert moving_states == [FollowedMoveState.READY, FollowedMoveState.MOVED]
    assert take_contact_changes(ana.device) == take_contact_changes(ben.device) == ()
    network.disconnect(RELAY_URL)
    cleo.send(SMALL_PICTURE, ana)
    for one in (ana, phone):
        assert one.open_newest().files
        one.send(SMALL_PICTURE, cleo)
        assert cleo.open_newest().files
    network.reconnect(RELAY_URL)
    ben.send(SMALL_PICTURE, ana)
    assert [one.open_newest().files != () for one in (ana, phone)] == [True, True]
    catch_up(ana, phone, ben, cleo)
    assert keys_of_unfinished_records(ana, phone, ben, cleo) == []
    assert is_everything_decrypted(ana, phone, ben, cleo)


def test_a_refused_announcement_of_a_move_names_the_contact(network: Network) -> None:
    """Ben's only device is revoked with its sheet just before Ana moves."""
    ana, phone, ben = (network[name] for name in ("ana", "phone", "ben"))
    home = own_device(ben.device).home
    assert home.close is not None
    ben.device.courier.close_mailbox(RELAY_URL, home.mailbox, home.close)
    prepare_move(ana, phone)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    (problem,) = (one for each in (phone, ana) for one in fetch_messages(each.device).problems)
    assert isinstance(problem, LetterRefused)
    assert "An automatic letter from this device to ben cannot" in str(problem)
    assert join_wrapped_lines(str(NoSuchMailbox())) in join_wrapped_lines(str(problem))


def test_sync_works_after_a_move(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    third = add_linked_device(network, phone, "tablet", "tablet")
    catch_up(ana, phone, third, ana, phone, third)
    move_and_unlock(ana, phone, third)
    catch_up(ana, phone, third, ana, phone, third)
    network.disconnect(RELAY_URL)
    network.set_up_person("dora", OTHER_RELAY_URL).add_contact(phone)
    catch_up(phone, ana, third)
    assert [contact_named("dora", one.device).name for one in (ana, third)] == ["dora"] * 2
    network.reconnect(RELAY_URL)
    assert is_everything_decrypted(ana, phone, third)


def test_nothing_changes_until_all_devices_are_ready(network: Network) -> None:
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    before = own_device(ana.device)
    with pytest.raises(WaitsForDevices, match="phone") as error:
        move_all_devices(OTHER_RELAY_URL, None, ana.device)
    assert OTHER_RELAY_URL in str(error.value)
    assert own_device(ana.device) == before
    with pytest.raises(WaitsForDevices):
        move_all_devices(OTHER_RELAY_URL, None, ana.device)
    assert len(prepared_mailboxes(ana.device)) == 1
    ben.send(SMALL_PICTURE, ana)
    assert [one.open_newest().files != () for one in (ana, phone)] == [True, True]
    catch_up(ana)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    assert ana.home[0] == OTHER_RELAY_URL


def test_late_device_gets_what_was_sent_meanwhile(network: Network) -> None:
    ana, phone, ben, cleo = (network[name] for name in ("ana", "phone", "ben", "cleo"))
    prepare_move(ana, phone)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    catch_up(ben, cleo, ana)
    ben.send(SMALL_PICTURE, ana)
    recalled = cleo.send(SMALL_PICTURE, ana).name
    assert ana.received_count() == 2
    assert recall_message(recalled, cleo.device)
    catch_up(ana)
    network.clock.advance(days=3)
    ben.send(SMALL_PICTURE, ana)
    catch_up(phone, ana, ben, cleo, phone)
    assert phone.home[0] == OTHER_RELAY_URL
    states = [one.state for one in received_messages(phone.device)]
    assert states.count(InboxState.WAITING) == 2
    assert phone.open_newest().files
    catch_up(ana, phone, ben, cleo, ana, phone)
    assert keys_of_unfinished_records(ana, phone, ben, cleo) == []
    assert is_everything_decrypted(ana, phone, ben, cleo)


def test_old_mailbox_is_read_by_each_device_then_deleted(network: Network) -> None:
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    ben.send(SMALL_PICTURE, ana)
    prepare_move(ana, phone)
    before = {one.name: one.home for one in (ana, phone)}
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    catch_up(ana, phone)
    for one in (ana, phone):
        assert one.open_newest().files
        assert next_relay_lock(one.device)
        clear_next_relay_lock(one.device)
    network.clock.advance(days=FORMER_MAILBOX_DAYS + 1)
    catch_up(ana, phone, ben)
    for one in (ana, phone):
        assert former_addresses(one.device) == ()
        with pytest.raises(NoSuchMailbox):
            one.device.courier.waiting_envelopes(*before[one.name], 0)
    catch_up(ana, phone)
    homes = [home.what for one in own_linked_devices(ana.device) for home in one.homes]
    assert homes == [MailboxUse.PRESENT]


def test_move_can_be_cancelled(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    prepare_move(ana, phone)
    prepared = [new.home for one in (ana, phone) for new in prepared_mailboxes(one.device)]
    assert cancel_move(ana.device) == OTHER_RELAY_URL
    assert cancel_move(ana.device) is None
    catch_up(ana, phone, ana)
    for _ in range(2):
        network.clock.advance(days=PREPARED_MAILBOX_DAYS // 2)
        catch_up(ana, phone, ana)
    assert [prepared_mailboxes(one.device) for one in (ana, phone)] == [(), ()]
    for home in prepared:
        with pytest.raises(NoSuchMailbox):
            ana.device.courier.waiting_envelopes(OTHER_RELAY_URL, home.mailbox, home.owner, 0)
    prepare_move(ana, phone)  # start another move
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    catch_up(phone)
    assert phone.home[0] == OTHER_RELAY_URL


def test_move_cancelled_while_the_new_relay_is_silent_leaves_no_mailbox_there() -> None:
    network = network_of_three()
    cleo = network["cleo"]
    with (
        cleo.courier.replace_calls(create_lock=error_trick(RelayUnreachable())),
        pytest.raises(RelayUnreachable),
    ):
        move_all_devices(RELAY_URL, None, cleo.device)
    (prepared,) = prepared_mailboxes(cleo.device)
    network.disconnect(RELAY_URL)
    cancel_move(cleo.device)
    assert prepared_mailboxes(cleo.device) == ()
    network.reconnect(RELAY_URL)
    catch_up(cleo)
    with pytest.raises(NoSuchMailbox):
        cleo.device.courier.waiting_envelopes(
            RELAY_URL, prepared.home.mailbox, prepared.home.owner, 0
        )


def test_completed_move_outranks_a_cancellation_on_another_device(network: Network) -> None:
    """The phone completes the move. The laptop cancels the move before it receives the new list."""
    ana, phone = network["ana"], network["phone"]
    prepare_move(ana, phone)
    take_contact_changes(ana.device)
    move_all_devices(OTHER_RELAY_URL, None, phone.device)
    assert cancel_move(ana.device) == OTHER_RELAY_URL
    catch_up(ana, phone)
    assert {one.home[0] for one in (ana, phone)} == {OTHER_RELAY_URL}
    assert [one.moving for one in take_contact_changes(ana.device)] == [FollowedMoveState.MOVED]
    assert is_everything_decrypted(ana, phone)


@pytest.mark.threat("stolen-device")
@pytest.mark.parametrize("phone_followed", [False, True])
def test_device_lost_during_a_move_is_revoked_at_both_relays(
    network: Network, *, phone_followed: bool
) -> None:
    """The device list names the new mailbox; the lock of the phone's vault is at the old relay."""
    ana, phone = network["ana"], network["phone"]
    prepare_move(ana, phone)
    old, (new,) = phone.home, prepared_mailboxes(phone.device)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    if phone_followed:
        catch_up(phone, ana)
    assert (
        revoke_device("phone", lost=True, sheet=None, device=ana.device).shut
        is RevocationState.DONE
    )
    assert pending_device_mailbox_deletions(ana.device) == ()
    for url, mailbox, owner in (old, (OTHER_RELAY_URL, new.home.mailbox, new.home.owner)):
        with pytest.raises(NoSuchMailbox):
            phone.device.courier.waiting_envelopes(url, mailbox, owner, 0)
    with pytest.raises((NoLock, RevokedDeviceLocked, NoSuchMailbox)):
        phone.device.courier.allow_more_tries(old[0], old[1], new.home.close)


def test_mailboxes_prepared_before_a_loss_are_not_used(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    tablet = add_linked_device(network, ana, "tablet", "tablet")
    catch_up(phone, ana, tablet)
    prepare_move(ana, phone, tablet)
    known = {new.home.mailbox for one in (ana, tablet) for new in prepared_mailboxes(one.device)}
    revoke_device("phone", lost=True, sheet=None, device=ana.device)
    # The tablet has to prepare a new mailbox, since it prepared the old one before the loss.
    with pytest.raises(WaitsForDevices, match="tablet"):
        move_all_devices(OTHER_RELAY_URL, None, ana.device)
    catch_up(tablet, ana)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    catch_up(tablet, ana)
    assert {one.home[0] for one in (ana, tablet)} == {OTHER_RELAY_URL}
    assert known.isdisjoint(one.home[1] for one in (ana, tablet))


@pytest.mark.threat("stolen-device")
@pytest.mark.parametrize("old_relay_fails", [False, True])
def test_lost_device_cannot_delete_a_mailbox_that_another_device_left(
    network: Network, *, old_relay_fails: bool
) -> None:
    """The phone learns of the loss by a letter in the mailbox that it has left."""
    ana, phone = network["ana"], network["phone"]
    tablet = add_linked_device(network, ana, "tablet", "tablet")
    catch_up(phone, ana, tablet, phone, ana, tablet)
    prepare_move(ana, phone, tablet)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    with phone.courier.replace_calls(post=error_trick(RelayUnreachable())):
        catch_up(phone)  # the others still write to the mailbox that it leaves
    clear_next_relay_lock(phone.device)
    (left,) = former_addresses(phone.device)
    assert left.home.close is not None
    revoke_device("tablet", lost=True, sheet=None, device=ana.device)
    failures = 1 if old_relay_fails else 0
    with phone.courier.replace_calls(
        acknowledge=error_trick(RelayUnreachable(), times=failures),
    ):
        catch_up(phone)
    assert len(own_device(phone.device).person.devices) == 2
    network.clock.advance(hours=2)
    catch_up(phone)
    with pytest.raises(WrongToken):
        tablet.device.courier.close_mailbox(RELAY_URL, left.home.mailbox, left.home.close)


def test_list_with_an_unknown_mailbox_is_not_accepted(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    prepare_move(ana, phone)
    before, ready = (
        own_device(phone.device),
        phone.device.vault.get(PREPARED_MAILBOX, OTHER_RELAY_URL),
    )
    phone.device.vault.drop(PREPARED_MAILBOX, OTHER_RELAY_URL)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    catch_up(phone)
    assert own_device(phone.device) == before
    assert ready is not None


def test_unreachable_new_relay_only_delays_the_move(network: Network) -> None:
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    with pytest.raises(WaitsForDevices):
        move_all_devices(OTHER_RELAY_URL, None, ana.device)
    network.disconnect(OTHER_RELAY_URL)
    catch_up(phone)
    assert not any(new.made for new in prepared_mailboxes(phone.device))
    ben.send(SMALL_PICTURE, ana)
    assert phone.open_newest().files
    network.reconnect(OTHER_RELAY_URL)
    catch_up(phone, ana)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    network.disconnect(OTHER_RELAY_URL)
    with pytest.raises(RelayUnreachable):  # the phone already fetches from the new relay
        catch_up(phone)
    assert phone.home[0] == OTHER_RELAY_URL
    network.reconnect(OTHER_RELAY_URL)
    catch_up(phone, ana, ben)
    ben.send(SMALL_PICTURE, ana)
    assert [one.open_newest().files != () for one in (ana, phone)] == [True, True]
    assert is_everything_decrypted(ana, phone, ben)


def test_move_from_a_remote_to_a_local_relay_is_not_followed() -> None:
    network = Network()
    network.apps[THIRD_RELAY_URL] = network.apps[RELAY_URL]
    ana = network.set_up_person("ana", THIRD_RELAY_URL)
    phone = add_linked_device(network, ana, "phone", "phone")
    with pytest.raises(WaitsForDevices):
        move_all_devices(OTHER_RELAY_URL, None, ana.device)
    assert [type(one) for one in fetch_messages(phone.device).problems] == [MoveNotFollowed]
    assert prepared_mailboxes(phone.device) == ()


def test_move_with_other_devices_needs_the_old_relay(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    sheet = recovery_sheet_of(ana)
    prepare_move(ana, phone)
    network.disconnect(RELAY_URL)
    mark_unlock_unconfirmed(ana.device.vault)
    with pytest.raises(OtherDevicesMustMoveFirst, match="phone"):
        move_all_devices(OTHER_RELAY_URL, sheet, ana.device)


def test_devices_follow_two_moves_in_a_row(network: Network) -> None:
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    move_and_unlock(ana, phone)
    catch_up(ana, phone, ben)
    move_and_unlock(phone, ana, url=RELAY_URL)
    catch_up(phone, ana, ben, phone, ana)
    assert {one.home[0] for one in (ana, phone)} == {RELAY_URL}
    ben.send(SMALL_PICTURE, ana)
    assert [one.open_newest().files != () for one in (ana, phone)] == [True, True]
    assert keys_of_unfinished_records(ana, phone, ben) == []
    with pytest.raises(UnknownDevice):
        revoke_device("tablet", lost=False, sheet=None, device=ana.device)
    assert is_everything_decrypted(ana, phone, ben)
