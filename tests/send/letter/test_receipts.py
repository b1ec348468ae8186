"""Tests of receipts: when and to whom they are sent, what they say, and which are refused."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from entrenous.base.copies import ReceiptEvent
from entrenous.base.identity import Trust
from entrenous.device.identities import CONTACT_TABLE, own_device
from entrenous.device.sent_copies import RECEIPT_COVERAGE_TABLE, CopyState, copy_state
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE
from entrenous.device.vault_tables import (
    OWED_RECEIPT,
    RECEIPT,
    RECEIPT_COVERAGE,
)
from entrenous.send.devices.device_lists import accept_contact_bundle
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.letter import receipts
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.letter.receipts import OWED_RECEIPT_TABLE, OwedReceipt
from entrenous.send.message.states import ExportForbidden
from entrenous.send.open import open_message, show_received_message
from entrenous.send.people.block import block_contact, sender_without_receipt_choice, set_receipts
from entrenous.send.people.keep_contacts import contact_named, mark_keys_compared, store_contact
from entrenous.send.recall import recall_message
from entrenous.send.status import query_sent_messages
from tests.send.send_device import Network, Person
from tests.send.send_text import send_text
from tests.village.households import add_linked_device, catch_up


@pytest.fixture
def compared_friends(friends: Network) -> Network:
    """Ana and Ben; Ben has compared Ana's keys."""
    mark_keys_compared("ana", friends["ben"].device)
    return friends


def copy_states(person: Person) -> list[CopyState]:
    return [
        copy_state(copy, one.message, person.device)
        for one in query_sent_messages(person.device)
        for copy in one.copies
    ]


def fetch_and_open(person: Person, name: str) -> None:
    fetch_messages(person.device)
    open_message(name, person.device)


def owed_receipts(person: Person) -> list[OwedReceipt]:
    return list(OWED_RECEIPT_TABLE.all(person.device.vault))


def test_a_sender_gets_receipts_signed_by_the_recipients_device(compared_friends: Network) -> None:
    ana, ben = compared_friends["ana"], compared_friends["ben"]
    name = send_text(ana, "ben").name
    fetch_messages(ben.device)
    (due,) = owed_receipts(ben)
    assert (
        timedelta(minutes=1) <= due.due_at - compared_friends.clock.now() <= timedelta(minutes=15)
    )
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    (before,) = copy_states(ana)
    assert (before.state, before.signed) == ("delivered", False)  # only the relay reported this
    compared_friends.clock.advance(minutes=16)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    assert copy_states(ana) == [
        CopyState("delivered", compared_friends.clock.now() - timedelta(minutes=16), signed=True)
    ]
    fetch_and_open(ben, name)
    compared_friends.clock.advance(minutes=16)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    (after,) = copy_states(ana)
    assert (after.state, after.signed) == ("opened", True)
    assert after.at is not None
    assert after.at.second == 0
    assert owed_receipts(ben) == []


def test_receipts_for_one_device_share_one_letter(compared_friends: Network) -> None:
    ana, ben = compared_friends["ana"], compared_friends["ben"]
    for _ in range(5):
        send_text(ana, "ben")
    fetch_messages(ben.device)
    assert len({one.due_at for one in owed_receipts(ben)}) == 1
    compared_friends.clock.advance(minutes=16)
    fetch_messages(ben.device)
    assert fetch_messages(ana.device).letters_received == 1
    assert [shown.signed for shown in copy_states(ana)] == [True] * 5


