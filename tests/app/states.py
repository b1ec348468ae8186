"""The states of the app's pages, and one story that walks through all of these states.

For a new page, add a line to ``STATES`` and a ``yield`` below, or a line to ``NO_PAGE`` or to
``CHECKED_ELSEWHERE``. Until then ``test_every_page.py`` fails. ``test_every_state.py`` checks all
states, and ``python -m tests.app.screens`` takes screenshots of them.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from playwright.sync_api import Browser
from skimage import data

from entrenous.base.environment import read_settings
from entrenous.base.errors import EntrenousError
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.people.compare_keys import (
    auth_string_with,
    begin_or_answer_comparison,
    confirm_match,
)
from entrenous.send.people.invite import make_invite_link
from entrenous.send.send import send_message
from entrenous.send.set_up import set_up
from tests.app.page_walker import RouteWalker, fetch_targets
from tests.app.served import PASSPHRASE, open_page, run_app
from tests.real.processes import Server, wait_until
from tests.vaults import create_device

#: Each state and the route of its page, in the order of the story.
STATES: Final = {
    "first-page": "home",
    "closed": "home",
    "no-such-page": "",
    "lessons": "lessons",
    "lesson": "lesson",
    "lesson-answered": "lesson",
    "check-up": "check_up",
    "check-up-question": "check_up",
    "check-up-result": "check_up",
    "check-up-threat": "check_up",
    "help": "help",
    "help-lines": "help",
    "threat": "help",
    "under-18": "under_18",
    "something-happened": "cases",
    "legal-question": "legal_question",
    "legal-routes": "legal_routes",
    "report-a-platform": "report_alone",
    "who-hosts": "who_hosts",
    "link-here": "link_here",
    "link-here-refused": "link_here",
    "recovery-sheet-first": "use_sheet",
    "set-up": "setup",
    "set-up-weak": "setup",
    "set-up-no-address": "setup",
    "home": "home",
    "devices": "devices",
    "linking": "linking",
    "recovery-sheet": "sheet",
    "recovery-sheet-made": "sheet_made",
    "recovery-sheet-on-paper": "sheet_made",
    "passphrase": "passphrase",
    "without-relay": "offline",
    "move": "move",
    "settings": "settings",
    "proxy": "proxy",
    "archive": "archive",
    "archive-taken-from": "take_archive",
    "erase-everything": "erase",
    "close": "close",
    "platforms": "protect",
    "platforms-none": "protections",
    "people-none": "people",
    "invited": "invited",
    "person": "person",
    "compare": "compare",
    "compare-waiting": "compare",
    "compare-signs": "compare",
    "compare-agreed": "compare",
    "compared": "compare",
    "face-to-face": "face_to_face",
    "people": "people",
    "people-refused": "add_person",
    "circle-remove": "circle",
    "person-block": "person",
    "person-forget": "person",
    "send": "send",
    "send-refused": "send",
    "review": "review",
    "their-copy": "their_copy",
    "review-refused": "review",
    "home-draft": "home",
    "sealing": "progress",
    "sealed": "sealed",
    "undone": "sealed",
    "draft-delete": "discard",
    "inbox": "inbox",
    "conversation": "conversation",
    "conversation-opened": "conversation",
    "see-once": "seen",
    "see-once-shown": "seen",
    "copies": "copies",
    "copies-made": "copies_made",
    "found": "found",
    "looking": "progress",
    "verdicts": "verdicts",
    "how-do-we-know": "how",
    "refused": "found",
    "sealed-sent": "sealed",
    "conversation-own": "conversation",
    "take-back": "answer",
    "taken-back": "answer",
    "person-blocked": "person",
    "case-question": "case_question",
    "first-steps": "first",
    "case-where": "case_question",
    "case": "case",
    "case-routes": "case_routes",
    "case-report": "report",
    "letter": "letter",
    "letter-sent": "letter",
    "case-waiting": "case",
    "case-place": "place_seen",
    "case-evidence": "evidence",
    "case-evidence-kept": "evidence",
    "case-evidence-shown": "evidence",
    "case-about": "about",
    "case-breach": "breach",
    "case-watching": "watching",
    "case-packs": "packs",
    "case-under-18": "under_18_later",
    "case-ending": "ending",
    "threat-first-steps": "first",
    "threat-where": "case_question",
    "threat-case": "case",
    "threat-saved": "case",
    "threat-fingerprint": "letter",
    "threat-report": "case",
    "threat-letter": "letter",
    "cases": "cases",
    "home-locked": "home",
    "unlock": "unlock",
    "unlock-wrong": "unlock",
}

#: GET routes that show no page of their own, and what they return.
NO_PAGE: Final = {
    "enter": "redirects to the first page",
    "events": "server-sent events",
    "opened": "redirects to the conversation",
    "lesson_sheet": "a PDF to save",
    "draft_file": "a picture, clip or sound",
    "copy_picture": "a picture",
    "older": "earlier messages on the page of the conversation",
    "save_file": "a file to save",
    "link_code": "a picture",
    "sheet_code": "a picture",
    "archive_file": "a file to save",
    "legal": "redirects to the first question",
    "more_cases": "further cases on the page of the cases",
    "calendar": "a file to save",
    "letter_pdf": "a file to save",
    "letter_text": "a file to save",
    "outcome_file": "a file to save",
    "invite_code": "a picture",
    "own_code": "a picture",
    "file": "a file in a conversation",
    "seen_file": "a file of a view-once message",
    "save_copy": "a file to save",
    "overlay": "a picture",
    "paper": "a PDF to save",
    "item_picture": "a picture",
}


#: Routes that the story does not reach, and the files that check them in all presentations.
CHECKED_ELSEWHERE: Final = {
    "join": "test_joining.py",
    "joined": "test_joining.py",
    "differs": "test_joining.py",
    "link_lock": "test_new_phone.py",
    "linking_here": "test_new_phone.py",
    "lost": "test_new_phone.py",
    "revoked": "test_new_phone.py",
    "told": "test_new_phone.py",
    "archive_made": "test_settings.py",
    "archive_taken": "test_settings.py",
    "letters_compared": "walker.py",
    "outcome": "walker.py",
    "case_host": "test_who_hosts.py",
    "protect_this": "test_protect_pages.py",
    "protected": "test_protect_pages.py",
    "unprotected": "test_protect_pages.py",
}


@dataclass(frozen=True)
class TypedTexts:
    """The names and texts that people type in the story."""

    ana: str = "Ana"
    ben: str = "Ben"
    caro: str = "Caro"
    name_of_ben: str = "Ben"  # Ben's own name; ``ben`` is the name that Ana gave him
    circle: str = "Swimming"
    sent_text: str = "From the beach"
    received_text: str = "The view from our tent"
    view_once_text: str = "Only for you"
    leak_file_name: str = "leak"
    secret_in_url: str = "C0ffee"  # in the address of the leaked picture
    account: str = "@somebody"
    chat: str = "Direct messages"
    case_note: str = "A friend told me about it on Friday."

    @property
    def leak_url(self) -> str:
        return f"https://www.instagram.com/p/{self.secret_in_url}"


@dataclass(frozen=True)
class Story:
    """Ana's app in a browser, Ben's device without a browser, and the texts and photo of both."""

    ana: RouteWalker
    ben: Device
    texts: TypedTexts
    photo: Path
    folder: Path

    def send_from_ben(self, text: str, *, opens: int | None = None) -> None:
        """Send Ana a photograph and a text from Ben. ``opens`` limits how often she can open it."""
        to = tuple(one.name for one in contacts(self.ben))
        until = self.ben.clock.now() + timedelta(days=7)
        photo = (self.photo.read_bytes(),)
        send_message(
            Draft(photo, to, MessagePolicy(until, opens), text, confirmed=frozenset(to)), self.ben
        )
        flush_outbox(self.ben)


@contextmanager
def open_story(
    browser: Browser, folder: Path, texts: TypedTexts | None = None, language: str = ""
) -> Iterator[Story]:
    """Run a relay and Ana's app, in this language or the browser's, and create Ben's device."""
    texts = texts or TypedTexts()
    language_setting = {"ENTRENOUS_LANGUAGE": language} if language else {}
    with (
        create_relay_and_ben(folder, texts) as (ben, relay),
        run_app(folder / "ana", ENTRENOUS_PAUSE="0", HOME=str(folder), **language_setting) as app,
        open_page(browser, app.link) as page,
    ):
        yield Story(
            RouteWalker(page, app.address, relay.url), ben, texts, save_photograph(folder), folder
        )


