"""``entrenous device add`` after the user said yes: what it reports of the new device is true."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from entrenous.base.errors import RelayUnreachable
from entrenous.device.identities import Home, own_other_devices
from entrenous.send.commands import setup
from entrenous.send.devices.link_new_device import NewSide, ask_to_link, look_new
from entrenous.send.devices.link_nouns import LinkOver, StoppedAfterGrant
from entrenous.send.devices.link_old_device import OldSide, look_old, offer_link
from entrenous.send.devices.linked_devices import siblings
from tests.send.send_device import HERE, Person, Room
from tests.village.households import bare


@pytest.fixture
def room() -> Room:
    room = Room()
    room.settles("ana")
    return room


class Beside:
    """The new device, which looks whenever the old one waits, and whose user never says yes."""

    def __init__(self, phone: Person, then: BaseException) -> None:
        self.phone = phone
        self.then = then
        self.side: NewSide | None = None

    def reads(self, old: OldSide, **_: bool) -> None:
        self.side = ask_to_link(old.code, "phone", self.phone.device)

    def wake(self, _honest: Callable[..., Any], _url: str, mailbox: bytes, *_: Any) -> bool:
        if self.side is not None and mailbox == self.side.code.mailbox:
            self.side = look_new(self.side, self.phone.device)
            return True
        raise self.then


def adds(room: Room, then: BaseException, monkeypatch: pytest.MonkeyPatch) -> Person:
    ana = room["ana"]
    beside = Beside(bare(room, "phone"), then)
    monkeypatch.setattr(setup, "_put_code", beside.reads)
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    with ana.courier.playing(wake=beside.wake):
        setup.show_code(None, ana.device, qr=False, as_json=False)
    return ana


def test_unanswering_device_is_not_reported_as_linked(
    room: Room, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ana = adds(room, RelayUnreachable(host=HERE), monkeypatch)
    said = capsys.readouterr()
    assert "phone is on your list, but it has not answered" in said.out
    assert "Linked" not in said.out
    assert "Waiting until the other device has been answered too" in said.err
    assert "ten minutes at most" in said.err
    assert [one.name for one in siblings(ana.device)] == ["phone"]


def test_stopping_after_the_grant_says_that_the_device_is_listed(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoppedAfterGrant, match="phone is on your list already"):
        adds(room, KeyboardInterrupt(), monkeypatch)


def test_new_vault_gets_its_lock_before_the_device_is_listed(room: Room) -> None:
    """If the relay makes no lock, nothing is granted, and the other device sees the end."""
    ana, phone = room["ana"], bare(room, "phone")
    here = offer_link(None, ana.device)

    def makes_none(home: Home) -> None:
        assert home.relay_url == HERE
        assert own_other_devices(phone.device) is None
        raise RelayUnreachable(host=HERE)

    with pytest.raises(RelayUnreachable):
        setup.link_here(here.code, None, phone.device, makes_none, as_json=False)
    with pytest.raises(LinkOver):
        look_old(here, ana.device)
    assert siblings(ana.device) == ()


def test_linking_answers_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    for answered in (True, False):
        setup._tell("phone", answered=answered, as_json=True)
        assert json.loads(capsys.readouterr().out)["answered"] is answered
