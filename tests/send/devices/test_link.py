"""Tests of linking a new device: success, interruptions, rejections, expiry and attacks."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from entrenous.base.errors import ClocksDiffer, NoSuchMailbox, RelayUnreachable
from entrenous.base.identifiers import MailboxId
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
from tests.deterministic import SettableClock
from tests.send.send_device import RELAY_URL, Network, Person
from tests.send.signed_lists import identity_of
from tests.village.households import add_blank_device, link_devices
from tests.village.malicious_relay import HonestCall, error_trick

Message = LinkRequest | LinkAnswer | LinkReveal | LinkGrant | LinkStop


@pytest.fixture
def ana(network: Network) -> Person:
    return network["ana"]


@pytest.fixture
def phone(network: Network) -> Person:
    return add_blank_device(network, "phone")


def device_count(person: Person) -> int:
    return len(own_device(person.device).person.devices)


def is_vault_empty(person: Person) -> bool:
    return not list(person.device.vault.items(OWN_RECORDS))


def make_post_changer(change: Callable[[Message], Message]) -> Callable[..., Any]:
    """Return a substitute for the courier's ``post`` that changes linking messages in transit."""

    def post(honest: Callable[..., Any], url: str, token: Secret, envelope: Envelope) -> None:
        message = change(read_link_message(unpad_link_message(envelope.sealed)))
        changed = pad_link_message(write_link_message(message))
        honest(url, token, replace(envelope, sealed=changed))

    return post


def link_until_pictures(
    old: Device, new: Device
) -> tuple[OldDeviceLinkInProgress, NewDeviceLinkInProgress]:
    """Run the linking until both devices show pictures to compare; return the progress of both."""
    old_progress = start_on_old_device(None, old)
    new_progress = start_on_new_device(old_progress.code, None, new)
    old_progress = poll_old_device(old_progress, old)
    new_progress = poll_new_device(new_progress, new)
    return poll_old_device(old_progress, old), new_progress


def test_linked_device_shares_the_identity_and_is_listed(ana: Person, phone: Person) -> None:
    link_devices(ana.device, phone.device, "phone")
    assert device_count(ana) == device_count(phone) == 2
    assert own_device(phone.device).person == own_device(ana.device).person
    assert identity_of(phone).master == identity_of(ana).master
    assert own_device(phone.device).home.mailbox != own_device(ana.device).home.mailbox


def test_unfinished_device_says_that_its_set_up_was_interrupted(phone: Person) -> None:
    with pytest.raises(UnfinishedDevice, match="was interrupted"):
        own_device(phone.device)


def test_polling_without_a_message_changes_nothing(ana: Person, phone: Person) -> None:
    old_progress = start_on_old_device(None, ana.device)
    assert poll_old_device(old_progress, ana.device) == old_progress
    new_progress = start_on_new_device(old_progress.code, None, phone.device)
    assert poll_new_device(new_progress, phone.device) == new_progress


@pytest.mark.threat("linking-phish")
def test_code_used_by_two_devices_links_neither(
    network: Network, ana: Person, phone: Person
) -> None:
    other = add_blank_device(network, "somebody")
    old_progress = start_on_old_device(None, ana.device)
    start_on_new_device(old_progress.code, None, phone.device)
    start_on_new_device(old_progress.code, None, other.device)
    old_progress = poll_old_device(old_progress, ana.device)
    with pytest.raises(LinkEnded):
        poll_old_device(old_progress, ana.device)
    assert device_count(ana) == 1
    with pytest.raises(LinkEnded):
        start_on_new_device(old_progress.code, None, other.device)


@pytest.mark.threat("linking-phish")
def test_link_code_expires_after_ten_minutes(network: Network, ana: Person, phone: Person) -> None:
    old_progress = start_on_old_device(None, ana.device)
    network.clock.advance(minutes=10)
    with pytest.raises(LinkEnded):
        poll_old_device(old_progress, ana.device)
    with pytest.raises(LinkEnded):
        start_on_new_device(old_progress.code, None, phone.device)
    network.clock.advance(seconds=1)
    fetch_messages(ana.device)
    assert not list(ana.device.vault.items(MAILBOX_TO_DELETE))


