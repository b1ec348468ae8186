"""Tests of revoking a linked device: effects, reported outcomes, and repetition after failures."""

from dataclasses import replace
from typing import Any

import pytest

from entrenous.base.errors import NoSuchEnvelope, NoSuchMailbox, RelayUnreachable, WrongToken
from entrenous.base.identity import RevocationReason
from entrenous.base.limits import TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.device.identities import clear_next_relay_lock, own_device
from entrenous.device.recovery_sheet import MasterKeyNotHere, RevocationTokenOutdated
from entrenous.device.vault_tables import (
    FIRST_LETTER_TOKEN,
    HELD_TOKEN_RANGE,
    ISSUED_TOKEN_RANGE,
    OUTBOX,
    PEER,
    peer_key,
)
from entrenous.send.devices.linked_devices import (
    CannotRevokeThisDevice,
    UnknownDevice,
    own_linked_devices,
    store_linked_device,
)
from entrenous.send.devices.move_device import move_all_devices
from entrenous.send.devices.own_devices import (
    RevocationResult,
    RevocationState,
    delete_master_key,
    device_overview,
    revoke_device,
)
from entrenous.send.devices.own_key_bundle import pending_device_mailbox_deletions
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.message.draft import WaitsInOutbox
from entrenous.send.message.states import InboxState
from entrenous.send.people.contact_history import take_contact_changes
from entrenous.send.people.keep_contacts import contact_named
from entrenous.wire.key_bundle import read_key_bundle
from tests.send.devices.test_link import recovery_sheet_of
from tests.send.send_device import (
    OTHER_RELAY_URL,
    RELAY_URL,
    SMALL_PICTURE,
    Network,
    Person,
    cached_network,
)
from tests.village.households import (
    add_blank_device,
    add_linked_device,
    catch_up,
    link_devices,
    prepare_move,
)
from tests.village.malicious_relay import HonestCall, error_trick


@pytest.fixture
@cached_network
def network() -> Network:
    """Ana with a laptop ("ana"), a phone and a tablet; Ben with one device at another relay."""
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben", OTHER_RELAY_URL)
    ana.add_contact(ben)
    phone, tablet = (
        add_linked_device(network, ana, "phone", "phone"),
        add_linked_device(network, ana, "tablet", "tablet"),
    )
    catch_up(ana, phone, tablet, ben, phone, tablet, ana, ben)
    return network


def remaining_devices(network: Network) -> tuple[Person, ...]:
    return network["ana"], network["tablet"], network["ben"]


@pytest.mark.slow
@pytest.mark.threat("stolen-device")
def test_a_revoked_device_gets_no_share_and_nothing_new(network: Network) -> None:
    ana, phone, tablet, ben = (network[name] for name in ("ana", "phone", "tablet", "ben"))
    assert ben.send(SMALL_PICTURE, ana).devices == {"ana": 3}
    fetch_messages(phone.device)
    (received,) = received_messages(phone.device)
    assert received.manifest is not None

    revoke_device("phone", lost=True, sheet=None, device=ana.device)
    with pytest.raises(NoSuchEnvelope):
        phone.device.courier.open_share(
            RELAY_URL, received.envelope, received.manifest.open_token, bytes(16)
        )
    with pytest.raises((NoSuchMailbox, WrongToken)):
        fetch_messages(phone.device)
    catch_up(ben, tablet)
    assert ben.send(SMALL_PICTURE, ana).devices == {"ana": 2}
    for one in (ana, tablet):
        assert one.open_newest().files
    assert [take_undecryptable_count(one.device) for one in remaining_devices(network)] == [0, 0, 0]


@pytest.mark.slow
def test_remaining_devices_and_contacts_forget_a_revoked_devices_keys_and_tokens(
    network: Network,
) -> None:
    ana, phone, tablet, ben = (network[name] for name in ("ana", "phone", "tablet", "ben"))
    take_contact_changes(ben.device)
    revoked = own_device(phone.device)
    whose = peer_key(revoked.person.id, revoked.key.device)
    assert ben.device.vault.get(PEER, whose) is not None
    revoke_device("phone", lost=False, sheet=None, device=ana.device)
    catch_up(ben, tablet, ben)
    (change,) = take_contact_changes(ben.device)
    assert (change.name, change.devices_added, change.devices_removed) == ("ana", 0, 1)
    for one in remaining_devices(network):
        stored = [
            one.device.vault.get(table, whose)
            for table in (PEER, HELD_TOKEN_RANGE, FIRST_LETTER_TOKEN)
        ]
        assert stored == [None, None, None]
        assert one.device.vault.get(ISSUED_TOKEN_RANGE, whose) is None
    assert [one.name for one in own_linked_devices(tablet.device)] == ["device 1"]
    statement = read_key_bundle(own_device(tablet.device).card).newest.said
    assert [(one.device, one.kind) for one in statement.revoked] == [
        (revoked.key.device, RevocationReason.RETIRED)
    ]


