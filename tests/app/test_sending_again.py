"""What was written or sealed survives a restart; and sending works without any script."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from skimage import data

from tests.app.friends import Friends, introduce, start
from tests.app.served import no_violations, opened_page, served_app, set_up, unlock
from tests.real.stage import Server

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    place = tmp_path / "photo.jpg"
    Image.fromarray(data.astronaut()).resize((600, 600)).save(place, quality=90)
    return place


@contextmanager
def _relay(folder: Path) -> Iterator[Server]:
    folder.mkdir(exist_ok=True)
    relay = Server(folder / "relay", ("relay", "run"))
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()


def _write(page: Page, text: str, photo: Path | None = None) -> None:
    """Write something to Ana, and look at it once more."""
    page.get_by_role("link", name="Start", exact=True).click()
    page.get_by_role("link", name="Send something Each person gets a copy of their own").click()
    if photo is not None:
        page.get_by_label("Pictures, clips or recordings").set_input_files(photo)
    page.get_by_label("Your message").fill(text)
    page.get_by_role("checkbox", name="Ana").check()
    page.get_by_role("button", name="Check it before sending").click()
    page.get_by_role("heading", name="Check before you send").wait_for()


def _send(page: Page) -> None:
    for box in page.get_by_label("To confirm, type the name").all():
        box.fill("Ana")
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_role("button", name="Undo").wait_for(timeout=60_000)


def _until(page: Page, door: str, words: str) -> None:
    """Open a page again and again until it shows these words."""
    for _ in range(150):
        start(page, door)
        if page.get_by_text(words).count():
            return
        page.wait_for_timeout(300)
    raise AssertionError(f"{words} did not come")


def test_drafts_and_what_waits_survive_a_restart(browser: Browser, tmp_path: Path) -> None:
    with (
        _relay(tmp_path / "hers") as relay,
        _relay(tmp_path / "his") as other,
        served_app(tmp_path / "ana", ENTRENOUS_PAUSE="0") as at_ana,
        opened_page(browser, at_ana.link) as ana,
    ):
        set_up(ana, "Ana", relay.url)
        with _ben(browser, tmp_path) as ben:
            set_up(ben, "Ben", other.url)
            introduce(Friends(ana, ben, relay))
            _write(ben, "never sent")
            relay.stop()
            _write(ben, "sealed offline")
            _send(ben)
            ben.get_by_role("heading", name="It waits to be sent").wait_for(timeout=60_000)
            ben.get_by_text("It is sealed and safe on this device.").wait_for()
            no_violations(ben)
        with _ben(browser, tmp_path) as ben:
            ben.get_by_role("link", name="Unlock").click()
            unlock(ben)
            ben.get_by_text("You have a message that was not sent.").wait_for()
            no_violations(ben)
            ben.get_by_role("button", name="Delete it").click()
            ben.get_by_role("heading", name="Delete this message?").wait_for()
            no_violations(ben)
            ben.get_by_role("button", name="Delete it").click()
            expect(ben.get_by_text("You have a message that was not sent.")).to_have_count(0)
            start(ben, "Messages")
            ben.get_by_role("heading", name="Waiting to be sent").wait_for()
            no_violations(ben)
            relay.start()
            _until(ana, "Messages", "1 to open")
            start(ben, "Messages")
            expect(ben.get_by_role("heading", name="Waiting to be sent")).to_have_count(0)


@contextmanager
def _ben(browser: Browser, folder: Path) -> Iterator[Page]:
    with (
        served_app(folder / "ben", ENTRENOUS_PAUSE="0", ENTRENOUS_PATIENCE="1") as at_ben,
        opened_page(browser, at_ben.link) as ben,
    ):
        yield ben


def test_sending_and_opening_work_without_script(
    browser: Browser, tmp_path: Path, photo: Path
) -> None:
    with (
        _relay(tmp_path) as relay,
        served_app(tmp_path / "ana", ENTRENOUS_PAUSE="0") as at_ana,
        served_app(tmp_path / "ben", ENTRENOUS_PAUSE="0") as at_ben,
        opened_page(browser, at_ana.link, script=False) as ana,
        opened_page(browser, at_ben.link, script=False) as ben,
    ):
        set_up(ana, "Ana", relay.url)
        set_up(ben, "Ben", relay.url)
        introduce(Friends(ana, ben, relay))
        _nobody_chosen_loses_nothing(ben, photo)
        _write(ben, "without any script", photo)
        assert ben.get_by_role("button", name="Record your voice").count() == 0
        ben.get_by_label("Show it").check()
        ben.get_by_role("button", name="See their copy of picture 1").click()
        ben.get_by_role("heading", name="Their copy").wait_for(timeout=60_000)
        ben.get_by_role("link", name="Back to the message").click()
        _send(ben)
        _until(ana, "Messages", "1 to open")
        ana.get_by_role("link", name="Ben", exact=True).click()
        ana.get_by_role("button", name="Open").click()
        ana.get_by_role("button", name="Yes, let them know").click()
        ana.get_by_text("without any script").wait_for(timeout=60_000)
        ana.get_by_label("Show the picture").check()
        picture = ana.get_by_alt_text("A picture in this message")
        expect(picture).to_have_css("filter", "none")
        _until(ben, "Messages", "Ana")
        ben.get_by_role("link", name="Ana", exact=True).click()
        ben.get_by_role("button", name="Take it back").click()
        ben.get_by_role("heading", name="Take it back for everyone?").wait_for()
        ben.get_by_role("button", name="Take it back").click()
        ben.get_by_text("Their app is asked to delete it").wait_for()


def _nobody_chosen_loses_nothing(page: Page, photo: Path) -> None:
    """Words and files stay when it was forgotten to say who gets them."""
    start(page, "Send something Each person gets a copy of their own")
    page.get_by_label("Pictures, clips or recordings").set_input_files(photo)
    page.get_by_label("Your message").fill("to nobody yet")
    page.get_by_role("button", name="Check it before sending").click()
    page.get_by_role("alert").wait_for()
    page.get_by_text("1 file is in it already.").wait_for()
    assert page.get_by_label("Your message").input_value() == "to nobody yet"
    page.get_by_role("link", name="Start", exact=True).click()
    page.get_by_role("link", name="Look at it").click()
    page.get_by_text("1 file is in it already.").wait_for()
    page.get_by_role("link", name="Start", exact=True).click()
    page.get_by_role("button", name="Delete it").click()
    page.get_by_role("link", name="Keep it").click()
    page.get_by_role("button", name="Delete it").click()
    page.get_by_role("button", name="Delete it").click()
