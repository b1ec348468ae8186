"""Tests of confirming unlocks: with several copies of a device, after errors, without a relay."""

import copy
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from entrenous.base.errors import RelayUnreachable, WrongToken
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.generation import confirm_unlock_at_relay, mark_unlock_unconfirmed
from entrenous.device.identities import (
    OLM_ACCOUNT_RECORD,
    ROLLED_BACK_RECORD,
    SIGNING_SEED_RECORD,
    UNLOCK_UNCONFIRMED_RECORD,
    mailbox_address,
    may_advance_ratchets,
)
from entrenous.device.lock_errors import RevokedDeviceLocked, UnlockNotConfirmed
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.vault_tables import OUTBOX, OWN_RECORDS, OWN_XWING_KEY, PEER
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.open import open_message
from entrenous.send.people.invite import make_invite_link
from entrenous.send.recall import recall_message
from entrenous.send.status import query_sent_messages
from entrenous.wire.relay_nouns import RelayLock, RolledBack
from tests.deterministic import SeededRandomSource
from tests.in_memory.vault import MemoryVault
from tests.send.send_device import RELAY_URL, SMALL_PICTURE, Network, Person, cached_network
from tests.village.malicious_relay import HonestCall, MaliciousCourier, Trick, error_trick
from tests.village.world import Participant

UNLOCK_TOKEN = Secret(b"u" * 32)


@pytest.fixture
@cached_network
def network() -> Network:
    """Return Ana and Ben, who are contacts; Ana's device has a lock at her relay."""
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben")
    ana.add_contact(ben)
    home = mailbox_address(ana.device.vault)
    assert home is not None
    lock = RelayLock(home.relay_url, home.mailbox, Secret(b"u" * 32))
    ana.device.courier.create_lock(lock, home.owner)
    return network


def unlock(device: Device) -> None:
    mark_unlock_unconfirmed(device.vault)
    confirm_unlock_at_relay(device)


def copy_device(person: Person) -> Device:
    """Return a device with a copy of the person's vault, as after restoring a backup."""
    vault = copy.deepcopy(person.vault)
    random_source = replace(person.device.random_source, seed="the copy's chance")  # type: ignore[type-var]
    return replace(
        person.device, vault=vault, ledger=VaultLedger(vault), random_source=random_source
    )


def send_from(device: Device, to: Person) -> str:
    """Send one picture from this copy of a device, and return the message's name."""
    return Participant("somebody", device, MemoryVault()).send(SMALL_PICTURE, to).name


@pytest.mark.slow
@pytest.mark.threat("backups-revive")
@pytest.mark.parametrize("unlocked_first", ["the original", "the copy"])
def test_copy_unlocked_second_cannot_continue(network: Network, unlocked_first: str) -> None:
    ana, ben = network["ana"], network["ben"]
    unlock(ana.device)
    both = [ana.device, copy_device(ana)]
    winner, loser = both if unlocked_first == "the original" else both[::-1]
    unlock(winner)
    unlock(loser)
    for forbidden in (
        lambda: send_from(loser, ben),
        lambda: fetch_messages(loser),
        lambda: make_invite_link(loser),
    ):
        with pytest.raises(RolledBack, match="older copy"):
            forbidden()
    assert ben.received_count() == 0
    send_from(winner, ben)
    assert ben.received_count() == 1
    unlock(winner)
    send_from(winner, ben)
    assert ben.received_count() == 2


