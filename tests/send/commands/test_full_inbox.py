"""``entrenous inbox`` and ``sent`` with years of stored messages."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from entrenous.base.environment import Settings
from entrenous.base.identifiers import (
    DeviceId,
    EnvelopeId,
    MessageId,
    MessageName,
    PersonId,
    RecipientId,
)
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.device.vault_tables import inbox_key
from entrenous.send.commands.catch_up import COPIES_DISCLAIMER, MESSAGES_DISCLAIMER
from entrenous.send.inbox import find_received_message, received_messages
from entrenous.send.letter.letter_nouns import MessageReference
from entrenous.send.message.states import INBOX_TABLE, InboxState, ReceivedMessage
from entrenous.send.people.keep_contacts import contact_named
from entrenous.terminal.session import EXIT_STATUS_BY_FAMILY
from entrenous.wire.relay_nouns import EnvelopeState
from tests.send.commands.test_letters import WORDS, Street
from tests.vaults import open_device

pytestmark = pytest.mark.slow

USAGE = 2
FURTHER_RECIPIENTS = 8  # of each message


@pytest.fixture
def street(street: Street, monkeypatch: pytest.MonkeyPatch) -> Street:
    """Ana and Ben, without an undo window; Ben has opened one message from Ana."""
    monkeypatch.setenv("ENTRENOUS_UNDO", "0")
    name = street.does("ana", "send", "--text", "hello", "--to", "ben", "--confirm", "ben")
    street.does("ben", "open", name["message"])
    return street


def grow_inbox(street: Street, many: int, *, like: str | None = None) -> None:
    """Add this many opened messages to Ben's inbox, based on his newest or on the one named
    ``like``. Each replies to the one before it and lists recipients whom he does not know.
    """
    home = street.folder / "ben"
    opened = open_device(Settings(home=home, pause_s=0), lambda: Secret(WORDS.encode()))
    with opened as device, device.vault.transaction():
        _store_received(many, like, device)


def grow_sent(street: Street, many: int, *, to: str = "ben") -> None:
    """Add this many messages to Ana's ledger, based on her newest and opened by the recipient."""
    home = street.folder / "ana"
    opened = open_device(Settings(home=home, pause_s=0), lambda: Secret(WORDS.encode()))
    with opened as device, device.vault.transaction():
        *_, last = device.ledger.messages()
        copy = next(iter(COPY_DELIVERY_TABLE.all(device.vault)))
        person = contact_named(to, device).person.id
        for number in range(
            int(last.name.split("-")[0]) + 1, int(last.name.split("-")[0]) + 1 + many
        ):
            last = replace(
                last,
                id=MessageId(number.to_bytes(16, "big")),
                name=MessageName(f"{number}-lunar-otter"),
                sent_at=last.sent_at + timedelta(seconds=1),
            )
            envelope = EnvelopeId(number.to_bytes(32, "big"))
            device.ledger.store_message(last)
            more = replace(copy, message=last.id, envelope=envelope, to=RecipientId(to))
            more = replace(more, person=person, state=EnvelopeState.OPENED, opened=True)
            COPY_DELIVERY_TABLE.store(more, envelope.hex(), device.vault)


def _store_received(many: int, like: str | None, device: Device) -> None:
    *_, last = received_messages(device) if like is None else [find_received_message(like, device)]
    assert last.manifest is not None
    strangers = tuple(
        (PersonId(bytes([number + 1]) * 32), DeviceId(bytes([number + 1]) * 16))
        for number in range(FURTHER_RECIPIENTS)
    )
    for one in _following_messages(last, many):
        manifest = replace(last.manifest, audience=strangers)
        kept = replace(one, manifest=manifest)
        INBOX_TABLE.store(kept, inbox_key(kept.sender, kept.id), device.vault)


