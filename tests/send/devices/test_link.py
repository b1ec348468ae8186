"""Linking devices, also with an attacker in between who replays, swaps or forwards messages."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from entrenous.base.errors import RelayUnreachable
from entrenous.base.secret import Secret
from entrenous.crypto.hpke import xwing_private_key_from_seed, xwing_public_key
from entrenous.crypto.identity_keys import (
    curve25519_public_key,
    ed25519_public_key,
    new_olm_account,
)
from entrenous.crypto.short_auth_string import x25519_public_key
from entrenous.device.device import Device
from entrenous.device.identities import own_device
from entrenous.device.lock_errors import UnfinishedDevice
from entrenous.device.recovery_sheet import MasterKeyNotHere, RecoverySheet, SheetOfAnotherPerson
from entrenous.device.vault_tables import MAILBOX_TO_DELETE, OWN_RECORDS
from entrenous.send.devices.link_new_device import (
    NewDeviceLinkInProgress,
    confirm_on_new_device,
    end_on_new_device,
    poll_new_device,
    reject_on_new_device,
    start_on_new_device,
)
from entrenous.send.devices.link_nouns import (
    BadLinkCode,
    LinkAnswer,
    LinkEnded,
    LinkEndedAfterGrant,
    LinkEndedByOtherDevice,
    LinkGrant,
    LinkNotCompleted,
    LinkPicturesDiffer,
    LinkPicturesDifferOnNewDevice,
    LinkRequest,
    LinkReveal,
    LinkStop,
    NewDeviceGrant,
)
from entrenous.send.devices.link_old_device import (
    OldDeviceLinkInProgress,
    close_link_mailbox,
    confirm_on_old_device,
    poll_old_device,
    reject_on_old_device,
    start_on_old_device,
)
from entrenous.send.devices.link_steps import LinkState
from entrenous.send.devices.own_devices import delete_master_key
from entrenous.send.fetch import fetch_messages
from entrenous.send.formats.linking import (
    link_commitment,
    link_transcript,
    open_grant,
    pad_link_message,
    read_grant,
    read_link_message,
    seal_grant,
    seal_offer,
    unpad_link_message,
    write_grant,
    write_link_message,
    write_offer,
)
from entrenous.wire.relay_nouns import Envelope
from tests.send.cards import identity_of
from tests.send.send_device import RELAY_URL, Network, Person
from tests.village.households import add_blank_device, link_devices

Message = LinkRequest | LinkAnswer | LinkReveal | LinkGrant | LinkStop


@pytest.fixture
def ana(network: Network) -> Person:
    return network["ana"]


@pytest.fixture
def phone(network: Network) -> Person:
    return add_blank_device(network, "phone")


def devices_of(who: Person) -> int:
    return len(own_device(who.device).person.devices)


def is_empty(who: Person) -> bool:
    return not list(who.device.vault.items(OWN_RECORDS))


def change_posts(change: Callable[[Message], Message]) -> Callable[..., Any]:
    """Return a substitute for the courier's ``post`` that changes linking messages in transit."""

    def post(honest: Callable[..., Any], url: str, token: Secret, envelope: Envelope) -> None:
        message = change(read_link_message(unpad_link_message(envelope.sealed)))
        changed = pad_link_message(write_link_message(message))
        honest(url, token, replace(envelope, sealed=changed))

    return post


def link_until_pictures(
    old: Device, new: Device
) -> tuple[OldDeviceLinkInProgress, NewDeviceLinkInProgress]:
    """Run the linking until both devices show their pictures, and return both sides."""
    here = start_on_old_device(None, old)
    there = start_on_new_device(here.code, None, new)
    here = poll_old_device(here, old)
    there = poll_new_device(there, new)
    return poll_old_device(here, old), there


def test_both_devices_show_the_same_and_the_new_one_is_listed(ana: Person, phone: Person) -> None:
    link_devices(ana.device, phone.device, "phone")
    assert devices_of(ana) == devices_of(phone) == 2
    assert own_device(phone.device).person == own_device(ana.device).person
    assert identity_of(phone).master == identity_of(ana).master
    assert own_device(phone.device).home.mailbox != own_device(ana.device).home.mailbox


def test_interrupted_linking_is_not_called_a_device_without_a_relay(phone: Person) -> None:
    with pytest.raises(UnfinishedDevice, match="was interrupted"):
        own_device(phone.device)