@pytest.mark.slow
@pytest.mark.threat("stolen-device")
def test_revoked_device_knows_no_current_close_token(network: Network) -> None:
    ana, phone, tablet = network["ana"], network["phone"], network["tablet"]
    known = {one.name: one.close for one in own_linked_devices(phone.device)}
    revoke_device("phone", lost=True, sheet=None, device=ana.device)
    catch_up(tablet, ana, tablet, ana)
    for who, name in ((ana, "device 1"), (tablet, "tablet")):
        mailbox, stolen = own_device(who.device).home.mailbox, known[name]
        assert stolen is not None
        with pytest.raises(WrongToken):
            phone.device.courier.close_mailbox(RELAY_URL, mailbox, stolen)
    (linked,) = own_linked_devices(tablet.device)
    assert linked.close == own_device(ana.device).home.close
    (linked,) = own_linked_devices(ana.device)
    assert linked.close == own_device(tablet.device).home.close


@pytest.mark.slow
def test_linked_device_can_revoke_the_first_device(network: Network) -> None:
    revoke_device("device 1", lost=True, sheet=None, device=network["tablet"].device)
    with pytest.raises((NoSuchMailbox, WrongToken)):
        fetch_messages(network["ana"].device)
    catch_up(network["ben"], network["phone"])
    assert network["ben"].send(SMALL_PICTURE, network["ana"]).devices == {"ana": 2}


@pytest.mark.slow
def test_unanswered_revocation_is_completed_when_the_relay_answers(network: Network) -> None:
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    network.disconnect(RELAY_URL)
    revoke_device("phone", lost=True, sheet=None, device=ana.device)
    assert device_overview(ana.device).to_close == ("phone",)
    assert device_overview(ana.device).letters > 0
    network.reconnect(RELAY_URL)
    catch_up(ana, ben)
    assert device_overview(ana.device).to_close == ()
    assert device_overview(ana.device).letters == 0
    with pytest.raises((NoSuchMailbox, WrongToken)):
        fetch_messages(phone.device)
    assert len(contact_named("ana", ben.device).person.devices) == 2


@pytest.mark.slow
def test_revocation_reports_whether_the_relay_has_confirmed_it(network: Network) -> None:
    ana = network["ana"]
    result = revoke_device(" Phone ", lost=True, sheet=None, device=ana.device)
    assert result == RevocationResult("phone", RevocationState.DONE)
    network.disconnect(RELAY_URL)
    result = revoke_device("tablet ", lost=True, sheet=None, device=ana.device)
    assert result == RevocationResult("tablet", RevocationState.WAITS)


@pytest.mark.slow
@pytest.mark.threat("database-changed")
def test_revocation_waits_if_the_relay_does_not_know_the_device(network: Network) -> None:
    """The relay may use a wrong database for a while, so the deletion has to be repeated."""
    ana, phone = network["ana"], network["phone"]
    with ana.device.courier.replace_calls(close_mailbox=error_trick(NoSuchMailbox())):
        result = revoke_device("phone", lost=True, sheet=None, device=ana.device)
        assert result == RevocationResult("phone", RevocationState.WAITS)
        fetch_messages(ana.device)
    assert [one.name for one in pending_device_mailbox_deletions(ana.device)] == ["phone"]
    network.clock.advance(hours=2)
    fetch_messages(ana.device)
    assert pending_device_mailbox_deletions(ana.device) == ()
    with pytest.raises((NoSuchMailbox, WrongToken)):
        fetch_messages(phone.device)


@pytest.mark.slow
@pytest.mark.threat("stolen-device")
@pytest.mark.parametrize("old_relay_answers_at_once", [True, False])
def test_silent_new_relay_does_not_delay_a_revocation_at_the_old_one(
    network: Network, *, old_relay_answers_at_once: bool
) -> None:
    """The new relay falls silent in the middle of a move, and the phone has not moved yet."""
    ana, phone, tablet = network["ana"], network["phone"], network["tablet"]
    prepare_move(ana, phone, tablet)
    with ana.courier.replace_calls(publish_key_bundle=error_trick(RelayUnreachable())):
        move_all_devices(OTHER_RELAY_URL, None, ana.device)
    network.disconnect(OTHER_RELAY_URL)
    failures = 0 if old_relay_answers_at_once else 9
    with ana.courier.replace_calls(close_mailbox=error_trick(RelayUnreachable(), times=failures)):
        revoke_device("phone", lost=True, sheet=None, device=ana.device)
    if not old_relay_answers_at_once:
        with pytest.raises(RelayUnreachable):  # it fetches from the new relay
            catch_up(ana)
    with pytest.raises(NoSuchMailbox):
        phone.device.courier.waiting_envelopes(*phone.home, 0)