@pytest.mark.parametrize("side", ["ana", "phone"])
def test_clock_that_is_behind_by_more_than_ten_minutes_is_named(
    network: Network, ana: Person, phone: Person, side: str
) -> None:
    code = start_on_old_device(None, ana.device).code
    behind = SettableClock(network.clock.moment - timedelta(minutes=11))
    device = replace(network[side].device, clock=behind)
    start = {
        "ana": partial(start_on_old_device, None, device),
        "phone": partial(start_on_new_device, code, None, device),
    }[side]
    with pytest.raises(ClocksDiffer, match="is behind"):
        start()
    assert device_count(ana) == 1
    assert is_vault_empty(phone)


@pytest.mark.parametrize(
    ("side", "failing_call"),
    [("ana", "register_token"), ("phone", "register_token"), ("phone", "post")],
)
def test_failed_start_of_linking_leaves_no_mailbox(
    network: Network, ana: Person, phone: Person, side: str, failing_call: str
) -> None:
    created = list[tuple[str, MailboxId, Secret]]()

    def create_mailbox(
        honest: HonestCall, url: str, mailbox: MailboxId, owner: Secret, *close: Any
    ) -> None:
        created.append((url, mailbox, owner))
        honest(url, mailbox, owner, *close)

    code = start_on_old_device(None, ana.device).code
    start = {
        "ana": partial(start_on_old_device, None, ana.device),
        "phone": partial(start_on_new_device, code, None, phone.device),
    }[side]
    tricks = {"create_mailbox": create_mailbox, failing_call: error_trick(RelayUnreachable())}
    with network[side].courier.replace_calls(**tricks), pytest.raises(RelayUnreachable):
        start()
    network.clock.advance(minutes=11)
    fetch_messages(ana.device)
    (mailbox,) = created
    with pytest.raises(NoSuchMailbox):
        ana.device.courier.waiting_envelopes(*mailbox, 0)


@pytest.mark.threat("linking-phish")
def test_late_confirmation_links_no_device(network: Network, ana: Person, phone: Person) -> None:
    old_progress, _ = link_until_pictures(ana.device, phone.device)
    network.clock.advance(minutes=10)
    with pytest.raises(LinkEnded):
        confirm_on_old_device(old_progress, ana.device)
    assert device_count(ana) == 1


@pytest.mark.threat("linking-phish")
@pytest.mark.parametrize("broken_part", ["key", "offer"])
def test_broken_commitment_ends_linking(ana: Person, phone: Person, broken_part: str) -> None:
    """The key or the offer is changed after the new device has committed to both."""
    old_progress = start_on_old_device(None, ana.device)
    new_progress = start_on_new_device(old_progress.code, None, phone.device)
    old_progress = poll_old_device(old_progress, ana.device)

    def change(message: Message) -> Message:
        if broken_part == "key" and isinstance(message, LinkReveal):
            return replace(message, public=x25519_public_key(Secret(b"m" * 32)))
        return message

    if broken_part == "offer":
        new_progress = replace(
            new_progress, offer=replace(new_progress.offer, close=Secret(b"m" * 32))
        )
    with phone.courier.replace_calls(post=make_post_changer(change)):
        poll_new_device(new_progress, phone.device)
    with pytest.raises(LinkEnded):
        poll_old_device(old_progress, ana.device)
    assert device_count(ana) == 1


@pytest.mark.threat("linking-phish")
def test_attacker_in_between_makes_the_pictures_differ(
    network: Network, ana: Person, phone: Person
) -> None:
    """The attacker poses as the new device to Ana's device, and as the old device to the phone."""
    thief, boss = add_blank_device(network, "thief"), network.set_up_person("boss")
    old_progress = start_on_old_device(None, ana.device)
    attacker_as_new = start_on_new_device(old_progress.code, None, thief.device)
    attacker_as_old = start_on_old_device(None, boss.device)
    new_progress = start_on_new_device(attacker_as_old.code, None, phone.device)
    old_progress = poll_old_device(old_progress, ana.device)
    attacker_as_new = poll_new_device(attacker_as_new, thief.device)
    poll_old_device(attacker_as_old, boss.device)
    old_progress = poll_old_device(old_progress, ana.device)
    new_progress = poll_new_device(new_progress, phone.device)
    assert old_progress.short_string == attacker_as_new.short_string
    assert old_progress.short_string != new_progress.short_string
    with pytest.raises(LinkPicturesDiffer):
        reject_on_old_device(old_progress, ana.device)
    with pytest.raises(LinkPicturesDifferOnNewDevice):
        reject_on_new_device(new_progress, phone.device)
    assert device_count(ana) == 1
    assert is_vault_empty(phone)