def test_no_message_changes_no_state(ana: Person, phone: Person) -> None:
    here = start_on_old_device(None, ana.device)
    assert poll_old_device(here, ana.device) == here
    there = start_on_new_device(here.code, None, phone.device)
    assert poll_new_device(there, phone.device) == there


@pytest.mark.threat("linking-phish")
def test_a_code_that_is_used_twice_links_nobody(
    network: Network, ana: Person, phone: Person
) -> None:
    other = add_blank_device(network, "somebody")
    here = start_on_old_device(None, ana.device)
    start_on_new_device(here.code, None, phone.device)
    start_on_new_device(here.code, None, other.device)
    here = poll_old_device(here, ana.device)
    with pytest.raises(LinkEnded):
        poll_old_device(here, ana.device)
    assert devices_of(ana) == 1
    with pytest.raises(LinkEnded):
        start_on_new_device(here.code, None, other.device)


@pytest.mark.threat("linking-phish")
def test_a_code_ends_after_ten_minutes(network: Network, ana: Person, phone: Person) -> None:
    here = start_on_old_device(None, ana.device)
    network.clock.advance(minutes=10)
    with pytest.raises(LinkEnded):
        poll_old_device(here, ana.device)
    with pytest.raises(LinkEnded):
        start_on_new_device(here.code, None, phone.device)
    network.clock.advance(seconds=1)
    fetch_messages(ana.device)
    assert not list(ana.device.vault.items(MAILBOX_TO_DELETE))


@pytest.mark.threat("linking-phish")
def test_late_yes_links_no_device(network: Network, ana: Person, phone: Person) -> None:
    here, _ = link_until_pictures(ana.device, phone.device)
    network.clock.advance(minutes=10)
    with pytest.raises(LinkEnded):
        confirm_on_old_device(here, ana.device)
    assert devices_of(ana) == 1


@pytest.mark.threat("linking-phish")
@pytest.mark.parametrize("what", ["key", "offer"])
def test_broken_commitment_ends_linking(ana: Person, phone: Person, what: str) -> None:
    """An attacker who chooses her key after seeing the old device's key breaks her commitment."""
    here = start_on_old_device(None, ana.device)
    there = start_on_new_device(here.code, None, phone.device)
    here = poll_old_device(here, ana.device)

    def change(message: Message) -> Message:
        if what == "key" and isinstance(message, LinkReveal):
            return replace(message, public=x25519_public_key(Secret(b"m" * 32)))
        return message

    if what == "offer":
        there = replace(there, offer=replace(there.offer, close=Secret(b"m" * 32)))
    with phone.courier.replace_calls(post=change_posts(change)):
        poll_new_device(there, phone.device)
    with pytest.raises(LinkEnded):
        poll_old_device(here, ana.device)
    assert devices_of(ana) == 1


@pytest.mark.threat("linking-phish")
def test_somebody_in_between_shows_other_pictures(
    network: Network, ana: Person, phone: Person
) -> None:
    """The attacker poses as each device to the other; the pictures differ, so both users say no."""
    thief, boss = add_blank_device(network, "thief"), network.set_up_person("boss")
    here = start_on_old_device(None, ana.device)
    facing_the_old = start_on_new_device(here.code, None, thief.device)
    facing_the_new = start_on_old_device(None, boss.device)
    there = start_on_new_device(facing_the_new.code, None, phone.device)
    here = poll_old_device(here, ana.device)
    facing_the_old = poll_new_device(facing_the_old, thief.device)
    poll_old_device(facing_the_new, boss.device)
    here = poll_old_device(here, ana.device)
    there = poll_new_device(there, phone.device)
    assert here.short_string == facing_the_old.short_string
    assert here.short_string != there.short_string
    with pytest.raises(LinkPicturesDiffer):
        reject_on_old_device(here, ana.device)
    with pytest.raises(LinkPicturesDifferOnNewDevice):
        reject_on_new_device(there, phone.device)
    assert devices_of(ana) == 1
    assert is_empty(phone)


