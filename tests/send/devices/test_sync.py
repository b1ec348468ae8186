"""Tests of syncing contacts, names, circles and blocks between the devices of one person."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from entrenous.base.errors import RelayUnreachable
from entrenous.base.identity import DeviceListHead, Trust
from entrenous.device.identities import CONTACT_TABLE, contacts, own_device
from entrenous.send.devices.device_lists import freeze_contact
from entrenous.send.devices.linked_devices import own_linked_devices
from entrenous.send.devices.sync_records import change_stamp_of
from entrenous.send.fetch import fetch_messages
from entrenous.send.formats.sync_format import SharedBlock, SharedForgottenContact, write_sync_note
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.letter.letter_nouns import SyncNote, SyncTopic
from entrenous.send.letter.write import (
    addressees,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.people.block import block_contact, rename_contact, unblock_contact
from entrenous.send.people.circle_members import (
    circle_named,
    create_or_extend_circle,
    members_of,
    remove_from_circle_or_delete,
)
from entrenous.send.people.circles import circles
from entrenous.send.people.contact_history import take_contact_changes
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import (
    contact_named,
    forget_contact,
    fork_error,
    mark_keys_compared,
)
from entrenous.send.people.people_nouns import UnknownPerson
from tests.archive.archives_in_memory import export_tar, import_tar
from tests.deterministic import SettableClock
from tests.send.send_device import (
    OTHER_RELAY_URL,
    RELAY_URL,
    SMALL_PICTURE,
    Network,
    Person,
    cached_network,
)
from tests.village.households import add_blank_device, add_linked_device, catch_up, link_devices
from tests.village.malicious_relay import HonestCall, error_trick

pytestmark = pytest.mark.slow


@pytest.fixture
@cached_network
def network() -> Network:
    """Return Ana with a laptop ("ana") and a phone, her contact Ben, and Caro without contacts."""
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben", OTHER_RELAY_URL)
    network.set_up_person("caro")
    ana.add_contact(ben)
    phone = add_linked_device(network, ana, "phone", "phone")
    catch_up(ben, phone, ana, ben)
    return network


def fetch_rounds(*people: Person) -> None:
    """Let each of these devices fetch three times."""
    for _ in range(3):
        catch_up(*people)


def contact_names(person: Person) -> list[str]:
    return [one.name for one in contacts(person.device)]


def test_contact_added_on_one_device_is_reachable_from_both(network: Network) -> None:
    ana, phone, caro = network["ana"], network["phone"], network["caro"]
    phone.add_contact(caro)
    fetch_rounds(phone, ana, caro)
    assert contact_names(ana) == contact_names(phone) == ["ben", "caro"]
    assert contact_named("caro", ana.device).compared
    assert ana.send(SMALL_PICTURE, caro).devices == {"caro": 1}
    assert caro.open_newest().files
    assert caro.send(SMALL_PICTURE, ana).devices == {"ana": 2}
    for one in (ana, phone):
        assert one.open_newest().files
    assert [take_undecryptable_count(one.device) for one in (ana, phone, caro)] == [0, 0, 0]


def test_names_circles_blocks_and_forgetting_are_synced(network: Network) -> None:
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    network.clock.advance(seconds=1)
    rename_contact("ben", "Benedict", phone.device)
    create_or_extend_circle("friends", ["Benedict"], phone.device)
    fetch_rounds(phone, ana)
    assert contact_names(ana) == ["Benedict"]
    assert [circle.name for circle in circles(ana.device.vault)] == ["friends"]
    network.clock.advance(seconds=1)
    block_contact("Benedict", ana.device)
    fetch_rounds(ana, phone)
    assert contact_named("Benedict", phone.device).blocked
    network.clock.advance(seconds=1)
    unblock_contact("Benedict", phone.device)
    remove_from_circle_or_delete("friends", [], phone.device)
    fetch_rounds(phone, ana, ben, phone, ana)
    assert not contact_named("Benedict", ana.device).blocked
    assert circles(ana.device.vault) == ()
    assert ben.send(SMALL_PICTURE, ana).devices == {"ana": 2}
    network.clock.advance(seconds=1)
    forget_contact("Benedict", ana.device)
    fetch_rounds(ana, phone)
    assert contact_names(ana) == contact_names(phone) == []


def test_concurrent_changes_converge(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    rename_contact("ben", "Benno", ana.device)
    rename_contact("ben", "Benji", phone.device)
    fetch_rounds(ana, phone)
    assert contact_names(ana) == contact_names(phone)
    network.clock.advance(seconds=1)
    rename_contact(contact_names(phone)[0], "Ben", phone.device)
    fetch_rounds(ana, phone)
    assert contact_names(ana) == ["Ben"]


def test_frozen_contact_is_not_verified_by_another_device(
    network: Network,
) -> None:
    """The phone does not know of the conflicting list, and syncs its contact as verified."""
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    freeze_contact(fork_error(ben.id, DeviceListHead(1, bytes(32))), ana.device)
    catch_up(ana)
    network.clock.advance(hours=1)
    rename_contact("ben", "Benjamin", phone.device)
    catch_up(phone, ana)
    (frozen,) = contacts(ana.device)
    assert contact_named("Benjamin", phone.device).compared
    assert (frozen.name, frozen.forked, frozen.compared) == ("Benjamin", True, False)


def test_sync_sends_nothing_when_all_is_known(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    fetch_rounds(ana, phone)
    before = ana.courier.calls["post"], phone.courier.calls["post"]
    fetch_rounds(ana, phone)
    assert (ana.courier.calls["post"], phone.courier.calls["post"]) == before


def test_own_devices_are_not_listed_as_people(network: Network) -> None:
    assert contact_names(network["ana"]) == ["ben"]
    with pytest.raises(UnknownPerson):
        contact_named("ana", network["ana"].device)


@pytest.mark.parametrize("note_kind", ["block", "gone", "broken"])
def test_sync_note_from_another_person_is_refused(network: Network, note_kind: str) -> None:
    ana, ben = network["ana"], network["ben"]
    caro, now = network["caro"].id, network.clock.now()
    notes = {
        "block": write_sync_note(SharedBlock(ben.id, now, True)),
        "gone": write_sync_note(SharedForgottenContact(caro, now)),
        "broken": SyncNote(SyncTopic.CIRCLE, b"\x80"),
    }
    for to in addressees(contact_named("ana", ben.device), ben.device):
        seal_and_queue_letter(
            notes[note_kind], to, outer_parts_without_content(ben.device), ben.device
        )
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    assert take_undecryptable_count(ana.device) == 1
    assert not contact_named("ben", ana.device).blocked


def test_three_devices_know_each_other(network: Network) -> None:
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    tablet = add_linked_device(network, phone, "tablet", "tablet")
    fetch_rounds(phone, ana, tablet)
    assert [one.name for one in own_linked_devices(ana.device)] == ["phone", "tablet"]
    assert [one.name for one in own_linked_devices(tablet.device)] == ["device 1", "phone"]
    assert all(one.close and one.has_written for one in own_linked_devices(tablet.device))
    assert own_device(ana.device).person == own_device(tablet.device).person
    fetch_rounds(ben, tablet, ana, phone)
    assert ben.send(SMALL_PICTURE, ana).devices == {"ana": 3}
    assert tablet.open_newest().files
    everybody = (ana, phone, tablet, ben)
    assert [take_undecryptable_count(one.device) for one in everybody] == [0, 0, 0, 0]


@pytest.mark.parametrize("withheld_index", [None, 1])
def test_earlier_block_holds_on_a_new_device(
    withheld_index: int | None,
) -> None:
    """The relay at first withholds one waiting letter, unless ``withheld_index`` is None."""
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben")
    ana.add_contact(ben)
    catch_up(ben, ana)
    block_contact("ben", ana.device)
    fetch_messages(ana.device)
    network.clock.advance(seconds=60)
    phone = add_blank_device(network, "phone")
    link_devices(ana.device, phone.device, "phone")
    seen, withheld = set[bool](), list[Any]()
    if withheld_index is not None:
        fetch_messages(phone.device)
        network.clock.advance(seconds=2)
        fetch_messages(ana.device)
        withheld = phone.device.courier.waiting_envelopes(*phone.home, 0)[
            withheld_index : withheld_index + 1
        ]

    def withhold(honest: HonestCall, *arguments: Any) -> Any:
        return [one for one in honest(*arguments) if one not in withheld]

    with phone.courier.replace_calls(waiting_envelopes=withhold):
        for _ in range(3):
            for person in (phone, ana, ben):
                network.clock.advance(seconds=2)
                fetch_messages(person.device)
    for _ in range(3):
        for person in (phone, ana, ben):
            network.clock.advance(seconds=2)
            fetch_messages(person.device)
        seen |= {one.blocked for person in (ana, phone) for one in contacts(person.device)}
    assert (contact_names(ana), contact_names(phone), seen) == (["ben"], ["ben"], {True})


def test_block_reaches_a_new_device_before_the_contact(network: Network) -> None:
    """The relay delivers only one letter per fetch."""
    ana = network["ana"]
    block_contact("ben", ana.device)
    tablet = add_blank_device(network, "tablet")
    link_devices(ana.device, tablet.device, "tablet")
    catch_up(tablet, ana)

    def deliver_first_letter(honest: HonestCall, *arguments: Any) -> Any:
        return honest(*arguments)[:1] if arguments[-1] == 0 else []

    seen = list[tuple[str, bool]]()
    with tablet.courier.replace_calls(waiting_envelopes=deliver_first_letter):
        while tablet.device.courier.waiting_envelopes(*tablet.home, 0):
            network.clock.advance(seconds=5)
            fetch_messages(tablet.device)
            seen += [(person.name, person.blocked) for person in contacts(tablet.device)]
    assert seen
    assert set(seen) == {("ben", True)}


def test_unencodable_record_does_not_block_other_records(network: Network) -> None:
    """A contact's name is too long for a sync record; another contact is still synced."""
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    known = contact_named("ben", ana.device)
    CONTACT_TABLE.store(replace(known, name="b" * 65), ben.id.hex(), ana.device.vault)
    ana.add_contact(network["caro"])
    fetch_rounds(network["caro"], ana, phone)
    assert contact_names(phone) == ["ben", "caro"]


