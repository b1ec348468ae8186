"""The pages for sending: removed metadata, the recipient's copy, voice recordings, drafts, replies
and notices. Drafts and sealed messages survive a restart.
"""

import io
import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from skimage import data

from entrenous.demo.sample_photos import add_position_if_jpeg
from tests.app.friends import (
    Friends,
    create_contacts,
    open_app,
    open_apps_of_contacts,
    open_from_start,
    run_relay,
    unlock_app,
)
from tests.app.served import assert_no_violations

pytestmark = [pytest.mark.real, pytest.mark.slow]
#: A message can be undone for one second, and the app waits one second for a silent relay.
_QUICK_SETTINGS = {"ENTRENOUS_UNDO": "1", "ENTRENOUS_PATIENCE": "1"}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Save a photograph whose metadata says where it was taken, when, and with what camera."""
    file = io.BytesIO()
    Image.fromarray(data.astronaut()).resize((900, 900)).save(file, "JPEG", quality=92)
    place = tmp_path / "IMG_2026_at_home.jpg"
    place.write_bytes(add_position_if_jpeg(file.getvalue()))
    return place


def _write(page: Page, to: str, photo: Path | None, text: str) -> None:
    open_from_start(page, "Send something Each person gets a copy of their own")
    if photo is not None:
        page.get_by_label("Pictures, clips or recordings").set_input_files(photo)
    page.get_by_label("Your message").fill(text)
    page.get_by_role("checkbox", name=to).check()


def _review(page: Page) -> None:
    page.get_by_role("button", name="Check it before sending").click()
    page.get_by_role("heading", name="Check before you send").wait_for()


def _confirm_and_press_send(page: Page, to: str) -> None:
    send = page.get_by_role("button", name="Send", exact=True)
    send.wait_for()  # the guard's question is above the button, so it is on the page too
    for box in page.get_by_label("To confirm, type the name").all():
        box.fill(to)
    send.click()


def _send(page: Page, to: str) -> None:
    _confirm_and_press_send(page, to)
    page.get_by_role("heading", name="It is on its way").wait_for()


def _save_screenshot(page: Page, file_stem: str) -> None:
    """Save a screenshot of the page if ENTRENOUS_SHOTS names a folder."""
    folder = os.environ.get("ENTRENOUS_SHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{file_stem}.png", full_page=True)


def test_photo_and_voice_are_sent_opened_and_answered(
    browser: Browser, tmp_path: Path, photo: Path
) -> None:
    with open_apps_of_contacts(tmp_path, browser, {"ENTRENOUS_UNDO": "0"}) as friends:
        _check_notice_stays_until_read(friends.ana)
        _write(friends.ben, "Ana", photo, "from the lake")
        _record_voice(friends.ben)
        _review(friends.ben)
        _check_removed_metadata(friends.ben)
        _view_recipients_copy(friends.ben)
        _send(friends.ben, "Ana")
        _open_picture_and_voice(friends)
        _reply(friends)


def _check_notice_stays_until_read(page: Page) -> None:
    open_from_start(page, "Messages")
    page.get_by_text("joined by").wait_for()
    assert_no_violations(page)
    page.reload()
    page.get_by_text("joined by").wait_for()
    page.get_by_role("button", name="I have read this").click()
    expect(page.get_by_text("joined by")).to_have_count(0)


def _record_voice(page: Page) -> None:
    page.get_by_role("button", name="Record your voice").click()
    page.get_by_role("button", name="Stop recording").wait_for()
    page.get_by_text("0:02").wait_for()
    _save_screenshot(page, "recording")
    page.get_by_role("button", name="Stop recording").click()
    page.get_by_role("button", name="Record your voice").wait_for()
    page.get_by_label("Voice").wait_for()
    assert_no_violations(page)
    _save_screenshot(page, "recorded")


def _check_removed_metadata(page: Page) -> None:
    for removed in ("IMG_2026_at_home.jpg", "30.00° N, 40.02° W", "Example Camera", "2026:11:25"):
        struck = page.get_by_role("deletion").filter(has_text=removed)
        assert "line-through" in struck.evaluate("one => getComputedStyle(one).textDecoration")
    page.get_by_role("img", name="Map of where it was taken: 30.00° N, 40.02° W").wait_for()
    page.get_by_label("Listen to it").wait_for()
    page.get_by_label("Show it").check()
    small = page.get_by_alt_text("What you chose, file 1")
    assert small.evaluate("one => one.decode().then(() => one.naturalWidth)") <= 480
    assert_no_violations(page)
    _save_screenshot(page, "review")


def _view_recipients_copy(page: Page) -> None:
    page.get_by_role("button", name="See their copy of picture 1").click()
    page.get_by_role("heading", name="Their copy").wait_for()
    page.get_by_text("The difference, made 20 times stronger").click()
    for box in page.get_by_role("checkbox").all():
        box.check()
    assert_no_violations(page)
    page.wait_for_timeout(400)
    _save_screenshot(page, "their-copy")
    page.get_by_role("link", name="Back to the message").click()


def _open_picture_and_voice(friends: Friends) -> None:
    ana = friends.ana
    open_from_start(ana, "Messages")
    ana.get_by_text("1 to open").wait_for()
    _save_screenshot(ana, "inbox")
    ana.get_by_role("link", name="Ben", exact=True).click()
    ana.get_by_role("button", name="Open").click()
    ana.get_by_role("button", name="No, open it without telling").click()
    ana.get_by_text("from the lake").wait_for()
    ana.get_by_label("Voice").wait_for()
    picture = ana.get_by_alt_text("A picture in this message")
    picture.scroll_into_view_if_needed()
    assert picture.evaluate("one => one.decode().then(() => one.naturalWidth)") == 900
    assert "blur" in picture.evaluate("one => getComputedStyle(one).filter")
    ana.get_by_label("Show the picture").check()
    assert picture.evaluate("one => getComputedStyle(one).filter") == "none"
    playing = "one => { one.preload = 'auto'; one.load(); return new Promise((done) => "
    playing += "one.addEventListener('loadedmetadata', () => done(one.duration))); }"
    assert ana.get_by_label("Voice").evaluate(playing) > 1
    assert_no_violations(ana)
    _save_screenshot(ana, "conversation")


def _reply(friends: Friends) -> None:
    ana, ben = friends.ana, friends.ben
    ana.get_by_text("More").last.click()
    ana.get_by_role("link", name="Reply").click()
    ana.get_by_text("from the lake").wait_for()
    assert ana.get_by_role("checkbox", name="Ben").is_checked()
    ana.get_by_label("Your message").fill("how lovely")
    assert_no_violations(ana)
    _review(ana)
    ana.get_by_text("Your reply to:").wait_for()
    ana.get_by_role("link", name="Change it").click()
    ana.get_by_label("Your message").fill("how very lovely")
    _review(ana)
    _send(ana, "Ben")
    open_from_start(ben, "Messages")
    ben.get_by_text("1 to open").wait_for()
    ben.get_by_role("link", name="Ana", exact=True).click()
    ben.get_by_role("button", name="Open").click()
    ben.get_by_role("button", name="Yes, let them know").click()
    ben.get_by_text("how very lovely").wait_for()
    expect(ben.get_by_role("blockquote")).to_have_text("from the lake")
    assert_no_violations(ben)
    _save_screenshot(ben, "answered")
    ben.get_by_text("More").first.click()
    ben.get_by_role("button", name="Hide on this device").first.click()
    ben.get_by_role("heading", name="Hide this message here?").wait_for()
    ben.get_by_role("button", name="Hide it").click()
    expect(ben.get_by_text("from the lake")).to_have_count(0)


def test_drafts_and_sealed_messages_survive_a_restart(browser: Browser, tmp_path: Path) -> None:
    home_of_ana, home_of_ben = tmp_path / "ana", tmp_path / "ben"
    with run_relay(tmp_path / "hers") as relay, run_relay(tmp_path / "his") as other:
        create_contacts(tmp_path, relay.url, other.url)
        with open_app(browser, home_of_ana, _QUICK_SETTINGS) as ana:
            unlock_app(ana)
            with open_app(browser, home_of_ben, _QUICK_SETTINGS) as ben:
                unlock_app(ben)
                _write(ben, "Ana", None, "never sent")
                _review(ben)
                relay.stop()
                _write(ben, "Ana", None, "sealed offline")
                _review(ben)
                _confirm_and_press_send(ben, "Ana")
                ben.get_by_role("heading", name="It waits to be sent").wait_for()
                ben.get_by_text("It is sealed and safe on this device.").wait_for()
                assert_no_violations(ben)
            with open_app(browser, home_of_ben, _QUICK_SETTINGS) as ben:
                unlock_app(ben)
                _delete_draft(ben)
                open_from_start(ben, "Messages")
                ben.get_by_role("heading", name="Waiting to be sent").wait_for()
                assert_no_violations(ben)
                relay.start()
                open_from_start(ana, "Messages")
                ana.get_by_text("1 to open").wait_for()
                open_from_start(ben, "Messages")
                expect(ben.get_by_role("heading", name="Waiting to be sent")).to_have_count(0)


def _delete_draft(page: Page) -> None:
    page.get_by_text("You have a message that was not sent.").wait_for()
    assert_no_violations(page)
    page.get_by_role("button", name="Delete it").click()
    page.get_by_role("heading", name="Delete this message?").wait_for()
    assert_no_violations(page)
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("You have a message that was not sent.")).to_have_count(0)
