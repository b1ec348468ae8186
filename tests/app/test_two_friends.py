"""Two friends: send, undo, open, react, see once, take back."""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page
from skimage import data

from tests.app.friends import Friends, introduce, two_friends
from tests.app.served import no_violations

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    place = tmp_path / "photo.jpg"
    Image.fromarray(data.astronaut()).resize((700, 700)).save(place, quality=92)
    return place


def _send(page: Page, photo: Path, text: str, *, once: bool = False) -> None:
    """Send to Ana, typing her name where the guard asks for it."""
    page.get_by_role("link", name="Start", exact=True).click()
    page.get_by_role("link", name="Send something").click()
    no_violations(page)
    page.get_by_label("Pictures, clips or recordings").set_input_files(photo)
    page.get_by_label("Your message").fill(text)
    page.get_by_role("checkbox", name="Ana").check()
    if once:
        page.get_by_label("Once only: they see it one time").check()
    page.get_by_role("button", name="Check it before sending").click()
    page.get_by_role("heading", name="Check before you send").wait_for()
    no_violations(page)
    for box in page.get_by_label("To confirm, type the name").all():
        box.fill("Ana")
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_role("button", name="Undo").wait_for()
    no_violations(page)


def _to_ben(page: Page) -> None:
    page.get_by_role("link", name="Start", exact=True).click()
    page.get_by_role("link", name="Messages").click()
    no_violations(page)


def test_a_message_is_sent_opened_seen_once_and_taken_back(
    browser: Browser, tmp_path: Path, photo: Path
) -> None:
    with two_friends(tmp_path, browser) as friends:
        introduce(friends)
        _undone(friends, photo)
        _send(friends.ben, photo, "hello ana")
        _to_ben(friends.ana)
        friends.ana.get_by_text("1 to open").wait_for(timeout=60_000)
        friends.ana.get_by_role("link", name="Ben").click()
        friends.ana.get_by_role("button", name="Open").click()
        friends.ana.get_by_role("heading", name="Tell Ben when you open what they send?").wait_for()
        no_violations(friends.ana)
        friends.ana.get_by_role("button", name="No, open it without telling").click()
        friends.ana.get_by_text("hello ana").wait_for()
        assert friends.ana.get_by_text("never sent").count() == 0
        no_violations(friends.ana)
        friends.ana.get_by_text("More").click()
        friends.ana.get_by_role("button", name="React with 👍").click()
        friends.ana.get_by_text("👍").first.wait_for()
        _seen_once(friends, photo)
        _taken_back(friends)


def _undone(friends: Friends, photo: Path) -> None:
    _send(friends.ben, photo, "never sent")
    friends.ben.get_by_role("button", name="Undo").click()
    friends.ben.get_by_text("Nothing was sent to anybody.").wait_for()


def _seen_once(friends: Friends, photo: Path) -> None:
    _send(friends.ben, photo, "look once", once=True)
    friends.ana.get_by_role("button", name="See it once").wait_for(timeout=60_000)
    friends.ana.get_by_role("button", name="See it once").click()
    friends.ana.get_by_role("button", name="Show", exact=True).click()
    friends.ana.get_by_text("look once").wait_for()
    no_violations(friends.ana)
    friends.ana.get_by_role("button", name="Done").click()
    friends.ana.get_by_text("used up").wait_for()
    assert friends.ana.get_by_text("look once").count() == 0


def _taken_back(friends: Friends) -> None:
    friends.ben.get_by_role("link", name="Start", exact=True).click()
    friends.ben.get_by_role("link", name="Messages").click()
    friends.ben.get_by_role("link", name="Ana").click()
    friends.ben.get_by_role("button", name="Take it back").first.click()
    friends.ben.get_by_role("heading", name="Take it back for everyone?").wait_for()
    no_violations(friends.ben)
    friends.ben.get_by_role("button", name="Take it back").click()
    friends.ben.get_by_text("Their app is asked to delete it").wait_for()
    no_violations(friends.ben)
    friends.ana.reload()
    friends.ana.get_by_text("taken back").wait_for(timeout=60_000)