@pytest.mark.slow
@pytest.mark.threat("database-changed")
@pytest.mark.parametrize("answer", [NoSuchMailbox(), WrongToken()], ids=type)
def test_mailbox_that_a_revoked_device_left_is_deleted_by_a_later_attempt(
    network: Network, answer: Exception
) -> None:
    ana, phone, tablet = network["ana"], network["phone"], network["tablet"]
    left = phone.home
    prepare_move(ana, phone, tablet)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    catch_up(phone, tablet, ana)
    for one in (ana, phone, tablet):
        clear_next_relay_lock(one.device)
    catch_up(phone, ana)
    asked = list[str]()

    def answer_at_old_relay(honest: HonestCall, url: str, *arguments: Any) -> Any:
        asked.append(url)
        if url == RELAY_URL:
            raise answer
        return honest(url, *arguments)

    with ana.courier.replace_calls(close_mailbox=answer_at_old_relay):
        revoke_device("phone", lost=True, sheet=None, device=ana.device)
        assert fetch_messages(ana.device).problems == ()
    assert asked.count(RELAY_URL) == 1
    network.clock.advance(hours=2)
    catch_up(ana)
    with pytest.raises(NoSuchMailbox):
        phone.device.courier.waiting_envelopes(*left, 0)


@pytest.mark.slow
@pytest.mark.threat("stolen-device")
def test_device_with_an_unknown_close_token_is_revoked_by_the_device_that_linked_it(
    network: Network,
) -> None:
    """The phone linked the watch, and the laptop does not know the watch's close token yet."""
    ana, phone, tablet = network["ana"], network["phone"], network["tablet"]
    watch = add_blank_device(network, "watch")
    link_devices(phone.device, watch.device, "watch")
    fetch_messages(ana.device)
    (name,) = (one.name for one in own_linked_devices(ana.device) if one.close is None)
    result = revoke_device(name, lost=True, sheet=None, device=ana.device)
    assert result == RevocationResult(name, RevocationState.ELSEWHERE)
    assert pending_device_mailbox_deletions(ana.device) == ()
    catch_up(tablet)
    mail = own_device(watch.device).home
    # The mailbox still exists.
    watch.device.courier.waiting_envelopes(RELAY_URL, mail.mailbox, mail.owner, 0)
    catch_up(phone)
    with pytest.raises((NoSuchMailbox, WrongToken)):
        watch.device.courier.waiting_envelopes(RELAY_URL, mail.mailbox, mail.owner, 0)
    assert pending_device_mailbox_deletions(phone.device) == ()


