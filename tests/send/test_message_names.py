"""Tests of the names of new and received messages, and of the index of names."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenous.base.errors import RelayUnreachable
from entrenous.base.identifiers import NAME_ADJECTIVES, NAME_NOUNS, MessageName, RecipientId
from entrenous.device.device import Device
from entrenous.device.vault_tables import INBOX, INBOX_NAME, OWN_RECORDS
from entrenous.send.copies.mark_file import mark_picture_copies
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import (
    free_message_name,
    new_message_name,
    received_messages,
    remove_received_message,
)
from entrenous.send.message.draft import SendingUndone, WaitsInOutbox
from entrenous.send.message.states import INBOX_TABLE
from entrenous.send.message.transfer_progress import TransferWatch
from entrenous.send.open import open_message
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from tests.archive.archives_in_memory import export_tar, import_tar, set_up_offline_device
from tests.in_memory.vault import MemoryVault
from tests.send.send_device import SMALL_PICTURE, Network, Person
from tests.send.send_text import send_text
from tests.send.test_guard import draft
from tests.village.malicious_relay import error_trick


def test_a_new_message_name_is_unused(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    sent = ana.send(SMALL_PICTURE, ben).name
    fetch_messages(ben.device)

    class FixedNameSource:
        def token(self, size: int) -> bytes:
            return bytes([NAME_ADJECTIVES.index(first), NAME_NOUNS.index(second), int(number) - 1])[
                :size
            ]

    number, first, second = sent.split("-")
    for one in (ana, ben):
        name = new_message_name(replace(one.device, random_source=FixedNameSource()))
        assert name == f"{int(number) + 1}-{first}-{second}"


def is_index_consistent(device: Device) -> bool:
    """Return whether the index and all messages agree on the next free number for each name."""
    sent = [message.name for message in device.ledger.messages()]
    received_names = [received.name for received in INBOX_TABLE.all(device.vault)]
    indexed = [
        f"{number}-{words}"
        for key in device.vault.keys(INBOX_NAME)
        for words, number, _ in [key.split(" ", 2)]
    ]
    assert sorted(indexed) == sorted(received_names)
    taken = {*sent, *received_names}
    for name in taken:
        number, words = name.split("-", 1)
        free = int(number)
        while f"{free}-{words}" in taken:
            free += 1
        if free_message_name(name, device) != f"{free}-{words}":
            return False
    return True


def cancel_message(ana: Person) -> None:
    """Write a message and cancel it before it leaves."""

    def interrupt(_until: datetime) -> None:
        raise KeyboardInterrupt

    draft_with_undo = replace(draft(ana, "ben", confirmed=("ben",)), undo_s=10)
    with suppress(SendingUndone):
        send_message(draft_with_undo, ana.device, TransferWatch(wait=interrupt))


def recall_unsent_message(ana: Person) -> None:
    """Write a message while the relay is unreachable, and recall it before it leaves."""
    with (
        ana.courier.replace_calls(post=error_trick(RelayUnreachable(host="x"))),
        suppress(WaitsInOutbox),
    ):
        send_text(ana, "ben")
    *_, last = ana.device.ledger.messages()
    recall_message(last.name, ana.device)


def interrupt_marking(ana: Person) -> None:
    """Begin to mark two copies for a channel other than the relay, and stop after the first."""
    copies = mark_picture_copies(
        SMALL_PICTURE, [RecipientId("x"), RecipientId("y")], None, ana.device
    )
    next(copies)
    copies.close()


def test_the_name_index_agrees_with_all_messages(
    friends: Network,
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    first = send_text(ana, "ben").name
    fetch_messages(ben.device)
    new_message_name(ana.device)
    open_message(first, ben.device)
    cancel_message(ana)
    assert is_index_consistent(ana.device)
    recall_unsent_message(ana)
    interrupt_marking(ana)
    assert is_index_consistent(ana.device)
    once, removed, back = (send_text(ana, "ben", opens=1).name for _ in range(3))
    recall_message(back, ana.device)
    fetch_messages(ben.device)
    open_message(once, ben.device)
    remove_received_message(removed, ben.device)
    friends.clock.advance(days=8)
    assert {one.state.value for one in received_messages(ben.device)} > {"expired", "used up"}
    for person in (ana, ben):
        assert is_index_consistent(person.device)
    tar, other = export_tar(ben.device), set_up_offline_device(friends)
    for _ in range(2):
        import_tar(tar, other)
        assert is_index_consistent(other)
    import_tar(export_tar(ana.device), other)
    assert is_index_consistent(other)
    assert len({one.name for one in received_messages(other)} & {first}) == 1
    assert first not in {one.name for one in other.ledger.messages()}


def test_messages_received_before_the_index_existed_are_indexed(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = send_text(ana, "ben").name
    fetch_messages(ben.device)
    for key in ben.device.vault.keys(INBOX_NAME):
        ben.device.vault.drop(INBOX_NAME, key)
    ben.device.vault.drop(OWN_RECORDS, "inbox-names-indexed")
    send_text(ana, "ben")
    fetch_messages(ben.device)
    assert name in {one.name for one in received_messages(ben.device)}
    assert is_index_consistent(ben.device)


def test_receiving_a_letter_reads_no_other_message_from_the_vault(
    friends: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    send_text(ana, "ben")
    fetch_messages(ben.device)
    send_text(ana, "ben")
    items, read = MemoryVault.items, list[str]()

    def count_items(vault: MemoryVault, table: str) -> Iterator[tuple[str, bytes]]:
        records = list(items(vault, table))
        read.extend(table for _ in records)
        return iter(records)

    monkeypatch.setattr(MemoryVault, "items", count_items)
    fetch_messages(ben.device)
    assert not {INBOX, "message", INBOX_NAME} & set(read)
    monkeypatch.undo()
    assert ben.received_count() == 2


def test_a_received_message_keeps_its_name_unless_it_is_taken(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    assert free_message_name(MessageName("7-lunar-otter"), ben.device) == "7-lunar-otter"
    posted = ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    assert received_messages(ben.device)[0].name == posted.name
    number, words = posted.name.split("-", 1)
    assert free_message_name(posted.name, ben.device) == f"{int(number) + 1}-{words}"


@pytest.mark.parametrize(
    "wanted",
    [
        "../../../etc/passwd",
        "1-a/b-c",
        "--help",
        "-1-lunar-otter",
        "0-lunar-otter",
        "7-lunar",
        "7-lunar-otter\n",
        "7-Lunar-Otter",
        "\uff19-lunar-otter",
        "9" * 5000 + "-lunar-otter",
        ".",
        "con",
        "7-lunar-otter-1",
    ],
)
def test_a_malformed_message_name_is_replaced(network: Network, wanted: str) -> None:
    name = free_message_name(MessageName(wanted), network["ben"].device)
    number, first, second = name.split("-")
    assert number.isdigit()
    assert (first in NAME_ADJECTIVES, second in NAME_NOUNS) == (True, True)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=64))
def test_no_message_name_escapes_its_folder(network: Network, wanted: str) -> None:
    name = free_message_name(MessageName(wanted), network["ben"].device)
    assert set(name) <= set("0123456789abcdefghijklmnopqrstuvwxyz-")
    assert name[0].isdigit()
