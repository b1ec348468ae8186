"""A new phone: linked by comparing pictures on both, lost, and shut for good."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.app.served import (
    PASSPHRASE,
    Served,
    no_violations,
    opened_page,
    served_app,
    set_up,
    unlock,
)
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


def link(both: Both) -> None:
    """Link the phone by the code as text; the pictures are the same on both."""
    old, phone = both.old, both.phone
    old.get_by_role("link", name="Your devices").click()
    no_violations(old)
    old.get_by_role("button", name="Link another device").click()
    old.get_by_role("heading", name="Show this to your other device").wait_for()
    no_violations(old)
    code = old.get_by_label("Or type or paste this there:").input_value()
    phone.get_by_role("link", name="Set up this device").click()
    phone.get_by_role("link", name="This is another device of mine").click()
    no_violations(phone)
    phone.get_by_label("Or the code itself").fill(code)
    phone.get_by_role("button", name="Go on").click()
    phone.get_by_label("What you call this device").fill("phone")
    phone.get_by_label("A passphrase for this device").fill(PASSPHRASE)
    phone.get_by_label("Once more").fill(PASSPHRASE)
    no_violations(phone)
    phone.get_by_role("button", name="Link", exact=True).click()
    for page in (phone, old):
        page.get_by_role("heading", name="Do both devices show the same?").wait_for()
        no_violations(page)
        page.reload()
        page.get_by_role("button", name="They are the same").wait_for()
    assert signs(old) == signs(phone)
    phone.get_by_role("button", name="They are the same").click()
    phone.get_by_role("heading", name="Waiting for your other device").wait_for()
    no_violations(phone)
    old.get_by_role("button", name="They are the same").click()
    phone.get_by_role("heading", name="This device is linked").wait_for(timeout=60_000)
    no_violations(phone)
    old.get_by_role("heading", name="Linked: phone").wait_for(timeout=60_000)
    no_violations(old)


def signs(page: Page) -> list[str]:
    shown = page.get_by_role("listitem").all_inner_texts()
    assert len(shown) == 7
    return shown


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_new_phone_is_linked_lost_and_shut(
    *, script: bool, browser: Browser, tmp_path: Path
) -> None:
    with both(tmp_path, browser, script=script) as devices:
        link(devices)
        old, phone = devices.old, devices.phone
        old.get_by_role("link", name="Your devices").click()
        old.get_by_role("link", name="Remove phone").click()
        no_violations(old)
        old.get_by_role("button", name="It was lost or stolen: shut it").click()
        old.get_by_text("phone is revoked: no passphrase opens its vault any more").wait_for()
        no_violations(old)
        phone.get_by_role("button", name="Lock").click()
        phone.get_by_role("link", name="Unlock").click()
        unlock(phone)
        phone.get_by_text("no passphrase opens it any more").wait_for()
        no_violations(phone)
