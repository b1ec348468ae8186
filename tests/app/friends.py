"""Two friends, each with an app of her own, at one relay."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.app.served import opened_page, served_app, set_up
from tests.real.stage import Server


@dataclass(frozen=True)
class Friends:
    """The pages of Ana and Ben, and the relay that carries for both."""

    ana: Page
    ben: Page
    relay: Server


@contextmanager
def two_friends(folder: Path, browser: Browser) -> Iterator[Friends]:
    """Set both up at a relay of their own."""
    relay = Server(folder / "relay", ("relay", "run"))
    relay.start()
    try:
        with (
            served_app(folder / "ana", ENTRENOUS_PAUSE="0") as at_ana,
            served_app(folder / "ben", ENTRENOUS_PAUSE="0") as at_ben,
            opened_page(browser, at_ana.link) as ana,
            opened_page(browser, at_ben.link) as ben,
        ):
            set_up(ana, "Ana", relay.url)
            set_up(ben, "Ben", relay.url)
            yield Friends(ana, ben, relay)
    finally:
        relay.stop()


def introduce(friends: Friends) -> None:
    """Ana makes a link, Ben uses it; both end on the other's page."""
    ana, ben = friends.ana, friends.ben
    start(ana, "People")
    ana.get_by_label("What you will call them").fill("Ben")
    ana.get_by_role("button", name="Make a link").click()
    link = ana.get_by_role("textbox").input_value()
    start(ben, "People")
    ben.get_by_label("Their link").fill(link)
    ben.get_by_label("What you call them").fill("Ana")
    ben.get_by_role("button", name="Add them").click()
    ben.get_by_role("heading", name="Ana").wait_for()
    until_there(ana, "People", "Ben")
    ana.get_by_role("link", name="Ben", exact=True).click()


def start(page: Page, door: str) -> None:
    """Go through one of the first page's doors."""
    page.get_by_role("link", name="Start", exact=True).click()
    page.get_by_role("link", name=door, exact=True).click()


def until_there(page: Page, door: str, link: str) -> None:
    """Look again until something that comes over the relay is listed."""
    for _ in range(100):
        start(page, door)
        if page.get_by_role("link", name=link, exact=True).count():
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"{link} did not come")
