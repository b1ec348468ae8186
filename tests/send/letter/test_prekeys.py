"""Tests of publishing and rotating prekeys, and of reading letters that use earlier prekeys."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from entrenous.base.errors import RelayFull, RelayUnreachable
from entrenous.base.limits import BATCH_SIZE_MAX, ONE_TIME_KEYS_MAX
from entrenous.device.client.http_courier import HttpCourier
from entrenous.device.identities import contacts, own_device
from entrenous.device.vault_tables import OWN_XWING_KEY, UNDECRYPTABLE_LETTER
from entrenous.send.fetch import fetch_messages
from entrenous.send.formats.identity_formats import read_prekey
from entrenous.send.letter.letter_nouns import OWN_XWING_KEY_TABLE
from entrenous.send.letter.prekeys import publish_prekeys
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.wire.encodings import to_base64url
from entrenous.wire.relay_nouns import Prekeys
from tests.in_memory.courier import run_sync
from tests.send.send_device import OTHER_RELAY_URL, RELAY_URL, Network, Person
from tests.village.malicious_relay import HonestCall, error_trick
from tests.village.week import RecordingTransport

pytestmark = pytest.mark.slow


def published_one_time_key_count(person: Person) -> int:
    home = own_device(person.device).home
    return person.device.courier.prekey_count(
        RELAY_URL, home.mailbox, home.owner, own_device(person.device).key.device
    )


def public_xwing_key_count(person: Person) -> int:
    return sum(key.peer is None for key in OWN_XWING_KEY_TABLE.all(person.device.vault))


def return_no_one_time_key(honest: HonestCall, *arguments: Any) -> Any:
    """Return a prekey bundle without a one-time key, as if all were used up."""
    return replace(honest(*arguments), one_time=None)


def has_received_hello(ben: Person) -> bool:
    fetch_messages(ben.device)
    return (
        len(contacts(ben.device)) == 1 and list(ben.device.vault.items(UNDECRYPTABLE_LETTER)) == []
    )


def test_a_new_device_publishes_a_full_set_of_prekeys(network: Network) -> None:
    assert published_one_time_key_count(network["ana"]) == ONE_TIME_KEYS_MAX
    assert public_xwing_key_count(network["ana"]) == 1


def test_one_time_keys_are_topped_up_when_fewer_than_25_are_left(network: Network) -> None:
    ben = network["ben"]
    with ben.courier.replace_calls(prekey_count=lambda *_: 25):
        fetch_messages(ben.device)
    assert ben.courier.calls["publish_prekeys"] == 1
    with ben.courier.replace_calls(prekey_count=lambda *_: 24):
        fetch_messages(ben.device)
    assert ben.courier.calls["publish_prekeys"] == 2


def test_sets_repeat_the_xwing_key_for_one_week_and_the_fallback_key_for_two(
    network: Network,
) -> None:
    """The repeated statements are under new signatures."""
    ben, key_sets = network["ben"], list[Prekeys]()

    def record_set(honest: HonestCall, *arguments: Any) -> Any:
        key_sets.append(arguments[-1])
        return honest(*arguments)

    with ben.courier.replace_calls(publish_prekeys=record_set, prekey_count=lambda *_: 0):
        publish_prekeys(ben.device)
        fetch_messages(ben.device)
        for _ in range(2):
            network.clock.advance(days=7)
            fetch_messages(ben.device)
    xwing_keys = [read_prekey(key_set.xwing).statement for key_set in key_sets]
    fallback_keys = [read_prekey(key_set.fallback).statement for key_set in key_sets]
    assert xwing_keys[0] == xwing_keys[1]
    assert len(set(xwing_keys)) == 3
    assert fallback_keys[0] == fallback_keys[1] == fallback_keys[2] != fallback_keys[3]
    assert len({one for key_set in key_sets for one in key_set.one_time}) == 4 * ONE_TIME_KEYS_MAX
    batches = [read_prekey(one.xwing).batch for one in key_sets]
    assert [one.batch.size for one in batches if one] == [BATCH_SIZE_MAX] * 4
    assert len({one.batch.root for one in batches if one}) == 4
    assert published_one_time_key_count(ben) == ONE_TIME_KEYS_MAX
    lengths = {len(one) for key_set in key_sets for one in (*key_set.one_time, key_set.fallback)}
    assert len(lengths) == 1  # the length of a prekey does not reveal its place in the batch


@pytest.mark.threat("prekey-depletion")
def test_a_hello_arrives_when_all_one_time_keys_are_used_up(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    with ana.courier.replace_calls(claim_prekeys=return_no_one_time_key):
        add_person(make_invite_link(ben.device), "ben", ana.device)
    assert has_received_hello(ben)


def test_the_public_xwing_key_rotates_after_a_week_and_is_deleted_two_weeks_later(
    network: Network,
) -> None:
    ben = network["ben"]
    (first,) = (key.id for key in OWN_XWING_KEY_TABLE.all(ben.device.vault))
    for days, key_count in ((6, 1), (1, 2), (6, 2), (1, 3), (6, 3)):
        network.clock.advance(days=days)
        fetch_messages(ben.device)
        assert public_xwing_key_count(ben) == key_count
    assert ben.device.vault.get(OWN_XWING_KEY, first.hex()) is not None
    network.clock.advance(days=1)
    fetch_messages(ben.device)
    assert ben.device.vault.get(OWN_XWING_KEY, first.hex()) is None


def test_after_a_long_absence_the_old_key_rotates_and_is_kept_for_a_fortnight(
    network: Network,
) -> None:
    ben = network["ben"]
    network.clock.advance(days=100)
    for days, key_count in ((0, 2), (6, 2), (8, 2), (1, 2), (6, 3)):
        network.clock.advance(days=days)
        fetch_messages(ben.device)
        assert public_xwing_key_count(ben) == key_count
    assert ben.courier.calls["publish_prekeys"] == 4


@pytest.mark.parametrize(
    ("key_kind", "claimed_on_day"), [("one-time", 6), ("fallback", 6), ("fallback", 13)]
)
def test_a_letter_to_a_key_claimed_just_before_rotation_opens(
    network: Network, key_kind: str, claimed_on_day: int
) -> None:
    """Caro's device posts the first letter two weeks after claiming the key. Ben's device fetches
    daily.
    """
    ben, caro = network["ben"], network.set_up_person("caro", OTHER_RELAY_URL)
    link = make_invite_link(ben.device)

    def wait(days: int) -> None:
        for _ in range(days):
            network.clock.advance(days=1)
            fetch_messages(ben.device)

    wait(claimed_on_day)
    tricks = {"claim_prekeys": return_no_one_time_key} if key_kind == "fallback" else {}
    tricks["change_tokens"] = error_trick(RelayUnreachable(host="x"))
    with caro.courier.replace_calls(**tricks), pytest.raises(RelayUnreachable):
        add_person(link, "ben", caro.device)
    wait(14)
    fetch_messages(caro.device)
    assert has_received_hello(ben)


@pytest.mark.parametrize("key_kind", ["one-time", "fallback"])
def test_a_hello_to_an_earlier_prekey_is_read_after_new_prekeys_are_published(
    network: Network, key_kind: str
) -> None:
    ana, ben = network["ana"], network["ben"]
    tricks = {"claim_prekeys": return_no_one_time_key} if key_kind == "fallback" else {}
    with ana.courier.replace_calls(**tricks):
        add_person(make_invite_link(ben.device), "ben", ana.device)
    publish_prekeys(ben.device)
    assert has_received_hello(ben)


@pytest.mark.parametrize("error", [RelayFull(), RelayUnreachable(host="x")], ids=type)
def test_hellos_are_read_after_prekeys_could_not_be_published(
    network: Network, error: Exception
) -> None:
    """The relay still hands out an earlier fallback key. Ben's device has kept the matching private
    key.
    """
    ana, ben = network["ana"], network["ben"]
    link = make_invite_link(ben.device, people=2)
    for _ in range(4):
        with (
            ben.courier.replace_calls(publish_prekeys=error_trick(error)),
            pytest.raises(type(error)),
        ):
            publish_prekeys(ben.device)
    with ana.courier.replace_calls(claim_prekeys=return_no_one_time_key):
        add_person(link, "ben", ana.device)
    assert has_received_hello(ben)
    publish_prekeys(ben.device)
    caro = network.set_up_person("caro")
    with caro.courier.replace_calls(claim_prekeys=return_no_one_time_key):
        add_person(link, "ben", caro.device)
    fetch_messages(ben.device)
    assert len(contacts(ben.device)) == 2


def test_a_hello_is_read_after_publications_of_prekeys_were_not_acknowledged(
    network: Network,
) -> None:
    ana, ben = network["ana"], network["ben"]

    def lose_answer(honest: HonestCall, *arguments: Any) -> Any:
        honest(*arguments)
        raise RelayUnreachable(host="x")

    for _ in range(3):
        with (
            ben.courier.replace_calls(publish_prekeys=lose_answer),
            pytest.raises(RelayUnreachable),
        ):
            publish_prekeys(ben.device)
    with ana.courier.replace_calls(claim_prekeys=return_no_one_time_key):
        add_person(make_invite_link(ben.device), "ben", ana.device)
    assert has_received_hello(ben)


def test_prekeys_are_topped_up_before_letters_are_posted() -> None:
    """In this order, the device pauses once; in the other order, it would pause twice.

    See docs/spec/relay.md section 14.
    """
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben")
    add_person(make_invite_link(ben.device), "ben", ana.device)
    transport = RecordingTransport(network.apps, run_sync)
    courier = HttpCourier(httpx.Client(transport=transport))
    fetch_messages(replace(ben.device, courier=courier))  # reads Ana's hello and replies to it
    kinds = [
        (one.method, "prekeys" if "/prekeys/" in one.path else "letter")
        for one in transport.requests
        if "/prekeys/" in one.path or (one.method == "PUT" and "/envelopes/" in one.path)
    ]
    own, last = ben.home[1], transport.requests[-1]
    assert ("PUT", "letter") in kinds
    assert max(at for at, (_, what) in enumerate(kinds) if what == "prekeys") < min(
        at for at, (_, what) in enumerate(kinds) if what == "letter"
    )
    assert to_base64url(own) not in last.path