@contextmanager
def create_relay_and_ben(folder: Path, texts: TypedTexts) -> Iterator[tuple[Device, Server]]:
    """Run a relay, and create Ben's device at it, without a browser."""
    relay = Server(folder / "relay", ("relay", "run"))
    relay.start()
    settings = read_settings({"ENTRENOUS_HOME": str(folder / "ben"), "ENTRENOUS_PAUSE": "0"})
    try:
        with create_device(settings, lambda: Secret(PASSPHRASE.encode())) as ben:
            set_up(texts.name_of_ben, relay.url, ben)
            yield ben, relay
    finally:
        relay.stop()


def save_photograph(folder: Path) -> Path:
    """Save NASA's photograph of Eileen Collins (public domain), and return its path."""
    photo = folder / "photo.jpg"
    Image.fromarray(data.astronaut()).resize((700, 700)).save(photo, quality=90)
    return photo


def large_picture(seed: int, side_px: int = 3000) -> tuple[str, tuple[str, bytes, str]]:
    """Return a large picture, as a form field. Tracing it takes a second or more."""
    colours = np.random.default_rng(seed).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    jpeg = io.BytesIO()
    size = (side_px, side_px * 4 // 5)
    Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC).save(jpeg, "JPEG")
    return "file", (f"{seed}.jpg", jpeg.getvalue(), "image/jpeg")


