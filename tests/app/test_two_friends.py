"""Two friends get to know each other by a link, compare keys, and send, undo, open and take back
messages: with the mouse (in ``make nightly``), with the keyboard alone, and without script.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect
from skimage import data

from tests.app.friends import open_apps_of_two_friends
from tests.app.served import TIMEOUT_S
from tests.app.walker import MODE_PARAMETERS, Mode, Walker

pytestmark = [pytest.mark.real, pytest.mark.slow]
_RELOAD_INTERVAL_MS = 300
_RELOADS_MAX = TIMEOUT_S * 1000 // _RELOAD_INTERVAL_MS
_SENT_OR_ABOUT_TO_BE = re.compile("It is sent in a moment|It is on its way")


@dataclass(frozen=True)
class _Friends:
    ana: Walker
    ben: Walker
    photo: Path
    voice_note: Path


@MODE_PARAMETERS
def test_two_friends_compare_keys_and_send_undo_open_and_take_back_messages(
    mode: Mode, browser: Browser, tmp_path: Path
) -> None:
    photo, note = _save_photo(tmp_path), _save_voice_note(tmp_path)
    settings_of_ana = {"ENTRENOUS_UNDO": "120"}  # seconds in which Ana can undo a message
    settings_of_ben = {"ENTRENOUS_UNDO": "1"}
    script = mode != "no-script"
    with open_apps_of_two_friends(
        tmp_path,
        browser,
        script=script,
        settings_of_ana=settings_of_ana,
        settings_of_ben=settings_of_ben,
    ) as apps:
        friends = _Friends(Walker(apps.ana, mode), Walker(apps.ben, mode), photo, note)
        _introduce(friends)
        _send_and_undo(friends)
        _open_picture(friends)
        _view_once(friends)
        _compare_keys(friends)
        _listen_to_voice(friends)
        _take_back(friends)


def _save_photo(folder: Path) -> Path:
    path = folder / "photo.jpg"
    Image.fromarray(data.astronaut()).resize((600, 600)).save(path, quality=90)
    return path


def _save_voice_note(folder: Path) -> Path:
    path = folder / "note.ogg"
    sound = ["-f", "lavfi", "-i", "sine=frequency=330:duration=4", "-c:a", "libopus", str(path)]
    subprocess.run(["ffmpeg", "-loglevel", "error", *sound], check=True)
    return path


def _introduce(friends: _Friends) -> None:
    ana, ben = friends.ana, friends.ben
    _open_from_start(ana, "People")
    ana.fill("What you will call them", "Ben")
    ana.begin("Make a link")
    ana.wait_for_page("A link for Ben")
    link = ana.page.get_by_role("textbox").input_value()
    _open_from_start(ben, "People")
    ben.fill("Their link", link)
    ben.fill("What you call them", "Ana")
    ben.press("Add them")
    for _ in range(_RELOADS_MAX):
        _open_from_start(ana, "People")
        if ana.page.get_by_text("Ben", exact=True).count():
            return
        ana.page.wait_for_timeout(_RELOAD_INTERVAL_MS)
    raise AssertionError("Ben did not appear among Ana's people")


def _send_and_undo(friends: _Friends) -> None:
    """Send a message, and undo it before it leaves the device."""
    ana = friends.ana
    if ana.mode == "no-script":
        _check_draft_without_recipient(ana, friends.photo)
    _write(ana, "Ben", "never sent", friends.photo)
    _send(ana, "Ben")
    ana.press("Undo")
    ana.page.get_by_text("Nothing was sent to anybody.").wait_for()


def _check_draft_without_recipient(walker: Walker, photo: Path) -> None:
    """Check that the text and the file stay if no recipient was chosen."""
    page = walker.page
    _open_from_start(walker, "Send something")
    walker.choose_file("Pictures, clips or recordings", photo)
    walker.fill("Your message", "to nobody yet")
    walker.press("Check it before sending")
    page.get_by_role("alert").wait_for()
    page.get_by_text("1 file is in it already.").wait_for()
    assert page.get_by_label("Your message").input_value() == "to nobody yet"
    walker.follow("Start")
    walker.press("Look at it", "link")
    page.get_by_text("1 file is in it already.").wait_for()
    walker.follow("Start")
    walker.press("Delete it")
    walker.press("Keep it", "link")
    walker.press("Delete it")
    walker.press("Delete it")


def _open_picture(friends: _Friends) -> None:
    ana, ben = friends.ana, friends.ben
    _open_from_start(ana, "Messages")
    _write(ben, "Ana", "hello ana", friends.photo)
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


def _view_once(friends: _Friends) -> None:
    ana, ben = friends.ana, friends.ben
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


def _compare_keys(friends: _Friends) -> None:
    """Compare keys by pictures. Pages with JavaScript show what is new without a reload."""
    ana, ben = friends.ana, friends.ben
    for walker, other in ((ana, "Ben"), (ben, "Ana")):
        _open_from_start(walker, "People")
        walker.follow(other)
        walker.press("By seven pictures", "link")
    ana.press("Begin")
    _wait_for_text(ben, "They asked you to compare. Go on")
    ben.press("They asked you to compare. Go on")
    for walker in (ana, ben):
        _wait_for_text(walker, "They are the same")
        walker.check_page()
    shown = [walker.page.get_by_role("listitem").all_inner_texts() for walker in (ana, ben)]
    assert shown[0] == shown[1]
    assert len(shown[0]) == 7
    for walker in (ana, ben):
        walker.press("They are the same")
    for walker in (ana, ben):
        _wait_for_text(walker, "Nobody sits between you and")


def _listen_to_voice(friends: _Friends) -> None:
    """Open a voice message from a person whose keys were compared. The app asks no question."""
    ana, ben = friends.ana, friends.ben
    _open_from_start(ana, "Messages")
    _write(ben, "Ana", "listen", friends.voice_note)
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


def _take_back(friends: _Friends) -> None:
    ana, ben = friends.ana, friends.ben
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


def _open_from_start(walker: Walker, section: str) -> None:
    walker.follow("Start")
    if section == "Send something":
        walker.press(section, "link")
    else:
        walker.follow(section)


def _write(
    walker: Walker, to: str, text: str, file: Path | None = None, *, once: bool = False
) -> None:
    """Write a message, and open the page where it is checked before sending."""
    _open_from_start(walker, "Send something")
    if file is not None:
        walker.choose_file("Pictures, clips or recordings", file)
    walker.fill("Your message", text)
    walker.tick(to)
    if once:
        walker.tick("Once only: they see it one time")
    walker.press("Check it before sending")
    walker.page.get_by_role("heading", name="Check before you send").wait_for()


def _send(walker: Walker, to: str) -> None:
    """Send the message, and type the recipient's name if the guard asks for it."""
    # The page loads the guard's question, if there is one, before the button.
    walker.page.get_by_role("button", name="Send", exact=True).wait_for()
    if walker.page.get_by_label("To confirm, type the name").count():
        walker.fill("To confirm, type the name", to)
    walker.begin("Send")
    walker.page.get_by_role("heading", name=_SENT_OR_ABOUT_TO_BE).wait_for()
    walker.check_page()


def _wait_for_text(walker: Walker, text: str) -> None:
    """Wait until the text is shown. If JavaScript is off, reload the page until then."""
    shown = walker.page.get_by_text(text).first
    if walker.mode != "no-script":
        shown.wait_for()
        return
    for _ in range(_RELOADS_MAX):
        if shown.count():
            return
        walker.page.wait_for_timeout(_RELOAD_INTERVAL_MS)
        walker.page.reload()
    raise AssertionError(f"{text} did not appear")
