"""Tests of restored relays: how a device notices them, and which requests it repeats."""

import copy
from dataclasses import replace
from datetime import timedelta

import pytest

from entrenous.base.errors import NoSuchMailbox, RelayUnreachable, WrongToken
from entrenous.base.identifiers import MessageName
from entrenous.base.limits import EXPIRY_DAYS_MAX
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay import Relay
from entrenous.carry.restore import delete_untrusted_rows
from entrenous.device.identities import own_device
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, SendState
from entrenous.device.vault_tables import DELETED_MAILBOX, RELAY_RESTORE
from entrenous.send.devices.own_devices import device_overview, revoke_device
from entrenous.send.fetch import fetch_messages
from entrenous.send.letter.relay_tasks import repeat_requests_after_restore
from entrenous.send.message.draft import WaitsInOutbox
from entrenous.send.people.block import block_contact
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.recall import recall_message
from entrenous.wire.relay_nouns import EnvelopeState
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.courier import run_sync
from tests.send.send_device import OTHER_RELAY_URL, RELAY_URL, SMALL_PICTURE, Network, Person
from tests.village.households import add_linked_device, catch_up
from tests.village.malicious_relay import HonestCall, error_trick
from tests.village.relay import relay_with_courier


class RestorableNetwork:
    """A network in which the relay at RELAY_URL can be restored to an earlier state."""

    def __init__(self) -> None:
        self.network = Network()
        self.relay: Relay
        self.relay, _ = relay_with_courier(
            RELAY_URL, self.network.clock, SeededRandomSource("restored")
        )
        self.network.apps[RELAY_URL] = relay_app(self.relay)
        self.backup: object = None

    def back_up(self) -> None:
        self.backup = copy.deepcopy(self.relay.mail)

    def restore(self, *, with_shares: bool = False) -> None:
        self.network.clock.advance(hours=7)
        vars(self.relay.mail).update(vars(copy.deepcopy(self.backup)))
        run_sync(delete_untrusted_rows(self.relay, frozenset(), with_shares=with_shares))


@pytest.mark.threat("backups-revive")
def test_a_revoked_device_is_revoked_again_after_a_restore() -> None:
    restorable = RestorableNetwork()
    ana = restorable.network.set_up_person("ana")
    phone = add_linked_device(restorable.network, ana, "phone", "phone")
    stolen_close_token = own_device(ana.device).home.close
    assert stolen_close_token is not None
    restorable.back_up()
    revoke_device("phone", lost=True, sheet=None, device=ana.device)
    url, mailbox, owner = phone.home
    restorable.restore()
    # The restore brought the mailbox back.
    assert phone.device.courier.waiting_envelopes(url, mailbox, owner, 0) == []
    fetch_messages(ana.device)
    assert device_overview(ana.device).to_close == ()
    with pytest.raises((NoSuchMailbox, WrongToken)):
        phone.device.courier.waiting_envelopes(url, mailbox, owner, 0)
    with pytest.raises(WrongToken):  # the token that the thief knew deletes nothing
        phone.device.courier.close_mailbox(url, ana.home[1], stolen_close_token)
    restorable.network.clock.advance(hours=7)
    fetch_messages(ana.device)


def test_recalls_are_repeated_after_a_restore_even_if_the_clock_is_ahead() -> None:
    """A restore is detected only once, and must not be missed because of a wrong clock."""
    restorable = RestorableNetwork()
    ana, ben = restorable.network.set_up_person("ana"), restorable.network.set_up_person("ben")
    ana.add_contact(ben)
    name = ana.send(SMALL_PICTURE, ben).name
    restorable.back_up()
    recall_message(name, ana.device)
    restorable.restore()
    right, before = ana.device, ana.courier.calls["withdraw"]
    ahead = replace(
        right, clock=SettableClock(restorable.network.clock.moment + timedelta(days=400))
    )
    fetch_messages(ahead)
    fetch_messages(right)
    assert ana.courier.calls["withdraw"] == before + 1


def test_a_recall_that_fails_after_a_restore_is_repeated_an_hour_later() -> None:
    """The other copy is recalled at once."""
    restorable = RestorableNetwork()
    ana, ben = restorable.network.set_up_person("ana"), restorable.network.set_up_person("ben")
    ana.add_contact(ben)
    names = [ana.send(SMALL_PICTURE, ben).name for _ in range(2)]
    restorable.back_up()
    for name in names:
        recall_message(name, ana.device)
    restorable.restore(with_shares=True)
    with ana.courier.replace_calls(withdraw=error_trick(RelayUnreachable(host="x"), times=1)):
        fetch_messages(ana.device)
    assert waiting_letters(ben) == 1
    fetch_messages(ana.device)
    assert waiting_letters(ben) == 1
    restorable.network.clock.advance(hours=1)
    fetch_messages(ana.device)
    assert waiting_letters(ben) == 0
    before = ana.courier.calls["withdraw"]
    restorable.network.clock.advance(hours=7)
    fetch_messages(ana.device)
    assert ana.courier.calls["withdraw"] == before


def waiting_letters(person: Person) -> int:
    url, mailbox, owner = person.home
    return len(person.device.courier.waiting_envelopes(url, mailbox, owner, 0))


