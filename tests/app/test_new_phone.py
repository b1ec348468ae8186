"""A new phone is linked by comparing pictures on both devices, then lost and revoked. A recovery
sheet revokes a device when no other device is left.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.app.friends import create_device_without_browser, open_app, run_relay, unlock_app
from tests.app.presentations import assert_accessible
from tests.app.served import PASSPHRASE, unlock
from tests.app.walker import MODE_PARAMETERS, Mode, Walker

pytestmark = [pytest.mark.real, pytest.mark.slow]
_CODE_LABEL = "Or, if there is no camera, type or paste this there:"


@dataclass(frozen=True)
class TwoDevices:
    """The apps of an old device and of a new phone, and the folder with the data of both."""

    old: Walker
    phone: Walker
    folder: Path


@contextmanager
def open_two_devices(folder: Path, browser: Browser, mode: Mode) -> Iterator[TwoDevices]:
    """Run both apps. The old device has a relay, and the phone is not set up yet."""
    script = mode != "no-script"
    with run_relay(folder) as relay:
        with create_device_without_browser(folder / "old", "Ana", relay.url):
            pass
        with (
            open_app(browser, folder / "old", script=script) as old,
            open_app(browser, folder / "phone", script=script) as phone,
        ):
            unlock_app(old)
            yield TwoDevices(Walker(old, mode), Walker(phone, mode), folder)


@MODE_PARAMETERS
def test_new_phone_is_linked_then_lost_and_revoked(
    mode: Mode, browser: Browser, tmp_path: Path
) -> None:
    """If scripts run, the answer "different" and the recovery sheet are also tested."""
    with open_two_devices(tmp_path, browser, mode) as devices:
        if mode != "no-script":
            _check_answer_different_links_nothing(devices)
        _link_phone(devices)
        _revoke_lost_phone(devices)
        if mode != "no-script":
            _revoke_old_device_by_recovery_sheet(devices, browser)


def _start_linking(devices: TwoDevices) -> str:
    """Start linking on the old device, and return the code that it shows."""
    old = devices.old
    old.press("Your devices", "link")
    old.begin("Link another device")
    old.wait_for_page("Show this to your other device")
    return old.page.get_by_label(_CODE_LABEL).input_value()


def _check_answer_different_links_nothing(devices: TwoDevices) -> None:
    old, phone = devices.old, devices.phone
    code = _start_linking(devices)
    phone.press("Set up this device", "link")
    phone.press("This is another device of mine", "link")
    phone.fill("Or type or paste the code", code[:-3])
    phone.begin("Go on")
    phone.page.get_by_role("alert").wait_for()
    phone.fill("Or type or paste the code", code)
    phone.begin("Go on")
    phone.wait_for_page("Lock this device")
    phone.fill("A passphrase for this device", PASSPHRASE)
    phone.fill("Repeat the passphrase", PASSPHRASE)
    phone.begin("Link")
    phone.wait_for_page("Do both devices show the same?")
    phone.begin("They are different")
    phone.wait_for_page("This device was not linked")
    old.wait_for_page("Nothing was linked")
    assert not (devices.folder / "phone" / "vault.json").exists()
    for one in (old, phone):
        one.follow("Start")


def _link_phone(devices: TwoDevices) -> None:
    """Link the phone by typing the code, and check that both devices show the same pictures."""
    old, phone = devices.old, devices.phone
    code = _start_linking(devices)
    phone.press("Set up this device", "link")
    phone.press("This is another device of mine", "link")
    phone.fill("Or type or paste the code", code)
    phone.begin("Go on")
    phone.wait_for_page("Lock this device")
    phone.fill("What you call this device", "phone")
    phone.fill("A passphrase for this device", PASSPHRASE)
    phone.fill("Repeat the passphrase", PASSPHRASE)
    phone.begin("Link")
    for walker in (phone, old):
        walker.wait_for_page("Do both devices show the same?")
        walker.page.reload()
        walker.page.get_by_role("button", name="They are the same").wait_for()
    assert _comparison_pictures(old.page) == _comparison_pictures(phone.page)
    phone.begin("They are the same")
    phone.wait_for_page("Waiting for your other device")
    old.begin("They are the same")
    phone.wait_for_page("This device is linked")
    old.wait_for_page("Linked: phone")


def _comparison_pictures(page: Page) -> list[str]:
    shown = page.get_by_role("listitem").all_inner_texts()
    assert len(shown) == 7
    return shown


def _revoke_lost_phone(devices: TwoDevices) -> None:
    old, phone = devices.old, devices.phone
    old.press("Your devices", "link")
    old.press("Remove phone", "link")
    old.begin("It was lost or stolen: shut it")
    old.wait_for_page("It is off your list")
    old.page.get_by_text("phone is revoked: no passphrase opens its vault").wait_for()
    phone.press_exactly("Lock")
    phone.press("Unlock", "link")
    phone.fill("Your passphrase", PASSPHRASE)
    phone.begin("Unlock")
    phone.page.get_by_text("can no longer be unlocked with any passphrase").wait_for()
    assert_accessible(phone.page)


def _revoke_old_device_by_recovery_sheet(devices: TwoDevices, browser: Browser) -> None:
    """Make a recovery sheet on the old device; use it on a third device to revoke the old one."""
    text = _make_sheet(devices)
    with open_app(browser, devices.folder / "third") as page:
        third = Walker(page)
        third.press("Set up this device", "link")
        third.press("I lost my only device", "link")
        third.fill("The letters and digits on your recovery sheet", text)
        third.tick("Shut the device for which I made this sheet")
        third.begin("Go on")
        third.wait_for_page("It is off your list")
        page.get_by_text("People are NOT told").wait_for()
    old = devices.old.page
    old.get_by_role("button", name="Lock").click()
    old.get_by_role("link", name="Unlock").click()
    unlock(old)
    old.get_by_text("can no longer be unlocked with any passphrase").wait_for()


def _make_sheet(devices: TwoDevices) -> str:
    """Return the text of a new sheet; check that no file of the device contains a part of it."""
    old, page = devices.old, devices.old.page
    old.follow("Start")
    old.press("Your devices", "link")
    old.press("Recovery sheet to print", "link")
    old.begin("Make the sheet")
    page.get_by_role("button", name="I have it on paper").wait_for()
    old.check_page()
    text = page.locator("pre").inner_text()
    assert page.get_by_role("button", name="Print").is_visible()
    address = page.url
    old.begin("I have it on paper")
    old.wait_for_page("Is all of it on paper?")
    old.begin("Yes, it is on paper")
    old.wait_for_page("Your devices")
    page.get_by_text("To add or remove devices, this device needs your recovery sheet.").wait_for()
    page.goto(address)
    page.get_by_text("page cannot be shown").wait_for()
    kept = [file for file in (devices.folder / "old").rglob("*") if file.is_file()]
    assert all("".join(text.split())[30:60].encode() not in file.read_bytes() for file in kept)
    return text