@pytest.mark.threat("linking-phish")
def test_rejection_on_the_new_device_alone_asks_to_check_the_device_list(
    ana: Person, phone: Person
) -> None:
    """The user confirms on the old device first, so an attacker's device may be on the list."""
    old_progress, new_progress = link_until_pictures(ana.device, phone.device)
    confirm_on_old_device(old_progress, ana.device)
    with pytest.raises(LinkPicturesDifferOnNewDevice) as error:
        reject_on_new_device(new_progress, phone.device)
    assert device_count(ana) == 2
    words = " ".join(str(error.value).split())
    assert "nothing was linked" not in words
    assert "entrenous device list" in words
    assert "entrenous device revoke NAME --lost" in words


@pytest.mark.threat("linking-phish")
def test_old_device_reports_a_new_device_that_stops_after_the_grant(
    ana: Person, phone: Person
) -> None:
    old_progress, new_progress = link_until_pictures(ana.device, phone.device)
    old_progress = confirm_on_old_device(old_progress, ana.device)
    assert poll_old_device(old_progress, ana.device) == old_progress
    end_on_new_device(new_progress, phone.device)
    with pytest.raises(LinkEndedAfterGrant, match=r"revoke\s+NAME\s+--lost"):
        poll_old_device(old_progress, ana.device)
    assert poll_old_device(old_progress, ana.device) == old_progress
    close_link_mailbox(old_progress, ana.device)
    assert not list(ana.device.vault.items(MAILBOX_TO_DELETE))


@pytest.mark.threat("linking-phish")
def test_rejection_on_the_new_device_first_leaves_the_list_unchanged(
    ana: Person, phone: Person
) -> None:
    old_progress, new_progress = link_until_pictures(ana.device, phone.device)
    with pytest.raises(LinkPicturesDifferOnNewDevice):
        reject_on_new_device(new_progress, phone.device)
    with pytest.raises(LinkEndedByOtherDevice):
        confirm_on_old_device(old_progress, ana.device)
    assert device_count(ana) == 1


def test_old_device_ends_when_the_new_device_has_stopped(ana: Person, phone: Person) -> None:
    old_progress = start_on_old_device(None, ana.device)
    new_progress = start_on_new_device(old_progress.code, None, phone.device)
    old_progress = poll_old_device(old_progress, ana.device)
    end_on_new_device(new_progress, phone.device)
    with pytest.raises(LinkEndedByOtherDevice):
        poll_old_device(old_progress, ana.device)


@pytest.mark.parametrize("new_device_says", ["yes", "nothing"])
def test_new_device_ends_when_the_old_device_has_stopped(
    ana: Person, phone: Person, new_device_says: str
) -> None:
    old_progress, new_progress = link_until_pictures(ana.device, phone.device)
    new_progress = confirm_on_new_device(new_progress) if new_device_says == "yes" else new_progress
    with pytest.raises(LinkPicturesDiffer):
        reject_on_old_device(old_progress, ana.device)
    with pytest.raises(LinkNotCompleted):
        poll_new_device(new_progress, phone.device)
    assert is_vault_empty(phone)


def test_list_is_not_signed_while_the_relay_is_unreachable(ana: Person, phone: Person) -> None:
    old_progress, _ = link_until_pictures(ana.device, phone.device)

    def raise_unreachable(*_: object) -> None:
        raise RelayUnreachable(host=RELAY_URL)

    with (
        ana.courier.replace_calls(waiting_envelopes=raise_unreachable),
        pytest.raises(RelayUnreachable),
    ):
        confirm_on_old_device(old_progress, ana.device)
    assert device_count(ana) == 1


@pytest.mark.threat("linking-phish")
def test_new_device_that_confirms_too_late_says_how_to_revoke_it(
    network: Network, ana: Person, phone: Person
) -> None:
    old_progress, new_progress = link_until_pictures(ana.device, phone.device)
    confirm_on_old_device(old_progress, ana.device)
    network.clock.advance(minutes=10)
    with pytest.raises(LinkNotCompleted) as error:
        poll_new_device(confirm_on_new_device(new_progress), phone.device)
    assert device_count(ana) == 2
    words = " ".join(str(error.value).split())
    assert "othing was linked" not in words
    assert "entrenous device revoke NAME" in words