@pytest.mark.slow
def test_lost_device_is_revoked_with_its_own_sheet(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    sheet = recovery_sheet_of(phone)
    (known,) = (one for one in own_linked_devices(ana.device) if one.name == "phone")
    store_linked_device(replace(known, close=None), ana.device)
    revoked = revoke_device("phone", lost=True, sheet=sheet, device=ana.device)
    assert revoked == RevocationResult("phone", RevocationState.DONE)


@pytest.mark.slow
@pytest.mark.threat("stolen-device")
def test_device_lost_after_replacing_its_close_token_is_revoked(network: Network) -> None:
    """The phone replaces its close token; the laptop fetches, and then revokes the phone."""
    ana, phone = network["ana"], network["phone"]
    revoke_device("tablet", lost=True, sheet=None, device=ana.device)
    known = {one.name: one.close for one in own_linked_devices(ana.device)}
    fetch_messages(phone.device)
    assert own_device(phone.device).home.close != known["phone"]
    fetch_messages(ana.device)
    result = revoke_device("phone", lost=True, sheet=None, device=ana.device)
    assert result == RevocationResult("phone", RevocationState.DONE)
    with pytest.raises((NoSuchMailbox, WrongToken)):
        fetch_messages(phone.device)


@pytest.mark.slow
@pytest.mark.parametrize("valid_token_source", ["the sheet", "the stored token"])
def test_one_valid_close_token_of_two_revokes_the_device(
    network: Network, valid_token_source: str
) -> None:
    ana, phone = network["ana"], network["phone"]
    right, before = recovery_sheet_of(phone), Secret(bytes(TOKEN_BYTES))
    (known,) = (one for one in own_linked_devices(ana.device) if one.name == "phone")
    if valid_token_source == "the sheet":
        store_linked_device(replace(known, close=before), ana.device)
        sheet = right
    else:
        sheet = replace(right, close=before)
    result = revoke_device("phone", lost=True, sheet=sheet, device=ana.device)
    assert result == RevocationResult("phone", RevocationState.DONE)
    assert pending_device_mailbox_deletions(ana.device) == ()


@pytest.mark.slow
@pytest.mark.threat("stolen-device")
def test_refused_revocation_is_reported_and_retried(network: Network) -> None:
    """Ana's other devices know only a wrong close token of the phone."""
    ana, phone, tablet = network["ana"], network["phone"], network["tablet"]
    (known,) = (one for one in own_linked_devices(ana.device) if one.name == "phone")
    for one in (ana, tablet):
        store_linked_device(replace(known, close=Secret(bytes(TOKEN_BYTES))), one.device)
    result = revoke_device("phone", lost=True, sheet=None, device=ana.device)
    assert result == RevocationResult("phone", RevocationState.REFUSED)
    assert device_overview(ana.device).refused == device_overview(ana.device).to_close == ("phone",)
    problems = [fetch_messages(tablet.device).problems for _ in range(2)]
    assert [[type(error) for error in each] for each in problems] == [[RevocationTokenOutdated], []]
    network.clock.advance(hours=2)
    assert fetch_messages(tablet.device).problems == (), "the problem is reported only once"
    mail = own_device(phone.device).home
    assert mail.close is not None
    # With the phone's recovery sheet, a revocation sends this request, which closes the mailbox.
    phone.device.courier.close_mailbox(RELAY_URL, mail.mailbox, mail.close)
    network.clock.advance(hours=2)
    catch_up(ana, tablet)
    assert device_overview(ana.device).to_close == device_overview(tablet.device).to_close == ()


@pytest.mark.slow
def test_every_device_knows_the_close_token_of_the_device_linked_last(network: Network) -> None:
    """The phone links the watch, and the tablet can revoke the watch."""
    ana, phone, tablet = network["ana"], network["phone"], network["tablet"]
    watch = add_linked_device(network, phone, "watch", "watch")
    for _ in range(2):
        catch_up(phone, ana, tablet, watch)
    close = own_device(watch.device).home.close
    for one in (ana, phone, tablet):
        assert {known.name: known.close for known in own_linked_devices(one.device)}[
            "watch"
        ] == close
    known = {one.device: one.close for one in own_linked_devices(watch.device)}
    others = [own_device(one.device) for one in (ana, phone, tablet)]
    assert known == {one.key.device: one.home.close for one in others}
    result = revoke_device("watch", lost=True, sheet=None, device=tablet.device)
    assert result == RevocationResult("watch", RevocationState.DONE)


@pytest.mark.slow
def test_revoking_without_the_master_key_needs_the_recovery_sheet(network: Network) -> None:
    ana = network["ana"]
    sheet = recovery_sheet_of(ana)
    delete_master_key(ana.device)
    with pytest.raises(MasterKeyNotHere):
        revoke_device("phone", lost=True, sheet=None, device=ana.device)
    assert len(own_linked_devices(ana.device)) == 2
    revoke_device("phone", lost=True, sheet=sheet, device=ana.device)
    assert [one.name for one in own_linked_devices(ana.device)] == ["tablet"]
    assert not device_overview(ana.device).master_here


@pytest.mark.slow
def test_own_or_unknown_device_cannot_be_revoked(network: Network) -> None:
    with pytest.raises(CannotRevokeThisDevice):
        revoke_device("Device 1", lost=False, sheet=None, device=network["ana"].device)
    with pytest.raises(UnknownDevice, match="phone, tablet"):
        revoke_device("watch", lost=False, sheet=None, device=network["ana"].device)


@pytest.mark.slow
def test_queued_copy_for_a_revoked_device_does_not_block_the_other_copies(network: Network) -> None:
    """Ben's copy for the phone is still queued when Ana revokes the phone."""
    ana, tablet, ben = network["ana"], network["tablet"], network["ben"]
    network.disconnect(RELAY_URL)
    with pytest.raises(WaitsInOutbox):
        ben.send(SMALL_PICTURE, ana)
    network.reconnect(RELAY_URL)
    revoke_device("phone", lost=True, sheet=None, device=ana.device)
    catch_up(ben, tablet, ana)
    assert {one.state for one in received_messages(tablet.device)} == {InboxState.WAITING}
    assert ben.device.vault.keys(OUTBOX) == ()