def all_states(story: Story) -> Iterator[str]:
    """Walk through every state, and yield its name while its page is shown."""
    yield from _states_without_a_vault(story.ana)
    yield from _set_up_states(story.ana, story.texts)
    yield from _device_states(story.ana)
    yield from _people_states(story)
    yield from _sending_states(story)
    yield from _message_states(story)
    sent_page = _send_again(story)
    yield from _copy_states(story)
    yield from _recall_states(story, sent_page)
    yield from _case_states(story)
    yield from _locked_states(story.ana)


def _states_without_a_vault(ana: RouteWalker) -> Iterator[str]:
    yield "first-page"
    cookies = ana.page.context.cookies()
    ana.page.context.clear_cookies()
    ana.go("home")
    yield "closed"
    ana.page.context.add_cookies(cookies)  # type: ignore[arg-type] - as they were given
    ana.page.goto(f"{ana.address}/9999")
    yield "no-such-page"
    ana.go("lessons")
    yield "lessons"
    ana.follow("lesson")
    yield "lesson"
    ana.send("lesson", choice="1")
    yield "lesson-answered"
    ana.go("check_up")
    yield "check-up"
    ana.send("check_up")
    yield "check-up-question"
    ana.send("check_up", "no")
    ana.send("check_up", "stop")
    yield "check-up-result"
    ana.go("check_up")
    ana.send("check_up")
    while ana.page.locator('button[value="stop"]').count():
        ana.send("check_up", "yes")
    yield "check-up-threat"
    yield from _help_states(ana)


def _help_states(ana: RouteWalker) -> Iterator[str]:
    ana.go("help")
    yield "help"
    ana.send("help", place="Germany")
    yield "help-lines"
    ana.go("home")
    ana.send("help", "yes")
    yield "threat"
    ana.go("under_18")
    yield "under-18"
    ana.go("cases")
    yield "something-happened"
    ana.go("legal")
    yield "legal-question"
    ana.send("legal_question", "yes")
    ana.send("legal_question", "group")
    ana.send("legal_question", place="USA")
    ana.send("legal_question", platform="WhatsApp")
    ana.go("legal_routes")
    yield "legal-routes"
    ana.follow("report_alone")
    yield "report-a-platform"
    ana.go("who_hosts")
    ana.send("who_hosts", where="https://pictures.example/1")
    yield "who-hosts"
    ana.go("legal_routes")
    ana.send("stop")


def _set_up_states(ana: RouteWalker, texts: TypedTexts) -> Iterator[str]:
    ana.go("link_here")
    yield "link-here"
    ana.send("link_here", code="entrenous-link:2:nothing")
    yield "link-here-refused"
    ana.go("use_sheet")
    yield "recovery-sheet-first"
    ana.go("setup")
    yield "set-up"
    typed = {"name": texts.ana, "where": "relay", "relay": ana.relay}
    ana.send("setup", passphrase="beach", again="beach", **typed)
    yield "set-up-weak"
    ana.send("setup", passphrase=PASSPHRASE, again=PASSPHRASE, relay="")
    yield "set-up-no-address"
    ana.send("setup", passphrase=PASSPHRASE, again=PASSPHRASE, relay=ana.relay)
    ana.wait_for("home")
    yield "home"


def _device_states(ana: RouteWalker) -> Iterator[str]:
    ana.go("devices")
    yield "devices"
    ana.send("linking")
    ana.page.locator("img.code").wait_for()
    yield "linking"
    ana.send("link_answer")
    ana.go("sheet")
    yield "recovery-sheet"
    ana.send("sheet")
    ana.wait_for("sheet_made")
    yield "recovery-sheet-made"
    ana.send("sheet_made")
    yield "recovery-sheet-on-paper"
    for name, state in (("passphrase", "passphrase"), ("offline", "without-relay")):
        ana.go(name)
        yield state
    others = ("move", "settings", "proxy", "archive", "take_archive", "erase", "close")
    for name in (*others, "protect", "protections"):
        ana.go(name)
        yield next(state for state, route in STATES.items() if route == name)


