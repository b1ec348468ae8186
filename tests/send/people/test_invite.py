"""Invite links: whom they add, how invited people are greeted, and what is refused."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenous.base.errors import EntrenousError, RelayUnreachable, TooMany, WrongToken
from entrenous.base.identifiers import DeviceId
from entrenous.base.identity import (
    BadKeyBundle,
    DeviceListHead,
    ForkedDeviceList,
    OutdatedDeviceList,
    Trust,
)
from entrenous.base.limits import EXPIRY_DAYS_MAX, INVITE_DAYS
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import token_hash
from entrenous.device.identities import AddressOnThisMachine, contacts, own_device
from entrenous.device.lock_errors import DeviceWithoutRelay
from entrenous.device.vault_tables import INVITE, INVITE_USE_TO_ANSWER
from entrenous.send.devices.device_lists import (
    freeze_contact,
    unfrozen_contact_after_comparison,
)
from entrenous.send.devices.own_key_bundle import open_key_bundle, seal_key_bundle
from entrenous.send.fetch import fetch_messages
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.people.contact_history import take_contact_changes
from entrenous.send.people.invite import add_person, make_invite_link, queue_hellos
from entrenous.send.people.keep_contacts import (
    contact_named,
    forget_contact,
    fork_error,
    mark_keys_compared,
    store_contact,
)
from entrenous.send.people.people_nouns import (
    DEVICE_LIST_FORK_TABLE,
    BadInvite,
    BadName,
    ContradictoryLists,
    DeviceListContradiction,
    InviteKeysDiffer,
    InviteLinkIsYourOwn,
    NameTaken,
)
from entrenous.send.set_up import set_up
from entrenous.send.tokens.use import (
    lend_tokens,
    next_token_for,
    store_first_token,
    would_relay_accept_next_letter,
)
from entrenous.wire.key_bundle import read_key_bundle, write_key_bundle
from entrenous.wire.text import url_leads_to_this_machine
from tests.in_memory.vault import MemoryVault
from tests.send.send_device import OTHER_RELAY_URL, RELAY_URL, SMALL_PICTURE, Network, Person
from tests.send.signed_lists import (
    certify_another_device,
    identity_of,
    issue_key_bundle,
    replace_identity,
)
from tests.village.households import catch_up
from tests.village.malicious_relay import (
    HonestCall,
    Trick,
    changed_answer_trick,
    error_trick,
    flip_bit,
)

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def link_from_bytes(data: bytes) -> str:
    return "entrenous:1:" + base64.urlsafe_b64encode(data).decode().rstrip("=")


def changed_key_bundle_trick(owner: Person, change: Callable[[bytes], bytes]) -> Trick:
    """Return a trick for a relay that knows an invite. The relay opens the owner's key bundle,
    changes it, and seals it again.
    """
    mailbox = own_device(owner.device).home.mailbox
    return changed_answer_trick(
        lambda shown: seal_key_bundle(
            change(open_key_bundle(shown, owner.id, mailbox)), owner.id, mailbox
        )
    )


def has_no_contacts(owner: Person) -> bool:
    return contacts(owner.device) == ()


def test_invite_makes_both_known_by_link(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    add_person(make_invite_link(ben.device), "ben", ana.device)
    fetch_messages(ben.device)
    (of_ana,), (of_ben,) = contacts(ana.device), contacts(ben.device)
    assert (of_ana.name, of_ana.trust, of_ana.person.id) == ("ben", Trust.BY_LINK, ben.id)
    assert (of_ben.name, of_ben.trust, of_ben.person.id) == ("ana", Trust.BY_LINK, ana.id)
    ana.compare_keys(ben)
    assert contact_named("ben", ana.device).trust is Trust.COMPARED
    assert contact_named("ana", ben.device).trust is Trust.BY_LINK


def test_after_greeting_neither_uses_the_invite_token(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    (lock,) = (key for key, _ in ben.device.vault.items(INVITE))
    for one, name in ((ana, "ben"), (ben, "ana")):
        contact = contact_named(name, one.device)
        token = next_token_for(contact, contact.person.devices[0].device, one.device)
        assert token_hash(token).hex() != lock


@pytest.mark.parametrize("place", [0, 10, 13, 40, 80, -3, -1])
def test_link_with_a_wrong_character_adds_nobody(network: Network, place: int) -> None:
    ana = network["ana"]
    link = make_invite_link(network["ben"].device)
    wrong = "A" if link[place] != "A" else "B"
    changed_link = link[:place] + wrong + link[place:][1:]
    with pytest.raises(EntrenousError):
        add_person(changed_link, "ben", ana.device)
    assert has_no_contacts(ana)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200) | st.binary(max_size=200).map(link_from_bytes))
def test_random_pasted_text_is_refused(network: Network, pasted: str) -> None:
    with pytest.raises(BadInvite):
        add_person(pasted, "ben", network["ana"].device)


def test_a_link_may_be_pasted_with_space_around_it(network: Network) -> None:
    add_person(f"  {make_invite_link(network['ben'].device)}\n", "ben", network["ana"].device)
    assert not has_no_contacts(network["ana"])


def test_own_invite_link_is_refused(network: Network) -> None:
    ana = network["ana"]
    with pytest.raises(InviteLinkIsYourOwn):
        add_person(make_invite_link(ana.device), "me", ana.device)
    assert has_no_contacts(ana)


@pytest.mark.parametrize("name", ["", " ben", "ben\n", "b\u202en", "x" * 65, "-b"])
def test_invalid_name_is_refused(network: Network, name: str) -> None:
    with pytest.raises(BadName):
        add_person(make_invite_link(network["ben"].device), name, network["ana"].device)
    assert has_no_contacts(network["ana"])


@pytest.mark.parametrize("name", ["ben", "BEN", "b\u200den"])
def test_a_taken_name_is_refused_and_stays_with_its_contact(friends: Network, name: str) -> None:
    ana, caro = friends["ana"], friends.set_up_person("caro")
    with pytest.raises(NameTaken):
        add_person(make_invite_link(caro.device), name, ana.device)
    assert [(one.name, one.person.id) for one in contacts(ana.device)] == [
        ("ben", friends["ben"].id)
    ]
    ana.add_contact(caro)
    assert caro.received_count() == 0


@pytest.mark.threat("server-adds-device")
def test_a_relay_that_swaps_the_key_bundle_is_detected(network: Network) -> None:
    """The relay shows Mallory's key bundle, which is valid, in place of Ben's."""
    ana, ben, mallory = network["ana"], network["ben"], network.set_up_person("mallory")
    mallorys_bundle = own_device(mallory.device).card
    with (
        ana.courier.replace_calls(
            key_bundle=changed_key_bundle_trick(ben, lambda _: mallorys_bundle)
        ),
        pytest.raises(InviteKeysDiffer),
    ):
        add_person(make_invite_link(ben.device), "ben", ana.device)
    assert has_no_contacts(ana)
    assert ana.courier.calls["claim_prekeys"] == 0


@pytest.mark.parametrize("place", [0, 2, 30, 200, 2500, -4000, -3000, -1])
def test_key_bundle_with_a_flipped_bit_is_refused(network: Network, place: int) -> None:
    ana, ben = network["ana"], network["ben"]
    inside = changed_key_bundle_trick(ben, lambda bundle: flip_bit(bundle, place))
    outside = changed_answer_trick(lambda shown: flip_bit(shown, place))
    for trick in (inside, outside):
        with (
            ana.courier.replace_calls(key_bundle=trick),
            pytest.raises((BadKeyBundle, InviteKeysDiffer)),
        ):
            add_person(make_invite_link(ben.device), "ben", ana.device)
    assert has_no_contacts(ana)


def test_published_bundle_reveals_neither_name_nor_keys(network: Network) -> None:
    name = "Benedikt Ottmar"  # encrypted bytes sometimes contain a name of three letters
    me = own_device(network.set_up_person(name).device)
    shown = network.honest.key_bundle(RELAY_URL, me.home.mailbox, me.home.owner)
    for private in (
        name.encode(),
        me.person.master.ed25519,
        me.person.master.mldsa65[:32],
        me.person.id,
    ):
        assert private not in shown


def test_key_bundle_with_one_bad_signature_is_refused(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    bundle = read_key_bundle(own_device(ben.device).card)
    for signature_part in (slice(0, 64), slice(64, None)):
        signature = bytearray(bundle.signature)
        signature[signature_part] = bytes(len(signature[signature_part]))
        forged = write_key_bundle(replace(bundle, signature=bytes(signature)))
        with (
            ana.courier.replace_calls(
                key_bundle=changed_key_bundle_trick(ben, lambda _, forged=forged: forged)
            ),
            pytest.raises(InviteKeysDiffer),
        ):
            add_person(make_invite_link(ben.device), "ben", ana.device)
    assert has_no_contacts(ana)


def test_invite_admits_a_limited_number_of_letters(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.send.people.invite.INVITE_USES_PER_PERSON", 1)
    ana, ben, caro = network["ana"], network["ben"], network.set_up_person("caro")
    link = make_invite_link(ben.device)
    add_person(link, "ben", ana.device)
    with pytest.raises(WrongToken):
        add_person(link, "ben", caro.device)
    assert has_no_contacts(caro)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    ana.send(SMALL_PICTURE, ben)  # uses a token issued to Ana, not the invite's
    assert ben.received_count() == 1


@pytest.mark.slow
def test_person_added_again_keeps_valid_tokens(
    friends: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ana adds Ben twice by the same link, and can write to him. Caro can still use the link."""
    monkeypatch.setattr("entrenous.send.people.invite.INVITE_USES_PER_PERSON", 1)
    ana, ben, caro = friends["ana"], friends["ben"], friends.set_up_person("caro")
    link = make_invite_link(ben.device)
    for _ in range(2):
        add_person(link, "ben", ana.device)
        ana.send(SMALL_PICTURE, ben)
    add_person(link, "ben", caro.device)
    assert ben.received_count() == 2