def test_an_invite_link_made_after_the_backup_works_after_a_restore() -> None:
    restorable = RestorableNetwork()
    ana = restorable.network.set_up_person("ana")
    ben = restorable.network.set_up_person("ben", OTHER_RELAY_URL)
    cara = restorable.network.set_up_person("cara", OTHER_RELAY_URL)
    restorable.back_up()
    link = make_invite_link(ana.device)
    used_link = make_invite_link(ana.device)
    add_person(used_link, "ana", cara.device)
    fetch_messages(ana.device)
    restorable.restore()
    fetch_messages(ana.device)
    assert add_person(link, "ana", ben.device).name == "ana"
    with pytest.raises(WrongToken):
        add_person(used_link, "ana", ben.device)


def test_the_record_of_an_old_mailbox_deletion_is_dropped() -> None:
    restorable = RestorableNetwork()
    ana = restorable.network.set_up_person("ana")
    phone = add_linked_device(restorable.network, ana, "phone", "phone")
    revoke_device("phone", lost=False, sheet=None, device=ana.device)
    assert ana.device.vault.keys(DELETED_MAILBOX) == (phone.home[1].hex(),)
    repeat_requests_after_restore(ana.device)
    restorable.back_up()
    restorable.network.clock.advance(days=EXPIRY_DAYS_MAX)
    restorable.restore()
    fetch_messages(ana.device)
    assert ana.device.vault.keys(DELETED_MAILBOX) == ()


def queried_other_relays(network: Network, person: Person, days: int = 2) -> list[str]:
    """Let a person's device fetch once a day.

    Return the URL of each status request that the device sends to a relay other than RELAY_URL.
    """
    urls = list[str]()

    def record_url(honest: HonestCall, url: str) -> object:
        urls.append(url)
        return honest(url)

    with person.courier.replace_calls(status=record_url):
        for _ in range(days):
            network.clock.advance(hours=24)
            fetch_messages(person.device)
    assert urls.count(RELAY_URL) == days
    return [url for url in urls if url != RELAY_URL]


@pytest.fixture
def contacts_at_two_relays() -> tuple[Network, Person, Person]:
    """Return a network, Ana, and her contact Eve at another relay."""
    network = Network()
    ana, eve = network.set_up_person("ana"), network.set_up_person("eve", OTHER_RELAY_URL)
    ana.add_contact(eve)
    catch_up(eve, ana, eve, ana)
    return network, ana, eve


def test_relays_of_others_without_recalls_are_not_asked_about_restores(
    contacts_at_two_relays: tuple[Network, Person, Person],
) -> None:
    network, ana, eve = contacts_at_two_relays
    ana.send(SMALL_PICTURE, eve)
    assert queried_other_relays(network, ana) == []
    block_contact("eve", ana.device)
    assert queried_other_relays(network, ana) == []


def test_relays_with_recent_recalls_are_asked_about_restores(
    contacts_at_two_relays: tuple[Network, Person, Person],
) -> None:
    """The relay of a blocked recipient is also asked: a recalled picture must stay recalled."""
    network, ana, eve = contacts_at_two_relays
    recall_message(ana.send(SMALL_PICTURE, eve).name, ana.device)
    block_contact("eve", ana.device)
    assert queried_other_relays(network, ana) == [OTHER_RELAY_URL] * 2
    network.clock.advance(days=EXPIRY_DAYS_MAX)
    assert queried_other_relays(network, ana) == []
    assert ana.device.vault.keys(RELAY_RESTORE) == (RELAY_URL,)


def test_a_relay_that_only_claims_a_recall_is_not_asked_about_restores(
    contacts_at_two_relays: tuple[Network, Person, Person],
) -> None:
    network, ana, eve = contacts_at_two_relays
    ana.send(SMALL_PICTURE, eve)
    (copy_,) = COPY_DELIVERY_TABLE.all(ana.device.vault)
    claimed = replace(copy_, state=EnvelopeState.TAKEN_BACK)
    COPY_DELIVERY_TABLE.store(claimed, copy_.envelope.hex(), ana.device.vault)
    assert queried_other_relays(network, ana) == []


def test_the_relay_of_a_copy_that_never_left_is_not_asked_about_restores(
    contacts_at_two_relays: tuple[Network, Person, Person],
) -> None:
    network, ana, eve = contacts_at_two_relays
    network.disconnect(OTHER_RELAY_URL)
    with pytest.raises(WaitsInOutbox) as waits:
        ana.send(SMALL_PICTURE, eve)
    (copy_,) = COPY_DELIVERY_TABLE.all(ana.device.vault)
    assert copy_.departure is SendState.WAITING
    recall_message(MessageName(str(waits.value.facts["name"])), ana.device)
    network.reconnect(OTHER_RELAY_URL)
    assert queried_other_relays(network, ana) == []


def test_an_unresponsive_relay_is_asked_about_restores_an_hour_later(
    contacts_at_two_relays: tuple[Network, Person, Person],
) -> None:
    network, ana, eve = contacts_at_two_relays
    recall_message(ana.send(SMALL_PICTURE, eve).name, ana.device)
    called_urls = list[str]()

    def fail_at_other_relay(honest: HonestCall, url: str) -> object:
        if url == RELAY_URL:
            return honest(url)
        called_urls.append(url)
        raise RelayUnreachable(host=url)

    network.clock.advance(hours=7)
    with ana.courier.replace_calls(status=fail_at_other_relay):
        for _ in range(3):
            fetch_messages(ana.device)
        assert len(called_urls) == 1
        network.clock.advance(hours=1)
        fetch_messages(ana.device)
    assert len(called_urls) == 2
    network.clock.advance(hours=1)
    assert queried_other_relays(network, ana, days=1) == [OTHER_RELAY_URL]