@pytest.mark.threat("receipt-probing")
@pytest.mark.parametrize(
    "reason", ["not compared", "blocked", "two lists", "turned off", "keys became unknown"]
)
def test_people_without_the_right_to_receipts_get_no_reply(friends: Network, reason: str) -> None:
    """Ben's device posts no letter in response to Ana's messages."""
    ana, ben = friends["ana"], friends["ben"]
    if reason != "not compared":
        mark_keys_compared("ana", ben.device)
    if reason == "two lists":
        store_contact(replace(contact_named("ana", ben.device), forked=True), ben.device)
    device = replace(ben.device, receipts=reason != "turned off")
    names = [send_text(ana, "ben").name for _ in range(3)]
    if reason == "blocked":
        block_contact("ana", ben.device)
        flush_outbox(ben.device)
    before = ben.courier.calls["post"]
    for name in names:
        fetch_messages(device)
        if reason != "blocked":
            open_message(name, device)
        if reason == "keys became unknown":
            mark_anas_keys_unknown(ben)
        friends.clock.advance(minutes=20)
        fetch_messages(device)
    assert ben.courier.calls["post"] == before
    assert owed_receipts(ben) == []
    assert {shown.signed for shown in copy_states(ana)} == {False}


def mark_anas_keys_unknown(person: Person) -> None:
    """Mark Ana's keys as unknown on a person's device."""
    contact = contact_named("ana", person.device)
    unknown = replace(contact, trust=Trust.UNKNOWN)
    CONTACT_TABLE.store(unknown, contact.person.id.hex(), person.device.vault)


def receipt_maker_with(**fields: Any) -> Any:
    """Return a ``_make_receipt`` that changes fields of a receipt after its leaf was hashed."""
    honest = receipts._make_receipt

    def make_changed_receipt(*arguments: Any) -> Any:
        return replace(honest(*arguments), **fields)

    return make_changed_receipt


