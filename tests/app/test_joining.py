"""An invite link leads somebody new to its relay and to the person who made it; a device without a
relay gets one later.
"""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from entrenous.send.fetch import fetch_messages
from entrenous.send.people.invite import make_invite
from entrenous.send.people.qr_codes import qr_picture
from tests.app.friends import introduce, start, two_friends
from tests.app.presentations import for_everybody
from tests.app.served import PASSPHRASE, opened_page, served_app, set_up, unlock
from tests.app.states import Words, ben_at_a_relay

pytestmark = [pytest.mark.real, pytest.mark.slow]


def _added(page: Page) -> None:
    """Add the person whose link is filled in."""
    page.get_by_text("The link is filled in.").wait_for()
    for_everybody(page)
    page.get_by_role("button", name="Add them").click()
    page.get_by_role("heading", name="Ben").wait_for()


def test_an_invite_link_is_all_that_somebody_new_needs(browser: Browser, tmp_path: Path) -> None:
    with (
        ben_at_a_relay(tmp_path, Words()) as (ben, relay),
        served_app(tmp_path / "ana", ENTRENOUS_PAUSE="0") as app,
        opened_page(browser, app.link) as page,
    ):
        page.get_by_role("link", name="Set up this device").click()
        page.get_by_label("Your name, as people will see it").fill("Ana")
        page.get_by_label("A passphrase that only you know").fill(PASSPHRASE)
        page.get_by_label("Repeat the passphrase").fill(PASSPHRASE)
        page.get_by_label("With this app").check()
        link = make_invite(ben)
        page.get_by_label("Paste their invite link").fill(f"{link[:40]} {link[40:]}")
        page.get_by_role("button", name="Set up").click()
        _added(page)
        start(page, "Settings")
        page.get_by_text(f"through the relay {relay.url}").wait_for()
        fetch_messages(ben)


def test_a_device_that_works_alone_is_connected_by_a_photographed_link(
    browser: Browser, tmp_path: Path
) -> None:
    with (
        ben_at_a_relay(tmp_path, Words()) as (ben, relay),
        served_app(tmp_path / "ana", ENTRENOUS_PAUSE="0") as app,
        opened_page(browser, app.link, script=False) as page,
    ):
        set_up(page)
        page.get_by_role("link", name="Use it, and send from this app").click()
        for_everybody(page)
        page.get_by_role("button", name="Connect").click()
        page.get_by_role("alert").wait_for()
        code = tmp_path / "code.png"
        code.write_bytes(qr_picture(make_invite(ben)))
        page.get_by_label("Or a photo of the code").set_input_files(code)
        page.get_by_role("button", name="Connect").click()
        page.get_by_role("heading", name="You are connected").wait_for(timeout=60_000)
        page.get_by_text(f"This device is connected to {relay.url}.").wait_for()
        for_everybody(page)
        page.get_by_role("link", name="Go on").click()
        _added(page)
        page.get_by_role("button", name="Lock", exact=True).click()
        page.get_by_role("link", name="Unlock").click()
        unlock(page)
        start(page, "Messages")
        expect(page.get_by_text("Your relay did not answer")).to_have_count(0)


def test_different_pictures_are_explained(browser: Browser, tmp_path: Path) -> None:
    with two_friends(tmp_path, browser) as friends:
        introduce(friends)
        ana, ben = friends.ana, friends.ben
        ana.get_by_role("link", name="By seven pictures").click()
        ana.get_by_role("button", name="Begin").click()
        ben.get_by_role("link", name="By seven pictures").click()
        ben.get_by_role("button", name="They asked you to compare. Go on").click()
        ana.get_by_role("button", name="They are different").click()
        ana.get_by_role("heading", name="Send Ben nothing private for now").wait_for()
        for_everybody(ana)
        ana.get_by_role("link", name="Back to Ben").click()
        ana.get_by_text("Not known: compare before you send anything private.").wait_for()
