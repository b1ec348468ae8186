"""Two friends, a voice note, and a teacher: each with the mouse, by keyboard alone, and without
script.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.served import opened_page, served_app, set_up
from tests.app.walker import MODE_PARAMETERS, Mode, Walker
from tests.real.stage import Server

pytestmark = [pytest.mark.real, pytest.mark.slow]
_LOOKS = 100


@contextmanager
def _friends(folder: Path, browser: Browser, mode: Mode) -> Iterator[tuple[Walker, Walker]]:
    """Ana and Ben, set up at one relay; each goes through pages in the same way."""
    relay = Server(folder / "relay", ("relay", "run"))
    relay.start()
    script = mode != "no-script"
    try:
        with (
            served_app(folder / "ana", ENTRENOUS_PAUSE="0") as at_ana,
            served_app(folder / "ben", ENTRENOUS_PAUSE="0") as at_ben,
            opened_page(browser, at_ana.link, script=script) as ana,
            opened_page(browser, at_ben.link, script=script) as ben,
        ):
            set_up(ana, "Ana", relay.url)
            set_up(ben, "Ben", relay.url)
            yield Walker(ana, mode), Walker(ben, mode)
    finally:
        relay.stop()


def _start(one: Walker, door: str) -> None:
    one.follow("Start")
    if door == "Send something":
        one.press(door, "link")
    else:
        one.follow(door)


def _until(one: Walker, door: str, words: str) -> None:
    """Go through a door of the first page again until the page shows these words."""
    for _ in range(_LOOKS):
        _start(one, door)
        if one.page.get_by_text(words, exact=True).count():
            return
        one.page.wait_for_timeout(300)
    raise AssertionError(f"{words} did not come")


def _introduce(ana: Walker, ben: Walker) -> None:
    _start(ana, "People")
    ana.fill("What you will call them", "Ben")
    ana.begin("Make a link")
    ana.arrives("A link for Ben")
    link = ana.page.get_by_role("textbox").input_value()
    _start(ben, "People")
    ben.fill("Their link", link)
    ben.fill("What you call them", "Ana")
    ben.press("Add them")
    _until(ana, "People", "Ben")
    ana.follow("Ben")


def _both_see(one: Walker) -> None:
    """Wait for the seven pictures, loading the page again where no script does."""
    same = one.page.get_by_role("button", name="They are the same")
    for _ in range(_LOOKS):
        if same.count():
            return
        one.page.wait_for_timeout(300)
        if one.mode == "no-script":
            one.page.reload()
    raise AssertionError("the pictures did not come")


def _compare(ana: Walker, ben: Walker) -> None:
    ana.press("By seven pictures", "link")
    ana.press("Begin")
    ben.press("By seven pictures", "link")
    asked = ben.page.get_by_role("button", name="They asked you to compare. Go on")
    for _ in range(_LOOKS):
        if asked.count():
            break
        ben.page.wait_for_timeout(300)
        ben.page.reload()
    ben.press("They asked you to compare. Go on")
    _both_see(ana)
    _both_see(ben)
    shown = [one.page.get_by_role("listitem").all_inner_texts() for one in (ana, ben)]
    assert shown[0] == shown[1]
    ana.press("They are the same")
    ben.press("They are the same")
    for one in (ana, ben):
        _told(one.page, "Nobody sits between you and")


def _told(page: Page, words: str) -> None:
    for _ in range(_LOOKS):
        if page.get_by_text(words).count():
            return
        page.wait_for_timeout(300)
        page.reload()
    raise AssertionError(f"{words} did not come")


def _send(one: Walker, to: str, text: str, file: Path | None = None) -> None:
    _start(one, "Send something")
    if file is not None:
        one.choose("Pictures, clips or recordings", file)
    one.fill("Your message", text)
    one.tick(to)
    one.press("Check it before sending")
    if one.page.get_by_label("To confirm, type the name").count():
        one.fill("To confirm, type the name", to)
    one.begin("Send")
    one.page.get_by_role("button", name="Undo").wait_for(timeout=60_000)


def _open(one: Walker, sender: str, words: str) -> None:
    _until(one, "Messages", "1 to open")
    one.follow(sender)
    one.begin("Open")
    expect(one.page.get_by_text(words).first).to_be_visible(timeout=60_000)


@MODE_PARAMETERS
def test_two_friends_compare_send_open_and_take_back(
    mode: Mode, browser: Browser, tmp_path: Path
) -> None:
    with _friends(tmp_path, browser, mode) as (ana, ben):
        _introduce(ana, ben)
        _compare(ana, ben)
        _send(ben, "Ana", "hello ana")
        _open(ana, "Ben", "hello ana")
        _start(ben, "Messages")
        ben.follow("Ana")
        ben.press("Take it back")
        ben.arrives("Take it back for everyone?")
        ben.press("Take it back")
        expect(ben.page.get_by_text("Their app is asked to delete it")).to_be_visible()
        _start(ana, "Messages")
        ana.follow("Ben")
        _told(ana.page, "Taken back")


@MODE_PARAMETERS
def test_a_voice_note_is_sent_and_heard(mode: Mode, browser: Browser, tmp_path: Path) -> None:
    note = tmp_path / "note.ogg"
    sound = ["-f", "lavfi", "-i", "sine=frequency=330:duration=4", "-c:a", "libopus", str(note)]
    subprocess.run(["ffmpeg", "-loglevel", "error", *sound], check=True)
    with _friends(tmp_path, browser, mode) as (ana, ben):
        _introduce(ana, ben)
        _compare(ana, ben)
        _send(ben, "Ana", "listen", note)
        _open(ana, "Ben", "listen")
        player = ana.page.get_by_label("Voice")
        expect(player).to_be_visible()
        source = player.get_attribute("src")
        heard = ana.page.request.get(f"{ana.page.url.split('/4')[0]}{source}")
        assert heard.headers["content-type"].startswith("audio/")
        assert len(heard.body()) > 1000


@MODE_PARAMETERS
def test_a_teacher_goes_from_a_lesson_to_its_sheet(
    mode: Mode, browser: Browser, tmp_path: Path
) -> None:
    with (
        served_app(tmp_path / "device") as app,
        opened_page(browser, app.link, script=mode != "no-script") as page,
    ):
        teacher = Walker(page, mode)
        teacher.press("Check-up", "link")
        teacher.press("Lessons", "link")
        teacher.press("Being threatened", "link")
        name, sheet = teacher.saved("Sheet as PDF, A4")
        assert (name.endswith("-a4.pdf"), sheet[:5]) == (True, b"%PDF-")
        assert len(teacher.pages) <= 4
