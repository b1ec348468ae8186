"""A new phone: linked by comparing pictures on both, lost, and shut for good."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.app.presentations import for_everybody
from tests.app.served import (
    PASSPHRASE,
    Served,
    opened_page,
    served_app,
    set_up,
    unlock,
)
from tests.app.walker import MODE_PARAMETERS, Mode, Walker
from tests.real.stage import Server

pytestmark = [pytest.mark.real, pytest.mark.slow]


@dataclass(frozen=True)
class Both:
    """The pages of an old device and of a new phone, and the phone's app."""

    old: Page
    phone: Page
    app: Served


@contextmanager
def both(folder: Path, browser: Browser, *, script: bool = True) -> Iterator[Both]:
    """Set the old device up at a relay; the phone is empty."""
    relay = Server(folder / "relay", ("relay", "run"))
    relay.start()
    try:
        with (
            served_app(folder / "old", ENTRENOUS_PAUSE="0") as at_old,
            served_app(folder / "phone", ENTRENOUS_PAUSE="0") as at_phone,
            opened_page(browser, at_old.link, script=script) as old,
            opened_page(browser, at_phone.link, script=script) as phone,
        ):
            set_up(old, "Ana", relay.url)
            yield Both(old, phone, at_phone)
    finally:
        relay.stop()


def link(both: Both, mode: Mode = "mouse") -> None:
    """Link the phone by the code as text; the pictures are the same on both."""
    old, phone = Walker(both.old, mode), Walker(both.phone, mode)
    old.press("Your devices", "link")
    old.begin("Link another device")
    old.arrives("Show this to your other device")
    code = both.old.get_by_label(
        "Or, if there is no camera, type or paste this there:"
    ).input_value()
    phone.press("Set up this device", "link")
    phone.press("This is another device of mine", "link")
    phone.fill("Or type or paste the code", code)
    phone.begin("Go on")
    phone.arrives("Lock this device")
    phone.fill("What you call this device", "phone")
    phone.fill("A passphrase for this device", PASSPHRASE)
    phone.fill("Repeat the passphrase", PASSPHRASE)
    phone.begin("Link")
    for walker in (phone, old):
        walker.arrives("Do both devices show the same?")
        walker.page.reload()
        walker.page.get_by_role("button", name="They are the same").wait_for()
    assert signs(both.old) == signs(both.phone)
    phone.begin("They are the same")
    phone.arrives("Waiting for your other device")
    old.begin("They are the same")
    phone.arrives("This device is linked")
    old.arrives("Linked: phone")


def signs(page: Page) -> list[str]:
    shown = page.get_by_role("listitem").all_inner_texts()
    assert len(shown) == 7
    return shown


@MODE_PARAMETERS
def test_a_new_phone_is_linked_lost_and_shut(mode: Mode, browser: Browser, tmp_path: Path) -> None:
    with both(tmp_path, browser, script=mode != "no-script") as devices:
        link(devices, mode)
        old, phone = Walker(devices.old, mode), Walker(devices.phone, mode)
        old.press("Your devices", "link")
        old.press("Remove phone", "link")
        old.begin("It was lost or stolen: shut it")
        old.arrives("It is off your list")
        devices.old.get_by_text("phone is revoked: no passphrase opens its vault").wait_for()
        phone.exactly("Lock")
        phone.press("Unlock", "link")
        phone.fill("Your passphrase", PASSPHRASE)
        phone.begin("Unlock")
        devices.phone.get_by_text("can no longer be unlocked with any passphrase").wait_for()
        for_everybody(devices.phone)


def test_different_pictures_link_nothing(browser: Browser, tmp_path: Path) -> None:
    with both(tmp_path, browser) as devices:
        old, phone = Walker(devices.old), Walker(devices.phone)
        old.press("Your devices", "link")
        old.begin("Link another device")
        old.arrives("Show this to your other device")
        code = devices.old.get_by_label(
            "Or, if there is no camera, type or paste this there:"
        ).input_value()
        phone.press("Set up this device", "link")
        phone.press("This is another device of mine", "link")
        phone.fill("Or type or paste the code", code[:-3])
        phone.begin("Go on")
        devices.phone.get_by_role("alert").wait_for()
        phone.fill("Or type or paste the code", code)
        phone.begin("Go on")
        phone.arrives("Lock this device")
        phone.fill("A passphrase for this device", PASSPHRASE)
        phone.fill("Repeat the passphrase", PASSPHRASE)
        phone.begin("Link")
        phone.arrives("Do both devices show the same?")
        phone.begin("They are different")
        phone.arrives("This device was not linked")
        old.arrives("Nothing was linked")
        assert not (devices.app.home / "vault.json").exists()


def test_a_recovery_sheet_is_made_printed_and_used(browser: Browser, tmp_path: Path) -> None:
    with both(tmp_path, browser) as devices:
        old, phone = Walker(devices.old), Walker(devices.phone)
        old.press("Your devices", "link")
        old.press("Recovery sheet to print", "link")
        old.begin("Make the sheet")
        devices.old.get_by_role("button", name="I have it on paper").wait_for()
        old.look()
        text = devices.old.locator("pre").inner_text()
        assert devices.old.get_by_role("button", name="Print").is_visible()
        address = devices.old.url
        old.begin("I have it on paper")
        old.arrives("Is all of it on paper?")
        old.begin("Yes, it is on paper")
        old.arrives("Your devices")
        devices.old.get_by_text(
            "To add or remove devices, this device needs your recovery sheet."
        ).wait_for()
        devices.old.goto(address)
        devices.old.get_by_text("no longer in memory").wait_for()
        kept = [file for file in (tmp_path / "old").rglob("*") if file.is_file()]
        assert all("".join(text.split())[30:60].encode() not in file.read_bytes() for file in kept)
        phone.press("Set up this device", "link")
        phone.press("I lost my only device", "link")
        phone.fill("The letters and digits on your recovery sheet", text)
        phone.tick("Shut the device for which I made this sheet")
        phone.begin("Go on")
        phone.arrives("It is off your list")
        devices.phone.get_by_text("People are NOT told").wait_for()
        devices.old.get_by_role("button", name="Lock").click()
        devices.old.get_by_role("link", name="Unlock").click()
        unlock(devices.old)
        devices.old.get_by_text("can no longer be unlocked with any passphrase").wait_for()
