"""The app continues to watch for new messages after the relay has refused the device's token."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from entrenous.app import mail
from entrenous.app.jobs import ChangeEvents
from entrenous.base.environment import Settings
from entrenous.base.errors import WrongToken
from entrenous.base.identifiers import MailboxId
from entrenous.base.secret import Secret
from entrenous.device.identities import MailboxAddress

MAILBOX = MailboxAddress("https://relay.example", MailboxId(b"m" * 16), Secret(b"t" * 32))


class StubVault:
    """A stand-in for the vault session, which runs work at once and without a device."""

    def run(self, work: Callable[[Any], Any]) -> Future[Any]:
        done = Future[Any]()
        try:
            done.set_result(work(None))
        except Exception as why:  # noqa: BLE001 - a future keeps any exception
            done.set_exception(why)
        return done


class RefusingRelay:
    """A relay that refuses this device's token, and sets ``second_request`` at a second request."""

    def __init__(self) -> None:
        self.request_count, self.second_request = 0, threading.Event()

    def wait_for_letter(self, *_: object) -> bool:
        self.request_count += 1
        if self.request_count > 1:
            self.second_request.set()
        raise WrongToken


def test_watch_continues_after_the_relay_refuses_its_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay refuses the token of a revoked device. The watch stores the error and asks again."""
    relay = RefusingRelay()

    @contextmanager
    def open_courier(_: Settings) -> Iterator[RefusingRelay]:
        yield relay

    def refuse(_: object) -> Any:
        raise WrongToken

    for name, stand_in in {
        "open_courier": open_courier,
        "fetch_messages": refuse,
        "_own_mailbox": lambda _: MAILBOX,
        "copies_to_query": lambda *_: (),
    }.items():
        monkeypatch.setattr(mail, name, stand_in)
    vault: Any = StubVault()
    watch = mail.MailWatch(Settings(home=tmp_path, patience_s=0.0), vault, ChangeEvents())
    watch.start()
    try:
        assert relay.second_request.wait(60)
    finally:
        watch.stop()
    assert isinstance(watch.problem, WrongToken)
