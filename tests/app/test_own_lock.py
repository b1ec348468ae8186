"""The lock of a device with a relay: another passphrase, hours without it, a move, the end."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.app.served import PASSPHRASE, no_violations, opened_page, served_app, set_up
from tests.app.walker import Walker
from tests.real.stage import Server

pytestmark = [pytest.mark.real, pytest.mark.slow]
NEW = "copper lantern orchid bicycle fjord"


def test_passphrase_hours_move_and_erasing(browser: Browser, tmp_path: Path) -> None:
    relays = [Server(tmp_path / name, ("relay", "run")) for name in ("one", "two")]
    for relay in relays:
        relay.start()
    try:
        with (
            served_app(tmp_path / "device", ENTRENOUS_PAUSE="0") as app,
            opened_page(browser, app.link) as page,
        ):
            set_up(page, "Ana", relays[0].url)
            ana = Walker(page)
            ana.press("Your devices", "link")
            _passphrase(ana)
            ana.press("Open without the relay", "link")
            ana.press("Allow it")
            page.get_by_text("this device opens without its relay").wait_for()
            ana.press("Go on", "link")
            ana.press("Use another relay", "link")
            ana.fill("Address of the other relay", "relay.example")
            ana.press("Move")
            page.get_by_role("alert").wait_for()
            ana.fill("Address of the other relay", relays[1].url)
            ana.begin("Move")
            ana.arrives("You moved")
            page.get_by_text(f"This device is at {relays[1].url} now.").wait_for()
            page.goto(f"{app.address}/114")
            ana.fill("To go on, type the word", "erase")
            ana.begin("Erase everything now")
            ana.arrives("Everything was erased")
            page.get_by_text("The mailbox at your relay is closed too").wait_for()
            assert not (tmp_path / "device").exists()
    finally:
        for relay in relays:
            relay.stop()


def _passphrase(ana: Walker) -> None:
    """Change it, and open the device with the new one alone."""
    page = ana.page
    ana.press("Change your passphrase", "link")
    for now in ("not this one at all", PASSPHRASE):
        ana.fill("Your passphrase now", now)
        ana.fill("The new passphrase", NEW)
        ana.fill("Repeat the passphrase", NEW)
        ana.begin("Change it")
        if now != PASSPHRASE:
            page.get_by_role("alert").wait_for()
    ana.arrives("Your passphrase was changed")
    ana.exactly("Lock")
    ana.press("Unlock", "link")
    ana.fill("Your passphrase", PASSPHRASE)
    ana.begin("Unlock")
    page.get_by_role("alert").wait_for()
    ana.fill("Your passphrase", NEW)
    ana.begin("Unlock")
    ana.arrives("What would you like to do?")
    page.get_by_text("1 try at this device's passphrase failed").wait_for()
    no_violations(page)
    ana.press("I have read it")
    assert page.get_by_text("1 try at this device's passphrase failed").count() == 0
    ana.press("Your devices", "link")
