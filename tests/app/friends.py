"""Create devices of one or two people, and run relays and the apps of these devices."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from entrenous.base.environment import Settings
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.set_up import set_up as set_up_device
from tests.app.served import PASSPHRASE, open_page, run_app, set_up, unlock
from tests.real.processes import Server
from tests.vaults import create_device, make_vaults_open_quickly

_NO_SETTINGS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Friends:
    """The open pages of Ana's app and of Ben's app."""

    ana: Page
    ben: Page


@contextmanager
def run_relay(folder: Path) -> Iterator[Server]:
    """Run a relay until the context ends."""
    folder.mkdir(exist_ok=True)
    relay = Server(folder / "relay", ("relay", "run"))
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()


@contextmanager
def open_app(
    browser: Browser, home: Path, settings: Mapping[str, str] = _NO_SETTINGS, *, script: bool = True
) -> Iterator[Page]:
    """Run the app of a device in ``home`` with ``settings``, and open the first page."""
    with (
        run_app(home, ENTRENOUS_PAUSE="0", **settings) as app,
        open_page(browser, app.link, script=script) as page,
    ):
        yield page


@contextmanager
def open_apps_of_two_friends(
    folder: Path,
    browser: Browser,
    *,
    script: bool = True,
    settings_of_ana: Mapping[str, str] = _NO_SETTINGS,
    settings_of_ben: Mapping[str, str] = _NO_SETTINGS,
) -> Iterator[Friends]:
    """Run a relay and two apps, and set both devices up through the pages."""
    with (
        run_relay(folder) as relay,
        open_app(browser, folder / "ana", settings_of_ana, script=script) as ana,
        open_app(browser, folder / "ben", settings_of_ben, script=script) as ben,
    ):
        set_up(ana, "Ana", relay.url)
        set_up(ben, "Ben", relay.url)
        yield Friends(ana, ben)


@contextmanager
def open_apps_of_contacts(
    folder: Path, browser: Browser, settings: Mapping[str, str] = _NO_SETTINGS
) -> Iterator[Friends]:
    """Run a relay and the apps of two people who became contacts by an invite link."""
    with run_relay(folder) as relay:
        create_contacts(folder, relay.url, relay.url)
        with (
            open_app(browser, folder / "ana", settings) as ana,
            open_app(browser, folder / "ben", settings) as ben,
        ):
            for page in (ana, ben):
                unlock_app(page)
            open_from_start(ana, "People")
            ana.get_by_role("link", name="Ben", exact=True).click()
            open_from_start(ben, "People")
            ben.get_by_role("link", name="Ana", exact=True).click()
            yield Friends(ana, ben)


def create_contacts(folder: Path, relay_of_ana: str, relay_of_ben: str) -> None:
    """Create both devices without a browser, and make Ana and Ben contacts by an invite link."""
    with (
        create_device_without_browser(folder / "ana", "Ana", relay_of_ana) as ana,
        create_device_without_browser(folder / "ben", "Ben", relay_of_ben) as ben,
    ):
        add_person(make_invite_link(ana, name="Ben"), "Ana", ben)
        flush_outbox(ben)
        fetch_messages(ana)


@contextmanager
def create_device_without_browser(home: Path, name: str, relay: str | None) -> Iterator[Device]:
    """Create a device without a browser. The vault of the device has the lowest Argon2 cost."""
    device_settings = Settings(home, pause_s=0)
    with ExitStack() as stack:
        make_vaults_open_quickly(stack.enter_context(pytest.MonkeyPatch.context()))
        device = stack.enter_context(
            create_device(device_settings, lambda: Secret(PASSPHRASE.encode()))
        )
        set_up_device(name, relay, device)
        yield device


def unlock_app(page: Page) -> None:
    """Unlock a device that was created before the app was started."""
    page.get_by_role("link", name="Unlock").click()
    unlock(page)
    page.get_by_role("heading", name="What would you like to do?").wait_for()


def open_from_start(page: Page, section: str) -> None:
    """Open the first page, then follow one of its links."""
    page.get_by_role("link", name="Start", exact=True).click()
    page.get_by_role("link", name=section, exact=True).click()
