"""Two friends at one relay, each with their own app."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from entrenous.base.environment import Settings
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.send.flush import flush_outbox
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.set_up import set_up as set_up_device
from tests.app.served import PASSPHRASE, PATIENCE_S, opened_page, served_app, set_up, unlock
from tests.real.stage import Server
from tests.vaults import create_device, make_vaults_open_quickly

_NO_SETTINGS: Mapping[str, str] = {}
_RELOAD_INTERVAL_MS = 400
RELOADS_MAX = PATIENCE_S * 1000 // _RELOAD_INTERVAL_MS


@dataclass(frozen=True)
class Friends:
    """The open pages of Ana's app and of Ben's app."""

    ana: Page
    ben: Page


@contextmanager
def running_relay(folder: Path) -> Iterator[Server]:
    """Run a relay until the context ends."""
    folder.mkdir(exist_ok=True)
    relay = Server(folder / "relay", ("relay", "run"))
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()


@contextmanager
def opened_app(
    browser: Browser, home: Path, more: Mapping[str, str] = _NO_SETTINGS, *, script: bool = True
) -> Iterator[Page]:
    """Run the app of a device in ``home``, with these settings, and open its first page."""
    with (
        served_app(home, ENTRENOUS_PAUSE="0", **more) as app,
        opened_page(browser, app.link, script=script) as page,
    ):
        yield page


@contextmanager
def two_friends(
    folder: Path,
    browser: Browser,
    *,
    script: bool = True,
    settings_of_ana: Mapping[str, str] = _NO_SETTINGS,
    settings_of_ben: Mapping[str, str] = _NO_SETTINGS,
) -> Iterator[Friends]:
    """Run a relay and two apps, and set both devices up through their pages."""
    with (
        running_relay(folder) as relay,
        opened_app(browser, folder / "ana", settings_of_ana, script=script) as ana,
        opened_app(browser, folder / "ben", settings_of_ben, script=script) as ben,
    ):
        set_up(ana, "Ana", relay.url)
        set_up(ben, "Ben", relay.url)
        yield Friends(ana, ben)


@contextmanager
def contacts_by_link(
    folder: Path, browser: Browser, more: Mapping[str, str] = _NO_SETTINGS
) -> Iterator[Friends]:
    """Run a relay and the apps of two people who know each other by an invite link."""
    with running_relay(folder) as relay:
        create_contacts(folder, relay.url, relay.url)
        with (
            opened_app(browser, folder / "ana", more) as ana,
            opened_app(browser, folder / "ben", more) as ben,
        ):
            for page in (ana, ben):
                unlock_app(page)
            wait_for_link(ana, "People", "Ben")
            ana.get_by_role("link", name="Ben", exact=True).click()
            open_from_start(ben, "People")
            ben.get_by_role("link", name="Ana", exact=True).click()
            yield Friends(ana, ben)


def create_contacts(folder: Path, relay_of_ana: str, relay_of_ben: str) -> None:
    """Create both devices without a browser, and let Ben accept an invite link of Ana's."""
    with created_device(folder / "ana", "Ana", relay_of_ana) as ana:
        link = make_invite_link(ana, name="Ben")
    with created_device(folder / "ben", "Ben", relay_of_ben) as ben:
        add_person(link, "Ana", ben)
        flush_outbox(ben)


@contextmanager
def created_device(home: Path, name: str, relay: str | None) -> Iterator[Device]:
    """Create a device without a browser, with the least allowed cost of a passphrase guess."""
    device_settings = Settings(home, pause_s=0)
    with ExitStack() as stack:
        make_vaults_open_quickly(stack.enter_context(pytest.MonkeyPatch.context()))
        device = stack.enter_context(
            create_device(device_settings, lambda: Secret(PASSPHRASE.encode()))
        )
        set_up_device(name, relay, device)
        yield device


def unlock_app(page: Page) -> None:
    """Unlock a device that was made before its app was started."""
    page.get_by_role("link", name="Unlock").click()
    unlock(page)
    page.get_by_role("heading", name="What would you like to do?").wait_for()


def open_from_start(page: Page, section: str) -> None:
    """Open the first page, then follow one of its links."""
    page.get_by_role("link", name="Start", exact=True).click()
    page.get_by_role("link", name=section, exact=True).click()


def wait_for_link(page: Page, section: str, link: str) -> None:
    """Open a page again and again until it lists a link that arrives over the relay."""
    for _ in range(RELOADS_MAX):
        open_from_start(page, section)
        if page.get_by_role("link", name=link, exact=True).count():
            return
        page.wait_for_timeout(_RELOAD_INTERVAL_MS)
    raise AssertionError(f"{link} did not come")