def _people_states(story: Story) -> Iterator[str]:
    ana, ben, texts = story.ana, story.ben, story.texts
    ana.go("people")
    yield "people-none"
    ana.send("invite", **{"for": texts.caro})
    ana.wait_for("invited")
    yield "invited"
    link = make_invite_link(ben)
    ana.go("people")
    ana.send("add_person", link=link, name=texts.ben)
    yield "person"
    assert wait_until(lambda: bool(fetch_messages(ben)) and bool(contacts(ben)), 90)
    ana.follow("compare")
    yield "compare"
    ana.send("compare")
    yield "compare-waiting"
    _let_ben_take_step(ben, lambda: begin_or_answer_comparison(contacts(ben)[0].name, ben))
    ana.page.locator('button[value="same"]').wait_for()
    yield "compare-signs"
    ana.send("compare", "same")
    yield "compare-agreed"
    _let_ben_take_step(ben, lambda: _confirm_shown_signs(contacts(ben)[0].name, ben))
    ana.page.locator('button[value="same"]').wait_for(state="detached")
    ana.page.reload()
    yield "compared"
    ana.go("people")
    ana.follow("person")
    ana.follow("face_to_face")
    yield "face-to-face"
    ana.go("people")
    ana.send("circle", circle=texts.circle, person=texts.ben)
    yield "people"
    ana.send("add_person", link="entrenous:nothing", name=texts.ben)
    yield "people-refused"
    ana.go("people")
    ana.send("circle", texts.circle)
    yield "circle-remove"
    for act in ("block", "forget"):
        ana.go("people")
        ana.follow("person")
        ana.send("person", act)
        yield f"person-{act}"


def _confirm_shown_signs(name: str, device: Device) -> None:
    auth_string_with(name, device)
    confirm_match(name, device)


def _let_ben_take_step(ben: Device, step: Callable[[], object]) -> None:
    """Fetch Ben's messages until ``step`` succeeds, then send his queued messages."""

    def is_done() -> bool:
        fetch_messages(ben)
        try:
            step()
        except EntrenousError:
            return False
        return True

    assert wait_until(is_done, 90)
    flush_outbox(ben)


def _sending_states(story: Story) -> Iterator[str]:
    ana, texts = story.ana, story.texts
    ana.go("send")
    yield "send"
    ana.send("send", to=texts.ben)
    yield "send-refused"
    ana.send("send", text=texts.sent_text, to=texts.ben, files={"file": story.photo})
    yield "review"
    ana.send("make_copy")
    ana.wait_for("their_copy")
    yield "their-copy"
    ana.follow("review")
    ana.send("review")
    yield "review-refused"
    ana.go("home")
    yield "home-draft"
    ana.follow("review")
    _block_events(ana)
    ana.send("review", confirm=texts.ben)
    yield "sealing"
    _unblock_events(ana)
    ana.wait_for("sealed")
    yield "sealed"
    ana.send("sealed")
    yield "undone"
    ana.go("send")
    ana.send("send", text=texts.sent_text, to=texts.ben)
    ana.send("discard")
    yield "draft-delete"
    ana.send("discard")


def _block_events(ana: RouteWalker) -> None:
    """Block the server-sent events, so that the next progress page stays when its work ends."""
    ana.page.route("**/4", lambda route: route.abort())


def _unblock_events(ana: RouteWalker) -> None:
    ana.page.unroute("**/4")
    ana.page.reload()


def _message_states(story: Story) -> Iterator[str]:
    ana, texts = story.ana, story.texts
    story.send_from_ben(texts.received_text)
    story.send_from_ben(texts.view_once_text, opens=1)
    ana.go("inbox")
    ana.page.locator(".badge").wait_for()
    yield "inbox"
    ana.follow("conversation")
    yield "conversation"
    ana.send("open")
    ana.wait_for("conversation")
    ana.send("answer", "👍")
    yield "conversation-opened"
    ana.send("see_once")
    ana.wait_for("seen")
    yield "see-once"
    ana.send("seen")
    yield "see-once-shown"
    ana.send("end_seen")


def _send_again(story: Story) -> str:
    """Send another message, and return the address of its page. The message can still be undone."""
    ana, texts = story.ana, story.texts
    ana.go("send")
    ana.send("send", text=texts.sent_text, to=texts.ben)
    if ana.page.locator('[name="confirm"]').count():
        ana.send("review", confirm=texts.ben)
    else:
        ana.send("review")
    ana.wait_for("sealed")
    return ana.page.url