@pytest.mark.parametrize(
    "fields",
    [
        {"message": bytes(16)},
        {"marks": bytes(32)},
        {"event": ReceiptEvent.OPENED},
        {"leaf": bytes(32)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_receipt_that_differs_from_its_signed_leaf_is_refused(
    compared_friends: Network, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    ana, ben = compared_friends["ana"], compared_friends["ben"]
    send_text(ana, "ben")
    fetch_messages(ben.device)
    monkeypatch.setattr(receipts, "_make_receipt", receipt_maker_with(**fields))
    compared_friends.clock.advance(minutes=16)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    assert take_undecryptable_count(ana.device) == 1
    assert ana.device.vault.keys(RECEIPT) == ()


def test_a_receipt_for_somebody_elses_copy_is_refused_and_for_an_unknown_one_ignored(
    compared_friends: Network,
) -> None:
    ana, ben, caro = (
        compared_friends["ana"],
        compared_friends["ben"],
        compared_friends.set_up_person("caro"),
    )
    ana.add_contact(caro)
    send_text(ana, "ben", "caro")
    caros_copy = next(
        copy for copy in COPY_DELIVERY_TABLE.all(ana.device.vault) if copy.person == caro.id
    )
    fetch_messages(ben.device)
    (bens_receipt,) = owed_receipts(ben)
    key = ben.device.vault.keys(OWED_RECEIPT)[0]
    OWED_RECEIPT_TABLE.store(
        replace(bens_receipt, envelope=caros_copy.envelope), key, ben.device.vault
    )
    compared_friends.clock.advance(minutes=16)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    assert take_undecryptable_count(ana.device) == 1
    OWED_RECEIPT_TABLE.store(replace(bens_receipt, envelope=bytes(16)), key, ben.device.vault)
    compared_friends.clock.advance(minutes=16)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    assert take_undecryptable_count(ana.device) == 0
    assert ana.device.vault.keys(RECEIPT) == ()


def test_a_receipt_is_refused_if_the_sender_altered_the_manifest(compared_friends: Network) -> None:
    """Ana changes the manifest hash that her device recorded when she sent the message."""
    ana, ben = compared_friends["ana"], compared_friends["ben"]
    send_text(ana, "ben")
    (key,) = ana.device.vault.keys(RECEIPT_COVERAGE)
    (covered,) = RECEIPT_COVERAGE_TABLE.all(ana.device.vault)
    RECEIPT_COVERAGE_TABLE.store(replace(covered, manifest=bytes(32)), key, ana.device.vault)
    fetch_messages(ben.device)
    compared_friends.clock.advance(minutes=16)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    assert take_undecryptable_count(ana.device) == 1
    assert ana.device.vault.keys(RECEIPT) == ()


def test_receipt_is_accepted_after_the_recipients_device_list_changed(
    compared_friends: Network,
) -> None:
    ana, ben = compared_friends["ana"], compared_friends["ben"]
    send_text(ana, "ben")
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    compared_friends.clock.advance(minutes=16)
    fetch_messages(ben.device)
    add_linked_device(compared_friends, ben, "phone")
    accept_newest_list(ana, ben)
    fetch_messages(ana.device)
    assert take_undecryptable_count(ana.device) == 0
    assert [shown.signed for shown in copy_states(ana)] == [True]


def accept_newest_list(person: Person, contact: Person) -> None:
    """Accept a contact's newest key bundle, as if the relay had just returned it."""
    with person.device.vault.transaction():
        accept_contact_bundle(
            contact_named(contact.name, person.device),
            own_device(contact.device).card,
            person.device,
        )


def test_a_recalled_copy_is_shown_as_taken_back_and_gets_no_receipt(
    compared_friends: Network,
) -> None:
    ana, ben = compared_friends["ana"], compared_friends["ben"]
    name = send_text(ana, "ben").name
    recall_message(name, ana.device)
    (shown,) = copy_states(ana)
    assert shown == CopyState("taken back", compared_friends.clock.now(), signed=False)
    fetch_messages(ben.device)
    compared_friends.clock.advance(minutes=16)
    fetch_messages(ben.device)
    assert owed_receipts(ben) == []


@pytest.mark.threat("receipt-probing")
@pytest.mark.parametrize("trust", Trust)
@pytest.mark.parametrize("consent", [None, False, True])
def test_receipts_depend_on_trust_and_consent(
    friends: Network, trust: Trust, *, consent: bool | None
) -> None:
    """Ben's device sends receipts to people whose keys he has compared.

    People whom Ben knows by link get receipts only if Ben has agreed.
    """
    ana, ben = friends["ana"], friends["ben"]
    known = replace(contact_named("ana", ben.device), trust=trust, receipts=consent)
    store_contact(known, ben.device)
    asked = sender_without_receipt_choice(ana.id, ben.device)
    assert asked == (known if trust is Trust.BY_LINK and consent is None else None)
    fetch_and_open(ben, send_text(ana, "ben").name)
    is_owed = trust is Trust.COMPARED or (trust is Trust.BY_LINK and consent is True)
    assert len(owed_receipts(ben)) == (2 if is_owed else 0)


@pytest.mark.threat("receipt-probing")
def test_the_choice_about_receipts_made_on_a_linked_device_reaches_the_first_device(
    friends: Network,
) -> None:
    ben = friends["ben"]
    phone = add_linked_device(friends, ben, "phone")
    assert sender_without_receipt_choice(friends["ana"].id, phone.device) is not None
    set_receipts("ana", phone.device, wanted=True)
    catch_up(phone, ben, phone)
    assert contact_named("ana", ben.device).receipts is True
    assert sender_without_receipt_choice(friends["ana"].id, ben.device) is None


@pytest.mark.parametrize("export", [False, True])
def test_receipt_says_whether_a_message_with_limited_openings_was_exported(
    compared_friends: Network, *, export: bool
) -> None:
    ana, ben = compared_friends["ana"], compared_friends["ben"]
    name = send_text(ana, "ben", opens=2, may_export=True).name
    fetch_messages(ben.device)
    open_message(name, ben.device)
    show_received_message(name, lambda *_: None, ben.device, export=export)
    compared_friends.clock.advance(minutes=16)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    (shown,) = copy_states(ana)
    assert (shown.state, shown.signed) == ("opened and exported" if export else "opened", True)


def test_a_forbidden_export_does_not_open_the_message(compared_friends: Network) -> None:
    ana, ben = compared_friends["ana"], compared_friends["ben"]
    name = send_text(ana, "ben", opens=1).name
    fetch_messages(ben.device)
    with pytest.raises(ExportForbidden):
        show_received_message(name, lambda *_: None, ben.device, export=True)
    assert ben.courier.calls["open_share"] == 0
    assert open_message(name, ben.device)
