"""Tests of the lists that ``entrenous inbox`` and ``sent`` print: vault reads, length, filters."""

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
from tests.send.commands.test_letters import PASSPHRASE, CommandLine
from tests.vaults import open_device

pytestmark = pytest.mark.slow

EXIT_USAGE = 2
FURTHER_RECIPIENT_COUNT = 8  # in each message added to Ben's inbox


@pytest.fixture
def cli(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Disable the undo window, let Ana send Ben one message, and let Ben open the message."""
    monkeypatch.setenv("ENTRENOUS_UNDO", "0")
    name = cli.run_json("ana", "send", "--text", "hello", "--to", "ben", "--confirm", "ben")
    cli.run_json("ben", "open", name["message"])
    return cli


def grow_inbox(cli: CommandLine, count: int, *, template_name: str | None = None) -> None:
    """Add opened messages to Ben's inbox, modelled on one message, by default the newest.

    Each added message replies to the previous one and lists recipients whom Ben does not know.
    """
    home = cli.folder / "ben"
    opened = open_device(Settings(home=home, pause_s=0), lambda: Secret(PASSPHRASE.encode()))
    with opened as device, device.vault.transaction():
        _store_received_messages(count, template_name, device)


def grow_sent(cli: CommandLine, count: int, *, to: str = "ben") -> None:
    """Add messages to Ana's ledger, modelled on her newest message and opened by ``to``."""
    home = cli.folder / "ana"
    opened = open_device(Settings(home=home, pause_s=0), lambda: Secret(PASSPHRASE.encode()))
    with opened as device, device.vault.transaction():
        *_, last = device.ledger.messages()
        copy = next(iter(COPY_DELIVERY_TABLE.all(device.vault)))
        person = contact_named(to, device).person.id
        for number in range(
            int(last.name.split("-")[0]) + 1, int(last.name.split("-")[0]) + 1 + count
        ):
            last = replace(
                last,
                id=MessageId(number.to_bytes(16, "big")),
                name=MessageName(f"{number}-lunar-otter"),
                sent_at=last.sent_at + timedelta(seconds=1),
            )
            envelope = EnvelopeId(number.to_bytes(32, "big"))
            device.ledger.store_message(last)
            delivery = replace(copy, message=last.id, envelope=envelope, to=RecipientId(to))
            delivery = replace(delivery, person=person, state=EnvelopeState.OPENED, opened=True)
            COPY_DELIVERY_TABLE.store(delivery, envelope.hex(), device.vault)


def _store_received_messages(count: int, template_name: str | None, device: Device) -> None:
    *_, last = (
        received_messages(device)
        if template_name is None
        else [find_received_message(template_name, device)]
    )
    assert last.manifest is not None
    strangers = tuple(
        (PersonId(bytes([number + 1]) * 32), DeviceId(bytes([number + 1]) * 16))
        for number in range(FURTHER_RECIPIENT_COUNT)
    )
    for one in _later_messages(last, count):
        manifest = replace(last.manifest, audience=strangers)
        kept = replace(one, manifest=manifest)
        INBOX_TABLE.store(kept, inbox_key(kept.sender, kept.id), device.vault)


def _later_messages(last: ReceivedMessage, count: int) -> Iterator[ReceivedMessage]:
    for _ in range(count):
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
def tables_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which each vault read appends the name of its table.

    Reading all records of a table counts as one read for each record.
    """
    read = list[str]()
    get, items, keys = SqlcipherVault.get, SqlcipherVault.items, SqlcipherVault.keys

    def record_get(vault: SqlcipherVault, table: str, key: str) -> bytes | None:
        read.append(table)
        return get(vault, table, key)

    def record_items(vault: SqlcipherVault, table: str) -> Iterator[tuple[str, bytes]]:
        found = list(items(vault, table))
        read.extend(table for _ in found)
        return iter(found)

    def record_keys(vault: SqlcipherVault, table: str, start: str = "") -> tuple[str, ...]:
        read.append(table)
        return keys(vault, table, start)

    monkeypatch.setattr(SqlcipherVault, "get", record_get)
    monkeypatch.setattr(SqlcipherVault, "items", record_items)
    monkeypatch.setattr(SqlcipherVault, "keys", record_keys)
    return read


def test_inbox_takes_at_most_six_vault_reads_per_message(
    cli: CommandLine, tables_read: list[str]
) -> None:
    """Each added message has over six recipients, so one read per recipient would be too many."""
    counts, shown = list[int](), list[Any]()
    for _ in range(3):
        grow_inbox(cli, 30)
        tables_read.clear()
        shown.append(cli.run_json("ben", "inbox")["messages"])
        counts.append(len(tables_read))
    assert [len(one) for one in shown] == [31, 61, 91]
    assert [one["reply"] for one in shown[-1][2:]] == [one["message"] for one in shown[-1][1:-1]]
    assert shown[-1][-1]["also"] == ["somebody"] * FURTHER_RECIPIENT_COUNT
    increases = [after - before for before, after in pairwise(counts)]
    assert max(increases) <= 6 * 30, increases


def test_sent_takes_at_most_six_vault_reads_per_message(
    cli: CommandLine, tables_read: list[str]
) -> None:
    counts = list[int]()
    for _ in range(3):
        grow_sent(cli, 30)
        tables_read.clear()
        shown = cli.run_json("ana", "sent")["messages"]
        counts.append(len(tables_read))
    assert [len(one["copies"]) for one in shown] == [1] * 91
    increases = [after - before for before, after in pairwise(counts)]
    assert max(increases) <= 6 * 30, increases


def listed_names(output: str) -> list[str]:
    """Return the names of the listed messages, in order."""
    return [line.split()[0] for line in output.splitlines() if "-" in line.split(" ")[0]]


def test_inbox_lists_waiting_and_newest_messages_but_all_in_json(cli: CommandLine) -> None:
    waits = cli.run_json("ana", "send", "--text", "see?", "--to", "ben", "--confirm", "ben")
    cli.run_json("ben", "inbox")
    grow_inbox(cli, 40)
    every = [one["message"] for one in cli.run_json("ben", "inbox")["messages"]]
    assert len(every) == 42
    output = cli.run("ben", "inbox").out
    assert listed_names(output) == [waits["message"], *every[-20:]]
    assert output.splitlines()[-2:] == ["21 older: entrenous inbox --all", MESSAGES_DISCLAIMER]
    whole = cli.run("ben", "inbox", "--all").out
    assert listed_names(whole) == every
    assert " older" not in whole
    output = cli.run("ben", "inbox", "--last", "3").out
    assert listed_names(output) == every[-3:]
    assert "39 older: entrenous inbox --all" in output.splitlines()
    shown = cli.run_json("ben", "inbox", "--last", "3")["messages"]
    assert [one["message"] for one in shown] == every[-3:]
    assert cli.run("ben", "inbox", "--last", "3", "--all").status == EXIT_USAGE
    assert cli.run("ben", "inbox", "--last", "0").status == EXIT_USAGE


def test_sent_lists_waiting_and_newest_messages_but_all_in_json(cli: CommandLine) -> None:
    first = cli.run_json("ana", "sent")["messages"][0]["message"]
    waits = cli.run_json("ana", "send", "--text", "see?", "--to", "ben", "--confirm", "ben")
    grow_sent(cli, 40)
    every = [one["message"] for one in cli.run_json("ana", "sent")["messages"]]
    assert every[:2] == [first, waits["message"]]
    output = cli.run("ana", "sent").out
    assert listed_names(output) == [waits["message"], *every[-20:]]
    assert output.splitlines()[-2:] == ["21 older: entrenous sent --all", COPIES_DISCLAIMER]
    assert listed_names(cli.run("ana", "sent", "--all").out) == every
    assert listed_names(cli.run("ana", "sent", "--last", "2").out) == every[-2:]
    assert len(cli.run_json("ana", "sent", "--last", "2")["messages"]) == 2
    assert cli.run("ana", "sent", "--last", "3", "--all").status == EXIT_USAGE


def test_inbox_is_filtered_by_people_and_circles(cli: CommandLine) -> None:
    cli.set_up_person("caro")
    cli.add_contact("caro", "ben")
    caros = cli.run_json("caro", "send", "--text", "hi", "--to", "ben", "--confirm", "ben")
    message_by_sender = {
        one["from"]: one["message"] for one in cli.run_json("ben", "inbox")["messages"]
    }
    assert message_by_sender["caro"] == caros["message"]

    def message_names_from(*words: str) -> list[str]:
        options = [word for name in words for word in ("--from", name)]
        return [one["message"] for one in cli.run_json("ben", "inbox", *options)["messages"]]

    assert message_names_from("caro") == message_names_from("CARO") == [message_by_sender["caro"]]
    assert set(message_names_from("caro", "ana")) == set(message_by_sender.values())
    cli.run("ben", "circle", "add", "choir", "--person", "ana")
    assert message_names_from("choir") == [message_by_sender["ana"]]
    assert cli.run("ben", "inbox", "--from", "dora").status == EXIT_STATUS_BY_FAMILY["not-found"]
    cli.run("ben", "person", "block", "ana")
    assert message_names_from("ana") == message_names_from("choir") == [message_by_sender["ana"]]
    cli.run("ben", "person", "forget", "caro")
    # The list still shows a forgotten sender's name.
    assert message_names_from("caro") == [message_by_sender["caro"]]
    assert cli.run("ben", "inbox", "--from", "ana", "--last", "5").out.startswith(
        message_names_from("ana")[0]
    )
    grow_inbox(cli, 25, template_name=caros["message"])
    output = cli.run("ben", "inbox", "--from", "caro").out
    assert "5 older: entrenous inbox --from caro --all" in output.splitlines()


def test_sent_is_filtered_by_people_and_circles(cli: CommandLine) -> None:
    cli.set_up_person("caro")
    cli.add_contact("ana", "caro")
    both = ("--to", "ben", "--to", "caro", "--confirm", "ben", "--confirm", "caro")
    first = cli.run_json("ana", "sent")["messages"][0]["message"]
    second = cli.run_json("ana", "send", "--text", "both", *both)["message"]
    marked = cli.run_json("ana", "mark", "beach.jpg", "--to", "dora", "--out", "copies")["message"]

    def message_names_to(*words: str) -> list[str]:
        options = [word for name in words for word in ("--to", name)]
        return [one["message"] for one in cli.run_json("ana", "sent", *options)["messages"]]

    assert message_names_to("ben") == [first, second]
    assert message_names_to("caro") == [second]
    assert message_names_to("dora") == [marked]  # Dora is not a contact; only this copy names her
    assert message_names_to("caro", "dora") == [second, marked]
    cli.run("ana", "circle", "add", "our choir", "--person", "caro")
    assert message_names_to("our choir") == [second]
    assert cli.run("ana", "sent", "--to", "erin").status == EXIT_STATUS_BY_FAMILY["not-found"]
    cli.set_up_person("fay")
    cli.add_contact("ana", "fay")
    assert cli.run("ana", "sent", "--to", "fay").out == "Nothing sent to fay from this device.\n"
    assert cli.run("ana", "inbox", "--from", "fay").out == "Nothing from fay here.\n"
    grow_sent(cli, 25, to="caro")
    lines = cli.run("ana", "sent", "--to", "our choir").out.splitlines()
    assert "5 older: entrenous sent --to 'our choir' --all" in lines