@pytest.mark.threat("linking-phish")
@pytest.mark.parametrize("swapped_key", ["public", "seal_to"])
def test_keys_swapped_in_transit_end_the_linking(
    ana: Person, phone: Person, swapped_key: str
) -> None:
    """An attacker replaces a key of the old device, so the old device cannot open the offer."""
    other = (
        x25519_public_key(Secret(b"m" * 32))
        if swapped_key == "public"
        else xwing_public_key(xwing_private_key_from_seed(b"m" * 32))
    )

    def change(message: Message) -> Message:
        return (
            replace(message, **{swapped_key: other}) if isinstance(message, LinkAnswer) else message
        )

    old_progress = start_on_old_device(None, ana.device)
    new_progress = start_on_new_device(old_progress.code, None, phone.device)
    with ana.courier.replace_calls(post=make_post_changer(change)):
        old_progress = poll_old_device(old_progress, ana.device)
    new_progress = poll_new_device(new_progress, phone.device)
    with pytest.raises(LinkEnded):
        poll_old_device(old_progress, ana.device)
    assert device_count(ana) == 1


@pytest.mark.threat("linking-phish")
def test_resealed_offer_changes_no_picture(ana: Person, phone: Person) -> None:
    """The commitment does not cover the encryption of the offer. If the pictures depended on the
    encryption, an attacker could reseal the offer until the pictures match.
    """
    old_progress = start_on_old_device(None, ana.device)
    new_progress = start_on_new_device(old_progress.code, None, phone.device)
    old_progress = poll_old_device(old_progress, ana.device)
    answered = old_progress.answered
    sealed = set[bytes]()

    def reseal(message: Message) -> Message:
        if not isinstance(message, LinkReveal):
            return message
        offer = write_offer(new_progress.offer)
        again = seal_offer(
            xwing_public_key(old_progress.unseal), new_progress.asked, answered, offer
        )
        sealed.update({message.sealed_offer, again})
        return replace(message, sealed_offer=again)

    with phone.courier.replace_calls(post=make_post_changer(reseal)):
        shown = poll_new_device(new_progress, phone.device)
    compared = poll_old_device(old_progress, ana.device)
    assert len(sealed) == 2
    assert compared.short_string == shown.short_string
    assert (compared.transcript, shown.transcript) == (
        link_transcript(new_progress.asked, answered),
    ) * 2


def confirm_and_read_grant(
    old_progress: OldDeviceLinkInProgress,
    new_progress: NewDeviceLinkInProgress,
    old: Device,
    new: Device,
) -> tuple[Envelope, NewDeviceGrant]:
    """Confirm on the old device; return the envelope that arrives, and the grant inside."""
    confirm_on_old_device(old_progress, old)
    box = new_progress.box
    (waiting,) = new.courier.waiting_envelopes(box.relay_url, box.mailbox, box.owner, 0)
    message = read_link_message(unpad_link_message(waiting.sealed))
    assert isinstance(message, LinkGrant)
    return waiting, read_grant(
        open_grant(new_progress.unseal, new_progress.transcript, message.sealed)
    )


@pytest.mark.threat("linking-phish")
@pytest.mark.parametrize(
    "changed_part", ["nothing", "proof", "transcript", "key", "card", "master"]
)
def test_grant_is_refused_exactly_if_one_part_is_wrong(
    network: Network, ana: Person, phone: Person, changed_part: str
) -> None:
    """All parts but the changed one are genuine."""
    old_progress, new_progress = link_until_pictures(ana.device, phone.device)
    new_progress, before = confirm_on_new_device(new_progress), own_device(ana.device).card
    waiting, grant = confirm_and_read_grant(old_progress, new_progress, ana.device, phone.device)
    others = identity_of(network.set_up_person("boss"))
    changed = {
        "proof": replace(grant, proof=bytes(32)),
        "card": replace(grant, card=before),
        "master": replace(grant, master=others.master),
    }
    to = (
        xwing_public_key(xwing_private_key_from_seed(b"m" * 32))
        if changed_part == "key"
        else new_progress.offer.seal_to
    )
    transcript = b"another" if changed_part == "transcript" else new_progress.transcript
    sealed = seal_grant(to, transcript, write_grant(changed.get(changed_part, grant)))
    forged = replace(waiting, sealed=pad_link_message(write_link_message(LinkGrant(sealed))))
    with phone.courier.replace_calls(waiting_envelopes=lambda *_: [forged]):
        if changed_part == "nothing":
            assert poll_new_device(new_progress, phone.device).state is LinkState.LINKED
            return
        with pytest.raises(LinkEnded):
            poll_new_device(new_progress, phone.device)
    assert is_vault_empty(phone)