@pytest.mark.threat("linking-phish")
def test_no_on_the_new_device_alone_asks_to_check_the_device_list(
    ana: Person, phone: Person
) -> None:
    """The old device was already confirmed, so an attacker's device may be on the list now."""
    here, there = link_until_pictures(ana.device, phone.device)
    confirm_on_old_device(here, ana.device)
    with pytest.raises(LinkPicturesDifferOnNewDevice) as error:
        reject_on_new_device(there, phone.device)
    assert devices_of(ana) == 2
    words = " ".join(str(error.value).split())
    assert "nothing was linked" not in words
    assert "entrenous device list" in words
    assert "entrenous device revoke NAME --lost" in words


@pytest.mark.threat("linking-phish")
def test_a_new_device_that_ends_after_the_old_one_said_yes_is_told_of_there(
    ana: Person, phone: Person
) -> None:
    here, there = link_until_pictures(ana.device, phone.device)
    here = confirm_on_old_device(here, ana.device)
    assert poll_old_device(here, ana.device) == here
    end_on_new_device(there, phone.device)
    with pytest.raises(LinkEndedAfterGrant, match=r"revoke\s+NAME\s+--lost"):
        poll_old_device(here, ana.device)
    assert poll_old_device(here, ana.device) == here
    close_link_mailbox(here, ana.device)
    assert not list(ana.device.vault.items(MAILBOX_TO_DELETE))


@pytest.mark.threat("linking-phish")
def test_first_no_on_the_new_device_leaves_the_list_unchanged(ana: Person, phone: Person) -> None:
    here, there = link_until_pictures(ana.device, phone.device)
    with pytest.raises(LinkPicturesDifferOnNewDevice):
        reject_on_new_device(there, phone.device)
    with pytest.raises(LinkEndedByOtherDevice):
        confirm_on_old_device(here, ana.device)
    assert devices_of(ana) == 1


def test_old_device_does_not_wait_for_a_stopped_new_one(ana: Person, phone: Person) -> None:
    here = start_on_old_device(None, ana.device)
    there = start_on_new_device(here.code, None, phone.device)
    here = poll_old_device(here, ana.device)
    end_on_new_device(there, phone.device)
    with pytest.raises(LinkEndedByOtherDevice):
        poll_old_device(here, ana.device)


@pytest.mark.parametrize("new_device_says", ["yes", "nothing"])
def test_new_device_does_not_wait_for_an_ended_old_one(
    ana: Person, phone: Person, new_device_says: str
) -> None:
    here, there = link_until_pictures(ana.device, phone.device)
    there = confirm_on_new_device(there) if new_device_says == "yes" else there
    with pytest.raises(LinkPicturesDiffer):
        reject_on_old_device(here, ana.device)
    with pytest.raises(LinkNotCompleted):
        poll_new_device(there, phone.device)
    assert is_empty(phone)


def test_list_is_not_signed_while_the_relay_is_unreachable(ana: Person, phone: Person) -> None:
    here, _ = link_until_pictures(ana.device, phone.device)

    def unreachable(*_: object) -> None:
        raise RelayUnreachable(host=RELAY_URL)

    with ana.courier.replace_calls(waiting_envelopes=unreachable), pytest.raises(RelayUnreachable):
        confirm_on_old_device(here, ana.device)
    assert devices_of(ana) == 1


@pytest.mark.threat("linking-phish")
def test_a_new_device_that_is_granted_too_late_does_not_say_that_nothing_was_linked(
    network: Network, ana: Person, phone: Person
) -> None:
    here, there = link_until_pictures(ana.device, phone.device)
    confirm_on_old_device(here, ana.device)
    network.clock.advance(minutes=10)
    with pytest.raises(LinkNotCompleted) as error:
        poll_new_device(confirm_on_new_device(there), phone.device)
    assert devices_of(ana) == 2
    words = " ".join(str(error.value).split())
    assert "othing was linked" not in words
    assert "entrenous device revoke NAME" in words