def test_new_invite_reaches_a_person_who_forgot_us(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    forget_contact("ana", ben.device)
    fetch_messages(ben.device)
    add_person(make_invite_link(ben.device), "ben", ana.device)
    ana.send(SMALL_PICTURE, ben)
    assert ben.received_count() == 1
    fetch_messages(ana.device)
    ben.send(SMALL_PICTURE, ana)
    assert ana.received_count() == 1


def test_last_user_of_an_invite_can_write_after_being_greeted(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.send.people.invite.INVITE_USES_PER_PERSON", 1)
    ana, ben, caro = network["ana"], network["ben"], network.set_up_person("caro")
    link = make_invite_link(ben.device, people=2)
    of_ana = add_person(link, "ben", ana.device)
    assert would_relay_accept_next_letter(of_ana, ana.device)
    of_caro = add_person(link, "ben", caro.device)
    assert not would_relay_accept_next_letter(of_caro, caro.device)
    with caro.courier.replace_calls(key_bundle=error_trick(RelayUnreachable(host="relay"))):
        # An unreachable relay does not count as a refusal.
        assert would_relay_accept_next_letter(of_caro, caro.device)
    fetch_messages(ben.device)
    fetch_messages(caro.device)
    assert would_relay_accept_next_letter(of_caro, caro.device)


@pytest.mark.parametrize(("days", "valid"), [(29, True), (30, False)])
def test_an_invite_ends_after_thirty_days(network: Network, days: int, *, valid: bool) -> None:
    ana, ben = network["ana"], network["ben"]
    link = make_invite_link(ben.device)
    network.clock.advance(days=days)
    if valid:
        add_person(link, "ben", ana.device)
    else:
        with pytest.raises(WrongToken):
            add_person(link, "ben", ana.device)
    assert has_no_contacts(ana) is not valid


def test_nobody_is_added_when_the_relay_is_unreachable(network: Network) -> None:
    ana = network["ana"]
    link = make_invite_link(network["ben"].device)
    network.disconnect(RELAY_URL)
    with pytest.raises(RelayUnreachable):
        add_person(link, "ben", ana.device)
    assert has_no_contacts(ana)
    network.reconnect(RELAY_URL)
    add_person(link, "ben", ana.device)


def test_adding_a_person_again_renames_them(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    add_person(make_invite_link(ben.device), "benjamin", ana.device)
    (contact,) = contacts(ana.device)
    assert contact.name == "benjamin"
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    ben.send(SMALL_PICTURE, ana)
    assert ana.received_count() == 1


def test_adding_again_keeps_compared_keys_and_makes_unknown_keys_known_by_link(
    friends: Network,
) -> None:
    ben, ana = friends["ben"], friends["ana"]
    add_person(make_invite_link(ana.device), "ana", ben.device)
    assert contact_named("ana", ben.device).trust is Trust.BY_LINK
    add_person(make_invite_link(ben.device), "ben", ana.device)
    assert contact_named("ben", ana.device).trust is Trust.COMPARED
    forgotten = replace(contact_named("ana", ben.device), trust=Trust.UNKNOWN)
    store_contact(forgotten, ben.device)
    assert add_person(make_invite_link(ana.device), "ana", ben.device).trust is Trust.BY_LINK


@pytest.mark.slow
def test_person_forgotten_and_added_again_can_write(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    for _ in range(2):
        ana.send(SMALL_PICTURE, ben)
        ben.send(SMALL_PICTURE, ana)
    before = ben.received_count(), ana.received_count()
    forget_contact("ben", ana.device)
    ana.add_contact(ben)
    ana.send(SMALL_PICTURE, ben)
    ben.send(SMALL_PICTURE, ana)
    assert (ben.received_count(), ana.received_count()) == (before[0] + 1, before[1] + 1)


@pytest.mark.slow
def test_person_who_forgot_us_and_added_us_again_can_write(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ben.send(SMALL_PICTURE, ana)
    assert ana.received_count() == 1
    forget_contact("ana", ben.device)
    ben.add_contact(ana)
    ana.send(SMALL_PICTURE, ben)
    ben.send(SMALL_PICTURE, ana)
    assert (ana.received_count(), ben.received_count()) == (2, 1)


def test_a_forgotten_person_cannot_reach_the_inbox(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    forget_contact("ana", ben.device)
    ana.send(SMALL_PICTURE, ben)
    assert ben.received_count() == 0
    caro = friends.set_up_person("caro")
    caro.add_contact(ben)
    caro.send(SMALL_PICTURE, ben)  # Ana's ignored letter does not block Caro's
    assert ben.received_count() == 1


@pytest.mark.threat("forgotten-writes-on")
def test_greeting_from_a_forgotten_person_does_not_add_them_again(friends: Network) -> None:
    """A hello in a new session needs an invite, even if the relay accepts the hello."""
    ana, ben = friends["ana"], friends["ben"]
    forget_contact("ana", ben.device)
    of_ben = contact_named("ben", ana.device)
    forget_contact("ben", ana.device)
    store_contact(of_ben, ana.device)
    queue_hellos(of_ben, None, ana.device)
    fetch_messages(ana.device)
    assert fetch_messages(ben.device).letters_received == 1
    assert contacts(ben.device) == ()
    # An ignored hello does not count as undecryptable.
    assert take_undecryptable_count(ben.device) == 0
    link = make_invite_link(ben.device)
    add_person(link, "ben", ana.device)
    fetch_messages(ben.device)
    assert [contact.name for contact in contacts(ben.device)] == ["ana"]


LOOPBACK_URLS = [
    "http://127.0.0.1:7002",
    "https://localhost",
    "https://127.1:22",
    "https://[::1]:8443",
]


def set_relay_address(url: str, owner: Person) -> None:
    """Change the relay address in a person's own identity."""
    identity = identity_of(owner)
    assert identity.home is not None
    assert identity.person is not None
    home, person = replace(identity.home, relay_url=url), replace(identity.person, relay_url=url)
    replace_identity(owner, replace(identity, home=home, person=person))


@pytest.mark.threat("own-machine")
@pytest.mark.parametrize("url", LOOPBACK_URLS)
def test_a_strangers_key_bundle_cannot_name_the_readers_own_machine(
    network: Network, url: str
) -> None:
    """Mallory's key bundle says that her relay is a program on Ben's machine."""
    ben, mallory = network["ben"], network.set_up_person("mallory")
    remote = "https://relay.example"
    network.apps[remote] = network.apps[RELAY_URL]
    set_relay_address(remote, ben)
    issue_key_bundle(mallory, same_epoch=True, relay_url=url)
    add_person(make_invite_link(ben.device), "ben", mallory.device)
    called_relays: list[str] = []

    def record_relay(honest: HonestCall, where: str, *arguments: Any) -> Any:
        called_relays.append(where)
        return honest(where, *arguments)

    with ben.courier.replace_calls(
        **dict.fromkeys(("claim_prekeys", "post", "key_bundle"), record_relay)
    ):
        assert fetch_messages(ben.device).letters_received == 1
    assert called_relays == []
    assert contacts(ben.device) == ()


@pytest.mark.threat("own-machine")
@pytest.mark.parametrize("url", LOOPBACK_URLS)
def test_links_and_key_bundles_with_loopback_addresses_are_refused(
    network: Network, url: str
) -> None:
    ana, ben = network["ana"], network["ben"]
    remote = "https://relay.example"
    network.apps[remote] = network.apps[url] = network.apps[RELAY_URL]
    link = make_invite_link(ben.device)
    set_relay_address(remote, ana)
    with pytest.raises(AddressOnThisMachine):
        add_person(link, "ben", ana.device)
    assert ana.courier.calls["key_bundle"] == 0
    set_relay_address(remote, ben)
    redirected = issue_key_bundle(ben, same_epoch=True, relay_url=url)
    with (
        ana.courier.replace_calls(key_bundle=changed_key_bundle_trick(ben, lambda _: redirected)),
        pytest.raises(AddressOnThisMachine),
    ):
        add_person(make_invite_link(ben.device), "ben", ana.device)
    assert has_no_contacts(ana)
    assert ana.courier.calls["claim_prekeys"] == 0


@pytest.mark.parametrize(
    ("url", "local"),
    [
        *((url, True) for url in LOOPBACK_URLS),
        *((f"https://{host}/", True) for host in ("LOCALHOST.", "a.localhost", "0.0.0.0", "[::]")),
        *((f"https://{host}", True) for host in ("2130706433", "0x7f.1", "[::ffff:127.0.0.1]")),
        ("https://%31%32%37.0.0.1", True),
        *((f"https://{host}", False) for host in ("relay.example", "10.0.0.1", "[2001:db8::1]")),
        *((f"https://{host}", False) for host in ("localhost.example", "127.example", "[::1")),
    ],
)
def test_addresses_of_the_own_machine_are_told_from_others(url: str, *, local: bool) -> None:
    assert url_leads_to_this_machine(url) is local


@pytest.mark.threat("server-adds-device")
def test_only_a_newer_key_bundle_replaces_the_known_one(
    friends: Network,
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    old = own_device(ben.device).card
    new = issue_key_bundle(ben, name="Benjamin")
    with ana.courier.replace_calls(key_bundle=changed_key_bundle_trick(ben, lambda _: new)):
        add_person(make_invite_link(ben.device), "ben", ana.device)
    assert contact_named("ben", ana.device).person.epoch == 2
    with (
        ana.courier.replace_calls(key_bundle=changed_key_bundle_trick(ben, lambda _: old)),
        pytest.raises(OutdatedDeviceList),
    ):
        add_person(make_invite_link(ben.device), "ben", ana.device)
    assert contact_named("ben", ana.device).person.name == "Benjamin"


def test_a_conflicting_key_bundle_or_its_successor_is_refused(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    conflicting = issue_key_bundle(ben, same_epoch=True, name="Another")
    successor = issue_key_bundle(ben)
    mark_keys_compared("ben", ana.device)
    for forked in (conflicting, successor):
        with (
            ana.courier.replace_calls(
                key_bundle=changed_key_bundle_trick(ben, lambda _, now=forked: now)
            ),
            pytest.raises(ForkedDeviceList),
        ):
            add_person(make_invite_link(ben.device), "ben", ana.device)
        contact = contact_named("ben", ana.device)
        assert (contact.person.name, contact.forked) == ("ben", True)
        (change,) = take_contact_changes(ana.device)
        assert change.lists is DeviceListContradiction.FORKED
        (evidence,) = DEVICE_LIST_FORK_TABLE.all(ana.device.vault)
        assert evidence.shown == forked
        store_contact(unfrozen_contact_after_comparison(contact, ana.device), ana.device)


def test_adding_a_contact_again_reports_that_their_devices_changed(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    mark_keys_compared("ben", ana.device)
    newer = issue_key_bundle(ben, further_devices=(certify_another_device(ben),))
    with ana.courier.replace_calls(key_bundle=changed_key_bundle_trick(ben, lambda _: newer)):
        contact = add_person(make_invite_link(ben.device), "ben", ana.device)
    assert contact_named("ben", ana.device).trust is Trust.COMPARED
    assert contact.changed_at == ana.device.clock.now()
    (change,) = take_contact_changes(ana.device)
    assert (change.name, change.devices_added, change.devices_removed) == ("ben", 1, 0)


def freeze_ben(friends: Network) -> None:
    """Let Ana's device record that Ben has two conflicting device lists."""
    ana, ben = friends["ana"], friends["ben"]
    freeze_contact(fork_error(ben.id, DeviceListHead(1, bytes(32))), ana.device)
    take_contact_changes(ana.device)


@pytest.mark.threat("server-adds-device")
def test_link_of_a_contact_with_conflicting_lists_is_refused(friends: Network) -> None:
    """A link is refused until the contact is forgotten, and does not rename the contact."""
    ana, ben = friends["ana"], friends["ben"]
    fetch_messages(ben.device)
    link = make_invite_link(ben.device)
    freeze_ben(friends)
    frozen = contact_named("ben", ana.device)
    issue_key_bundle(ben)
    with pytest.raises(ContradictoryLists, match=r"entrenous\s+person\s+forget\s+ben"):
        add_person(link, "benjamin", ana.device)
    assert contacts(ana.device) == (frozen,)
    assert fetch_messages(ben.device).letters_received == 0
    forget_contact("ben", ana.device)
    assert add_person(link, "ben", ana.device).trust is Trust.BY_LINK


@pytest.mark.threat("server-adds-device")
def test_contact_with_conflicting_lists_is_not_greeted(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    fetch_messages(ben.device)
    freeze_ben(friends)
    add_person(make_invite_link(ana.device), "ana", ben.device)
    fetch_messages(ana.device)
    assert fetch_messages(ben.device).letters_received == 0
    store_contact(
        unfrozen_contact_after_comparison(contact_named("ben", ana.device), ana.device), ana.device
    )
    fetch_messages(ana.device)
    assert fetch_messages(ben.device).letters_received > 0
    assert ana.device.vault.keys(INVITE_USE_TO_ANSWER) == ()


def test_hello_with_an_old_key_bundle_changes_nothing(friends: Network) -> None:
    """The hello may come from a device that is no longer on the newest list."""
    ana, ben = friends["ana"], friends["ben"]
    first = identity_of(ben)
    issue_key_bundle(ben)
    queue_hellos(contact_named("ana", ben.device), None, ben.device)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    known = contact_named("ben", ana.device)
    assert known.person.epoch == 2
    replace_identity(ben, first)
    queue_hellos(contact_named("ana", ben.device), None, ben.device)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    assert contact_named("ben", ana.device) == known


@pytest.mark.slow
def test_an_unreachable_relay_of_one_invited_person_delays_nobody(network: Network) -> None:
    ana, ben, caro = network["ana"], network["ben"], network.set_up_person("caro", OTHER_RELAY_URL)
    add_person(make_invite_link(ben.device), "ben", caro.device)
    add_person(make_invite_link(ben.device), "ben", ana.device)
    ana.send(SMALL_PICTURE, ben)
    network.disconnect(OTHER_RELAY_URL)
    assert ben.received_count() == 1
    assert {contact.name for contact in contacts(ben.device)} == {"ana", "caro"}
    network.reconnect(OTHER_RELAY_URL)
    fetch_messages(ben.device)
    fetch_messages(caro.device)
    caro.send(SMALL_PICTURE, ben)
    ben.send(SMALL_PICTURE, caro)
    assert (ben.received_count(), caro.received_count()) == (2, 1)


def give_token(device_id: DeviceId, owner: Person, writer: Person) -> None:
    """Give a writer a send token for one device of the owner."""
    store_first_token(owner.id, device_id, Secret(bytes(range(32))), writer.device)


def test_greeting_waits_while_the_relay_of_the_invited_person_is_unreachable_or_busy(
    network: Network,
) -> None:
    """Mallory's relay is first unreachable, and then refuses to hand out prekeys."""
    ana, ben, mallory = (
        network["ana"],
        network["ben"],
        network.set_up_person("mallory", OTHER_RELAY_URL),
    )
    issue_key_bundle(mallory, same_epoch=True, further_devices=(certify_another_device(mallory),))
    add_person(make_invite_link(ben.device), "ben", mallory.device)
    give_token(certify_another_device(mallory).certificate.device, mallory, ben)
    add_person(make_invite_link(ben.device), "ben", ana.device)
    ana.send(SMALL_PICTURE, ben)
    network.disconnect(OTHER_RELAY_URL)
    assert ben.received_count() == 1
    assert len(list(ben.device.vault.items(INVITE_USE_TO_ANSWER))) == 1
    network.reconnect(OTHER_RELAY_URL)
    with ben.courier.replace_calls(claim_prekeys=error_trick(TooMany(retry_after_s=60))):
        fetch_messages(ben.device)
    assert len(list(ben.device.vault.items(INVITE_USE_TO_ANSWER))) == 1


def test_no_greeting_is_retried_for_a_device_with_invalid_keys(network: Network) -> None:
    ben, mallory = network["ben"], network.set_up_person("mallory", OTHER_RELAY_URL)
    issue_key_bundle(mallory, same_epoch=True, further_devices=(certify_another_device(mallory),))
    add_person(make_invite_link(ben.device), "ben", mallory.device)
    give_token(certify_another_device(mallory).certificate.device, mallory, ben)

    def claim_first_device(honest: HonestCall, *arguments: Any) -> Any:
        me, (url, _, token, _) = own_device(mallory.device), arguments
        return honest(url, me.home.mailbox, token, me.key.device)

    with ben.courier.replace_calls(claim_prekeys=claim_first_device):
        fetch_messages(ben.device)
    assert [contact.name for contact in contacts(ben.device)] == ["mallory"]
    assert ben.courier.calls["claim_prekeys"] == 1
    assert list(ben.device.vault.items(INVITE_USE_TO_ANSWER)) == []


def test_a_token_is_registered_before_the_letter_that_carries_it_leaves(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    order: list[str] = []

    def record_call(call: str) -> Any:
        def record_and_call(honest: HonestCall, *arguments: Any) -> Any:
            order.append(call)
            return honest(*arguments)

        return record_and_call

    with ana.courier.replace_calls(change_tokens=record_call("token"), post=record_call("letter")):
        add_person(make_invite_link(ben.device), "ben", ana.device)
    assert order == ["token", "letter"]


def test_an_invite_that_cannot_be_registered_is_not_kept(network: Network) -> None:
    ben = network["ben"]
    unreachable = error_trick(RelayUnreachable(host="x"))
    with ben.courier.replace_calls(register_token=unreachable), pytest.raises(RelayUnreachable):
        make_invite_link(ben.device)
    assert list(ben.device.vault.items(INVITE)) == []


def test_device_without_a_relay_can_neither_invite_nor_fetch(network: Network) -> None:
    device = replace(network["ana"].device, vault=MemoryVault())
    set_up("ana", None, device)
    for operation in (lambda: make_invite_link(device), lambda: fetch_messages(device)):
        with pytest.raises(DeviceWithoutRelay):
            operation()


def test_expired_invite_admits_nobody(friends: Network) -> None:
    """The relay would refuse the invite's expired token, so Eve uses a token of Ben's."""
    ana, ben, eve = friends["ana"], friends["ben"], friends.set_up_person("eve", OTHER_RELAY_URL)
    catch_up(ben, ana, ben)
    old, lock = make_invite_link(ana.device), ana.device.vault.keys(INVITE)
    catch_up(ana)
    friends.clock.advance(days=INVITE_DAYS + EXPIRY_DAYS_MAX + 1)
    catch_up(ana, ben, ana, ben)
    friends.clock.advance(hours=1)  # until then, Ana's clock counts as implausible
    lent, home = (
        iter(lend_tokens(ana.id, own_device(ana.device).key.device, 4, ben.device)),
        ana.home,
    )
    token = next(lent).token

    def with_lent_token(honest: HonestCall, url: str, mailbox: Any, _: Any, *more: Any) -> Any:
        return honest(url, mailbox, token, *more)

    def post_with_lent_token(honest: HonestCall, url: str, own: Any, envelope: Any) -> Any:
        return honest(url, token if envelope.mailbox == home[1] else own, envelope)

    with eve.courier.replace_calls(
        key_bundle=with_lent_token, claim_prekeys=with_lent_token, post=post_with_lent_token
    ):
        add_person(old, "ana", eve.device)
    fetch_messages(ana.device)
    assert [one.name for one in contacts(ana.device)] == ["ben"]
    make_invite_link(ana.device)
    assert not set(lock) & set(ana.device.vault.keys(INVITE)), "the expired invite is deleted"
