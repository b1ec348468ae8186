"""What was written or sealed survives a restart."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.friends import a_relay, an_app, enter, make_acquainted, start, until_there
from tests.app.served import no_violations

pytestmark = [pytest.mark.real, pytest.mark.slow]
#: A message leaves after a second, and a relay that does not answer is asked again each second.
_QUICK = {"ENTRENOUS_UNDO": "1", "ENTRENOUS_PATIENCE": "1"}


def _write(page: Page, text: str) -> None:
    """Write something to Ana, and look at it once more."""
    page.get_by_role("link", name="Start", exact=True).click()
    page.get_by_role("link", name="Send something Each person gets a copy of their own").click()
    page.get_by_label("Your message").fill(text)
    page.get_by_role("checkbox", name="Ana").check()
    page.get_by_role("button", name="Check it before sending").click()
    page.get_by_role("heading", name="Check before you send").wait_for()


def _send(page: Page) -> None:
    for box in page.get_by_label("To confirm, type the name").all():
        box.fill("Ana")
    page.get_by_role("button", name="Send", exact=True).click()


def test_drafts_and_what_waits_survive_a_restart(browser: Browser, tmp_path: Path) -> None:
    ana_s, ben_s = tmp_path / "ana", tmp_path / "ben"
    with a_relay(tmp_path / "hers") as relay, a_relay(tmp_path / "his") as other:
        make_acquainted(tmp_path, relay.url, other.url)
        with an_app(browser, ana_s, _QUICK) as ana:
            enter(ana)
            until_there(ana, "People", "Ben")
            with an_app(browser, ben_s, _QUICK) as ben:
                enter(ben)
                _write(ben, "never sent")
                relay.stop()
                _write(ben, "sealed offline")
                _send(ben)
                ben.get_by_role("heading", name="It waits to be sent").wait_for()
                ben.get_by_text("It is sealed and safe on this device.").wait_for()
                no_violations(ben)
            with an_app(browser, ben_s, _QUICK) as ben:
                enter(ben)
                _draft_deleted(ben)
                start(ben, "Messages")
                ben.get_by_role("heading", name="Waiting to be sent").wait_for()
                no_violations(ben)
                relay.start()
                start(ana, "Messages")
                ana.get_by_text("1 to open").wait_for()
                start(ben, "Messages")
                expect(ben.get_by_role("heading", name="Waiting to be sent")).to_have_count(0)


def _draft_deleted(page: Page) -> None:
    page.get_by_text("You have a message that was not sent.").wait_for()
    no_violations(page)
    page.get_by_role("button", name="Delete it").click()
    page.get_by_role("heading", name="Delete this message?").wait_for()
    no_violations(page)
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("You have a message that was not sent.")).to_have_count(0)