@pytest.mark.threat("linking-phish")
@pytest.mark.parametrize("key", ["public", "seal_to"])
def test_keys_that_are_swapped_on_the_way_change_the_pictures_or_end_it(
    ana: Person, phone: Person, key: str
) -> None:
    """With either key swapped, the old device cannot open the offer that the new one sealed."""
    other = (
        x25519_public_key(Secret(b"m" * 32))
        if key == "public"
        else xwing_public_key(xwing_private_key_from_seed(b"m" * 32))
    )

    def change(message: Message) -> Message:
        return replace(message, **{key: other}) if isinstance(message, LinkAnswer) else message

    here = start_on_old_device(None, ana.device)
    there = start_on_new_device(here.code, None, phone.device)
    with ana.courier.replace_calls(post=change_posts(change)):
        here = poll_old_device(here, ana.device)
    there = poll_new_device(there, phone.device)
    with pytest.raises(LinkEnded):
        poll_old_device(here, ana.device)
    assert devices_of(ana) == 1


@pytest.mark.threat("linking-phish")
def test_an_offer_that_is_sealed_anew_changes_no_picture(ana: Person, phone: Person) -> None:
    """The commitment does not cover the encryption. If the pictures depended on it, an attacker
    could reseal the committed offer until they match.
    """
    here = start_on_old_device(None, ana.device)
    there = start_on_new_device(here.code, None, phone.device)
    here = poll_old_device(here, ana.device)
    answered = here.answered
    sealed = set[bytes]()

    def reseal(message: Message) -> Message:
        if not isinstance(message, LinkReveal):
            return message
        offer = write_offer(there.offer)
        again = seal_offer(xwing_public_key(here.unseal), there.asked, answered, offer)
        sealed.update({message.sealed_offer, again})
        return replace(message, sealed_offer=again)

    with phone.courier.replace_calls(post=change_posts(reseal)):
        shown = poll_new_device(there, phone.device)
    compared = poll_old_device(here, ana.device)
    assert len(sealed) == 2
    assert compared.short_string == shown.short_string
    assert (compared.transcript, shown.transcript) == (link_transcript(there.asked, answered),) * 2


def confirm_and_read_grant(
    here: OldDeviceLinkInProgress, there: NewDeviceLinkInProgress, old: Device, new: Device
) -> tuple[Envelope, NewDeviceGrant]:
    """Confirm on the old device; return the envelope that it posts, and the grant inside."""
    confirm_on_old_device(here, old)
    box = there.box
    (waiting,) = new.courier.waiting_envelopes(box.relay_url, box.mailbox, box.owner, 0)
    message = read_link_message(unpad_link_message(waiting.sealed))
    assert isinstance(message, LinkGrant)
    return waiting, read_grant(open_grant(there.unseal, there.transcript, message.sealed))


@pytest.mark.threat("linking-phish")
@pytest.mark.parametrize(
    "changed_part", ["nothing", "proof", "transcript", "key", "card", "master"]
)
def test_grant_with_one_wrong_part_is_refused(
    network: Network, ana: Person, phone: Person, changed_part: str
) -> None:
    """Everything else in the grant is genuine, so only the changed part can be the reason."""
    here, there = link_until_pictures(ana.device, phone.device)
    there, before = confirm_on_new_device(there), own_device(ana.device).card
    waiting, grant = confirm_and_read_grant(here, there, ana.device, phone.device)
    others = identity_of(network.set_up_person("boss"))
    changed = {
        "proof": replace(grant, proof=bytes(32)),
        "card": replace(grant, card=before),
        "master": replace(grant, master=others.master),
    }
    to = (
        xwing_public_key(xwing_private_key_from_seed(b"m" * 32))
        if changed_part == "key"
        else there.offer.seal_to
    )
    transcript = b"another" if changed_part == "transcript" else there.transcript
    sealed = seal_grant(to, transcript, write_grant(changed.get(changed_part, grant)))
    forged = replace(waiting, sealed=pad_link_message(write_link_message(LinkGrant(sealed))))
    with phone.courier.replace_calls(waiting_envelopes=lambda *_: [forged]):
        if changed_part == "nothing":
            assert poll_new_device(there, phone.device).state is LinkState.LINKED
            return
        with pytest.raises(LinkEnded):
            poll_new_device(there, phone.device)
    assert is_empty(phone)


@pytest.mark.threat("linking-phish")
def test_ending_a_linking_keeps_a_granted_device(ana: Person, phone: Person) -> None:
    """The user stops the new device after the grant; its listed mailbox is kept."""
    there = link_devices(ana.device, phone.device)[1]
    end_on_new_device(there, phone.device)
    assert fetch_messages(phone.device).problems == ()


