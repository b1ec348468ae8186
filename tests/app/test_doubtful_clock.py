"""A message that has expired, but only by a clock that may be wrong, is on no page of the app."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from entrenous.base.identifiers import RecipientId
from entrenous.device.device import Device
from entrenous.device.vault_tables import inbox_key
from entrenous.send import clock_sanity
from entrenous.send.clock_sanity import ClockReading
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.inbox import received_messages
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.message.states import INBOX_TABLE
from entrenous.send.open import open_message
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.send import send_message
from tests.app.client import open_client
from tests.app.friends import create_device_without_browser, run_relay
from tests.app.served import run_app
from tests.send.send_device import SMALL_PICTURE

pytestmark = [pytest.mark.real, pytest.mark.slow]

_TEXT = "private words"


@pytest.mark.parametrize("is_doubtful", [False, True])
def test_a_message_expired_only_by_a_doubtful_clock_is_not_shown(
    tmp_path: Path, *, is_doubtful: bool
) -> None:
    with run_relay(tmp_path) as relay:
        _send_and_open_message(tmp_path, relay.url, is_doubtful=is_doubtful)
        with run_app(tmp_path / "ana", ENTRENOUS_PAUSE="0") as app, open_client(app) as ana:
            ana.unlock()
            conversation = ana.get(_find('href="(/41/[^"]+)"', ana.get("/40")))
            message = _find('action="/46/([^"]+)"', conversation)
            picture = ana.get(f"/43/{message}/1")
            quoting = ana.get(_find('href="(/[^"]+reply=[^"]+)"', conversation))
    assert (_TEXT in conversation.text, "/43/" in conversation.text) == (not is_doubtful,) * 2
    assert picture.status_code == (httpx.codes.CONFLICT if is_doubtful else httpx.codes.OK)
    assert ("Check the date" in picture.text) is is_doubtful
    assert (_TEXT in quoting.text) is not is_doubtful


def _send_and_open_message(folder: Path, relay: str, *, is_doubtful: bool) -> None:
    with (
        create_device_without_browser(folder / "ana", "Ana", relay) as ana,
        create_device_without_browser(folder / "ben", "Ben", relay) as ben,
    ):
        add_person(make_invite_link(ana, name="Ben"), "Ana", ben)
        for device in (ben, ana, ben):
            flush_outbox(device)
            fetch_messages(device)
        to, policy = (RecipientId("Ana"),), MessagePolicy(ben.clock.now() + timedelta(days=7))
        send_message(Draft((SMALL_PICTURE,), to, policy, _TEXT, confirmed=frozenset({"Ana"})), ben)
        fetch_messages(ana)
        open_message(received_messages(ana)[0].name, ana)
        if is_doubtful:
            _be_away_until_expiry(ana)


def _be_away_until_expiry(device: Device) -> None:
    """Store what the vault contains if its device was off for 40 days."""
    (opened,) = received_messages(device)
    now = device.clock.now()
    expired = replace(opened, expires_at=(now - timedelta(days=1)).replace(microsecond=0))
    INBOX_TABLE.store(expired, inbox_key(opened.sender, opened.id), device.vault)
    clock_sanity._CLOCK_READING_RECORD.store(ClockReading(now - timedelta(days=40)), device.vault)


def _find(pattern: str, answer: httpx.Response) -> str:
    found = re.search(pattern, answer.text)
    assert found is not None, answer.text
    return found[1].replace("&amp;", "&")