def _following_messages(last: ReceivedMessage, many: int) -> Iterator[ReceivedMessage]:
    for _ in range(many):
        number = int(last.name.split("-")[0]) + 1
        answers = MessageReference(last.sender, last.id)
        last = replace(
            last,
            id=MessageId(number.to_bytes(16, "big")),
            name=MessageName(f"{number}-lunar-otter"),
            sent_at=last.sent_at + timedelta(seconds=1),
            reply=answers,
            state=InboxState.OPENED,
        )
        yield last


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the table name of each vault read is appended."""
    read = list[str]()
    get, items, keys = SqlcipherVault.get, SqlcipherVault.items, SqlcipherVault.keys

    def counted_get(vault: SqlcipherVault, table: str, key: str) -> bytes | None:
        read.append(table)
        return get(vault, table, key)

    def counted_items(vault: SqlcipherVault, table: str) -> Iterator[tuple[str, bytes]]:
        found = list(items(vault, table))
        read.extend(table for _ in found)
        return iter(found)

    def counted_keys(vault: SqlcipherVault, table: str, start: str = "") -> tuple[str, ...]:
        read.append(table)
        return keys(vault, table, start)

    monkeypatch.setattr(SqlcipherVault, "get", counted_get)
    monkeypatch.setattr(SqlcipherVault, "items", counted_items)
    monkeypatch.setattr(SqlcipherVault, "keys", counted_keys)
    return read


def test_inbox_reads_per_message_are_constant(street: Street, reads: list[str]) -> None:
    """The limit of six reads per message is below the number of recipients of each message."""
    counts, shown = list[int](), list[Any]()
    for _ in range(3):
        grow_inbox(street, 30)
        reads.clear()
        shown.append(street.does("ben", "inbox")["messages"])
        counts.append(len(reads))
    assert [len(one) for one in shown] == [31, 61, 91]
    assert [one["reply"] for one in shown[-1][2:]] == [one["message"] for one in shown[-1][1:-1]]
    assert shown[-1][-1]["also"] == ["somebody"] * FURTHER_RECIPIENTS
    more = [after - before for before, after in pairwise(counts)]
    assert max(more) <= 6 * 30, more


def test_sent_reads_per_message_are_constant(street: Street, reads: list[str]) -> None:
    counts = list[int]()
    for _ in range(3):
        grow_sent(street, 30)
        reads.clear()
        shown = street.does("ana", "sent")["messages"]
        counts.append(len(reads))
    assert [len(one["copies"]) for one in shown] == [1] * 91
    more = [after - before for before, after in pairwise(counts)]
    assert max(more) <= 6 * 30, more


def names_in(output: str) -> list[str]:
    """Return the names of the listed messages, in order."""
    return [line.split()[0] for line in output.splitlines() if "-" in line.split(" ")[0]]


def test_inbox_lists_waiting_and_newest_messages_but_all_in_json(street: Street) -> None:
    waits = street.does("ana", "send", "--text", "see?", "--to", "ben", "--confirm", "ben")
    street.does("ben", "inbox")
    grow_inbox(street, 40)
    every = [one["message"] for one in street.does("ben", "inbox")["messages"]]
    assert len(every) == 42
    output = street.types("ben", "inbox").out
    assert names_in(output) == [waits["message"], *every[-20:]]
    assert output.splitlines()[-2:] == ["21 older: entrenous inbox --all", MESSAGES_DISCLAIMER]
    whole = street.types("ben", "inbox", "--all").out
    assert names_in(whole) == every
    assert " older" not in whole
    output = street.types("ben", "inbox", "--last", "3").out
    assert names_in(output) == every[-3:]
    assert "39 older: entrenous inbox --all" in output.splitlines()
    shown = street.does("ben", "inbox", "--last", "3")["messages"]
    assert [one["message"] for one in shown] == every[-3:]
    assert street.types("ben", "inbox", "--last", "3", "--all").status == USAGE
    assert street.types("ben", "inbox", "--last", "0").status == USAGE


def test_sent_lists_waiting_and_newest_messages_but_all_in_json(street: Street) -> None:
    first = street.does("ana", "sent")["messages"][0]["message"]
    waits = street.does("ana", "send", "--text", "see?", "--to", "ben", "--confirm", "ben")
    grow_sent(street, 40)
    every = [one["message"] for one in street.does("ana", "sent")["messages"]]
    assert every[:2] == [first, waits["message"]]
    output = street.types("ana", "sent").out
    assert names_in(output) == [waits["message"], *every[-20:]]
    assert output.splitlines()[-2:] == ["21 older: entrenous sent --all", COPIES_DISCLAIMER]
    assert names_in(street.types("ana", "sent", "--all").out) == every
    assert names_in(street.types("ana", "sent", "--last", "2").out) == every[-2:]
    assert len(street.does("ana", "sent", "--last", "2")["messages"]) == 2
    assert street.types("ana", "sent", "--last", "3", "--all").status == USAGE


def test_inbox_is_filtered_by_people_and_circles(street: Street) -> None:
    street.set_up_person("caro")
    street.add_contact("caro", "ben")
    caros = street.does("caro", "send", "--text", "hi", "--to", "ben", "--confirm", "ben")
    by = {one["from"]: one["message"] for one in street.does("ben", "inbox")["messages"]}
    assert by["caro"] == caros["message"]

    def received_from(*words: str) -> list[str]:
        asked = [word for name in words for word in ("--from", name)]
        return [one["message"] for one in street.does("ben", "inbox", *asked)["messages"]]

    assert received_from("caro") == received_from("CARO") == [by["caro"]]
    assert set(received_from("caro", "ana")) == set(by.values())
    street.types("ben", "circle", "add", "choir", "--person", "ana")
    assert received_from("choir") == [by["ana"]]
    assert (
        street.types("ben", "inbox", "--from", "dora").status == EXIT_STATUS_BY_FAMILY["not-found"]
    )
    street.types("ben", "person", "block", "ana")
    assert received_from("ana") == received_from("choir") == [by["ana"]]
    street.types("ben", "person", "forget", "caro")
    assert received_from("caro") == [by["caro"]]  # the list still shows this name
    assert street.types("ben", "inbox", "--from", "ana", "--last", "5").out.startswith(
        received_from("ana")[0]
    )
    grow_inbox(street, 25, like=caros["message"])
    output = street.types("ben", "inbox", "--from", "caro").out
    assert "5 older: entrenous inbox --from caro --all" in output.splitlines()


def test_sent_is_filtered_by_people_and_circles(street: Street) -> None:
    street.set_up_person("caro")
    street.add_contact("ana", "caro")
    both = ("--to", "ben", "--to", "caro", "--confirm", "ben", "--confirm", "caro")
    first = street.does("ana", "sent")["messages"][0]["message"]
    second = street.does("ana", "send", "--text", "both", *both)["message"]
    marked = street.does("ana", "mark", "beach.jpg", "--to", "dora", "--out", "copies")["message"]

    def sent_to(*words: str) -> list[str]:
        asked = [word for name in words for word in ("--to", name)]
        return [one["message"] for one in street.does("ana", "sent", *asked)["messages"]]

    assert sent_to("ben") == [first, second]
    assert sent_to("caro") == [second]
    assert sent_to("dora") == [marked]  # dora is no contact; only this copy names her
    assert sent_to("caro", "dora") == [second, marked]
    street.types("ana", "circle", "add", "our choir", "--person", "caro")
    assert sent_to("our choir") == [second]
    assert street.types("ana", "sent", "--to", "erin").status == EXIT_STATUS_BY_FAMILY["not-found"]
    street.set_up_person("fay")
    street.add_contact("ana", "fay")
    assert (
        street.types("ana", "sent", "--to", "fay").out == "Nothing sent to fay from this device.\n"
    )
    assert street.types("ana", "inbox", "--from", "fay").out == "Nothing from fay here.\n"
    grow_sent(street, 25, to="caro")
    lines = street.types("ana", "sent", "--to", "our choir").out.splitlines()
    assert "5 older: entrenous sent --to 'our choir' --all" in lines