@pytest.mark.threat("linking-phish")
def test_device_can_fetch_although_its_linking_was_ended_after_the_grant(
    ana: Person, phone: Person
) -> None:
    """The user ends the linking on the new device after the device was linked."""
    new_progress = link_devices(ana.device, phone.device)[1]
    end_on_new_device(new_progress, phone.device)
    assert fetch_messages(phone.device).problems == ()


@pytest.mark.threat("linking-phish")
def test_grant_forwarded_to_another_device_is_refused(
    network: Network, ana: Person, phone: Person
) -> None:
    """The relay delivers Ana's grant to a device that another person is linking."""
    old_progress, new_progress = link_until_pictures(ana.device, phone.device)
    boss, other = network.set_up_person("boss"), add_blank_device(network, "other")
    _, others = link_until_pictures(boss.device, other.device)
    old_progress = confirm_on_old_device(old_progress, ana.device)
    taken = phone.device.courier.waiting_envelopes(
        new_progress.box.relay_url, new_progress.box.mailbox, new_progress.box.owner, 0
    )
    assert len(taken) == 1
    tricks = {"waiting_envelopes": lambda *_: taken, "acknowledge": lambda *_: None}
    with other.courier.replace_calls(**tricks), pytest.raises(LinkEnded):
        poll_new_device(confirm_on_new_device(others), other.device)
    assert is_vault_empty(other)
    assert (
        poll_new_device(confirm_on_new_device(new_progress), phone.device).state is LinkState.LINKED
    )


def test_grant_is_refused_before_the_user_confirms(ana: Person, phone: Person) -> None:
    old_progress, new_progress = link_until_pictures(ana.device, phone.device)
    confirm_on_old_device(old_progress, ana.device)
    with pytest.raises(LinkEnded):
        poll_new_device(new_progress, phone.device)
    assert is_vault_empty(phone)


def test_repeated_message_ends_the_linking(ana: Person, phone: Person) -> None:
    old_progress = start_on_old_device(None, ana.device)
    new_progress = start_on_new_device(old_progress.code, None, phone.device)
    page = ana.device.courier.waiting_envelopes(
        old_progress.box.relay_url, old_progress.box.mailbox, old_progress.box.owner, 0
    )
    old_progress = poll_old_device(old_progress, ana.device)
    with ana.courier.replace_calls(waiting_envelopes=lambda *_: page), pytest.raises(LinkEnded):
        poll_old_device(old_progress, ana.device)
    with pytest.raises(LinkEnded):
        poll_new_device(new_progress, phone.device)


def test_commitments_to_different_keys_differ() -> None:
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


def recovery_sheet_of(person: Person) -> RecoverySheet:
    identity, me = identity_of(person), own_device(person.device)
    assert identity.master is not None
    assert me.home.close is not None
    return RecoverySheet(
        *(me.person.id, identity.master, me.home.relay_url, me.home.mailbox),
        *(me.home.close, Secret(bytes(64))),
    )


def test_master_key_on_a_sheet_is_used_and_not_passed_on(
    network: Network, ana: Person, phone: Person
) -> None:
    sheet, others = recovery_sheet_of(ana), recovery_sheet_of(network["ben"])
    delete_master_key(ana.device)
    with pytest.raises(MasterKeyNotHere):
        start_on_old_device(None, ana.device)
    with pytest.raises(SheetOfAnotherPerson):
        start_on_old_device(others, ana.device)
    old_progress = start_on_old_device(sheet, ana.device)
    new_progress = start_on_new_device(old_progress.code, None, phone.device)
    old_progress = poll_old_device(old_progress, ana.device)
    new_progress = poll_new_device(new_progress, phone.device)
    confirm_on_old_device(poll_old_device(old_progress, ana.device), ana.device)
    assert (
        poll_new_device(confirm_on_new_device(new_progress), phone.device).state is LinkState.LINKED
    )
    assert identity_of(phone).master is None
    assert identity_of(ana).master is None


def test_link_messages_have_the_sizes_of_letters(ana: Person, phone: Person) -> None:
    """The relay must not recognize a linking by message sizes."""
    sizes = set[int]()

    def record_size(honest: Callable[..., Any], *arguments: Any) -> Any:
        sizes.add(len(arguments[-1].sealed))
        return honest(*arguments)

    with (
        ana.courier.replace_calls(post=record_size),
        phone.courier.replace_calls(post=record_size),
    ):
        link_devices(ana.device, phone.device)
    assert sizes
    assert sizes <= {1145 + 1024 * 2**power for power in range(1, 8)}
