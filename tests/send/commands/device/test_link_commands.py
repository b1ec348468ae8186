"""Tests of ``device add`` and ``setup --link``: reported states, and failure to create the lock."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from entrenous.base.errors import RelayUnreachable
from entrenous.device.identities import MailboxAddress, own_other_devices
from entrenous.send.commands import setup
from entrenous.send.devices.link_new_device import (
    NewDeviceLinkInProgress,
    poll_new_device,
    start_on_new_device,
)
from entrenous.send.devices.link_nouns import LinkEnded, StoppedAfterGrant
from entrenous.send.devices.link_old_device import (
    OldDeviceLinkInProgress,
    poll_old_device,
    start_on_old_device,
)
from entrenous.send.devices.linked_devices import own_linked_devices
from tests.send.send_device import RELAY_URL, Network, Person
from tests.village.households import add_blank_device


@pytest.fixture
def network() -> Network:
    network = Network()
    network.set_up_person("ana")
    return network


class PollingNewDevice:
    """A new device that polls while the old device waits at the link's mailbox.

    A wait at any other mailbox raises ``error``.
    """

    def __init__(self, phone: Person, error: BaseException) -> None:
        self.phone = phone
        self.error = error
        self.progress: NewDeviceLinkInProgress | None = None

    def start(self, old: OldDeviceLinkInProgress, **_: bool) -> None:
        self.progress = start_on_new_device(old.code, "phone", self.phone.device)

    def poll_or_raise(
        self, _honest: Callable[..., Any], _url: str, mailbox: bytes, *_: Any
    ) -> bool:
        if self.progress is not None and mailbox == self.progress.code.mailbox:
            self.progress = poll_new_device(self.progress, self.phone.device)
            return True
        raise self.error


def link_until_error(
    network: Network, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> Person:
    ana = network["ana"]
    new_device = PollingNewDevice(add_blank_device(network, "phone"), error)
    monkeypatch.setattr(setup, "_print_link_code", new_device.start)
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    with ana.courier.replace_calls(wait_for_letter=new_device.poll_or_raise):
        setup.link_on_old_device(None, ana.device, qr=False, as_json=False)
    return ana


def test_unanswering_device_is_not_reported_as_linked(
    network: Network, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ana = link_until_error(network, RelayUnreachable(host=RELAY_URL), monkeypatch)
    captured = capsys.readouterr()
    assert "phone is on your list, but it has not answered" in captured.out
    assert "Linked" not in captured.out
    assert "answer the question on the new device too" in captured.err
    assert "ten minutes at most" in captured.err
    assert [one.name for one in own_linked_devices(ana.device)] == ["phone"]


def test_ctrl_c_after_the_new_device_was_listed_says_so(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoppedAfterGrant, match="phone is already on your list"):
        link_until_error(network, KeyboardInterrupt(), monkeypatch)


def test_new_vault_gets_its_lock_before_the_device_is_listed(network: Network) -> None:
    """If the lock cannot be created at the relay, the new device is not listed."""
    ana, phone = network["ana"], add_blank_device(network, "phone")
    old_progress = start_on_old_device(None, ana.device)

    def fail_to_create_lock(home: MailboxAddress) -> None:
        assert home.relay_url == RELAY_URL
        assert own_other_devices(phone.device) is None
        raise RelayUnreachable(host=RELAY_URL)

    with pytest.raises(RelayUnreachable):
        setup.link_on_new_device(
            old_progress.code, None, phone.device, fail_to_create_lock, as_json=False
        )
    with pytest.raises(LinkEnded):
        poll_old_device(old_progress, ana.device)
    assert own_linked_devices(ana.device) == ()


def test_json_output_says_whether_the_new_device_answered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for answered in (True, False):
        setup._print_linked("phone", answered=answered, as_json=True)
        assert json.loads(capsys.readouterr().out)["answered"] is answered