def _recall_states(story: Story, sent_page: str) -> Iterator[str]:
    ana = story.ana
    ana.page.goto(sent_page)
    ana.page.locator("[data-live] form").wait_for(state="detached")
    yield "sealed-sent"
    ana.go("inbox")
    ana.follow("conversation")
    yield "conversation-own"
    ana.send("answer", "recall")
    yield "take-back"
    ana.send("answer")
    yield "taken-back"
    ana.go("people")
    ana.follow("person")
    ana.send("person", "block")
    ana.send("person")
    yield "person-blocked"


def _copy_states(story: Story) -> Iterator[str]:
    ana, texts = story.ana, story.texts
    leak = story.folder / f"{texts.leak_file_name}.jpg"
    ana.go("copies")
    yield "copies"
    ana.send("copies", names=f"{texts.ben}\n{texts.caro}", files={"file": story.photo})
    ana.wait_for("copies_made")
    yield "copies-made"
    saved = fetch_targets(ana.page, "a[download]")[1]
    cut = Image.open(io.BytesIO(saved)).crop((40, 30, 660, 680))
    cut.save(leak, quality=75)
    ana.go("found")
    yield "found"
    _block_events(ana)
    ana.send("found", files={"file": leak})
    yield "looking"
    _unblock_events(ana)
    ana.wait_for("verdicts")
    yield "verdicts"
    ana.follow("how")
    yield "how-do-we-know"
    ana.go("found")
    (story.folder / "empty.jpg").write_bytes(b"")
    ana.send("found", files={"file": story.folder / "empty.jpg"})
    yield "refused"


def _case_states(story: Story) -> Iterator[str]:
    ana, texts = story.ana, story.texts
    ana.go("cases")
    ana.send("begin_case", "me")
    yield "case-question"
    ana.send("case_question", "no")
    yield "first-steps"
    ana.follow("case_question")
    for answer in ("no", "yes", "public"):
        ana.send("case_question", answer)
    ana.send("case_question", place="USA")
    yield "case-where"
    ana.send("case_question", where=texts.leak_url, account=texts.account)
    yield "case"
    case = ana.page.url
    ana.follow("case_routes")
    yield "case-routes"
    ana.page.goto(case)
    ana.follow("report")
    yield "case-report"
    ana.page.goto(case)
    ana.send("case_routes")
    yield "letter"
    ana.send("letter", "send")
    yield "letter-sent"
    ana.page.goto(case)
    yield "case-waiting"
    for name in ("place_seen", "evidence"):
        ana.page.goto(case)
        ana.follow(name)
        yield "case-place" if name == "place_seen" else "case-evidence"
    ana.send("evidence", note=texts.case_note, files={"file": story.photo})
    yield "case-evidence-kept"
    ana.send("show_small")
    ana.wait_for("evidence")
    yield "case-evidence-shown"
    ana.page.goto(case)
    ana.follow("about")
    yield "case-about"
    ana.follow("breach")
    yield "case-breach"
    for name in ("watching", "packs"):
        ana.page.goto(case)
        ana.follow(name)
        yield f"case-{name}"
    ana.page.goto(case.replace("/83/", "/95/"))
    yield "case-under-18"
    ana.page.goto(case)
    ana.follow("ending")
    yield "case-ending"
    yield from _threat_states(story)
    ana.go("cases")
    yield "cases"


def _threat_states(story: Story) -> Iterator[str]:
    """Walk through a case in which somebody threatens to share a picture."""
    ana, texts = story.ana, story.texts
    ana.go("cases")
    ana.send("begin_case", "me")
    for answer in ("yes", "no", "yes", "threat"):
        ana.send("case_question", answer)
    yield "threat-first-steps"
    ana.follow("case_question")
    yield "threat-where"
    answers = {"told_platform": "Instagram", "where": texts.chat, "account": texts.account}
    ana.send("case_question", **answers)
    yield "threat-case"
    case = ana.page.url
    ana.follow("evidence")
    ana.send("evidence", files={"file": story.photo})
    ana.page.goto(case)
    yield "threat-saved"
    ana.send("case_routes")
    yield "threat-fingerprint"
    ana.send("letter", "send")
    ana.page.goto(case)
    yield "threat-report"
    ana.send("case_routes")
    yield "threat-letter"


def _locked_states(ana: RouteWalker) -> Iterator[str]:
    ana.send("lock")
    yield "home-locked"
    ana.go("unlock")
    yield "unlock"
    ana.send("unlock", passphrase="not this one")
    yield "unlock-wrong"
