"""An invite link connects a new device to the inviter's relay, and adds the inviter as a contact. A
device without a relay can be connected later. If the pictures of a key comparison differ, a page
says what to do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.people.compare_keys import begin_or_answer_comparison, comparison_with
from entrenous.send.people.invite import make_invite_link
from entrenous.send.people.qr_codes import qr_picture
from tests.app.friends import create_device_without_browser, open_app, open_from_start, run_relay
from tests.app.presentations import assert_accessible
from tests.app.served import PASSPHRASE, TIMEOUT_S, set_up, unlock
from tests.real.processes import Server, wait_until

pytestmark = [pytest.mark.real, pytest.mark.slow]


@dataclass(frozen=True)
class _BenAtRelay:
    """Ben's device, which has no browser, and his relay."""

    device: Device
    relay: Server


@pytest.fixture(scope="module")
def ben(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_BenAtRelay]:
    folder = tmp_path_factory.mktemp("ben")
    with (
        run_relay(folder) as relay,
        create_device_without_browser(folder / "ben", "Ben", relay.url) as device,
    ):
        yield _BenAtRelay(device, relay)


def _add_person(page: Page) -> None:
    """Add the person whose invite link the page has already filled in."""
    page.get_by_text("The link is filled in.").wait_for()
    assert_accessible(page)
    page.get_by_role("button", name="Add them").click()
    page.get_by_role("heading", name="Ben").wait_for()


def test_invite_link_connects_a_new_device_and_unequal_comparison_is_explained(
    browser: Browser, tmp_path: Path, ben: _BenAtRelay
) -> None:
    with open_app(browser, tmp_path / "ana") as page:
        page.get_by_role("link", name="Set up this device").click()
        page.get_by_label("Your name, as people will see it").fill("Ana")
        page.get_by_label("A passphrase that only you know").fill(PASSPHRASE)
        page.get_by_label("Repeat the passphrase").fill(PASSPHRASE)
        page.get_by_label("With this app").check()
        link = make_invite_link(ben.device)
        page.get_by_label("Paste their invite link").fill(f"{link[:40]} {link[40:]}")
        page.get_by_role("button", name="Set up").click()
        _add_person(page)
        page.get_by_role("link", name="By seven pictures").click()
        page.get_by_role("button", name="Begin").click()
        _answer_comparison(ben.device)
        page.get_by_role("button", name="They are different").click()
        page.get_by_role("heading", name="Send Ben nothing private for now").wait_for()
        assert_accessible(page)
        page.get_by_role("link", name="Back to Ben").click()
        page.get_by_text("Not known: compare before you send anything private.").wait_for()
        open_from_start(page, "Settings")
        page.get_by_text(f"through the relay {ben.relay.url}").wait_for()


def _answer_comparison(device: Device) -> None:
    """Wait until Ana's device asks to compare keys, and answer this request."""

    def is_asked() -> bool:
        fetch_messages(device)
        ana = next((one for one in contacts(device) if one.name == "Ana"), None)
        return ana is not None and comparison_with(ana.person.id, device) is not None

    assert wait_until(is_asked, TIMEOUT_S)
    begin_or_answer_comparison("Ana", device)
    flush_outbox(device)


def test_picture_of_an_invite_code_connects_a_device_without_relay(
    browser: Browser, tmp_path: Path, ben: _BenAtRelay
) -> None:
    with open_app(browser, tmp_path / "caro", script=False) as page:
        set_up(page, "Caro")
        page.get_by_role("link", name="Use it, and send from this app").click()
        assert_accessible(page)
        page.get_by_role("button", name="Connect").click()
        page.get_by_role("alert").wait_for()
        code = tmp_path / "code.png"
        code.write_bytes(qr_picture(make_invite_link(ben.device)))
        page.get_by_label("Or a photo of the code").set_input_files(code)
        page.get_by_role("button", name="Connect").click()
        page.get_by_role("heading", name="You are connected").wait_for()
        page.get_by_text(f"This device is connected to {ben.relay.url}.").wait_for()
        assert_accessible(page)
        page.get_by_role("link", name="Go on").click()
        _add_person(page)
        page.get_by_role("button", name="Lock", exact=True).click()
        page.get_by_role("link", name="Unlock").click()
        unlock(page)
        open_from_start(page, "Messages")
        expect(page.get_by_text("Your relay did not answer")).to_have_count(0)
