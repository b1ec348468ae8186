"""Two friends: invite, send, undo, open, react, view once, compare keys, listen, take back; with
the mouse (in ``make nightly``), with the keyboard alone, and without script.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect
from skimage import data

from tests.app.friends import RELOADS_MAX, two_friends
from tests.app.walker import MODE_PARAMETERS, Mode, Walker

pytestmark = [pytest.mark.real, pytest.mark.slow]
_SENT_OR_ABOUT_TO_BE = re.compile("It is sent in a moment|It is on its way")


@dataclass(frozen=True)
class _Friends:
    ana: Walker
    ben: Walker
    photo: Path
    note: Path


@MODE_PARAMETERS
def test_two_friends_compare_send_open_and_take_back(
    mode: Mode, browser: Browser, tmp_path: Path
) -> None:
    photo, note = _photo(tmp_path), _note(tmp_path)
    settings_of_ana = {"ENTRENOUS_UNDO": "120"}  # she undoes the one message that she sends
    settings_of_ben = {"ENTRENOUS_UNDO": "1"}
    script = mode != "no-script"
    with two_friends(
        tmp_path,
        browser,
        script=script,
        settings_of_ana=settings_of_ana,
        settings_of_ben=settings_of_ben,
    ) as friends:
        both = _Friends(Walker(friends.ana, mode), Walker(friends.ben, mode), photo, note)
        _introduce(both)
        _undo(both)
        _open_picture(both)
        _view_once(both)
        _compare(both)
        _listen_to_voice(both)
        _take_back(both)


def _photo(folder: Path) -> Path:
    path = folder / "photo.jpg"
    Image.fromarray(data.astronaut()).resize((600, 600)).save(path, quality=90)
    return path


def _note(folder: Path) -> Path:
    path = folder / "note.ogg"
    sound = ["-f", "lavfi", "-i", "sine=frequency=330:duration=4", "-c:a", "libopus", str(path)]
    subprocess.run(["ffmpeg", "-loglevel", "error", *sound], check=True)
    return path


def _introduce(both: _Friends) -> None:
    ana, ben = both.ana, both.ben
    _open_from_start(ana, "People")
    ana.fill("What you will call them", "Ben")
    ana.begin("Make a link")
    ana.wait_for_page("A link for Ben")
    link = ana.page.get_by_role("textbox").input_value()
    _open_from_start(ben, "People")
    ben.fill("Their link", link)
    ben.fill("What you call them", "Ana")
    ben.press("Add them")
    for _ in range(RELOADS_MAX):
        _open_from_start(ana, "People")
        if ana.page.get_by_text("Ben", exact=True).count():
            return
        ana.page.wait_for_timeout(300)
    raise AssertionError("Ben did not come")


def _undo(both: _Friends) -> None:
    """Send a message and undo it: nobody gets it."""
    ana = both.ana
    if ana.mode == "no-script":
        _check_draft_without_recipient(ana, both.photo)
    _write(ana, "Ben", "never sent", both.photo)
    _send(ana, "Ben")
    ana.press("Undo")
    ana.page.get_by_text("Nothing was sent to anybody.").wait_for()


def _check_draft_without_recipient(one: Walker, photo: Path) -> None:
    """Check that the text and the file stay if no recipient was chosen."""
    page = one.page
    _open_from_start(one, "Send something")
    one.choose_file("Pictures, clips or recordings", photo)
    one.fill("Your message", "to nobody yet")
    one.press("Check it before sending")
    page.get_by_role("alert").wait_for()
    page.get_by_text("1 file is in it already.").wait_for()
    assert page.get_by_label("Your message").input_value() == "to nobody yet"
    one.follow("Start")
    one.press("Look at it", "link")
    page.get_by_text("1 file is in it already.").wait_for()
    one.follow("Start")
    one.press("Delete it")
    one.press("Keep it", "link")
    one.press("Delete it")
    one.press("Delete it")


def _open_picture(both: _Friends) -> None:
    ana, ben = both.ana, both.ben
    _open_from_start(ana, "Messages")
    _write(ben, "Ana", "hello ana", both.photo)
    if ben.mode == "no-script":
        assert ben.page.get_by_role("button", name="Record your voice").count() == 0
        ben.tick("Show it")
        ben.begin("See their copy of picture 1")
        ben.wait_for_page("Their copy")
        ben.press("Back to the message", "link")
    _send(ben, "Ana")
    _wait_for_text(ana, "1 to open")
    ana.follow("Ben")
    ana.begin("Open")
    ana.wait_for_page("Tell Ben when you open what they send?")
    read_receipt_answer = (
        "Yes, let them know" if ana.mode == "no-script" else "No, open it without telling"
    )
    ana.begin(read_receipt_answer)
    ana.page.get_by_text("hello ana").wait_for()
    ana.check_page()
    ana.tick("Show the picture")
    expect(ana.page.get_by_alt_text("A picture in this message")).to_have_css("filter", "none")
    ana.unfold("More")
    ana.begin("React with 👍")
    ana.page.get_by_text("👍").first.wait_for()


def _view_once(both: _Friends) -> None:
    ana, ben = both.ana, both.ben
    _write(ben, "Ana", "look once", once=True)
    _send(ben, "Ana")
    _wait_for_text(ana, "See it once")
    ana.begin("See it once")
    ana.page.get_by_role("button", name="Show", exact=True).wait_for()
    ana.check_page()
    ana.press_exactly("Show")
    ana.page.get_by_text("look once").wait_for()
    ana.press("Done")
    ana.page.get_by_text("used up").wait_for()
    assert ana.page.get_by_text("look once").count() == 0


def _compare(both: _Friends) -> None:
    """Compare keys by pictures, which appear by themselves where there is script."""
    ana, ben = both.ana, both.ben
    for one, other in ((ana, "Ben"), (ben, "Ana")):
        _open_from_start(one, "People")
        one.follow(other)
        one.press("By seven pictures", "link")
    ana.press("Begin")
    _wait_for_text(ben, "They asked you to compare. Go on")
    ben.press("They asked you to compare. Go on")
    for one in (ana, ben):
        _wait_for_text(one, "They are the same")
        one.check_page()
    shown = [one.page.get_by_role("listitem").all_inner_texts() for one in (ana, ben)]
    assert shown[0] == shown[1]
    assert len(shown[0]) == 7
    for one in (ana, ben):
        one.press("They are the same")
    for one in (ana, ben):
        _wait_for_text(one, "Nobody sits between you and")


def _listen_to_voice(both: _Friends) -> None:
    """Check that a message from a person with compared keys opens without a question."""
    ana, ben = both.ana, both.ben
    _open_from_start(ana, "Messages")
    _write(ben, "Ana", "listen", both.note)
    _send(ben, "Ana")
    _wait_for_text(ana, "1 to open")
    ana.follow("Ben")
    ana.begin("Open")
    expect(ana.page.get_by_text("listen").first).to_be_visible()
    player = ana.page.get_by_label("Voice")
    expect(player).to_be_visible()
    source = player.get_attribute("src")
    voice = ana.page.request.get(f"{ana.page.url.split('/4')[0]}{source}")
    assert voice.headers["content-type"].startswith("audio/")
    assert len(voice.body()) > 1000


def _take_back(both: _Friends) -> None:
    ana, ben = both.ana, both.ben
    _open_from_start(ben, "Messages")
    ben.follow("Ana")
    assert ben.page.get_by_text("never sent").count() == 0
    ben.press("Take it back")
    ben.wait_for_page("Take it back for everyone?")
    ben.press("Take it back")
    ben.page.get_by_text("Their app is asked to delete it").wait_for()
    _open_from_start(ana, "Messages")
    ana.follow("Ben")
    _wait_for_text(ana, "Taken back")


def _open_from_start(one: Walker, section: str) -> None:
    one.follow("Start")
    if section == "Send something":
        one.press(section, "link")
    else:
        one.follow(section)


def _write(
    one: Walker, to: str, text: str, file: Path | None = None, *, once: bool = False
) -> None:
    """Write a message, and open the page where it is checked before sending."""
    _open_from_start(one, "Send something")
    if file is not None:
        one.choose_file("Pictures, clips or recordings", file)
    one.fill("Your message", text)
    one.tick(to)
    if once:
        one.tick("Once only: they see it one time")
    one.press("Check it before sending")
    one.page.get_by_role("heading", name="Check before you send").wait_for()


def _send(one: Walker, to: str) -> None:
    """Send the message, and type the recipient's name if the guard asks for it."""
    # the guard's question stands above this button, so it has been loaded as well
    one.page.get_by_role("button", name="Send", exact=True).wait_for()
    if one.page.get_by_label("To confirm, type the name").count():
        one.fill("To confirm, type the name", to)
    one.begin("Send")
    one.page.get_by_role("heading", name=_SENT_OR_ABOUT_TO_BE).wait_for()
    one.check_page()


def _wait_for_text(one: Walker, words: str) -> None:
    """Wait until the words are shown; without script, reload the page until then."""
    shown = one.page.get_by_text(words).first
    if one.mode != "no-script":
        shown.wait_for()
        return
    for _ in range(RELOADS_MAX):
        if shown.count():
            return
        one.page.wait_for_timeout(300)
        one.page.reload()
    raise AssertionError(f"{words} did not come")
