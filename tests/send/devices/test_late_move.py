"""Tests of devices that follow a move late, and of moves that overlap with other changes."""

from dataclasses import replace

import pytest

from entrenous.base.errors import NoSuchMailbox, RelayUnreachable, WrongToken
from entrenous.base.limits import PREPARED_MAILBOX_DAYS, TOKEN_RANGE_SIZE
from entrenous.carry.http.relay_app import relay_app
from entrenous.crypto.statements import device_list_heads
from entrenous.device.identities import (
    CONTACT_TABLE,
    NO_SEND_TOKEN,
    clear_next_relay_lock,
    own_device,
)
from entrenous.device.relay_lock_client import former_addresses
from entrenous.device.vault_tables import OUTBOX, peer_key
from entrenous.send.devices.link_new_device import (
    confirm_on_new_device,
    poll_new_device,
    start_on_new_device,
)
from entrenous.send.devices.link_nouns import LinkInterruptedByMove, LinkNotCompleted
from entrenous.send.devices.link_old_device import (
    confirm_on_old_device,
    poll_old_device,
    start_on_old_device,
)
from entrenous.send.devices.linked_devices import own_linked_devices
from entrenous.send.devices.move_device import (
    DevicesHaveNotFollowedMove,
    cancel_move,
    move_all_devices,
)
from entrenous.send.devices.next_mailbox import (
    WaitsForDevices,
    prepare_to_follow_moves,
    prepared_mailboxes,
)
from entrenous.send.devices.own_devices import RevocationState, revoke_device
from entrenous.send.devices.own_key_bundle import pending_device_mailbox_deletions
from entrenous.send.devices.sync_send import queue_sync_letters
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.letter import write
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.letter.letter_nouns import TokenRangeNote
from entrenous.send.letter.write import (
    addressee_of,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.people.block import block_contact, unblock_contact
from entrenous.send.people.circles import Circle, CircleId, circles, store_circle
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.tokens.distribute import greet_devices
from entrenous.send.tokens.issue import issue_range
from entrenous.send.tokens.token_ranges import HELD_TOKEN_RANGE_TABLE
from entrenous.send.tokens.use import forget_held_tokens
from entrenous.wire.key_bundle import read_key_bundle
from tests.deterministic import SeededRandomSource
from tests.send.send_device import (
    OTHER_RELAY_URL,
    RELAY_URL,
    SMALL_PICTURE,
    Network,
    Person,
    cached_network,
    network_of_three,
)
from tests.send.send_text import send_text
from tests.village.households import (
    add_blank_device,
    add_linked_device,
    can_all_write,
    catch_up,
    owner_and_device_ids,
    prepare_move,
    tokens_for_peer,
)
from tests.village.malicious_relay import error_trick
from tests.village.relay import relay_with_courier

THIRD_RELAY_URL = "http://127.0.0.1:7003"


@pytest.fixture
@cached_network
def network() -> Network:
    """Ana's laptop and phone, and Ben, at one relay; Cleo at another; a third relay is unused."""
    network = network_of_three()
    network.open_relay(THIRD_RELAY_URL)
    phone = add_linked_device(network, network["ana"], "phone", "phone")
    catch_up(
        network["ben"], network["cleo"], network["ana"], phone, network["ben"], network["cleo"]
    )
    return network


def fetch_rounds(*people: Person, rounds: int = 3) -> None:
    for _ in range(rounds):
        catch_up(*people)


def is_everything_decrypted(*people: Person) -> bool:
    return [take_undecryptable_count(one.device) for one in people] == [0] * len(people)


@pytest.mark.slow
def test_two_contacts_move_at_once(network: Network) -> None:
    """The phone and the tablet fetch only after both people have moved."""
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    tablet = add_linked_device(network, ben, "tablet", "tablet")
    fetch_rounds(ben, tablet, ana, phone)
    prepare_move(ana, phone)
    prepare_move(ben, tablet)
    for one in (ana, ben):
        move_all_devices(OTHER_RELAY_URL, None, one.device)
    catch_up(phone, tablet)
    fetch_rounds(ana, ben, phone, tablet)
    assert can_all_write(ana, phone, ben, tablet)
    assert is_everything_decrypted(ana, phone, ben, tablet)


@pytest.mark.slow
def test_device_without_tokens_learns_of_a_move_from_the_contact() -> None:
    """Ben fetches only after the phone has moved."""
    network = network_of_three()
    ana, ben = network["ana"], network["ben"]
    catch_up(ana, ben, ana)
    phone = add_linked_device(network, ana, "phone", "phone")
    phone.send(SMALL_PICTURE, ben)
    prepare_move(ana, phone)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    catch_up(phone, ana, phone)
    fetch_rounds(ben, phone, ana)
    assert can_all_write(phone, ben)
    ben.send(SMALL_PICTURE, ana)
    assert phone.received_count() == 1


@pytest.mark.slow
def test_used_up_tokens_are_renewed_after_a_move(network: Network) -> None:
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    device, tokens = phone.device, tokens_for_peer(phone, ben)
    for _ in range(tokens.until - tokens.next):
        send_text(phone, "ben")
    prepare_move(ana, phone)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    catch_up(phone, ana, phone)
    assert device.vault.keys(OUTBOX)  # a letter of the phone is queued
    fetch_rounds(ben, phone, ana)
    assert can_all_write(phone, ben)
    assert not device.vault.keys(OUTBOX)


@pytest.mark.slow
def test_announcement_of_a_move_waits_for_a_token(network: Network) -> None:
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    prepare_move(ana, phone)
    now = network.clock.now().replace(microsecond=0)
    for number in range(TOKEN_RANGE_SIZE + 6):
        name = CircleId(bytes([number]) * 16)
        store_circle(
            Circle(name, f"circle {number}", (ben.id,), now, frozenset()), ana.device.vault
        )
    queue_sync_letters(ana.device)
    flush_outbox(ana.device)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    fetch_rounds(phone, ana)
    assert phone.home[0] == OTHER_RELAY_URL
    assert len(circles(phone.device.vault)) == TOKEN_RANGE_SIZE + 6


@pytest.mark.slow
def test_linking_waits_until_all_devices_have_moved(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    prepare_move(ana, phone)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    with pytest.raises(DevicesHaveNotFollowedMove, match="phone"):
        add_linked_device(network, ana, "tablet", "tablet")
    fetch_rounds(phone, ana)
    tablet = add_linked_device(network, ana, "second tablet", "tablet")
    fetch_rounds(phone, ana, tablet)
    assert can_all_write(ana, phone, tablet)


@pytest.mark.slow
def test_linking_fails_if_another_device_moved_meanwhile(network: Network) -> None:
    """The phone moves while Ana compares the pictures that the linking shows. The laptop learns of
    the move before Ana confirms the linking.
    """
    ana, phone, tablet = network["ana"], network["phone"], add_blank_device(network, "tablet")
    prepare_move(phone, ana)
    old_progress = start_on_old_device(None, ana.device)
    new_progress = start_on_new_device(old_progress.code, "tablet", tablet.device)
    old_progress = poll_old_device(old_progress, ana.device)
    new_progress = poll_new_device(new_progress, tablet.device)
    old_progress, new_progress = (
        poll_old_device(old_progress, ana.device),
        confirm_on_new_device(new_progress),
    )
    move_all_devices(OTHER_RELAY_URL, None, phone.device)
    catch_up(ana)
    moved = own_device(ana.device).person
    with pytest.raises(LinkInterruptedByMove):
        confirm_on_old_device(old_progress, ana.device)
    assert own_device(ana.device).person == moved
    with pytest.raises(LinkNotCompleted):
        poll_new_device(new_progress, tablet.device)
    fetch_rounds(phone, ana)
    add_linked_device(network, ana, "second tablet", "tablet")


@pytest.mark.slow
def test_late_device_can_write_to_a_device_linked_meanwhile(network: Network) -> None:
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    prepare_move(ana, phone)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    catch_up(ana, ben)
    tablet = add_linked_device(network, ben, "tablet", "tablet")
    fetch_rounds(ben, tablet, ana)
    fetch_rounds(phone, ana, tablet, ben)
    assert can_all_write(phone, tablet)


@pytest.mark.slow
def test_late_device_gets_its_letters_after_two_moves(network: Network) -> None:
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    prepare_move(ana, phone)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    catch_up(ben, ana)
    ben.send(SMALL_PICTURE, ana)
    catch_up(phone, ana, phone)
    for one in (ana, phone):
        clear_next_relay_lock(one.device)
    prepare_move(ana, phone, url=THIRD_RELAY_URL)
    move_all_devices(THIRD_RELAY_URL, None, ana.device)
    fetch_rounds(phone, ana, ben)
    assert phone.received_count() == 1
    assert phone.open_newest().files
    assert can_all_write(ana, phone, ben)


@pytest.mark.slow
@pytest.mark.threat("stolen-device")
@pytest.mark.parametrize("phone_followed", [False, True])
def test_two_devices_lost_during_a_move_are_revoked(
    network: Network, *, phone_followed: bool
) -> None:
    ana, phone = network["ana"], network["phone"]
    tablet = add_linked_device(network, ana, "tablet", "tablet")
    fetch_rounds(phone, ana, tablet, rounds=2)
    prepare_move(ana, phone, tablet)
    (new,) = prepared_mailboxes(phone.device)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    if phone_followed:
        catch_up(phone)
    for name in ("tablet", "phone"):
        state = revoke_device(name, lost=True, sheet=None, device=ana.device).shut
        assert state is RevocationState.DONE
    assert pending_device_mailbox_deletions(ana.device) == ()
    with pytest.raises(NoSuchMailbox):
        phone.device.courier.waiting_envelopes(OTHER_RELAY_URL, new.home.mailbox, new.home.owner, 0)


@pytest.mark.slow
@pytest.mark.threat("stolen-device")
def test_lost_device_cannot_delete_the_former_mailbox_of_another_device(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    prepare_move(ana, phone)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    fetch_rounds(phone, ana)
    (known,) = own_linked_devices(phone.device)
    revoke_device("phone", lost=True, sheet=None, device=ana.device)
    catch_up(ana)
    assert len(known.homes) > 1
    for home in known.homes:
        with pytest.raises(WrongToken):
            phone.device.courier.close_mailbox(home.relay_url, home.mailbox, home.close)
    (old,) = former_addresses(ana.device)
    old_home = old.home
    assert (
        ana.device.courier.waiting_envelopes(
            old_home.relay_url, old_home.mailbox, old_home.owner, 0
        )
        == []
    )


@pytest.mark.slow
def test_abandoned_move_makes_devices_unready(network: Network) -> None:
    """Ana's devices prepare mailboxes at the third relay, but then move to another relay. The
    devices are then no longer ready to move to the third relay.
    """
    ana, phone = network["ana"], network["phone"]
    prepare_move(ana, phone, url=THIRD_RELAY_URL)
    prepare_move(ana, phone)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    with pytest.raises(WaitsForDevices):
        move_all_devices(THIRD_RELAY_URL, None, ana.device)
    fetch_rounds(phone, ana)
    move_all_devices(THIRD_RELAY_URL, None, ana.device)
    fetch_rounds(phone, ana)
    assert phone.home[0] == THIRD_RELAY_URL


@pytest.mark.slow
@pytest.mark.parametrize("relay_offline", [False, True])
def test_mailboxes_announced_before_a_loss_do_not_count(
    network: Network, *, relay_offline: bool
) -> None:
    """The phone announces a mailbox before it learns that the tablet was revoked."""
    ana, phone = network["ana"], network["phone"]
    tablet = add_linked_device(network, ana, "tablet", "tablet")
    fetch_rounds(phone, ana, tablet, rounds=2)
    with pytest.raises(WaitsForDevices):
        move_all_devices(OTHER_RELAY_URL, None, ana.device)
    if relay_offline:
        network.disconnect(RELAY_URL)
    else:
        catch_up(phone)
    revoke_device("tablet", lost=True, sheet=None, device=ana.device)
    if relay_offline:
        network.reconnect(RELAY_URL)
        catch_up(phone)
    catch_up(ana)
    with pytest.raises(WaitsForDevices):
        move_all_devices(OTHER_RELAY_URL, None, ana.device)
    fetch_rounds(phone, ana)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    fetch_rounds(phone, ana)
    assert phone.home[0] == OTHER_RELAY_URL
    assert can_all_write(ana, phone)


@pytest.mark.slow
def test_phone_that_stopped_announcing_its_mailbox_still_follows_a_move(network: Network) -> None:
    """The phone has stopped announcing its mailbox, but the laptop does not know this yet. The
    laptop moves, and the phone can still follow.
    """
    ana, phone = network["ana"], network["phone"]
    prepare_move(ana, phone)
    cancel_move(ana.device)
    fetch_rounds(ana, phone)
    network.clock.advance(days=PREPARED_MAILBOX_DAYS + 1)
    prepare_to_follow_moves(phone.device)
    catch_up(ana)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    fetch_rounds(phone, ana)
    assert phone.home[0] == OTHER_RELAY_URL


@pytest.mark.slow
def test_vanished_relay_causes_no_problem_a_month_later(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    prepare_move(ana, phone, url=THIRD_RELAY_URL)
    network.disconnect(THIRD_RELAY_URL)
    prepare_move(ana, phone)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    fetch_rounds(phone, ana)
    network.clock.advance(days=31)
    fetch_rounds(phone, ana)
    assert [fetch_messages(one.device).problems for one in (ana, phone)] == [(), ()]


@pytest.mark.slow
def test_late_device_that_unblocks_somebody_reaches_them(network: Network) -> None:
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    prepare_move(ana, phone)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    catch_up(ben, ana)
    block_contact("ben", phone.device)
    unblock_contact("ben", phone.device)
    greet_devices(phone.device)
    flush_outbox(phone.device)
    catch_up(ben)
    ben.send(SMALL_PICTURE, ana)
    fetch_rounds(phone, ana, ben)
    assert phone.received_count() == 1
    assert can_all_write(ana, phone, ben)
    assert is_everything_decrypted(ana, phone, ben)


@pytest.mark.slow
def test_tokens_lent_after_a_move_are_valid(network: Network) -> None:
    """When Ana's third device learns that Ben has moved, it has no tokens for Ben's tablet."""
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    tablet = add_linked_device(network, ben, "tablet", "tablet")
    fetch_rounds(ben, tablet, ana)
    key = peer_key(*owner_and_device_ids(tablet))
    spent = tokens_for_peer(ana, tablet)
    HELD_TOKEN_RANGE_TABLE.store(replace(spent, next=spent.until), key, ana.device.vault)
    third = add_linked_device(network, ana, "third", "third")
    fetch_rounds(ben, third, ana, rounds=1)
    prepare_move(ben, tablet)
    move_all_devices(OTHER_RELAY_URL, None, ben.device)
    catch_up(third, tablet, ben, ana)
    fetch_rounds(ana, third, tablet, ben, phone)
    assert can_all_write(third, tablet)


@pytest.mark.slow
def test_contact_without_tokens_does_not_delay_a_move(network: Network) -> None:
    """A contact that was imported from an archive has no tokens."""
    ana, phone = network["ana"], network["phone"]
    known = contact_named("ben", ana.device)
    forget_held_tokens(known.person.id, ana.device)
    CONTACT_TABLE.store(
        replace(known, send_token=NO_SEND_TOKEN), known.person.id.hex(), ana.device.vault
    )
    prepare_move(ana, phone)
    assert move_all_devices(OTHER_RELAY_URL, None, ana.device).letters == 0


@pytest.mark.slow
@pytest.mark.threat("stolen-device")
def test_pending_close_token_is_set_after_a_move(network: Network) -> None:
    """The relay did not answer when Ana replaced the close token that the lost tablet knows."""
    ana, phone = network["ana"], network["phone"]
    tablet = add_linked_device(network, ana, "tablet", "tablet")
    fetch_rounds(phone, ana, tablet, rounds=2)
    old_home = ana.home
    known = next(
        one
        for one in own_linked_devices(tablet.device)
        if one.device == owner_and_device_ids(ana)[1]
    )
    assert known.close is not None
    with ana.courier.replace_calls(set_close_token=error_trick(RelayUnreachable(host="relay"))):
        revoke_device("tablet", lost=True, sheet=None, device=ana.device)
        prepare_move(ana, phone)
        move_all_devices(OTHER_RELAY_URL, None, ana.device)
    fetch_rounds(phone, ana)
    with pytest.raises(WrongToken):
        tablet.device.courier.close_mailbox(RELAY_URL, old_home[1], known.close)


def test_older_list_with_a_local_relay_address_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mallory's second device list names a relay with a local address. After Mallory has published
    a third list, she sends a letter that refers to the second list.
    """
    network = Network()
    for url in ("https://a.example", "https://m.example", "https://n.example"):
        network.apps[url] = relay_app(
            relay_with_courier(url, network.clock, SeededRandomSource(url))[0]
        )
    ana, mallory = (
        network.set_up_person("ana", "https://a.example"),
        network.set_up_person("m", "https://m.example"),
    )
    mallory.add_contact(ana)
    catch_up(ana, mallory, ana)
    for url in (RELAY_URL, "https://n.example"):
        move_all_devices(url, None, mallory.device)
        clear_next_relay_lock(mallory.device)
    catch_up(ana, mallory, ana)
    me = own_device(mallory.device)
    second = next(
        one for one in device_list_heads(read_key_bundle(me.card).lists) if one.epoch == 2
    )
    before = replace(me, person=replace(me.person, epoch=2, head=second.digest))
    to = addressee_of(*owner_and_device_ids(ana), mallory.device)
    assert to is not None
    with mallory.device.vault.transaction():
        token_range = issue_range(to.contact.person, to.key.device, mallory.device)
        note = TokenRangeNote(token_range.seed, token_range.first)
        monkeypatch.setattr(write, "own_device", lambda _: before)
        seal_and_queue_letter(note, to, outer_parts_without_content(mallory.device), mallory.device)
    monkeypatch.undo()
    flush_outbox(mallory.device)
    catch_up(ana)
    assert tokens_for_peer(ana, mallory).place is None
    assert take_undecryptable_count(ana.device) == 0  # only the address in the letter was ignored