@pytest.mark.slow
def test_rolled_back_copy_deletes_its_keys_and_keeps_its_messages(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    sent = send_from(ana.device, ben)
    send_from(ben.device, ana)
    name = ana.open_newest() and received_messages(ana.device)[-1].name
    other = copy_device(ana)
    unlock(ana.device)
    unlock(other)
    for table in (PEER, OWN_XWING_KEY, OUTBOX):
        assert list(other.vault.items(table)) == []
    assert other.vault.get(OWN_RECORDS, OLM_ACCOUNT_RECORD) is None
    assert other.vault.get(OWN_RECORDS, SIGNING_SEED_RECORD) is None
    assert [one.message.name for one in query_sent_messages(other)] == [sent]
    assert [one.name for one in received_messages(other)] == [name]
    assert open_message(name, other).files
    (taken,) = recall_message(sent, other)
    assert (taken.opened, taken.asked) == (False, False)
    unlock(other)  # another unlock changes nothing
    with pytest.raises(RolledBack):
        fetch_messages(other)


def test_ratchets_are_frozen_until_the_relay_confirms(network: Network) -> None:
    ana = network["ana"]
    mark_unlock_unconfirmed(ana.device.vault)
    before = dict(ana.vault.items(PEER))
    for forbidden in (
        lambda: send_from(ana.device, network["ben"]),
        lambda: fetch_messages(ana.device),
    ):
        with pytest.raises(UnlockNotConfirmed, match=r"does\s+not\s+send\s+or\s+fetch"):
            forbidden()
    assert dict(ana.vault.items(PEER)) == before
    confirm_unlock_at_relay(ana.device)
    send_from(ana.device, network["ben"])


def test_unreachable_relay_is_asked_again_to_confirm(network: Network) -> None:
    ana = network["ana"]
    mark_unlock_unconfirmed(ana.device.vault)
    network.disconnect(RELAY_URL)
    for _ in range(3):
        with pytest.raises(RelayUnreachable):
            confirm_unlock_at_relay(ana.device)
        assert ana.vault.get(OWN_RECORDS, UNLOCK_UNCONFIRMED_RECORD) is not None
    network.reconnect(RELAY_URL)
    confirm_unlock_at_relay(ana.device)
    confirm_unlock_at_relay(ana.device)
    fetch_messages(ana.device)


class ProcessKilled(BaseException):
    """Simulates the sudden end of the process."""


def test_repeated_unlock_after_a_lost_confirmation_is_not_refused(network: Network) -> None:
    """The process dies after the relay accepts the report and before the device records this."""
    ana, report_then_die = network["ana"], make_deadly_report()
    for _ in range(3):
        mark_unlock_unconfirmed(ana.device.vault)
        with (
            ana.courier.replace_calls(report_vault_unlock=report_then_die),
            pytest.raises(ProcessKilled),
        ):
            confirm_unlock_at_relay(ana.device)
    unlock(ana.device)
    fetch_messages(ana.device)


def make_deadly_report() -> Trick:
    def report_then_die(honest: HonestCall, *arguments: object) -> None:
        honest(*arguments)
        raise ProcessKilled

    return report_then_die


def test_device_whose_mailbox_was_deleted_stays_locked(network: Network) -> None:
    ana = network["ana"]
    home = mailbox_address(ana.device.vault)
    assert home is not None
    assert home.close is not None
    network.honest.close_mailbox(home.relay_url, home.mailbox, home.close)
    with pytest.raises(RevokedDeviceLocked):
        unlock(ana.device)


def test_a_device_without_a_relay_has_no_generations() -> None:
    vault = MemoryVault()
    network = Network()
    ana = network.set_up_person("ana")
    offline = replace(ana.device, vault=vault)
    mark_unlock_unconfirmed(vault)
    confirm_unlock_at_relay(offline)
    assert vault.keys(OWN_RECORDS, "generation") == ()


def test_wrong_token_at_the_relay_is_raised(network: Network) -> None:
    ana = network["ana"]

    with (
        ana.courier.replace_calls(report_vault_unlock=error_trick(WrongToken())),
        pytest.raises(WrongToken),
    ):
        unlock(ana.device)


class CopiesOfOneDevice(RuleBasedStateMachine):
    """Up to four copies of one device are unlocked in any order; requests or answers can get lost.

    A copy whose unlock is answered may advance its ratchets if, and only if, its vault contains
    the last unlock that the relay accepted before this one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = Network()
        ana = self.network.set_up_person("ana")
        home = mailbox_address(ana.device.vault)
        assert home is not None
        self.network.honest.create_lock(
            RelayLock(home.relay_url, home.mailbox, UNLOCK_TOKEN), home.owner
        )
        self.devices = [ana.device]
        self.last_unlocks = [0]  # each copy's last accepted unlock, or -1 after a refusal
        self.accepted_unlocks = 0

    @rule(index=st.integers(0, 3))
    def add_copy(self, index: int) -> None:
        if index < len(self.devices) < 4:
            vault = copy.deepcopy(self.devices[index].vault)
            random_source = SeededRandomSource(f"copy {len(self.devices)} {self.accepted_unlocks}")
            self.devices.append(
                replace(self.devices[index], vault=vault, random_source=random_source)
            )
            self.last_unlocks.append(self.last_unlocks[index])

    @rule(
        index=st.integers(0, 3),
        request_outcome=st.sampled_from(["answered", "request lost", "answer lost"]),
    )
    def unlock_copy(self, index: int, request_outcome: str) -> None:
        if index >= len(self.devices):
            return
        device, allowed = self.devices[index], self.last_unlocks[index] == self.accepted_unlocks
        arrives = request_outcome != "request lost"
        mark_unlock_unconfirmed(device.vault)
        courier = device.courier
        assert isinstance(courier, MaliciousCourier)
        with courier.replace_calls(
            report_vault_unlock=partial(lose_request_or_answer, request_outcome)
        ):
            if request_outcome == "answered" or (request_outcome == "answer lost" and not allowed):
                confirm_unlock_at_relay(device)
            else:
                with pytest.raises(RelayUnreachable):
                    confirm_unlock_at_relay(device)
        if arrives and allowed:
            self.accepted_unlocks += 1
            self.last_unlocks[index] = self.accepted_unlocks
        if request_outcome == "answered":
            assert may_advance_ratchets(device) == allowed
        if not allowed and arrives:
            assert device.vault.get(OWN_RECORDS, ROLLED_BACK_RECORD) is not None
            self.last_unlocks[index] = -1


def lose_request_or_answer(request_outcome: str, honest: HonestCall, *arguments: object) -> None:
    """Lose the request or the answer, if ``request_outcome`` says so. A refusal is never lost."""
    if request_outcome != "request lost":
        honest(*arguments)
    if request_outcome != "answered":
        raise RelayUnreachable(host="")


class TestCopies(CopiesOfOneDevice.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=30, stateful_step_count=25)