@pytest.mark.threat("linking-phish")
def test_a_grant_sent_on_to_another_device_is_refused(
    network: Network, ana: Person, phone: Person
) -> None:
    """A device that is being linked by somebody else receives Ana's grant instead."""
    here, there = link_until_pictures(ana.device, phone.device)
    boss, other = network.set_up_person("boss"), add_blank_device(network, "other")
    _, others = link_until_pictures(boss.device, other.device)
    here = confirm_on_old_device(here, ana.device)
    taken = phone.device.courier.waiting_envelopes(
        there.box.relay_url, there.box.mailbox, there.box.owner, 0
    )
    assert len(taken) == 1
    tricks = {"waiting_envelopes": lambda *_: taken, "acknowledge": lambda *_: None}
    with other.courier.replace_calls(**tricks), pytest.raises(LinkEnded):
        poll_new_device(confirm_on_new_device(others), other.device)
    assert is_empty(other)
    assert poll_new_device(confirm_on_new_device(there), phone.device).state is LinkState.LINKED


def test_grant_is_refused_before_the_user_confirms(ana: Person, phone: Person) -> None:
    here, there = link_until_pictures(ana.device, phone.device)
    confirm_on_old_device(here, ana.device)
    with pytest.raises(LinkEnded):
        poll_new_device(there, phone.device)
    assert is_empty(phone)


def test_repeated_message_ends_the_linking(ana: Person, phone: Person) -> None:
    here = start_on_old_device(None, ana.device)
    there = start_on_new_device(here.code, None, phone.device)
    page = ana.device.courier.waiting_envelopes(
        here.box.relay_url, here.box.mailbox, here.box.owner, 0
    )
    here = poll_old_device(here, ana.device)
    with ana.courier.replace_calls(waiting_envelopes=lambda *_: page), pytest.raises(LinkEnded):
        poll_old_device(here, ana.device)
    with pytest.raises(LinkEnded):
        poll_new_device(there, phone.device)


def test_commitment_hides_its_content() -> None:
    account = new_olm_account()
    keys = (ed25519_public_key(account), curve25519_public_key(account))
    commitments = {link_commitment(key, b"offer") for key in keys}
    assert len(commitments) == 2


@pytest.mark.parametrize(
    "code", ["", "entrenous:1:AAAA", "entrenous-link:2:", "entrenous-link:2:AA"]
)
def test_invalid_link_code_is_refused(phone: Person, code: str) -> None:
    with pytest.raises(BadLinkCode):
        start_on_new_device(code, None, phone.device)


def sheet_of(who: Person) -> RecoverySheet:
    identity, me = identity_of(who), own_device(who.device)
    assert identity.master is not None
    assert me.home.close is not None
    return RecoverySheet(
        *(me.person.id, identity.master, me.home.relay_url, me.home.mailbox),
        *(me.home.close, Secret(bytes(64))),
    )


def test_master_key_on_a_sheet_is_required_and_not_passed_on(
    network: Network, ana: Person, phone: Person
) -> None:
    sheet, others = sheet_of(ana), sheet_of(network["ben"])
    delete_master_key(ana.device)
    with pytest.raises(MasterKeyNotHere):
        start_on_old_device(None, ana.device)
    with pytest.raises(SheetOfAnotherPerson):
        start_on_old_device(others, ana.device)
    here = start_on_old_device(sheet, ana.device)
    there = start_on_new_device(here.code, None, phone.device)
    here = poll_old_device(here, ana.device)
    there = poll_new_device(there, phone.device)
    confirm_on_old_device(poll_old_device(here, ana.device), ana.device)
    assert poll_new_device(confirm_on_new_device(there), phone.device).state is LinkState.LINKED
    assert identity_of(phone).master is None
    assert identity_of(ana).master is None


def test_an_offer_is_the_size_of_a_letter(ana: Person, phone: Person) -> None:
    """The relay must not recognize a linking by message sizes."""
    sizes = set[int]()

    def post(honest: Callable[..., Any], *arguments: Any) -> Any:
        sizes.add(len(arguments[-1].sealed))
        return honest(*arguments)

    with ana.courier.replace_calls(post=post), phone.courier.replace_calls(post=post):
        there = link_devices(ana.device, phone.device)[1]
    assert sizes <= {1145 + 1024 * 2**power for power in range(1, 8)}
    assert write_offer(there.offer)
