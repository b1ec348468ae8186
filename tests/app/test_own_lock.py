"""Tests of the pages for a new passphrase, for unlocking without the relay, for moving to another
relay and for erasing everything. Tests of locking an app that is unused or receives news.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.app.client import Client, open_client, wait_for_job
from tests.app.friends import create_device_without_browser, open_app, run_relay, unlock_app
from tests.app.served import (
    PASSPHRASE,
    RunningApp,
    assert_no_violations,
    open_page,
    run_app,
    set_up,
    unlock,
)
from tests.app.states import large_picture, save_photograph
from tests.app.walker import Walker, set_up_at_once
from tests.real.processes import wait_until

pytestmark = [pytest.mark.real, pytest.mark.slow]
NEW_PASSPHRASE = "copper lantern orchid bicycle fjord"
_LOCK_WHILE_NEWS_COMES = """() => {
  document.querySelector("form[action$='/2']").requestSubmit();
  fetch = async () => new Response("<p>A page that has changed in all its parts</p>");
  source.onmessage();
}"""


def test_device_gets_new_passphrase_and_relay_and_erases_everything(
    browser: Browser, tmp_path: Path
) -> None:
    home = tmp_path / "device"
    with run_relay(tmp_path / "one") as relay, run_relay(tmp_path / "two") as new_relay:
        with create_device_without_browser(home, "Ana", relay.url):
            pass
        with open_app(browser, home) as page:
            unlock_app(page)
            ana = Walker(page)
            ana.press("Your devices", "link")
            _change_passphrase(ana)
            ana.press("Open without the relay", "link")
            ana.press("Allow it")
            page.get_by_text("this device opens without its relay").wait_for()
            ana.press("Go on", "link")
            _move_to(ana, new_relay.url)
            page.goto(f"{page.url[: page.url.index('/', len('http://'))]}/114")
            ana.fill("To go on, type the word", "erase")
            ana.begin("Erase everything now")
            ana.wait_for_page("Everything was erased")
            page.get_by_text("The mailbox at your relay is closed too").wait_for()
            assert not home.exists()


def _move_to(ana: Walker, relay: str) -> None:
    ana.press("Use another relay", "link")
    ana.fill("Address of the other relay", "relay.example")
    ana.press("Move")
    ana.page.get_by_role("alert").wait_for()
    ana.fill("Address of the other relay", relay)
    ana.begin("Move")
    ana.wait_for_page("You moved")
    ana.page.get_by_text(f"This device is at {relay} now.").wait_for()


def _change_passphrase(ana: Walker) -> None:
    """Change the passphrase, and check that only the new one unlocks the device."""
    page = ana.page
    ana.press("Change your passphrase", "link")
    for now in ("not this one at all", PASSPHRASE):
        ana.fill("Your passphrase now", now)
        ana.fill("The new passphrase", NEW_PASSPHRASE)
        ana.fill("Repeat the passphrase", NEW_PASSPHRASE)
        ana.begin("Change it")
        if now != PASSPHRASE:
            page.get_by_role("alert").wait_for()
    ana.wait_for_page("Your passphrase was changed")
    ana.press_exactly("Lock")
    ana.press("Unlock", "link")
    ana.fill("Your passphrase", PASSPHRASE)
    ana.begin("Unlock")
    page.get_by_role("alert").wait_for()
    ana.fill("Your passphrase", NEW_PASSPHRASE)
    ana.begin("Unlock")
    ana.wait_for_page("What would you like to do?")
    page.get_by_text("1 try at this device's passphrase failed").wait_for()
    assert_no_violations(page)
    ana.press("I have read it")
    assert page.get_by_text("1 try at this device's passphrase failed").count() == 0
    ana.press("Your devices", "link")


@contextmanager
def _open_app_that_locks(
    browser: Browser, home: Path, *, script: bool = True
) -> Iterator[tuple[RunningApp, Page]]:
    """Show a device that has just been set up; its app locks after three seconds without use."""
    with (
        run_app(home, ENTRENOUS_LOCKAFTER="3") as app,
        open_page(browser, app.link, script=script) as page,
    ):
        set_up_at_once(page)
        yield app, page


@pytest.mark.parametrize(
    "script",
    [True, pytest.param(False, marks=pytest.mark.nightly)],
    ids=["script", "no-script"],
)
def test_unused_app_locks_despite_polling_and_keeps_what_was_typed(
    *, script: bool, browser: Browser, tmp_path: Path
) -> None:
    with _open_app_that_locks(browser, tmp_path / "device", script=script) as (_, page):
        page.get_by_role("link", name="Send something").click()
        page.get_by_label("Picture, clip or recording").set_input_files(
            {"name": "note.txt", "mimeType": "text/plain", "buffer": b"not a picture"}
        )
        page.get_by_label("Who gets a copy? Write one name on each line").fill("Zelda")
        assert wait_until(lambda: _is_locked(page), 60)
        page.get_by_role("button", name="Make the copies").click()
        page.get_by_text("Were you typing something?").wait_for()
        assert_no_violations(page)
        unlock(page)
        assert (
            page.get_by_label("Who gets a copy? Write one name on each line").input_value()
            == "Zelda"
        )


@pytest.mark.threat("page-seen-by-somebody")
def test_page_leaves_the_screen_when_the_app_locks(browser: Browser, tmp_path: Path) -> None:
    with _open_app_that_locks(browser, tmp_path / "device") as (app, page):
        page.goto(f"{app.address}/60")
        page.wait_for_url("**/1")
        unlock(page)
        page.wait_for_url("**/60")


def test_typing_keeps_the_app_unlocked(browser: Browser, tmp_path: Path) -> None:
    with _open_app_that_locks(browser, tmp_path / "device") as (app, page):
        page.goto(f"{app.address}/20")
        names = page.get_by_label("Who gets a copy? Write one name on each line")
        names.press_sequentially("Zelda and others", delay=500)
        assert not _is_locked(page)
        assert wait_until(lambda: _is_locked(page), 60)
        page.wait_for_timeout(2000)
        assert names.input_value() == "Zelda and others"


def test_recovery_sheet_stays_while_it_is_written_down(browser: Browser, tmp_path: Path) -> None:
    with (
        run_relay(tmp_path / "relay") as relay,
        run_app(tmp_path / "device", ENTRENOUS_LOCKAFTER="4") as app,
        open_page(browser, app.link) as page,
    ):
        set_up(page, relay=relay.url)
        page.goto(f"{app.address}/66")
        page.get_by_role("button", name="Make the sheet").click()
        on_paper = page.get_by_role("button", name="I have it on paper")
        on_paper.wait_for()
        page.wait_for_timeout(8000)
        on_paper.click()
        page.get_by_role("heading", name="Is all of it on paper?").wait_for()


@pytest.mark.parametrize("page", ["/72/3", "/21/{handle}/1"])
def test_app_in_use_stays_unlocked_on_pages_that_do_not_use_the_vault(
    page: str, tmp_path: Path
) -> None:
    with (
        run_app(tmp_path / "device", ENTRENOUS_LOCKAFTER="3") as app,
        open_client(app) as ana,
    ):
        ana.set_up()
        made = wait_for_job(ana, ana.post("/20", {"names": "Zelda"}, [_photograph(tmp_path)]))
        used = page.format(handle=made.url.path.rpartition("/")[2])
        assert not wait_until(lambda: ana.get(used).url.path != used, 5)
        assert ana.get(made.url.path).url.path == made.url.path


def test_result_of_work_that_took_long_is_still_there(tmp_path: Path) -> None:
    """The work takes longer than the time after which the app locks."""
    with (
        run_app(tmp_path / "device", ENTRENOUS_LOCKAFTER="1") as app,
        open_client(app) as ana,
    ):
        ana.set_up()
        wait_for_job(ana, ana.post("/20", {"names": "Zelda"}, [_photograph(tmp_path)]))
        work = ana.post("/30", {}, [large_picture(1)])
        began = time.monotonic()
        found = _wait_without_use(ana, work.url.path)
        assert time.monotonic() - began > 1, "otherwise this test needs a larger picture"
        assert found.url.path.startswith("/31/")


def _wait_without_use(ana: Client, path: str) -> httpx.Response:
    answer = None
    while answer is None or answer.url.path == path:
        time.sleep(0.1)
        answer = ana.web.get(path, headers={"x-live": "1"})
    return answer


def _photograph(folder: Path) -> tuple[str, tuple[str, bytes, str]]:
    return "file", ("photo.jpg", save_photograph(folder).read_bytes(), "image/jpeg")


def test_news_does_not_interrupt_locking(browser: Browser, tmp_path: Path) -> None:
    """A reload because of news would cancel the form that locks the app."""
    with (
        run_app(tmp_path / "device") as app,
        open_page(browser, app.link) as page,
    ):
        set_up_at_once(page)
        page.goto(f"{app.address}/40")
        page.evaluate(_LOCK_WHILE_NEWS_COMES)
        page.get_by_role("link", name="Unlock").wait_for()


def _is_locked(page: Page) -> bool:
    """Poll for news, as an open messages page does; return whether the app is locked."""
    page.wait_for_timeout(500)
    news = page.context.request.get(page.url.replace("/20", "/40"), headers={"x-live": "1"})
    return urlsplit(news.url).path == "/1"
