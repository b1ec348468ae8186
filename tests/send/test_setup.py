"""Setting up a device: whole, or finished by the next command."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from entrenous.adapters.vault.ledger import VaultLedger
from entrenous.adapters.vault.memory import MemoryVault
from entrenous.craft.media.picture import read_picture
from entrenous.model.identity import AlreadySetUp, BadRelayAddress
from entrenous.model.ids import MessageId, MessageName
from entrenous.model.message import EarlierDevice, Message
from entrenous.model.person import BadName
from entrenous.model.relay_problem import RelayUnreachable
from entrenous.model.sealed_copy import Departure
from entrenous.ports import Device
from entrenous.send.acquaintance.invite import make_invite
from entrenous.send.devices.renew import renew
from entrenous.send.devices.self import ACCOUNT, EARLIER, who_am_i
from entrenous.send.drawers import OUTBOX, SEALED, SELF, lay
from entrenous.send.inbox import received_messages
from entrenous.send.message.naming import new_name
from entrenous.send.setup import finish_set_up, set_up
from entrenous.send.status import sealed_copies
from tests.send.room import HERE, Room
from tests.send.sealed_in_1 import copy_of, in_version_1
from tests.village.malicious_relay import MaliciousCourier, failing
from tests.village.world import LoadedDice, Villager

pytestmark = pytest.mark.slow

SENT = MessageId(bytes(16))
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Killed(BaseException):
    """The process ends here."""


def killed(*_: object) -> None:
    raise Killed


def newcomer(room: Room) -> tuple[Device, MaliciousCourier]:
    vault, courier = MemoryVault(), MaliciousCourier(room.honest)
    dice = LoadedDice("caro")
    return Device(room.clock, dice, vault, VaultLedger(vault), courier, read_picture), courier


@pytest.mark.parametrize("call", ["create_mailbox", "publish_card", "publish_prekeys"])
def test_a_set_up_that_was_killed_is_finished_by_the_next_command(room: Room, call: str) -> None:
    device, courier = newcomer(room)
    with courier.playing(**{call: killed}), pytest.raises(Killed):
        set_up("caro", HERE, device)
    make_invite(device)
    caro = Villager("caro", device, device.vault)  # type: ignore[arg-type]
    room["ana"].adds(caro)
    assert who_am_i(device).name == "caro"


def test_it_is_finished_once(room: Room) -> None:
    device, courier = newcomer(room)
    set_up("caro", HERE, device)
    with courier.playing(create_mailbox=killed, publish_card=killed, publish_prekeys=killed):
        finish_set_up(device)


@pytest.mark.parametrize("name", ["", " ana", "ana\n", "x" * 65])
def test_a_name_that_cannot_be_shown_is_refused(room: Room, name: str) -> None:
    with pytest.raises(BadName):
        set_up(name, HERE, newcomer(room)[0])


@pytest.mark.parametrize("url", ["relay.example", "ftp://relay.example", "https://a@b", ""])
def test_an_address_that_is_none_is_refused(room: Room, url: str) -> None:
    with pytest.raises(BadRelayAddress):
        set_up("caro", url, newcomer(room)[0])


def of_an_earlier_version(room: Room) -> tuple[Device, MaliciousCourier]:
    """A device as version 1 left it: other keys, letters that wait, a ledger."""
    device, courier = newcomer(room)
    vault = device.vault
    vault.put(SELF, EARLIER, b"what version 1 kept")
    vault.put(SELF, ACCOUNT, b"an account of before")
    for drawer in ("contact", "peer", OUTBOX):
        vault.put(drawer, "key", b"of before")
    vault.put("inbox", "key", msgspec.msgpack.encode({"kept": vault.keep(b"a picture")}))
    vault.put("inbox", "other", msgspec.msgpack.encode({"kept": None}))
    device.ledger.record(Message(SENT, MessageName("7-otter"), NOON, ()))
    return device, courier


def test_a_device_of_an_earlier_version_says_how_to_begin_anew(room: Room) -> None:
    device, _ = of_an_earlier_version(room)
    with pytest.raises(EarlierDevice, match="--again"):
        who_am_i(device)
    assert new_name(device)  # it can still mark
    assert [message.name for message in device.ledger.messages()] == ["7-otter"]


@pytest.mark.parametrize("call", ["create_mailbox", "publish_prekeys"])
def test_it_begins_anew_and_keeps_its_ledger_also_when_that_took_two_attempts(
    room: Room, call: str
) -> None:
    device, courier = of_an_earlier_version(room)
    with pytest.raises(BadName):
        renew("", HERE, device)
    down = failing(RelayUnreachable(host="x"))
    with courier.playing(**{call: down}), pytest.raises(RelayUnreachable):
        renew("caro", HERE, device)
    with pytest.raises(EarlierDevice):
        who_am_i(device)
    renew("caro", HERE, device)
    caro = Villager("caro", device, device.vault)  # type: ignore[arg-type]
    room["ana"].adds(caro)
    assert [message.name for message in device.ledger.messages()] == ["7-otter"]
    assert received_messages(device) == ()
    assert device.vault._files == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("acknowledged", "departure"), [(True, Departure.ACKNOWLEDGED), (False, Departure.TRIED)]
)
def test_copies_that_it_sent_can_be_looked_after_and_what_is_unreadable_is_in_no_way(
    room: Room, departure: Departure, *, acknowledged: bool
) -> None:
    device, _ = of_an_earlier_version(room)
    old, later = copy_of(SENT, 1), replace(copy_of(SENT, 2), departure=Departure.REFUSED)
    device.vault.put(SEALED, "1", in_version_1(old, acknowledged=acknowledged))
    lay(later, SEALED, "2", device.vault)
    for key, record in enumerate((b"", b"\x90", b"\x80", b"\x81\xacacknowledged\xc3"), start=3):
        device.vault.put(SEALED, str(key), record)
    renew("caro", HERE, device)
    message = device.ledger.read(SENT)
    assert sealed_copies(message, device) == (replace(old, departure=departure), later)


def test_only_a_device_of_an_earlier_version_begins_anew(room: Room) -> None:
    for relay in (HERE, None):
        device, _ = newcomer(room)
        set_up("caro", relay, device)
        before = dict(device.vault.items(SELF))
        with pytest.raises(AlreadySetUp):
            renew("caro", HERE, device)
        assert dict(device.vault.items(SELF)) == before
