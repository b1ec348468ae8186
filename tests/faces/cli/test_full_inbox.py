"""``entrenous inbox`` of somebody who keeps what she gets for years."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from entrenous.adapters.vault.sqlcipher import SqlcipherVault
from entrenous.model.ids import DeviceId, MessageId, MessageName, PersonId
from entrenous.model.letter import ReplyTo
from entrenous.model.received import Received
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.drawers import INBOX, inbox_key, lay
from entrenous.send.inbox import received_messages
from entrenous.settings import Settings
from entrenous.wiring.device import open_device
from tests.faces.cli.test_letters import WORDS, Street

OTHERS = 8  # people who got each message too


@pytest.fixture
def street(street: Street, monkeypatch: pytest.MonkeyPatch) -> Street:
    """Where nothing waits to be undone, and Ben has one message, which is opened."""
    monkeypatch.setenv("ENTRENOUS_UNDO", "0")
    name = street.does("ana", "send", "--text", "hello", "--to", "ben", "--confirm", "ben")
    street.does("ben", "open", name["message"])
    return street


def grow(street: Street, many: int) -> None:
    """Lay so many more messages into Ben's inbox as his device kept the first; each answers the one
    before it, and went to several people whom he does not know.
    """
    home = street.folder / "ben"
    opened = open_device(Settings(home=home), lambda: Secret(WORDS.encode()))
    with opened as device, device.vault.together():
        _lay(many, device)


def _lay(many: int, device: Device) -> None:
    *_, last = received_messages(device)
    assert last.manifest is not None
    strangers = tuple(
        (PersonId(bytes([number + 1]) * 32), DeviceId(bytes([number + 1]) * 16))
        for number in range(OTHERS)
    )
    for one in _more(last, many):
        manifest = replace(last.manifest, audience=strangers)
        kept = replace(one, manifest=manifest)
        lay(kept, INBOX, inbox_key(kept.sender, kept.id), device.vault)


def _more(last: Received, many: int) -> Iterator[Received]:
    for _ in range(many):
        number = int(last.name.split("-")[0]) + 1
        answers = ReplyTo(last.sender, last.id)
        last = replace(
            last,
            id=MessageId(number.to_bytes(16, "big")),
            name=MessageName(f"{number}-lunar-otter"),
            sent_at=last.sent_at + timedelta(seconds=1),
            reply=answers,
        )
        yield last


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A drawer for each record that any vault gave out, and for each look at its keys."""
    read = list[str]()
    get, items, keys = SqlcipherVault.get, SqlcipherVault.items, SqlcipherVault.keys

    def counted_get(vault: SqlcipherVault, drawer: str, key: str) -> bytes | None:
        read.append(drawer)
        return get(vault, drawer, key)

    def counted_items(vault: SqlcipherVault, drawer: str) -> Iterator[tuple[str, bytes]]:
        found = list(items(vault, drawer))
        read.extend(drawer for _ in found)
        return iter(found)

    def counted_keys(vault: SqlcipherVault, drawer: str, start: str = "") -> tuple[str, ...]:
        read.append(drawer)
        return keys(vault, drawer, start)

    monkeypatch.setattr(SqlcipherVault, "get", counted_get)
    monkeypatch.setattr(SqlcipherVault, "items", counted_items)
    monkeypatch.setattr(SqlcipherVault, "keys", counted_keys)
    return read


def test_each_message_costs_a_few_reads_whatever_else_is_there(
    street: Street, reads: list[str]
) -> None:
    """Nor do they grow with the people that it went to."""
    counts, shown = list[int](), list[Any]()
    for _ in range(3):
        grow(street, 30)
        reads.clear()
        shown.append(street.does("ben", "inbox")["messages"])
        counts.append(len(reads))
    assert [len(one) for one in shown] == [31, 61, 91]
    assert [one["reply"] for one in shown[-1][2:]] == [one["message"] for one in shown[-1][1:-1]]
    assert shown[-1][-1]["also"] == ["somebody"] * OTHERS
    more = [after - before for before, after in pairwise(counts)]
    assert max(more) <= 6 * 30, more