def test_strangers_with_the_longest_name_are_synced(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    longest = "n" * 64
    strangers = [network.set_up_person(longest) for _ in range(2)]
    for one in strangers:
        one.add_contact(ana)
        fetch_messages(one.device)
    fetch_rounds(ana, phone, *strangers)
    assert contact_names(ana) == contact_names(phone) == ["ben", "n" * 62 + " 2", longest]


def test_names_are_unique_on_all_devices(network: Network) -> None:
    """Two contacts are named Kim on different devices; the one with the lower ID keeps the name."""
    ana, phone = network["ana"], network["phone"]
    caro, dan = network["caro"], network.set_up_person("dan")
    ana.add_contact(caro)
    phone.add_contact(dan)
    rename_contact("caro", "Kim", ana.device)
    rename_contact("dan", "kim", phone.device)
    for _ in range(4):
        network.clock.advance(seconds=1)
        catch_up(phone, ana, caro, dan)
    first, second = sorted([caro.id, dan.id])
    kept = {caro.id: "Kim", dan.id: "kim"}
    for one in (ana, phone):
        assert contact_named("kim", one.device).person.id == first
        assert contact_named("kim 2", one.device).person.id == second
    assert contact_names(ana) == contact_names(phone)
    assert kept[first] in contact_names(ana)
    renamed = [
        one for person in (ana, phone) for one in take_contact_changes(person.device) if one.was
    ]
    assert renamed
    assert {(one.name.casefold(), one.was.casefold()) for one in renamed if one.was} == {
        ("kim 2", "kim")
    }
    before = ana.courier.calls["post"], phone.courier.calls["post"]
    fetch_rounds(ana, phone)
    assert (ana.courier.calls["post"], phone.courier.calls["post"]) == before


def test_change_of_case_in_a_name_is_synced(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    rename_contact("ben", "Ben", ana.device)
    fetch_rounds(ana, phone)
    assert contact_names(ana) == contact_names(phone) == ["Ben"]


def test_later_change_wins_despite_a_wrong_clock(network: Network) -> None:
    """The phone's clock is an hour ahead; a later change on the laptop still counts as newer."""
    ana, phone = network["ana"], network["phone"]
    ahead = SettableClock()
    ahead.advance(seconds=int((network.clock.now() - ahead.now()) / timedelta(seconds=1)) + 3600)
    rename_contact("ben", "Benno", phone.device)
    network.people["phone"] = phone = replace(phone, device=replace(phone.device, clock=ahead))
    fetch_rounds(phone, ana)
    assert contact_names(ana) == ["Benno"]
    network.clock.advance(seconds=5)
    rename_contact("Benno", "Benji", ana.device)
    fetch_rounds(ana, phone)
    assert contact_names(ana) == contact_names(phone) == ["Benji"]


def family_members(person: Person) -> list[str]:
    return [one.name for one in members_of(circle_named("family", person.device), person.device)]


def test_earlier_change_sent_late_undoes_nothing(network: Network) -> None:
    """The laptop's change is older than the phone's change, but is sent later."""
    ana, phone = network["ana"], network["phone"]
    for name in ("cleo", "dan"):
        ana.add_contact(network.set_up_person(name, OTHER_RELAY_URL))
    create_or_extend_circle("family", ["ben", "cleo"], ana.device)
    fetch_rounds(ana, phone)
    assert family_members(phone) == ["ben", "cleo"]
    create_or_extend_circle("family", ["dan"], ana.device)
    network.clock.advance(days=2)
    remove_from_circle_or_delete("family", ["cleo"], phone.device)
    catch_up(phone)
    network.clock.advance(days=2)
    fetch_rounds(ana, phone)
    assert family_members(ana) == family_members(phone) == ["ben"]


def add_ben_again(person: Person, network: Network) -> None:
    add_person(make_invite_link(network["ben"].device), "Benno", person.device)


CONTACT_CHANGES: list[Callable[[Person, Network], object]] = [
    lambda person, _: forget_contact("ben", person.device),
    lambda person, _: rename_contact("ben", "Benno", person.device),
    lambda person, _: mark_keys_compared("ben", person.device),
    add_ben_again,
]


@pytest.mark.parametrize(
    "change_contact", CONTACT_CHANGES, ids=["forget", "rename", "verify", "add"]
)
def test_every_contact_change_is_dated_when_it_is_made(
    network: Network, change_contact: Callable[[Person, Network], object]
) -> None:
    ana, phone = network["ana"], network["phone"]
    known = replace(contact_named("ben", ana.device), trust=Trust.UNKNOWN)
    CONTACT_TABLE.store(known, known.person.id.hex(), ana.device.vault)
    fetch_rounds(ana, phone)
    change_contact(ana, network)
    network.clock.advance(days=2)
    rename_contact("ben", "Benji", phone.device)
    catch_up(phone)
    network.clock.advance(days=2)
    fetch_rounds(ana, phone)
    assert contact_names(ana) == contact_names(phone) == ["Benji"]


def test_blocks_are_dated_when_they_are_made(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    block_contact("ben", ana.device)
    network.clock.advance(days=2)
    block_contact("ben", phone.device)
    unblock_contact("ben", phone.device)
    network.clock.advance(days=2)
    fetch_rounds(phone, ana)
    assert not contact_named("ben", ana.device).blocked
    unblock_contact("ben", ana.device)
    block_contact("ben", ana.device)
    unblock_contact("ben", ana.device)
    network.clock.advance(days=2)
    block_contact("ben", phone.device)
    fetch_rounds(ana, phone)
    assert contact_named("ben", ana.device).blocked


def test_imported_contact_is_dated_at_import(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    archive = export_tar(ana.device)
    forget_contact("ben", ana.device)
    fetch_rounds(ana)
    network.clock.advance(days=1)
    import_tar(archive, ana.device)
    at = network.clock.now()
    network.clock.advance(days=2)
    fetch_rounds(ana)
    known = change_stamp_of(f"contact {ben.id.hex()}", ana.device)
    assert known is not None
    assert known.at == at


def test_contact_from_a_letter_is_dated_on_arrival_although_acknowledging_fails(
    network: Network,
) -> None:
    ana, caro = network["ana"], network["caro"]
    add_person(make_invite_link(ana.device), "ana", caro.device)
    silent = error_trick(RelayUnreachable(host=RELAY_URL))
    with ana.courier.replace_calls(acknowledge=silent), pytest.raises(RelayUnreachable):
        fetch_messages(ana.device)
    at = network.clock.now()
    assert contact_names(ana) == ["ben", "caro"]
    network.clock.advance(days=2)
    fetch_rounds(ana)
    known = change_stamp_of(f"contact {caro.id.hex()}", ana.device)
    assert known is not None
    assert known.at == at


def test_a_circle_never_gets_the_name_of_a_person(network: Network) -> None:
    """The phone creates the circle "Family", and the laptop renames Ben to "Family". Syncing
    renames the circle, and letters from Ben can still be decrypted.
    """
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    create_or_extend_circle("Family", ["ben"], phone.device)
    rename_contact("ben", "Family", ana.device)
    for _ in range(3):
        network.clock.advance(seconds=1)
        catch_up(phone, ana)
    for one in (ana, phone):
        assert contact_names(one) == ["Family"]
        assert [circle.name for circle in circles(one.device.vault)] == ["Family 2"]
    add_linked_device(network, ben, "bens tablet", "tablet")
    for one in (ana, phone):
        fetch_messages(one.device)
        assert len(contact_named("Family", one.device).person.devices) == 2
    assert [take_undecryptable_count(one.device) for one in (ana, phone)] == [0, 0]
